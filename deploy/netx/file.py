"""lava-dl netx HDF5: one `.net` file per stream of the spiking program.

The tree; all values are datasets, pairs are (vertical, horizontal) and shapes (C, H, W), as slayer writes them:

    /layer/0/                       the input
        type                        b"input"
        shape                       (3,)
    /layer/<i>/                     layer i − 1 of the stream
        type                        b"conv"
        shape                       (3,), of the output
        inChannels outChannels groups
        kernelSize stride padding dilation      (2,)
        weight                      (C_out, C_in/groups, kh, kw), integers
        bias                        (C_out,), integers
        neuron/type                 b"STM_SOFT" or, for hard reset, b"CUBA"
        neuron/iDecay               4096: no current filter
        neuron/vDecay               dv
        neuron/vThMant              threshold
        neuron/wgtExp               s − 6, the alignment of synaptic input; 0 for hard reset
        neuron/refDelay             1
        float/weight bias leak threshold        what the integers were rounded from, float64
        hybridnet/name read_out weight_scale input_scale message_max
    /hybridnet/schema stream input_name steps

Stock `lava.lib.dl.netx.hdf5.Network` reads /layer and ignores the groups that it does not know. It runs hard-reset
files as they are. It has no neuron with soft reset and does not know STM_SOFT: it fails loudly instead of running the
wrong neuron; `hybridnet.simulators.lava.network.Network` runs both.
"""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import h5py
import numpy as np

from hybridnet.deploy.netx.strict_hdf5 import FLOAT, INT32, INTEGER, StrictGroup, bundle_errors, opened
from hybridnet.errors import BundleError, ConfigError
from hybridnet.program.layers import (
    DECAY_ONE,
    MESSAGE_MAX,
    PAYLOAD_MAX,
    POTENTIAL_SHIFT,
    THRESHOLD_MAX,
    ConvGeometry,
    ConvLIFLayer,
    FixedConvLIF,
    InputKind,
    Reset,
    Stream,
)
from hybridnet.support.arrays import Array
from hybridnet.support.sealed import AnyFile

SCHEMA = "hybridnet.net/2"
NEURON_TYPES: dict[Reset, str] = {"soft": "STM_SOFT", "hard": "CUBA"}
NO_CURRENT_FILTER = 4096
"""iDecay of a current that decays at once: netx makes du = iDecay - 1 of it, and Lava decays by (du + 1) / 4096."""

# Bounds of what is read: far above any network that a chip holds, and small enough to allocate.
MAX_LAYERS = 64
MAX_STEPS = 4096
MAX_NEURONS = 2**26
MAX_WEIGHTS = 2**24
MAX_EXTENT = 2**16
"""The largest number of channels, and the largest height, width, kernel, stride, padding and dilation."""

NAME = re.compile(r"[\w.\-]{1,128}", re.ASCII)

LAYER_MEMBERS = {
    "type", "shape", "inChannels", "outChannels", "groups", "kernelSize", "stride", "padding", "dilation",
    "weight", "bias", "neuron", "float", "hybridnet",
}  # fmt: skip
NEURON_MEMBERS = {"type", "iDecay", "vDecay", "vThMant", "refDelay", "wgtExp"}
FLOAT_MEMBERS = {"weight", "bias", "leak", "threshold"}
OWN_MEMBERS = {"name", "read_out", "weight_scale", "input_scale", "message_max"}

Streams = tuple[Stream[ConvLIFLayer], Stream[FixedConvLIF], int]


def write_net(path: Path, stream: Stream[ConvLIFLayer], fixed: Stream[FixedConvLIF], steps: int) -> None:
    """Write one stream.

    Args:
        path: The `.net` file; replaced if it exists.
        stream: The layers in float.
        fixed: The same layers in the chip's integers.
        steps: T, steps per window.

    Raises:
        ConfigError: If it could not be read back, or the two streams differ in more than their arithmetic.
    """
    if not 1 <= steps <= MAX_STEPS:
        raise ConfigError("steps", steps, f"1 to {MAX_STEPS}")
    _check_twins(stream, fixed)
    content = io.BytesIO()  # HDF5 on a full disk tells of it by itself, and again while its objects go
    with h5py.File(content, "w") as file:
        file["hybridnet/schema"] = _text(SCHEMA)
        file["hybridnet/stream"] = _text(stream.name)
        file["hybridnet/input_name"] = _text(stream.input_name)
        file["hybridnet/steps"] = INTEGER.type(steps)
        file["layer/0/type"] = _text("input")
        file["layer/0/shape"] = np.array(stream.input_shape, INTEGER)
        for index, (layer, integers) in enumerate(zip(stream.layers, fixed.layers, strict=True), start=1):
            _write_layer(file.create_group(f"layer/{index}"), layer, integers)
    path.write_bytes(content.getvalue())


def read_net(path: AnyFile) -> Streams:
    """Read one stream back, trusting nothing: no links, no foreign storage, and shapes checked before allocation.

    Returns:
        The stream in float, the stream in integers, and T, steps per window.

    Raises:
        BundleError: If the file is missing, damaged, or not what `write_net` writes.
    """
    with bundle_errors(path), opened(path) as file:
        root = StrictGroup(file, {"layer", "hybridnet"})
        own = root.group("hybridnet", {"schema", "stream", "input_name", "steps"})
        own.expect("schema", SCHEMA)
        steps = own.integer("steps", 1, MAX_STEPS)

        count = root.count("layer")
        if not 2 <= count <= MAX_LAYERS + 1:
            raise BundleError(f"{count - 1} layers; allowed: 1 to {MAX_LAYERS}")
        layers = root.group("layer", {str(index) for index in range(count)})
        shape = _read_input(layers.group("0", {"type", "shape"}))
        floats: list[ConvLIFLayer] = []
        integers: list[FixedConvLIF] = []
        for index in range(1, count):
            layer, fixed = _read_layer(layers.group(str(index), LAYER_MEMBERS), shape, _input_kind(index - 1))
            shape = layer.geometry.output_shape
            floats.append(layer)
            integers.append(fixed)
        names = _name(own, "stream"), _name(own, "input_name")
        return Stream(*names, tuple(floats)), Stream(*names, tuple(integers)), steps


def _check_twins(stream: Stream[ConvLIFLayer], fixed: Stream[FixedConvLIF]) -> None:
    for index, (layer, twin) in enumerate(zip(stream.layers, fixed.layers, strict=True)):
        for field in ("name", "geometry", "reset", "input_kind", "read_out"):
            wanted, found = getattr(layer, field), getattr(twin, field)
            if found != wanted:
                raise ConfigError(f"{layer.name}.{field}", found, f"{wanted!r}, as in float")
        if layer.input_kind != _input_kind(index):
            raise ConfigError(f"{layer.name}.input_kind", layer.input_kind, f"{_input_kind(index)!r} at this place")
    for name in (stream.name, stream.input_name, *(layer.name for layer in stream.layers)):
        if not NAME.fullmatch(name):
            raise ConfigError("name", name, "1 to 128 letters, digits, '_', '.' and '-'")


def _input_kind(index: int) -> InputKind:
    return "spike" if index else "analog"


def _text(text: str) -> Array:
    """Text as slayer writes it: one fixed-length ASCII string in an array, which netx decodes."""
    return np.array([text.encode("ascii")])


def _write_layer(group: h5py.Group, layer: ConvLIFLayer, fixed: FixedConvLIF) -> None:
    geometry = fixed.geometry
    group["type"] = _text("conv")
    for key, value in {
        "shape": geometry.output_shape,
        "inChannels": geometry.input_shape[0],
        "outChannels": geometry.out_channels,
        "groups": geometry.groups,
        "kernelSize": geometry.kernel,
        "stride": geometry.stride,
        "padding": geometry.padding,
        "dilation": geometry.dilation,
        "neuron/iDecay": NO_CURRENT_FILTER,
        "neuron/vDecay": fixed.decay,
        "neuron/vThMant": fixed.threshold,
        "neuron/refDelay": 1,
        "neuron/wgtExp": fixed.input_shift - POTENTIAL_SHIFT,
        "hybridnet/message_max": fixed.message_max,
        "hybridnet/read_out": int(fixed.read_out),
    }.items():
        group[key] = np.array(value, INTEGER)
    group["weight"], group["bias"] = fixed.weight.astype(INT32), fixed.bias.astype(INT32)
    group["neuron/type"] = _text(NEURON_TYPES[fixed.reset])
    group["float/weight"], group["float/bias"] = layer.weight.astype(FLOAT), layer.bias.astype(FLOAT)
    group["float/leak"], group["float/threshold"] = FLOAT.type(layer.leak), FLOAT.type(layer.threshold)
    group["hybridnet/name"] = _text(fixed.name)
    group["hybridnet/weight_scale"] = FLOAT.type(fixed.weight_scale)
    group["hybridnet/input_scale"] = FLOAT.type(fixed.input_scale)


def _read_input(group: StrictGroup) -> tuple[int, int, int]:
    group.expect("type", "input")
    channels, height, width = group.integers("shape", 3, 1, MAX_EXTENT)
    return channels, height, width


def _read_layer(
    group: StrictGroup, input_shape: tuple[int, int, int], kind: InputKind
) -> tuple[ConvLIFLayer, FixedConvLIF]:
    group.expect("type", "conv")
    geometry = _read_geometry(group, input_shape)
    neuron = group.group("neuron", NEURON_MEMBERS)
    original = group.group("float", FLOAT_MEMBERS)
    own = group.group("hybridnet", OWN_MEMBERS)
    neuron.integer("iDecay", NO_CURRENT_FILTER, NO_CURRENT_FILTER)
    neuron.integer("refDelay", 1, 1)
    reset = _reset(neuron)
    name, read_out = _name(own, "name"), bool(own.integer("read_out", 0, 1))
    layer = ConvLIFLayer(
        name=name,
        geometry=geometry,
        weight=original.array("weight", FLOAT, geometry.weight_shape),
        bias=original.array("bias", FLOAT, (geometry.out_channels,)),
        leak=original.number("leak"),
        threshold=original.number("threshold"),
        reset=reset,
        input_kind=kind,
        read_out=read_out,
    )
    fixed = FixedConvLIF(
        name=name,
        geometry=geometry,
        weight=group.array("weight", INT32, geometry.weight_shape),
        bias=group.array("bias", INT32, (geometry.out_channels,)),
        decay=neuron.integer("vDecay", 0, DECAY_ONE),
        threshold=neuron.integer("vThMant", 1, THRESHOLD_MAX),
        reset=reset,
        input_kind=kind,
        read_out=read_out,
        weight_scale=own.number("weight_scale"),
        input_scale=own.number("input_scale"),
        input_shift=POTENTIAL_SHIFT + neuron.integer("wgtExp", -POTENTIAL_SHIFT, 0),
        message_max=own.integer("message_max", MESSAGE_MAX, PAYLOAD_MAX),
    )
    if not (fixed.weight_scale > 0 and fixed.input_scale > 0):
        raise BundleError("a scale is not greater than 0", where=own.where)
    return layer, fixed


def _name(group: StrictGroup, key: str) -> str:
    name = group.text(key)
    if not NAME.fullmatch(name):
        raise BundleError(f"{key} {name!r} holds other signs than letters, digits, '_', '.' and '-'", where=group.where)
    return name


def _reset(neuron: StrictGroup) -> Reset:
    written = neuron.text("type")
    for reset, neuron_type in NEURON_TYPES.items():
        if written == neuron_type:
            return reset
    raise BundleError(f"type {written!r} is none of {', '.join(NEURON_TYPES.values())}", where=neuron.where)


def _read_geometry(group: StrictGroup, input_shape: tuple[int, int, int]) -> ConvGeometry:
    def pair(key: str, low: int) -> tuple[int, int]:
        vertical, horizontal = group.integers(key, 2, low, MAX_EXTENT)
        return vertical, horizontal

    geometry = ConvGeometry(
        input_shape=input_shape,
        out_channels=group.integer("outChannels", 1, MAX_EXTENT),
        kernel=pair("kernelSize", 1),
        stride=pair("stride", 1),
        padding=pair("padding", 0),
        dilation=pair("dilation", 1),
        groups=group.integer("groups", 1, MAX_EXTENT),
    )
    group.integer("inChannels", input_shape[0], input_shape[0])
    if tuple(group.integers("shape", 3, 1, MAX_EXTENT)) != geometry.output_shape:
        raise BundleError(f"the shape is not that of its convolution, {geometry.output_shape}", where=group.where)
    if math.prod(geometry.output_shape) > MAX_NEURONS or math.prod(geometry.weight_shape) > MAX_WEIGHTS:
        raise BundleError(f"more than {MAX_NEURONS} neurons or {MAX_WEIGHTS} weights", where=group.where)
    return geometry
