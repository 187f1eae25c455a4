"""What kind of operation stands in the way of a spiking layer, or is random."""

from __future__ import annotations

import enum
import operator

import torch
from torch import fx, nn

from hybridnet.partition.frames import Opaque
from hybridnet.partition.neurons import is_foreign_neuron


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


_JOINS = (
    operator.add,
    operator.iadd,
    operator.sub,
    operator.mul,
    torch.add,
    torch.sub,
    torch.mul,
    torch.cat,
    torch.stack,
)
_JOIN_METHODS = ("add", "add_", "sub", "mul")
_SYNAPSES = (nn.modules.conv._ConvNd, nn.Linear, nn.Bilinear)
_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm)
_POOLING_NAMES = ("pool", "interpolate", "upsample", "pixel_shuffle", "pixel_unshuffle")
_NORM_NAMES = ("batch_norm", "layer_norm", "group_norm", "instance_norm")
_SYNAPSE_NAMES = ("conv1d", "conv2d", "conv3d", "conv_transpose2d", "linear", "matmul", "einsum")


def classify(value: Opaque, graph: fx.GraphModule) -> Operation:
    """The kind of operation that made `value`."""
    node = value.by
    if node.op == "placeholder":
        return Operation.INPUT
    if node.op == "call_module":
        return _module(graph.get_submodule(str(node.target)), value)
    name = str(getattr(node.target, "__name__", node.target)).lower()
    if any(part in name for part in _NORM_NAMES):
        return Operation.NORM if value.spiking else Operation.ANN_BEFORE
    if any(part in name for part in _POOLING_NAMES):
        return Operation.POOLING if value.spiking else Operation.ANN_BEFORE
    if not value.spiking:
        return Operation.ANN_BEFORE
    if (node.target in _JOINS or node.target in _JOIN_METHODS) and len(node.all_input_nodes) > 1:
        return Operation.JOIN
    return Operation.ANN_BEHIND if name in _SYNAPSE_NAMES else Operation.ACTIVATION


def _module(module: nn.Module, value: Opaque) -> Operation:
    if is_foreign_neuron(module):
        return Operation.NEURON
    if isinstance(module, _SYNAPSES):
        return Operation.SYNAPSE
    if not value.spiking:
        return Operation.ANN_BEFORE
    name = type(module).__name__.lower()
    if isinstance(module, _NORMS):
        return Operation.NORM
    if any(part in name for part in _POOLING_NAMES):
        return Operation.POOLING
    return Operation.ACTIVATION if not any(True for _ in module.parameters()) else Operation.ANN_BEHIND


def is_random(node: fx.Node) -> bool:
    """Whether `node` draws random numbers when it runs."""
    name = str(getattr(node.target, "__name__", node.target))
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
