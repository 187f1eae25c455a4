"""Where two runs of the spiking half part: the first neuron and step in causal order, and how many differ.

Layer l at step t depends on layer l − 1 at step t and on itself at step t − 1; a population of a graph on others before
it at step t, and on any at earlier steps. So within one window of one lane (a stream, or a part of a graph: `lanes`)
the order (step, layer) is causal: what comes before the first difference is equal, and so is no cause of it. Windows
and lanes do not depend on each other: each has a first difference of its own, in the first window that has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.errors import BackendError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.spiking import AnyGraph
from hybridnet.simulators.divergence.lanes import Lane, LaneInput, Neurons, lanes_of
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array

FLOAT_TOLERANCE = 1e-4
"""The share of the layer's threshold, or of an integrator's largest potential, by which two float back-ends may be
apart if no tolerance is asked for."""

INPUT_TOLERANCE = 1e-6
"""The share of a float input's size by which it may differ: it is cast between float32 and float64, no more."""


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two runs: who ran which program, and what it recorded of all steps."""

    name: str
    program: AnyGraph
    result: SpikingResult

    @property
    def fixed_point(self) -> bool:
        """Whether it computes in the chip's integers."""
        return isinstance(self.program, FixedGraph)


@dataclass(frozen=True)
class Place:
    """One neuron at one step; `stream` is the lane, `depth` the layer's index in it, below 0 for its inputs."""

    stream: str
    layer: str
    depth: int
    window: int
    step: int
    channel: int
    y: int
    x: int


@dataclass(frozen=True)
class Reading:
    """What one side holds at a place.

    Attributes:
        u: v in integers if both sides are in fixed point, else model units; of an input, its value.
        o: Whether it spikes; None for an input.
        distance: u − vth in the unit of u, the side's own threshold; None for an input or an integrator.
        c: The synaptic current in the unit of u, where one is kept and both sides recorded it.
    """

    u: float
    o: bool | None
    distance: float | None
    c: float | None = None


@dataclass(frozen=True)
class Divergence:
    """The first place where the sides differ."""

    place: Place
    a: Reading
    b: Reading


@dataclass(frozen=True)
class StreamComparison:
    """Two runs of one lane: a stream, or a part of a graph.

    Attributes:
        windows: How many were compared.
        differing: Per layer, inputs first, and per step: how many neurons differ, over all windows.
        largest: Per layer the largest |Δu|, in the unit of `Reading.u`.
    """

    stream: str
    windows: int
    differing: dict[str, list[int]]
    largest: dict[str, float]
    first: Divergence | None

    def then(self, later: StreamComparison) -> StreamComparison:
        """Together with later windows of the same stream."""
        return StreamComparison(
            self.stream,
            self.windows + later.windows,
            {name: _add(counts, later.differing[name]) for name, counts in self.differing.items()},
            # NumPy's maximum, not Python's: it keeps a NaN.
            {name: float(np.maximum(value, later.largest[name])) for name, value in self.largest.items()},
            self.first or later.first,
        )


@dataclass(frozen=True, eq=False)
class _Pair:
    """Both sides of one layer (or input) in one window, in a common unit, (T, C, H, W), and where they differ."""

    layer: str
    u: tuple[Array, Array]
    o: tuple[Array, Array] | None
    c: tuple[Array, Array] | None
    thresholds: tuple[Array, Array] | None
    differs: npt.NDArray[np.bool_]


def find(a: Side, b: Side, tolerance: float | None = None, first_window: int = 0) -> tuple[StreamComparison, ...]:
    """Compare two runs of the same windows, stream by stream.

    Args:
        a: One run, with all potentials recorded.
        b: The other.
        tolerance: The largest |Δu| that counts as equal, in units of v between two fixed-point runs, else in model
            units. None: 0 between two fixed-point runs, FLOAT_TOLERANCE of the threshold between two float ones, and
            between a fixed-point and a float one spikes alone are compared. A spike that differs counts always.
        first_window: The number of the first window of both runs.

    Raises:
        BackendError: If a run recorded not all layers, or in other shapes than the program's.
    """
    for side in (a, b):
        for lane in lanes_of(side.program):
            _check_shapes(side, lane)
    lanes = zip(lanes_of(a.program), lanes_of(b.program), strict=True)
    return tuple(_compare_lane(a, b, pair, tolerance, first_window) for pair in lanes)


def _compare_lane(
    a: Side, b: Side, lanes: tuple[Lane, Lane], tolerance: float | None, first_window: int
) -> StreamComparison:
    windows = [
        _compare_window(_pairs(a, b, lanes, tolerance, n), lanes[0], first_window + n)
        for n in range(_windows(a, lanes[0]))
    ]
    together = windows[0]
    for window in windows[1:]:
        together = together.then(window)
    return together


def _compare_window(pairs: Iterator[_Pair], lane: Lane, window: int) -> StreamComparison:
    """One window; of each layer nothing is kept but counts and its own first difference."""
    differing: dict[str, list[int]] = {}
    largest: dict[str, float] = {}
    found: list[Divergence] = []
    for depth, pair in enumerate(pairs, start=-len(lane.inputs)):
        differing[pair.layer] = [int(n) for n in pair.differs.sum(axis=(1, 2, 3))]
        largest[pair.layer] = float(np.abs(pair.u[0] - pair.u[1]).max())
        if pair.differs.any():
            at = tuple(int(i) for i in np.unravel_index(int(pair.differs.argmax()), pair.differs.shape))
            place = Place(lane.name, pair.layer, depth, window, *at)
            found.append(Divergence(place, _reading(pair, 0, at), _reading(pair, 1, at)))
    first = min(found, key=lambda d: (d.place.step, d.place.depth), default=None)
    return StreamComparison(lane.name, 1, differing, largest, first)


def _pairs(a: Side, b: Side, lanes: tuple[Lane, Lane], tolerance: float | None, n: int) -> Iterator[_Pair]:
    """The inputs and the layers of one window in the order of data flow, one at a time."""
    for nodes in zip(lanes[0].inputs, lanes[1].inputs, strict=True):
        maps = [
            np.broadcast_to(side.result.inputs[node.key][n], (lane.steps, *node.shape))
            for side, node, lane in zip((a, b), nodes, lanes, strict=True)
        ]
        yield _input_pair(nodes, maps[0], maps[1])
    for layers in zip(lanes[0].layers, lanes[1].layers, strict=True):
        name, scales = layers[0].name, _scales(layers)
        u = _common(layers, a.result.potentials[name][n], b.result.potentials[name][n])
        o = (a.result.spikes[name][n], b.result.spikes[name][n])
        limit = _limit(layers, u, tolerance)
        # Not `> limit`: a NaN is a difference.
        differs = ~(np.abs(u[0] - u[1]) <= limit) | (o[0] != o[1])
        kept = any(layer.current_kept is not None for layer in layers)
        c = None
        if kept and name in a.result.currents and name in b.result.currents:
            c = _common(layers, a.result.currents[name][n], b.result.currents[name][n])
            differs |= ~(np.abs(c[0] - c[1]) <= limit)
        thresholds = (layers[0].threshold / scales[0], layers[1].threshold / scales[1])
        yield _Pair(name, u, o, c, thresholds, differs)


def _input_pair(nodes: tuple[LaneInput, LaneInput], a: Array, b: Array) -> _Pair:
    """What was fed: messages must be equal, floats equal but for casts, and a message the float it stands for."""
    name, encodings = nodes[0].name, [node.encoding for node in nodes]
    if None not in encodings:
        left, right = a.astype(np.int64), b.astype(np.int64)
        return _Pair(name, (left, right), None, None, None, left != right)
    scales = [1.0 if encoding is None else encoding.input_scale for encoding in encodings]
    u = [values.astype(np.float64) / scale for values, scale in zip((a, b), scales, strict=True)]
    allowed = INPUT_TOLERANCE * np.maximum(np.abs(u[0]), np.abs(u[1]))
    differs = ~(np.abs(u[0] - u[1]) <= allowed)
    for i, encoding in enumerate(encodings):
        if encoding is not None:
            rounded = np.clip(np.rint(u[1 - i] * encoding.input_scale), -encoding.message_max, encoding.message_max)
            differs = ~(np.abs(rounded - u[i] * encoding.input_scale) <= 1e-6)
    return _Pair(name, (u[0], u[1]), None, None, None, differs)


def _common(layers: tuple[Neurons, Neurons], a: Array, b: Array) -> tuple[Array, Array]:
    """In a common unit: v as int64 if both are integers, else model units as float64."""
    if layers[0].fixed_point and layers[1].fixed_point:
        return a.astype(np.int64), b.astype(np.int64)
    scales = _scales(layers)
    return a.astype(np.float64) / scales[0], b.astype(np.float64) / scales[1]


def _scales(layers: tuple[Neurons, Neurons]) -> tuple[float, float]:
    """What potentials are divided by for the common unit."""
    both = layers[0].fixed_point and layers[1].fixed_point
    return (1, 1) if both else (layers[0].scale, layers[1].scale)


def _limit(layers: tuple[Neurons, Neurons], u: tuple[Array, Array], tolerance: float | None) -> Array | float:
    if tolerance is not None:
        return tolerance
    fixed = [layer.fixed_point for layer in layers]
    if any(fixed):
        return 0 if all(fixed) else np.inf
    threshold = layers[0].threshold
    if np.isfinite(threshold).all():
        return FLOAT_TOLERANCE * threshold
    return FLOAT_TOLERANCE * max(float(np.abs(one[np.isfinite(one)]).max(initial=0)) for one in u)


def _reading(pair: _Pair, side: int, at: tuple[int, ...]) -> Reading:
    u = pair.u[side][at].item()
    if pair.o is None or pair.thresholds is None:
        return Reading(u, None, None)
    threshold = float(np.broadcast_to(pair.thresholds[side], pair.u[side].shape)[at])
    whole = round(threshold) if isinstance(u, int) and np.isfinite(threshold) else threshold
    distance = u - whole if np.isfinite(threshold) else None
    return Reading(u, bool(pair.o[side][at]), distance, None if pair.c is None else pair.c[side][at].item())


def _check_shapes(side: Side, lane: Lane) -> None:
    windows = _windows(side, lane)
    for node in lane.inputs:
        shape = (windows, *node.shape) if node.still else (windows, lane.steps, *node.shape)
        _check(side.name, node.name, side.result.inputs.get(node.key), shape)
    for layer in lane.layers:
        shape = (windows, lane.steps, *layer.shape)
        _check(side.name, f"{layer.name}.u", side.result.potentials.get(layer.name), shape)
        _check(side.name, f"{layer.name}.o", side.result.spikes.get(layer.name), shape)
        if layer.name in side.result.currents:
            _check(side.name, f"{layer.name}.c", side.result.currents[layer.name], shape)


def _check(who: str, what: str, array: Array | None, expected: tuple[int, ...]) -> None:
    if array is None:
        raise BackendError(f"{who} recorded no {what}", where="compare", remedy="Every layer must be recorded")
    if array.shape != expected:
        reordered = array.shape[:2] == expected[:2] and sorted(array.shape[2:]) == sorted(expected[2:])
        raise BackendError(
            f"{what} of {who} is {array.shape}, the program gives {expected}",
            where="compare",
            remedy="Its axes are in another order: transpose it to (N, T, C, H, W)" if reordered else "",
        )


def _windows(side: Side, lane: Lane) -> int:
    fed = [side.result.inputs[node.key] for node in lane.inputs if node.key in side.result.inputs]
    return len(fed[0] if fed else side.result.spikes[lane.layers[0].name])


def _add(first: list[int], second: list[int]) -> list[int]:
    return [x + y for x, y in zip(first, second, strict=True)]


def merged(parts: Sequence[tuple[StreamComparison, ...]]) -> tuple[StreamComparison, ...]:
    """The comparison of all windows from those of successive batches."""
    together = list(parts[0])
    for part in parts[1:]:
        together = [before.then(later) for before, later in zip(together, part, strict=True)]
    return tuple(together)
