"""Where two runs of the spiking half part: the first neuron and step in causal order, and how many differ.

Layer l at step t depends on layer l − 1 at step t and on itself at step t − 1. So within one window of one stream the
order (step, layer) is causal: what comes before the first difference is equal, and so is no cause of it. Windows and
streams do not depend on each other: each stream has a first difference of its own, in the first window that has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.errors import BackendError
from hybridnet.program.layers import (
    POTENTIAL_SHIFT,
    ConvLIFLayer,
    FixedConvLIF,
    FixedProgram,
    FloatProgram,
    Stream,
)
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array

FLOAT_TOLERANCE = 1e-4
"""Of the layer's threshold: how far potentials of two float back-ends may be apart if no tolerance is asked for."""

INPUT_TOLERANCE = 1e-6
"""Of a float input's size: it is cast between float32 and float64, no more."""

AnyLayer = ConvLIFLayer | FixedConvLIF
AnyStream = Stream[ConvLIFLayer] | Stream[FixedConvLIF]


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two runs: who ran which program, and what it recorded of all steps."""

    name: str
    program: FloatProgram | FixedProgram
    result: SpikingResult

    @property
    def fixed_point(self) -> bool:
        """Whether it computes in the chip's integers."""
        return is_fixed(self.program)


@dataclass(frozen=True)
class Place:
    """One neuron at one step; `depth` is the layer's index in its stream, −1 for the stream's input."""

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
        distance: u − vth in the unit of u, the side's own threshold; None for an input.
    """

    u: float
    o: bool | None
    distance: float | None


@dataclass(frozen=True)
class Divergence:
    """The first place where the sides differ."""

    place: Place
    a: Reading
    b: Reading


@dataclass(frozen=True)
class StreamComparison:
    """Two runs of one stream.

    Attributes:
        windows: How many were compared.
        differing: Per layer, the input first, and per step: how many neurons differ, over all windows.
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
    thresholds: tuple[float, float] | None
    differs: npt.NDArray[np.bool_]


def is_fixed(program: FloatProgram | FixedProgram) -> bool:
    """Whether a program holds the chip's integers."""
    return any(isinstance(layer, FixedConvLIF) for layer in program.layers())


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
        _check_shapes(side)
    left: Sequence[AnyStream] = a.program.streams
    right: Sequence[AnyStream] = b.program.streams
    return tuple(_compare_stream(a, b, pair, tolerance, first_window) for pair in zip(left, right, strict=True))


def threshold_of(layer: AnyLayer) -> float:
    """The layer's vth as potentials are compared with it: in units of v in fixed point, else in model units."""
    return layer.threshold << POTENTIAL_SHIFT if isinstance(layer, FixedConvLIF) else layer.threshold


def _compare_stream(
    a: Side, b: Side, streams: tuple[AnyStream, AnyStream], tolerance: float | None, first_window: int
) -> StreamComparison:
    name = streams[0].name
    windows = [
        _compare_window(_pairs(a, b, streams, tolerance, n), name, first_window + n) for n in range(_windows(a, name))
    ]
    together = windows[0]
    for window in windows[1:]:
        together = together.then(window)
    return together


def _compare_window(pairs: Iterator[_Pair], stream: str, window: int) -> StreamComparison:
    """One window; of each layer nothing is kept but counts and its own first difference."""
    differing: dict[str, list[int]] = {}
    largest: dict[str, float] = {}
    found: list[Divergence] = []
    for depth, pair in enumerate(pairs, start=-1):
        differing[pair.layer] = [int(n) for n in pair.differs.sum(axis=(1, 2, 3))]
        largest[pair.layer] = float(np.abs(pair.u[0] - pair.u[1]).max())
        if pair.differs.any():
            at = tuple(int(i) for i in np.unravel_index(int(pair.differs.argmax()), pair.differs.shape))
            place = Place(stream, pair.layer, depth, window, *at)
            found.append(Divergence(place, _reading(pair, 0, at), _reading(pair, 1, at)))
    first = min(found, key=lambda d: (d.place.step, d.place.depth), default=None)
    return StreamComparison(stream, 1, differing, largest, first)


def _pairs(a: Side, b: Side, streams: tuple[AnyStream, AnyStream], tolerance: float | None, n: int) -> Iterator[_Pair]:
    """The input and the layers of one window in the order of data flow, one at a time."""
    name = streams[0].name
    firsts: tuple[AnyLayer, AnyLayer] = (streams[0].layers[0], streams[1].layers[0])
    yield _input_pair(f"{name} input", a.result.inputs[name][n], b.result.inputs[name][n], firsts)
    both: Sequence[tuple[AnyLayer, AnyLayer]] = list(zip(streams[0].layers, streams[1].layers, strict=True))
    for layers in both:
        u = _common(layers, a.result.potentials[layers[0].name][n], b.result.potentials[layers[1].name][n])
        o = (a.result.spikes[layers[0].name][n], b.result.spikes[layers[1].name][n])
        scales = _scales(layers)
        thresholds = (threshold_of(layers[0]) / scales[0], threshold_of(layers[1]) / scales[1])
        # Not `> limit`: a NaN is a difference.
        differs = ~(np.abs(u[0] - u[1]) <= _limit(layers, tolerance)) | (o[0] != o[1])
        yield _Pair(layers[0].name, u, o, thresholds, differs)


def _input_pair(name: str, a: Array, b: Array, layers: tuple[AnyLayer, AnyLayer]) -> _Pair:
    """What was fed: messages must be equal, floats equal but for casts, and a message the float it stands for."""
    fixed = [layer if isinstance(layer, FixedConvLIF) else None for layer in layers]
    if None not in fixed:
        left, right = a.astype(np.int64), b.astype(np.int64)
        return _Pair(name, (left, right), None, None, left != right)
    scales = [1.0 if layer is None else layer.input_scale for layer in fixed]
    u = [values.astype(np.float64) / scale for values, scale in zip((a, b), scales, strict=True)]
    allowed = INPUT_TOLERANCE * np.maximum(np.abs(u[0]), np.abs(u[1]))
    differs = ~(np.abs(u[0] - u[1]) <= allowed)
    for i, layer in enumerate(fixed):
        if layer is not None:
            rounded = np.clip(np.rint(u[1 - i] * layer.input_scale), -layer.message_max, layer.message_max)
            differs = ~(np.abs(rounded - u[i] * layer.input_scale) <= 1e-6)
    return _Pair(name, (u[0], u[1]), None, None, differs)


def _common(layers: tuple[AnyLayer, AnyLayer], a: Array, b: Array) -> tuple[Array, Array]:
    """Potentials in a common unit: v as int64 if both are integers, else model units as float64."""
    if all(isinstance(layer, FixedConvLIF) for layer in layers):
        return a.astype(np.int64), b.astype(np.int64)
    scales = _scales(layers)
    return a.astype(np.float64) / scales[0], b.astype(np.float64) / scales[1]


def _scales(layers: tuple[AnyLayer, AnyLayer]) -> tuple[float, float]:
    """What potentials are divided by for the common unit."""
    if all(isinstance(layer, FixedConvLIF) for layer in layers):
        return 1, 1
    first, second = (layer.potential_scale if isinstance(layer, FixedConvLIF) else 1.0 for layer in layers)
    return first, second


def _limit(layers: tuple[AnyLayer, AnyLayer], tolerance: float | None) -> float:
    if tolerance is not None:
        return tolerance
    fixed = [isinstance(layer, FixedConvLIF) for layer in layers]
    if all(fixed):
        return 0
    return np.inf if any(fixed) else FLOAT_TOLERANCE * layers[0].threshold


def _reading(pair: _Pair, side: int, at: tuple[int, ...]) -> Reading:
    u = pair.u[side][at].item()
    if pair.o is None or pair.thresholds is None:
        return Reading(u, None, None)
    threshold = pair.thresholds[side]
    return Reading(u, bool(pair.o[side][at]), u - (round(threshold) if isinstance(u, int) else threshold))


def _check_shapes(side: Side) -> None:
    streams: Sequence[AnyStream] = side.program.streams
    for stream in streams:
        windows = _windows(side, stream.name)
        _check(
            side.name, f"{stream.name} input", side.result.inputs.get(stream.name), windows, side, stream.input_shape
        )
        layers: Sequence[AnyLayer] = stream.layers
        for layer in layers:
            shape = layer.geometry.output_shape
            _check(side.name, f"{layer.name}.u", side.result.potentials.get(layer.name), windows, side, shape)
            _check(side.name, f"{layer.name}.o", side.result.spikes.get(layer.name), windows, side, shape)


def _check(who: str, what: str, array: Array | None, windows: int, side: Side, shape: tuple[int, ...]) -> None:
    expected = (windows, side.program.steps, *shape)
    if array is None:
        raise BackendError(f"{who} recorded no {what}", where="compare", remedy="Every layer must be recorded")
    if array.shape != expected:
        reordered = array.shape[:2] == expected[:2] and sorted(array.shape[2:]) == sorted(shape)
        raise BackendError(
            f"{what} of {who} is {array.shape}, the program gives {expected}",
            where="compare",
            remedy="Its axes are in another order: transpose it to (N, T, C, H, W)" if reordered else "",
        )


def _windows(side: Side, stream: str) -> int:
    return len(side.result.inputs[stream])


def _add(first: list[int], second: list[int]) -> list[int]:
    return [x + y for x, y in zip(first, second, strict=True)]


def merged(parts: Sequence[tuple[StreamComparison, ...]]) -> tuple[StreamComparison, ...]:
    """The comparison of all windows from those of successive batches."""
    together = list(parts[0])
    for part in parts[1:]:
        together = [before.then(later) for before, later in zip(together, part, strict=True)]
    return tuple(together)
