"""A mapped network as SANA-FE reads it (`pip install sanafe`): one YAML with the chip, the network and its mapping.

SANA-FE's fields are those of its own examples. Every synapse is an edge, so that all geometries, groups and cycles can
be said; what it cannot say, delays and the chip's integers, is left out: its neurons are of floating point. With
events, neurons replay them in place of computing. Every router, SANA-FE's tile, has one more core than the chip's: the
host's inputs stand on that of the first one, where its messages enter, and take no time of a core.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from hybridnet.deploy.chip.placing import HOST, Counts, Tiling, homes
from hybridnet.deploy.chip.profile import Chip, Times
from hybridnet.deploy.chip.reach import channel_pairs, position_pairs
from hybridnet.errors import ConfigError
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation, FixedSynapse
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_SHIFT, ConvGeometry
from hybridnet.report.record.prices import Price, ProfileRow
from hybridnet.support.arrays import Array

MOST_SYNAPSES = 2**20
"""More make a file that nobody reads: each is a line."""


def sana_fe(
    graph: FixedGraph,
    placed: Mapping[str, Tiling],
    chip: Chip,
    prices: ProfileRow,
    events: Mapping[str, Array] | None = None,
) -> str:
    """The YAML.

    Args:
        graph: The program.
        placed: The cores of each population.
        chip: Its mesh, and its times, which must be known.
        prices: Prices of its events.
        events: Events of one view, (T, C, H, W) by input and population.

    Raises:
        ConfigError: If the chip's times are not known, or there are too many synapses.
    """
    if not isinstance(chip.times, Times):
        raise ConfigError("chip", chip.name, f"one whose events have times, such as loihi1: {chip.times.reason}")
    number = sum(len(synapse_pairs(g)[0]) for g in graph.synapses)
    if number > MOST_SYNAPSES:
        raise ConfigError("synapses", number, f"at most {MOST_SYNAPSES} in SANA-FE's YAML, where each is a line")
    at = homes(graph, placed)
    names = {name: f"g{n}" for n, name in enumerate(at)}
    cores = max((tiling.cores.stop for tiling in placed.values()), default=1)
    replays, taken = events is not None, Counter[int]()
    mapping = [line for name in at for line in _mapping(names[name], at[name], chip, taken, replays=replays)]
    inputs, room = taken.pop(HOST, 1), max(taken.values(), default=1)
    lines = (
        *_architecture(chip, chip.times, prices, cores, room, inputs),
        "network:",
        "  name: hybridnet",
        "  groups:",
        *(line for node in graph.inputs for line in _group(node.name, names, node.shape, "[]", events)),
        *(
            line
            for p in graph.populations
            for line in _group(p.name, names, p.shape, "[]" if replays else _neuron(p), events)
        ),
        "  edges:" if number else "  edges: []",
        *(line for g in graph.synapses for line in _edges(g, names, replays=replays)),
        "mappings:",
        *mapping,
    )
    return "\n".join(lines) + "\n"


def synapse_pairs(g: FixedSynapse) -> tuple[Counts, Counts, Counts]:
    """Every synapse of a group: number of its input neuron, of its output neuron, and its place among the weights."""
    channel = channel_pairs(g.geometry)
    row, column = (position_pairs(g.geometry, axis) for axis in (1, 2))
    c, o = (v[:, None, None] for v in channel)
    y, v, ky = (part[None, :, None] for part in row)
    x, h, kx = (part[None, None, :] for part in column)
    inputs, outputs = g.geometry.input_shape[0] // g.geometry.groups, g.geometry.out_channels // g.geometry.groups
    first, second = (o, c % inputs) if isinstance(g.geometry, ConvGeometry) else (c, o % outputs)
    source = np.ravel_multi_index(np.broadcast_arrays(c, y, x), g.geometry.input_shape)
    target = np.ravel_multi_index(np.broadcast_arrays(o, v, h), g.geometry.output_shape)
    weight = np.ravel_multi_index(np.broadcast_arrays(first, second, ky, kx), g.geometry.weight_shape)
    full = np.broadcast_shapes(source.shape, target.shape, weight.shape)
    source, target, weight = (np.broadcast_to(part, full).reshape(-1) for part in (source, target, weight))
    return source, target, weight


def _architecture(chip: Chip, t: Times, prices: ProfileRow, cores: int, room: int, inputs: int) -> Iterator[str]:
    def pj(term: str) -> str:
        entry = prices.entry(term)
        return f"{entry.reference if isinstance(entry, Price) else 0.0}e-12"

    mesh = chip.mesh
    wide = mesh.width * -(-cores // (mesh.width * mesh.height * mesh.cores_per_tile))
    soma = (
        f"energy_access_neuron: {pj('neuron_update')}, latency_access_neuron: {t.neuron_update.reference}e-9,"
        " energy_update_neuron: 0.0, latency_update_neuron: 0.0,"
        f" energy_spike_out: {pj('spike')}, latency_spike_out: {t.spike.reference}e-9"
    )
    free = ", ".join(f"{kind}_{what}: 0.0" for kind in ("energy", "latency") for what in
                     ("access_neuron", "update_neuron", "spike_out"))  # fmt: skip
    hops = ", ".join(
        f"energy_{way}_hop: {pj(term)}, latency_{way}_hop: {duration.reference}e-9"
        for way, term, duration in (("north", "hop_ns", t.hop_ns), ("south", "hop_ns", t.hop_ns),
                                    ("east", "hop_ew", t.hop_ew), ("west", "hop_ew", t.hop_ew))
    )  # fmt: skip
    barrier = ", ".join(f"{entry.routers}: {entry.reference}e-9" for entry in t.barrier)
    yield from (
        f"# {chip.description}: times of {t.synaptic_event.source}; prices of {prices.name}",
        "architecture:",
        "  name: chip",
        "  attributes:",
        f"    {{topology: mesh, width: {wide}, height: {mesh.height}, link_buffer_size: 16, sync_model: table,"
        f" latency_sync: {{{barrier}}}}}",
        "  tile:",
        f"    - name: tile[0..{wide * mesh.height - 1}]",
        f"      attributes: {{{hops}}}",
        "      core:",
        *_core(f"core[0..{mesh.cores_per_tile - 1}]", room, t, pj, soma, t.message_out.reference),
        *_core("host", max(1, inputs), t, pj, free, 0.0),
    )


def _core(name: str, room: int, t: Times, pj: Callable[[str], str], soma: str, message_out_ns: float) -> Iterator[str]:
    """What processes neurons at this price, on which either all replay or none do."""
    yield from (
        f"        - name: {name}",
        f"          attributes: {{buffer_position: soma, buffer_inside_unit: false, max_neurons_supported: {room}}}",
        "          axon_in:",
        "            - {name: in, attributes: {energy_message_in: 0.0,"
        f" latency_message_in: {t.message_in.reference}e-9}}}}",
        "          synapse:",
        f"            - {{name: synapse, attributes: {{model: current_based, energy_process_spike: {pj('ac')},"
        f" latency_process_spike: {t.synaptic_event.reference}e-9}}}}",
        "          dendrite:",
        "            - {name: dendrite, attributes: {model: accumulator, energy_update: 0.0, latency_update: 0.0}}",
        "          soma:",
        f"            - {{name: lif, attributes: {{model: leaky_integrate_fire, {soma}}}}}",
        f"            - {{name: 'replay[0..{room - 1}]', attributes: {{model: input, {soma}}}}}",
        "          axon_out:",
        f"            - {{name: out, attributes: {{energy_message_out: {pj('message')},"
        f" latency_message_out: {message_out_ns}e-9}}}}",
    )


def _group(
    name: str,
    names: Mapping[str, str],
    shape: tuple[int, int, int],
    attributes: str,
    events: Mapping[str, Array] | None,
) -> Iterator[str]:
    neurons = int(np.prod(shape))
    yield f"    - name: {names[name]}"
    yield f"      attributes: {attributes}"
    yield "      neurons:"
    if events is None:
        yield f"        - 0..{neurons - 1}: []" if neurons > 1 else "        - 0: []"
        return
    fired = (np.asarray(events[name]).reshape(-1, neurons) != 0).astype(int).T.tolist()
    yield from (f"        - {n}: [spikes: {train}]" for n, train in enumerate(fired))


def _neuron(p: FixedPopulation) -> str:
    """The threshold of the first channel, in units of a weight; an integrator never fires."""
    decay, threshold = (np.ravel(part)[0] for part in (p.decay, 2**40 if p.threshold is None else p.threshold))
    reset = "soft" if p.reset == "soft" else "hard"
    leak = (DECAY_ONE - int(decay)) / DECAY_ONE
    return f"[threshold: {int(threshold)}.0, reset: 0.0, reset_mode: {reset}, leak_decay: {leak}]"


def _edges(g: FixedSynapse, names: Mapping[str, str], *, replays: bool) -> Iterator[str]:
    """An edge per synapse; what replays is told by no current, and refuses any but 0."""
    source, target, place = synapse_pairs(g)
    weights = g.weight.reshape(-1)[place] * (0.0 if replays else 2.0 ** (g.shift - POTENTIAL_SHIFT))
    for one, other, weight in zip(source.tolist(), target.tolist(), weights.tolist(), strict=True):
        yield f"    - {names[g.source]}.{one} -> {names[g.target]}.{other}: [weight: {weight}]"


def _mapping(name: str, tiling: Tiling, chip: Chip, taken: Counter[int], *, replays: bool) -> Iterator[str]:
    """Each neuron's core, as tile and core of it. What replays has a unit of its own; the host always does."""
    tiles = np.meshgrid(*(tiling.tiles(axis) for axis in range(3)), indexing="ij")
    core = tiling.first + np.ravel_multi_index(tiles, tiling.grid).reshape(-1)
    for n, one in enumerate(core.tolist() if tiling.first != HOST else [HOST] * core.size):
        tile, within = divmod(one, chip.mesh.cores_per_tile) if one != HOST else (0, chip.mesh.cores_per_tile)
        soma = f'"replay[{taken[one]}]"' if replays or one == HOST else "lif"
        taken[one] += 1
        yield f"  - {name}.{n}: [core: {tile}.{within}, soma: {soma}]"
