"""What each ONNX operator computes, in closed form.

One MAC is one multiplication with its addition. Convolutions count every kernel tap, those in the padding included, as
runtimes compute them and other counters count them. An *element operation* is any other addition, subtraction,
multiplication, division or comparison of two numbers; a *function* is an exponential, logarithm, root or the like.
Biases of Conv and Gemm start the sum that the MACs go on with: they cost nothing beside them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import NodeProto


Shape = tuple[int, ...]


@dataclass(frozen=True)
class Work:
    """What one node does for one view."""

    macs: int = 0
    element_ops: int = 0
    functions: int = 0


class Node:
    """A node with its shapes; what is not known raises KeyError with its name."""

    def __init__(self, node: NodeProto, shapes: Mapping[str, Shape]) -> None:
        self.inputs = [name for name in node.input if name]
        self._node, self._shapes = node, shapes

    def shape(self, index: int) -> Shape:
        """The shape of an input."""
        return self._shapes[self._node.input[index]]

    @property
    def out(self) -> Shape:
        """The shape of the first output."""
        return self._shapes[self._node.output[0]]

    def attribute(self, name: str, default: Any = None) -> Any:
        """An attribute's value."""
        from onnx import helper

        return next((helper.get_attribute_value(a) for a in self._node.attribute if a.name == name), default)

    def has(self, index: int) -> bool:
        """Whether an optional input is given."""
        return index < len(self._node.input) and bool(self._node.input[index])


def conv(n: Node) -> Work:
    """Every output times every tap of its kernel; weight (C_out, C_in/groups, …)."""
    return Work(macs=math.prod(n.out) * math.prod(n.shape(1)[1:]))


def conv_transpose(n: Node) -> Work:
    """Every input times every tap of its kernel; weight (C_in, C_out/groups, …)."""
    return Work(macs=math.prod(n.shape(0)) * math.prod(n.shape(1)[1:]))


def matmul(n: Node) -> Work:
    """Every output is a sum over the last axis of the first factor."""
    return Work(macs=math.prod(n.out) * n.shape(0)[-1])


def gemm(n: Node) -> Work:
    """As `matmul`, of factors that may be transposed."""
    return Work(macs=math.prod(n.out) * n.shape(0)[0 if n.attribute("transA", 0) else 1])


def attention(n: Node) -> Work:
    """One Attention node of opset 23: Q·Kᵀ and the weights times V, with scaling, mask, soft cap and softmax between.

    Inputs (B, heads, N, d), or (B, N, heads·d) with the numbers of heads as attributes. The scale is applied to Q and
    to K, as the operator's specification and the exporter's decomposition do.
    """
    q, k, v = n.shape(0), n.shape(1), n.shape(2)
    if len(q) == 3:
        heads, kv_heads = n.attribute("q_num_heads"), n.attribute("kv_num_heads")
        q, k, v = ((x[0], h, x[1], x[2] // h) for x, h in ((q, heads), (k, kv_heads), (v, kv_heads)))
    keys = k[2] + (n.shape(4)[2] if n.has(4) else 0)
    scores = math.prod(q[:3]) * keys
    masked = scores if n.has(3) else 0
    capped = scores if n.attribute("softcap", 0.0) else 0  # c·tanh(s / c)
    weights = _softmax(math.prod(q[:3]), keys)
    return Work(
        macs=scores * q[3] + scores * v[3],
        element_ops=math.prod(q) + math.prod(k) + masked + 2 * capped + weights.element_ops,
        functions=capped + weights.functions,
    )


def einsum(n: Node) -> Work:
    """Two factors: every combination of labels is one MAC if any label is summed over, else one multiplication.

    Raises:
        NotImplementedError: For three factors or more, whose order decides.
    """
    terms, _, result = n.attribute("equation").decode().replace(" ", "").partition("->")
    operands = terms.split(",")
    if len(operands) > 2 or "." in terms:
        raise NotImplementedError
    sizes = {label: size for i, labels in enumerate(operands) for label, size in zip(labels, n.shape(i), strict=True)}
    combinations, outputs = math.prod(sizes.values()), math.prod(n.out)
    if len(operands) == 1:
        return Work(element_ops=combinations - outputs)
    return Work(macs=combinations) if set(sizes) - set(result) else Work(element_ops=outputs)


def recurrent(gates: int) -> Callable[[Node], Work]:
    """LSTM, GRU and RNN: the matrix products of input and state, each step; their gates' functions stay out."""

    def count(n: Node) -> Work:
        steps, batch, width = n.shape(0)
        directions, rows, _ = n.shape(1)
        hidden = rows // gates
        return Work(macs=steps * batch * directions * gates * hidden * (width + hidden))

    return count


def each_output(operations: int, functions: int = 0) -> Callable[[Node], Work]:
    """So many operations per number of the output."""
    return lambda n: Work(element_ops=operations * math.prod(n.out), functions=functions * math.prod(n.out))


def variadic(n: Node) -> Work:
    """Sum, Max and Min of several inputs: one operation fewer than inputs per output."""
    return Work(element_ops=(len(n.inputs) - 1) * math.prod(n.out))


def reduce(n: Node) -> Work:
    """A sum or maximum over axes: every input beyond the first of its output is one operation."""
    return Work(element_ops=math.prod(n.shape(0)) - math.prod(n.out))


def reduce_mean(n: Node) -> Work:
    """A sum and a division."""
    return Work(element_ops=math.prod(n.shape(0)))


def average_pool(n: Node) -> Work:
    """Per output, its taps less one additions and a division."""
    return Work(element_ops=math.prod(n.out) * math.prod(n.attribute("kernel_shape")))


def max_pool(n: Node) -> Work:
    """Per output, its taps less one comparisons."""
    return Work(element_ops=math.prod(n.out) * (math.prod(n.attribute("kernel_shape")) - 1))


def softmax(n: Node) -> Work:
    """Over one axis."""
    size = n.out[n.attribute("axis", -1)]
    return _softmax(math.prod(n.out) // size, size)


def _softmax(rows: int, size: int) -> Work:
    """Largest, differences, exponentials, their sum, quotients: 4n − 2 operations and n functions a row."""
    return Work(element_ops=rows * (4 * size - 2), functions=rows * size)


def layer_norm(n: Node) -> Work:
    """Over the axes from `axis` on."""
    size = math.prod(n.shape(0)[n.attribute("axis", -1) :])
    return _standardise(math.prod(n.shape(0)) // size, size, bias=n.has(2))


def instance_norm(n: Node) -> Work:
    """Over the map of each channel."""
    shape = n.shape(0)
    return _standardise(math.prod(shape[:2]), math.prod(shape[2:]), bias=True)


def group_norm(n: Node) -> Work:
    """Over the maps of each group."""
    rows = n.shape(0)[0] * n.attribute("num_groups")
    return _standardise(rows, math.prod(n.shape(0)) // rows, bias=True)


def _standardise(rows: int, size: int, *, bias: bool) -> Work:
    """The work on n numbers: mean n, differences n, variance 2n, ε 1, quotients n, scale n, bias n; and a root."""
    return Work(element_ops=rows * ((7 if bias else 6) * size + 1), functions=rows)


def rms_norm(n: Node) -> Work:
    """The work on n numbers: mean of squares 2n, ε 1, quotients n, scale n; and a root."""
    size = math.prod(n.shape(0)[n.attribute("axis", -1) :])
    rows = math.prod(n.shape(0)) // size
    return Work(element_ops=rows * (4 * size + 1), functions=rows)


MAC_OPERATORS: dict[str, Callable[[Node], Work]] = {
    "Attention": attention,
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Einsum": einsum,
    "GRU": recurrent(3),
    "Gemm": gemm,
    "LSTM": recurrent(4),
    "MatMul": matmul,
    "RNN": recurrent(1),
}

OTHER_OPERATORS: dict[str, Callable[[Node], Work]] = {
    **dict.fromkeys(("Abs", "Add", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"), each_output(1)),
    **dict.fromkeys(("LeakyRelu", "Mul", "Neg", "PRelu", "Reciprocal", "Relu", "Sign", "Sub", "Where"), each_output(1)),
    **dict.fromkeys(("And", "Ceil", "Floor", "Mod", "Not", "Or", "Round", "ThresholdedRelu", "Xor"), each_output(1)),
    **dict.fromkeys(("Cos", "Erf", "Exp", "Log", "Pow", "Sin", "Sqrt", "Tanh"), each_output(0, 1)),
    **dict.fromkeys(("Max", "Min", "Sum"), variadic),
    **dict.fromkeys(("ReduceMax", "ReduceMin", "ReduceSum", "ArgMax", "ArgMin"), reduce),
    "Mean": lambda n: Work(element_ops=len(n.inputs) * math.prod(n.out)),
    "ReduceMean": reduce_mean,
    "GlobalAveragePool": reduce_mean,
    "GlobalMaxPool": reduce,
    "AveragePool": average_pool,
    "MaxPool": max_pool,
    "BatchNormalization": each_output(2),  # scale and offset, both known before any view
    "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm,
    "LayerNormalization": layer_norm,
    "RMSNormalization": rms_norm,
    "Softmax": softmax,
    "LogSoftmax": lambda n: Work(softmax(n).element_ops, 0, softmax(n).functions),
    "Clip": each_output(2),
    "HardSigmoid": each_output(4),
    "HardSwish": each_output(5),
    "Sigmoid": each_output(2, 1),  # 1 / (1 + exp(−x))
    "Swish": each_output(3, 1),
    "Softplus": each_output(1, 2),
    "Elu": each_output(3, 1),
    "Selu": each_output(4, 1),
    "Gelu": each_output(4, 1),  # x / √2, erf, + 1, · x, · ½
    "QuantizeLinear": each_output(3),  # quotient, zero point, range
    "DequantizeLinear": each_output(2),
}

DATA_MOVEMENT = frozenset(
    (
        *("Cast", "CastLike", "Concat", "Constant", "ConstantOfShape", "DepthToSpace", "Dropout", "Expand", "Flatten"),
        *("Gather", "GatherElements", "GatherND", "Identity", "OneHot", "Pad", "Range", "Reshape", "ScatterElements"),
        *("ScatterND", "Shape", "Size", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Trilu"),
        *("Unsqueeze",),
    )
)
"""Operators that compute nothing."""
