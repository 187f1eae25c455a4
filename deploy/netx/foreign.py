"""Reads `.net` files that others wrote: lava-dl's slayer, or anyone who knows the format.

The layers input, conv, dense and flatten and the neurons CUBA and LOIHI are read. `hybridnet.deploy.netx.file`
describes the tree, and docs/netx.md what stock netx makes of it. This module holds stock netx's reading, with its
quirks. Nothing is skipped or changed in silence: what netx or this reader does not know is refused with the name of the
layer, and `ForeignNetwork.notes` lists what netx ignores or changes.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from hybridnet.deploy.netx.file import MAX_EXTENT, MAX_NEURONS, MAX_WEIGHTS
from hybridnet.deploy.netx.group import ForeignGroup
from hybridnet.deploy.netx.layers import Conv, CubaNeuron, Dense, ForeignNetwork, InputNeuron, Layer, Shape
from hybridnet.deploy.netx.strict_hdf5 import bundle_errors, opened
from hybridnet.deploy.netx.weights import store_weights
from hybridnet.errors import BundleError, ConfigError
from hybridnet.program.chains import MAX_LAYERS
from hybridnet.program.layers import DECAY_ONE, ConvGeometry, IntArray

NEURON_TYPES = ("CUBA", "LOIHI")
LAYER_TYPES = ("input", "conv", "dense", "flatten")

THRESHOLD_LIMIT = 2**18 - 1
"""slayer writes this for neurons that never spike; v, of 24 bits, never exceeds it, nor 2^17, after the shift by 6."""

DEFAULT_NEURON = CubaNeuron(*(np.array([value], np.int32) for value in (0, DECAY_ONE, 2**17)))
"""The neuron of a dense layer without one: the current never decays, v is the current, and never spikes. netx means to
write the threshold 2^18 - 1, but `1 << 18 - 1` is 2^17."""

DELAY_MAX = 62
"""Longer delays are cut to this by netx."""

INT8_MAX, INT16_MAX = 2**7 - 1, 2**15 - 1
"""Lava keeps the geometry of a conv in 8 bits, and a neuron's bias in 16."""

INPUT_WEIGHT, INPUT_BIAS = 64, 0
"""The weight and bias of input neurons whose file tells none."""

OURS = {"float", "hybridnet"}
"""What `hybridnet.deploy.netx.file` writes beside the format."""
INPUT = {"type", "shape"}, {"neuron", "weight", "bias"}
FLATTEN = {"type"}, {"shape"}
CONV = (
    {"type", "shape", "weight", "stride", "padding", "dilation", "groups", "neuron"},
    {"bias", "delay", "inChannels", "outChannels", "kernelSize"} | OURS,
)
DENSE = {"type", "shape", "weight"}, {"bias", "delay", "neuron", "inFeatures", "outFeatures"}
NEURON = (
    {"type", "iDecay", "vDecay", "vThMant"},
    {"refDelay", "gradedSpike", "wgtExp", "weight_exp", "theta", "tauRho", "scaleRho"},
)
IGNORED = {"refDelay": 1, "gradedSpike": 0, "wgtExp": 0, "weight_exp": 0}
"""What netx ignores of a neuron although it would change the result, with the value at which it would not."""


def read_foreign_net(path: Path, *, input_shape: Shape | None = None, num_layers: int | None = None) -> ForeignNetwork:
    """Read a `.net` file of CUBA or LOIHI neurons, trusting nothing: no links, and limits before allocation.

    Args:
        path: The file.
        input_shape: (C, H, W) or (features,), for files that begin with a convolution instead of an input.
        num_layers: Read no more than the first so many entries of /layer, as netx's argument of this name does.

    Raises:
        BundleError: If the file is missing or damaged, or holds anything that this reader does not know.
        ConfigError: If `num_layers` is less than 1.
    """
    if num_layers is not None and num_layers < 1:
        raise ConfigError("num_layers", num_layers, "1 or more")
    with bundle_errors(path, remedy=""), opened(path) as file:
        notes: list[str] = []
        root = ForeignGroup(file, {"layer"}, None, notes)  # stock netx reads nothing else of the root
        count = root.count("layer")
        if not 1 <= count <= MAX_LAYERS:
            raise BundleError(f"{count} layers; allowed: 1 to {MAX_LAYERS}")
        layers = root.sub("layer", {str(index) for index in range(count)}, set())
        groups = [layers.sub(str(index), {"type"}, None) for index in range(count)[:num_layers]]
        return _read_layers(groups, input_shape, notes)


def _read_layers(groups: list[ForeignGroup], input_shape: Shape | None, notes: list[str]) -> ForeignNetwork:
    shape, input_neuron, flat = input_shape, None, False
    layers: list[Layer] = []
    for index, group in enumerate(groups):
        kind = group.text("type")
        if kind == "input" and index == 0:
            shape, input_neuron = _read_input(group)
            if input_shape not in (None, shape):
                raise BundleError(f"the input has shape {shape}, not {input_shape}", where=group.where)
        elif kind == "flatten":
            flat = _flatten(group, shape)
        elif kind == "conv":
            layers.append(_read_conv(group, shape, flat=flat))
            shape = layers[-1].output_shape
        elif kind == "dense":
            layers.append(_read_dense(group, shape, flat=flat))
            shape, flat = layers[-1].output_shape, False
        else:
            place = " after the first layer" if kind == "input" else ""
            raise BundleError(f"type {kind!r}{place} cannot be run; known: {', '.join(LAYER_TYPES)}", where=group.where)
    if not layers and input_neuron is None:
        raise BundleError("no layer of neurons", where="/layer")
    first = input_neuron.shape if input_neuron else layers[0].input_shape
    return ForeignNetwork(first, input_neuron, tuple(layers), tuple(notes))


def _read_input(group: ForeignGroup) -> tuple[Shape, InputNeuron | None]:
    group.allow(*INPUT)
    shape = group.shape("shape", (1, 3), MAX_EXTENT, MAX_NEURONS)
    if not group.has("neuron"):
        return shape, None
    weight, bias = group.one("weight", INPUT_WEIGHT), group.one("bias", INPUT_BIAS)
    return shape, InputNeuron(group.where, shape, weight, bias, _read_neuron(group, shape))


def _flatten(group: ForeignGroup, shape: Shape | None) -> bool:
    group.allow(*FLATTEN)
    if shape is not None and len(shape) != 3:
        raise BundleError(f"a flatten behind a layer of shape {shape}; netx flattens (C, H, W) only", where=group.where)
    return True


def _read_conv(group: ForeignGroup, input_shape: Shape | None, *, flat: bool) -> Conv:
    group.allow(*CONV)
    if input_shape is None:
        raise BundleError("the file does not tell the shape of its input", where=group.where, remedy="Pass input_shape")
    if flat or len(input_shape) != 3:
        raise BundleError("a conv behind a flatten or a dense layer", where=group.where)
    out_channels, *size = group.shape("shape", (3,), MAX_EXTENT, MAX_NEURONS)
    weight = group.integers("weight", MAX_WEIGHTS, fractions=True)
    if weight.ndim == 5 and weight.shape[4] == 1:  # slayer's convolutions have an axis of time
        weight = weight[..., 0]
    if weight.ndim != 4:
        raise BundleError(f"a weight of shape {weight.shape}", where=group.where)
    geometry = _read_geometry(group, input_shape, out_channels, weight.shape)
    if max(geometry.kernel) > INT8_MAX:
        raise BundleError(f"a kernel of {geometry.kernel}, and Lava keeps its size in 8 bits", where=group.where)
    if weight.shape != geometry.weight_shape or (out_channels, *size) != geometry.output_shape:
        raise BundleError(
            f"weight {weight.shape} and shape {(out_channels, *size)} are not those of its convolution, "
            f"{geometry.weight_shape} and {geometry.output_shape}",
            where=group.where,
        )
    group.expect_integers("inChannels", input_shape[0])
    group.expect_integers("outChannels", out_channels)
    group.expect_integers("kernelSize", geometry.kernel)
    if group.has("delay"):
        group.note("the delay is ignored, as netx does with a conv's")
    return Conv(group.where, geometry, weight, _read_bias(group, out_channels), _read_neuron(group, (out_channels,)))


def _read_geometry(group: ForeignGroup, input_shape: Shape, out_channels: int, weight: Shape) -> ConvGeometry:
    channels, height, width = input_shape
    try:
        return ConvGeometry(
            input_shape=(channels, height, width),
            out_channels=out_channels,
            kernel=(weight[2], weight[3]),
            stride=group.pair("stride", 1, INT8_MAX),
            padding=group.pair("padding", 0, INT8_MAX),
            dilation=group.pair("dilation", 1, INT8_MAX),
            groups=group.integer("groups", 1, INT8_MAX),
        )
    except ConfigError as error:
        raise BundleError(error.what, where=group.where, remedy=error.remedy) from error


def _read_dense(group: ForeignGroup, input_shape: Shape | None, *, flat: bool) -> Dense:
    group.allow(*DENSE)
    neurons = math.prod(group.shape("shape", (1, 2, 3), MAX_EXTENT, MAX_NEURONS))
    if group.is_group("weight"):
        raise BundleError("complex weights cannot be run", where=group.where)
    weight = group.integers("weight", MAX_WEIGHTS, fractions=True)
    weight = weight.reshape(neurons, -1) if weight.ndim == 1 else weight
    if weight.ndim != 2 or len(weight) != neurons:
        raise BundleError(f"a weight of shape {weight.shape} for {neurons} neurons", where=group.where)
    if input_shape is None:
        input_shape = weight.shape[1:]
    if len(input_shape) == 3 and not flat:
        raise BundleError(f"behind a layer of shape {input_shape} without a flatten between them", where=group.where)
    if weight.shape[1] != math.prod(input_shape):
        raise BundleError(f"a weight of shape {weight.shape} for an input of shape {input_shape}", where=group.where)
    group.expect_integers("inFeatures", weight.shape[1])
    group.expect_integers("outFeatures", neurons)
    try:
        stored = store_weights(weight)
    except BundleError as error:
        raise BundleError(error.what, where=group.where) from error
    if stored.changed:
        group.note(f"{stored.changed} of {weight.size} weights are changed to fit a synapse, as netx and Lava do")
    delay = _read_delay(group, weight.shape) if group.has("delay") else None
    neuron = _read_neuron(group, (neurons,)) if group.has("neuron") else DEFAULT_NEURON
    return Dense(group.where, input_shape, stored.values, stored.shift, delay, _read_bias(group, neurons), neuron)


def _read_bias(group: ForeignGroup, count: int) -> IntArray:
    """(count,), zeros if there is none; Lava holds it in 16 bits."""
    if not group.has("bias"):
        return np.zeros(count, np.int32)
    bias = group.integers("bias", MAX_NEURONS, fractions=True)
    if bias.shape != (count,):
        raise BundleError(f"a bias of shape {bias.shape} for {count} channels", where=group.where)
    if np.abs(bias).max() > INT16_MAX:
        raise BundleError(f"a bias of {np.abs(bias).max()}, which Lava would wrap at 16 bits", where=group.where)
    return bias


def _read_delay(group: ForeignGroup, shape: tuple[int, int]) -> IntArray:
    """Steps that each synapse, (out, in), delays; a vector holds one per output or, if that cannot be, per input."""
    delay = group.integers("delay", MAX_WEIGHTS, fractions=True)
    if delay.min() < 0:
        raise BundleError(f"a delay of {delay.min()}", where=group.where)
    late = int(np.count_nonzero(delay > DELAY_MAX))
    if late:
        group.note(f"{late} delays above {DELAY_MAX} are cut to {DELAY_MAX}, as netx does")
    if delay.ndim == 1 and len(delay) == shape[0]:
        delay = delay[:, None]
    elif delay.shape not in ((), shape, (shape[1],)):
        raise BundleError(f"a delay of shape {delay.shape} for a weight of shape {shape}", where=group.where)
    return np.broadcast_to(delay.clip(max=DELAY_MAX), shape).copy()


def _read_neuron(layer: ForeignGroup, shape: Shape) -> CubaNeuron:
    """The neuron of a layer; each of its parameters is one for all or one per channel, which Lava broadcasts."""
    group = layer.sub("neuron", {"type"}, None)
    kind = group.text("type")
    if kind not in NEURON_TYPES:
        raise BundleError(
            f"neurons of type {kind!r} cannot be run; known: {', '.join(NEURON_TYPES)}",
            where=group.where,
            remedy="hybridnet.deploy.netx.file.read_net reads soft-reset files of hybridnet" if "STM" in kind else "",
        )
    group.allow(*NEURON)
    for key, harmless in IGNORED.items():
        if group.has(key) and (group.integers(key, MAX_NEURONS, fractions=True) != harmless).any():
            group.note(f"{key} is ignored, as netx does")
    return CubaNeuron(
        _per_channel(group, "iDecay", DECAY_ONE, shape[0]),
        _per_channel(group, "vDecay", DECAY_ONE, shape[0]),
        _per_channel(group, "vThMant", THRESHOLD_LIMIT, shape[0]),
    )


def _per_channel(group: ForeignGroup, key: str, high: int, channels: int) -> IntArray:
    values = np.atleast_1d(group.integers(key, MAX_EXTENT))
    if values.shape not in ((1,), (channels,)):
        raise BundleError(f"{key} of shape {values.shape} for {channels} channels", where=group.where)
    if values.min() < 0 or values.max() > high:
        raise BundleError(f"{key} from {values.min()} to {values.max()} is not in 0 to {high}", where=group.where)
    return values
