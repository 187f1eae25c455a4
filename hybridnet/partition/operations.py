"""Operations outside the spiking half: what they give, and of what kind they are where they stand in its way."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from hybridnet.partition.frames import MOVES, Count, Frames, NeuronState, Opaque
from hybridnet.partition.neurons import is_foreign_neuron
from hybridnet.partition.reading import Blocked
from hybridnet.partition.synapse import WEIGHTED


class Operation(enum.Enum):
    """Why a spiking layer's input is not frames."""

    INPUT = "a model input without time"
    SYNAPSE = "a layer with weights that is no plain convolution of frames"
    POOLING = "pooling or resizing"
    NORM = "a norm"
    JOIN = "an addition or concatenation of several tensors"
    ACTIVATION = "an activation or arithmetic behind synapses or neurons"
    ANN_BEFORE = "an ANN layer on a model input"
    ANN_BEHIND = "an ANN layer behind neurons"
    NEURON = "a neuron that was refused itself"


_JOIN_NAMES = ("add", "add_", "iadd", "sub", "mul", "cat", "concat", "concatenate", "stack")
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm)
_POOLING_NAMES = ("pool", "interpolate", "upsample", "pixel_shuffle", "pixel_unshuffle")
_NORM_NAMES = ("batch_norm", "layer_norm", "group_norm", "instance_norm")
_WEIGHTED_NAMES = ("conv1d", "conv2d", "conv3d", "conv_transpose2d", "linear", "matmul", "einsum")


def opaque(node: fx.Node, modules: Mapping[str, nn.Module], involved: list[Any]) -> Opaque:
    """What an operation of the ANN half makes of `involved`: named after the first operation of its kind."""
    frames = [v.origin for v in involved if isinstance(v, Frames | Count | NeuronState)]
    others = [v for v in involved if isinstance(v, Opaque)]
    spiking = any(origin.is_behind_neurons for origin in frames) or any(v.spiking for v in others)
    synaptic = any(origin.kind == "current" for origin in frames) or any(v.synaptic for v in others)
    timed = bool(frames) or any(v.timed for v in others)
    first = next((v for v in others if v.spiking == spiking), None)
    weighted = node.op == "call_module" and isinstance(modules[str(node.target)], WEIGHTED)
    if first is None or (first.moved and weighted):
        return Opaque(node, spiking, synaptic, timed)
    if first.by.op == "placeholder" and node.target not in MOVES and not weighted:
        return Opaque(node, spiking, synaptic, timed)
    return Opaque(first.by, spiking, synaptic, timed, first.moved)


def classify(case: Blocked, graph: fx.GraphModule) -> Operation:
    """The kind of operation that stands in the way."""
    node, value = case.value.by, case.value
    if node.op == "placeholder":
        return Operation.INPUT
    module = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    if module is not None and is_foreign_neuron(module):
        return Operation.NEURON
    if isinstance(module, WEIGHTED) and case.needs_synapse:
        return Operation.SYNAPSE
    name = (type(module).__name__ if module is not None else function_name(node)).lower()
    inside = value.spiking or value.synaptic
    if inside and (isinstance(module, _NORMS) or any(part in name for part in _NORM_NAMES)):
        return Operation.NORM
    if inside and any(part in name for part in _POOLING_NAMES):
        return Operation.POOLING
    if inside and module is None and name in _JOIN_NAMES and len(node.all_input_nodes) > 1:
        return Operation.JOIN
    if not value.spiking:
        return Operation.ANN_BEFORE
    has_weights = name in _WEIGHTED_NAMES if module is None else any(True for _ in module.parameters())
    return Operation.ANN_BEHIND if has_weights else Operation.ACTIVATION


def is_random(node: fx.Node) -> bool:
    """Whether `node` draws random numbers when it runs."""
    name = function_name(node)
    if "dropout" in name:
        position = node.args[2] if len(node.args) > 2 else True
        return node.kwargs.get("training", position) is not False
    return node.op in ("call_function", "call_method") and name in (
        "rand",
        "randn",
        "randint",
        "randperm",
        "rand_like",
        "randn_like",
        "randint_like",
        "bernoulli",
        "bernoulli_",
        "normal",
        "normal_",
        "uniform_",
        "multinomial",
        "poisson",
    )


def function_name(node: fx.Node) -> str:
    """The function or method that `node` calls, as its author spells it."""
    return str(getattr(node.target, "__name__", node.target))
