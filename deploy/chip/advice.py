"""What would fit: the least change of one thing at a time that brings a spiking half onto so many chips.

Every suggestion is mapped anew; what it does to accuracy is not known before it is trained.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from hybridnet.deploy.chip.fit import FitReport, LayerDemand, fit
from hybridnet.deploy.chip.profile import Chip
from hybridnet.errors import ConfigError
from hybridnet.program.layers import ConvGeometry

ACCURACY = "accuracy: not measured"

Demands = tuple[LayerDemand, ...]


@dataclass(frozen=True)
class Advice:
    """One change, and what it takes then.

    Attributes:
        passes: How often the chips are loaded and run for one view.
    """

    change: str
    cores: int
    chips: int
    passes: int = 1
    accuracy: str = ACCURACY


def advise(demands: Sequence[LayerDemand], chip: Chip, chips: int = 1) -> tuple[Advice, ...]:
    """The least stride, channels, input and tile that fit, and streams by turns; empty if everything fits as it is."""
    if not fit(demands, chip, chips).broken:
        return ()
    whole = tuple(demands)
    ways = (_strides(whole), _channels(whole), _sides(whole), _turns(whole), _tiles(whole))
    found = (_first(way, chip, chips) for way in ways)
    return tuple(advice for advice in found if advice is not None)


@dataclass(frozen=True)
class _Candidate:
    """Parts that are on the chips by turns, `times` each."""

    change: str
    parts: tuple[Demands, ...]
    times: int = 1


def _first(candidates: Iterable[_Candidate], chip: Chip, chips: int) -> Advice | None:
    for candidate in candidates:
        reports: list[FitReport] = [fit(part, chip, chips) for part in candidate.parts]
        if not any(report.broken for report in reports):
            largest = max(reports, key=lambda report: report.cores)
            return Advice(candidate.change, largest.cores, largest.chips, len(reports) * candidate.times)
    return None


def _strides(demands: Demands) -> Iterator[_Candidate]:
    """The first layer of every stream skips more."""
    for factor in (2, 3, 4, 6, 8):
        strides = {p.geometry.stride[0] * factor for p in demands if _is_first(p, demands)}
        changed = _rebuilt(demands, first_stride=factor)
        if changed is not None:
            yield _Candidate(f"stride {_values(strides)} in the first layer of each stream", (changed,))


def _channels(demands: Demands) -> Iterator[_Candidate]:
    """All layers keep the same share of their channels."""
    most = max(p.geometry.out_channels for p in demands)
    for kept in range(most - 1, 0, -1):
        changed = _rebuilt(demands, channels=lambda c, kept=kept: max(1, c * kept // most))  # type: ignore[misc]
        if changed is not None:
            yield _Candidate(f"{kept} channels instead of {most} (all layers alike)", (changed,))


def _sides(demands: Demands) -> Iterator[_Candidate]:
    """A smaller crop, in steps of 8 pixels."""
    side = max(max(p.geometry.input_shape[1:]) for p in demands)
    for smaller in range((side - 1) // 8 * 8, 0, -8):
        changed = _rebuilt(demands, side=lambda n, s=smaller: max(1, n * s // side))  # type: ignore[misc]
        if changed is not None:
            yield _Candidate(f"a crop of {smaller} pixels instead of {side}", (changed,))


def _turns(demands: Demands) -> Iterator[_Candidate]:
    """One stream after the other on the same chips."""
    streams = _streams(demands)
    if len(streams) > 1:
        yield _Candidate("one stream after the other on the same chips", tuple(streams.values()))


def _tiles(demands: Demands) -> Iterator[_Candidate]:
    """The input in overlapping tiles, one after the other; spikes and potentials inside a tile stay exact."""
    for cuts in range(2, 9):
        changed = _rebuilt(demands, side=lambda n, k=cuts: min(n, -(-n // k) + 2 * halo(demands)))  # type: ignore[misc]
        if changed is not None:
            yield _Candidate(f"{cuts} × {cuts} overlapping tiles of the input by turns", (changed,), cuts * cuts)


def halo(demands: Demands) -> int:
    """Input pixels around a tile that its outputs depend on, at the most of all streams and both axes."""
    return max(_reach(stream, axis) for stream in _streams(demands).values() for axis in (0, 1))


def _reach(stream: Demands, axis: int) -> int:
    """How far the last layer of a stream sees along an axis, in pixels of the input, to each side."""
    pixels, stride = 0, 1
    for g in (demand.geometry for demand in stream):
        pixels += stride * g.dilation[axis] * (g.kernel[axis] // 2)
        stride *= g.stride[axis]
    return pixels


def _rebuilt(
    demands: Demands,
    *,
    first_stride: int = 1,
    channels: Callable[[int], int] = lambda c: c,
    side: Callable[[int], int] = lambda n: n,
) -> Demands | None:
    """The same layers with other sizes, each fed by the one before; None if no such layers can be."""
    changed: list[LayerDemand] = []
    for stream in _streams(demands).values():
        before: tuple[int, int, int] | None = None
        for demand in stream:
            g = demand.geometry
            if demand.joined or not isinstance(g, ConvGeometry):
                return None  # layers that join or grow: their sizes depend on each other
            shape = (g.input_shape[0], side(g.input_shape[1]), side(g.input_shape[2])) if before is None else before
            stride = (g.stride[0] * first_stride, g.stride[1] * first_stride) if before is None else g.stride
            try:
                geometry = dataclasses.replace(
                    g, input_shape=shape, out_channels=channels(g.out_channels), stride=stride
                )
            except ConfigError:
                return None
            before = geometry.output_shape
            changed.append(dataclasses.replace(demand, geometry=geometry))
    return tuple(changed)


def _streams(demands: Demands) -> dict[str, Demands]:
    names = dict.fromkeys(demand.stream for demand in demands)
    return {name: tuple(demand for demand in demands if demand.stream == name) for name in names}


def _is_first(demand: LayerDemand, demands: Demands) -> bool:
    return next(p for p in demands if p.stream == demand.stream) is demand


def _values(numbers: set[int]) -> str:
    return " or ".join(map(str, sorted(numbers)))
