"""lava-dl netx HDF5: one `.net` file per chain of the spiking program.

The tree; all values are datasets, pairs are (vertical, horizontal) and shapes (C, H, W), as slayer writes them:

    /layer/0/                       the input
        type                        b"input"
        shape                       (3,)
    /layer/<i>/                     population i − 1 of the chain
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
        hybridnet/name scale            S: v / S is in model units
    /hybridnet/schema chain steps input_name
    /hybridnet/input_scale message_max  of the messages that the first layer gets

Stock `lava.lib.dl.netx.hdf5.Network` reads /layer and ignores the groups that it does not know. It runs hard-reset
files as they are. It has no neuron with soft reset and does not know STM_SOFT: it fails loudly instead of running the
wrong neuron; `hybridnet.simulators.lava.network.Network` runs both.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from hybridnet.deploy.netx.strict_hdf5 import FLOAT, INT32, INTEGER, StrictGroup, bundle_errors, opened
from hybridnet.errors import BundleError, ConfigError
from hybridnet.program.chains import MAX_LAYERS, MAX_STEPS, NAME, netx_chains
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.program.layers import (
    DECAY_ONE,
    MESSAGE_MAX,
    PAYLOAD_MAX,
    POTENTIAL_SHIFT,
    THRESHOLD_MAX,
    ConvGeometry,
    Reset,
)
from hybridnet.support.arrays import Array
from hybridnet.support.sealed import AnyFile

SCHEMA = "hybridnet.net/3"
NEURON_TYPES: dict[Reset, str] = {"soft": "STM_SOFT", "hard": "CUBA"}
NO_CURRENT_FILTER = 4096
"""iDecay of a current that decays at once: netx makes du = iDecay - 1 of it, and Lava decays by (du + 1) / 4096."""

# Bounds of what is read: far above any network that a chip holds, and small enough to allocate.
MAX_NEURONS = 2**26
MAX_WEIGHTS = 2**24
MAX_EXTENT = 2**16
"""The largest number of channels, and the largest height, width, kernel, stride, padding and dilation."""

LAYER_MEMBERS = {
    "type", "shape", "inChannels", "outChannels", "groups", "kernelSize", "stride", "padding", "dilation",
    "weight", "bias", "neuron", "float", "hybridnet",
}  # fmt: skip
NEURON_MEMBERS = {"type", "iDecay", "vDecay", "vThMant", "refDelay", "wgtExp"}
FLOAT_MEMBERS = {"weight", "bias", "leak", "threshold"}
OWN_MEMBERS = {"name", "scale"}
ROOT_MEMBERS = {"schema", "chain", "input_name", "steps", "input_scale", "message_max"}


@dataclass(frozen=True, eq=False)
class Net:
    """A chain that was read: its name, and the program of it alone in both forms."""

    name: str
    program: GraphProgram
    fixed: FixedGraph


def write_net(path: Path, name: str, program: GraphProgram, fixed: FixedGraph) -> None:
    """Write one chain.

    Args:
        path: The `.net` file; replaced if it exists.
        name: Name of the chain.
        program: The chain alone, in float.
        fixed: The same in the chip's integers.

    Raises:
        ConfigError: If it could not be read back, or the two are no chain, or not the same one.
    """
    if not 1 <= program.steps <= MAX_STEPS:
        raise ConfigError("steps", program.steps, f"1 to {MAX_STEPS}")
    chains = netx_chains(program, fixed)
    if not NAME.fullmatch(name):
        raise ConfigError("name", name, "1 to 128 letters, digits, '_', '.' and '-'")
    if len(chains) != 1:
        raise ConfigError(f"chain {name}", [p.name for p in program.populations], "one chain that netx can say")
    _check_twins(program, fixed)
    content = io.BytesIO()  # HDF5 on a full disk tells of it by itself, and again while its objects go
    with h5py.File(content, "w") as file:
        (source,) = fixed.inputs
        file["hybridnet/schema"] = _text(SCHEMA)
        file["hybridnet/chain"] = _text(name)
        file["hybridnet/input_name"] = _text(source.name)
        file["hybridnet/steps"] = INTEGER.type(program.steps)
        file["hybridnet/input_scale"] = FLOAT.type(source.input_scale)
        file["hybridnet/message_max"] = INTEGER.type(source.message_max)
        file["layer/0/type"] = _text("input")
        file["layer/0/shape"] = np.array(source.shape, INTEGER)
        for index, (p, integers) in enumerate(zip(program.populations, fixed.populations, strict=True), start=1):
            (g,), (own,) = program.onto(p.name), fixed.onto(p.name)
            _write_layer(file.create_group(f"layer/{index}"), p, g, integers, own)
    path.write_bytes(content.getvalue())


def read_net(path: AnyFile) -> Net:
    """Read one chain back, trusting nothing: no links, no foreign storage, and shapes checked before allocation.

    Raises:
        BundleError: If the file is missing, damaged, or not what `write_net` writes.
    """
    with bundle_errors(path), opened(path) as file:
        root = StrictGroup(file, {"layer", "hybridnet"})
        own = root.group("hybridnet", ROOT_MEMBERS)
        own.expect("schema", SCHEMA)
        steps = own.integer("steps", 1, MAX_STEPS)
        count = root.count("layer")
        if not 2 <= count <= MAX_LAYERS + 1:
            raise BundleError(f"{count - 1} layers; allowed: 1 to {MAX_LAYERS}")
        layers = root.group("layer", {str(index) for index in range(count)})
        shape = _read_input(layers.group("0", {"type", "shape"}))
        source = FixedInput(
            _name(own, "input_name"),
            shape,
            input_scale=own.number("input_scale"),
            message_max=own.integer("message_max", MESSAGE_MAX, PAYLOAD_MAX),
        )
        read: list[tuple[Population, Synapse, FixedPopulation, FixedSynapse]] = []
        before = source.name
        for index in range(1, count):
            read.append(_read_layer(layers.group(str(index), LAYER_MEMBERS), shape, before))
            before, shape = read[-1][0].name, read[-1][0].shape
        populations, groups, integers, weights = zip(*read, strict=True)
        program = GraphProgram((Input(source.name, source.shape),), populations, groups, steps)
        return Net(_name(own, "chain"), program, FixedGraph((source,), integers, weights, steps))


def _check_twins(program: GraphProgram, fixed: FixedGraph) -> None:
    one, other = (
        [(p.name, p.reset, one.onto(p.name)[0].source, one.onto(p.name)[0].geometry) for p in one.populations]
        for one in (program, fixed)
    )
    for wanted, found in zip(one, other, strict=True):
        if found != wanted:
            raise ConfigError(wanted[0], found, f"{wanted}, as in float")


def _text(text: str) -> Array:
    """Text as slayer writes it: one fixed-length ASCII string in an array, which netx decodes."""
    return np.array([text.encode("ascii")])


def _write_layer(group: h5py.Group, p: Population, g: Synapse, fixed: FixedPopulation, own: FixedSynapse) -> None:
    geometry = own.geometry
    if not isinstance(geometry, ConvGeometry) or p.threshold is None or fixed.threshold is None:
        raise ConfigError(p.name, "a population of another kind", "a link of a chain")
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
        "neuron/vDecay": int(fixed.decay),
        "neuron/vThMant": int(fixed.threshold),
        "neuron/refDelay": 1,
        "neuron/wgtExp": own.shift - POTENTIAL_SHIFT,
    }.items():
        group[key] = np.array(value, INTEGER)
    group["weight"], group["bias"] = own.weight.astype(INT32), fixed.bias.astype(INT32)
    group["neuron/type"] = _text(NEURON_TYPES[fixed.reset])
    group["float/weight"], group["float/bias"] = g.weight.astype(FLOAT), p.bias.astype(FLOAT)
    group["float/leak"], group["float/threshold"] = FLOAT.type(float(p.leak)), FLOAT.type(float(p.threshold))
    group["hybridnet/name"] = _text(p.name)
    group["hybridnet/scale"] = FLOAT.type(fixed.scale)


def _read_input(group: StrictGroup) -> tuple[int, int, int]:
    group.expect("type", "input")
    channels, height, width = group.integers("shape", 3, 1, MAX_EXTENT)
    return channels, height, width


def _read_layer(
    group: StrictGroup, input_shape: tuple[int, int, int], source: str
) -> tuple[Population, Synapse, FixedPopulation, FixedSynapse]:
    group.expect("type", "conv")
    geometry = _read_geometry(group, input_shape)
    neuron = group.group("neuron", NEURON_MEMBERS)
    original = group.group("float", FLOAT_MEMBERS)
    own = group.group("hybridnet", OWN_MEMBERS)
    neuron.integer("iDecay", NO_CURRENT_FILTER, NO_CURRENT_FILTER)
    neuron.integer("refDelay", 1, 1)
    reset, name = _reset(neuron), _name(own, "name")
    threshold = np.array(original.number("threshold"))
    population = Population(
        name=name,
        shape=geometry.output_shape,
        leak=np.array(original.number("leak")),
        current_leak=np.array(0.0),
        threshold=threshold,
        reset=reset,
        reset_amount=threshold if reset == "soft" else np.array(0.0),
        bias=original.array("bias", FLOAT, (geometry.out_channels,)),
    )
    mantissa = np.array(neuron.integer("vThMant", 1, THRESHOLD_MAX), np.int32)
    fixed = FixedPopulation(
        name=name,
        shape=geometry.output_shape,
        decay=np.array(neuron.integer("vDecay", 0, DECAY_ONE), np.int32),
        current_decay=np.array(DECAY_ONE, np.int32),
        threshold=mantissa,
        reset=reset,
        reset_amount=mantissa if reset == "soft" else np.zeros((), np.int32),
        bias=group.array("bias", INT32, (geometry.out_channels,)),
        scale=own.number("scale"),
    )
    weight = original.array("weight", FLOAT, geometry.weight_shape)
    integers = group.array("weight", INT32, geometry.weight_shape)
    shift = POTENTIAL_SHIFT + neuron.integer("wgtExp", -POTENTIAL_SHIFT, 0)
    return (
        population,
        Synapse(source, name, geometry, weight),
        fixed,
        FixedSynapse(source, name, geometry, integers, shift=shift),
    )


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
