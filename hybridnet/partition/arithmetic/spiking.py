"""Layers that spike, whether they were read or not, and what stands against those that were not.

A layer is all comparisons that a module makes of one shape. It is told by the kind of neuron that people write, such as
one whose threshold moves, and else by the first operation on the way to its potential that is no sum of products.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from hybridnet.partition.arithmetic import bounds
from hybridnet.partition.arithmetic.blame import first_unread, last_steps, mixer, named
from hybridnet.partition.arithmetic.bounds import Bound, Reason
from hybridnet.partition.arithmetic.expanding import COMPARISONS, PASSED_THROUGH, Expansion, Potential
from hybridnet.partition.arithmetic.frames import Frame
from hybridnet.partition.arithmetic.places import layer_before

ROUNDING = ("round", "floor", "ceil", "trunc")
COMPETING = ("amax", "max", "argmax", "topk", "sort", "kthvalue", "_softmax")
UNEVEN = (bounds.READS_DIFFER.id, bounds.LATER_STEP.id)


@dataclass(eq=False)
class Layer:
    """Comparisons of one module and shape, in the order of their making.

    Attributes:
        compared: What each compares.
        unread: Those that are no spikes of a potential that has a form.
    """

    comparisons: list[Frame] = field(default_factory=list)
    compared: list[Frame] = field(default_factory=list)
    unread: list[Frame] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The module that computes what it compares, or the layer before it."""
        return self.compared[-1].path or layer_before(self.compared[-1]) or "the model"

    @property
    def recurs(self) -> bool:
        """Whether what it compares at one step follows from what it compared before, as a potential does."""
        return any(self.is_behind(frame) for frame in self.compared)

    def is_behind(self, frame: Frame) -> bool:
        """Whether a frame follows from what the layer compares."""
        return not set(frame.before()).isdisjoint(self.compared)


class Spiking:
    """All layers of a model that compare something."""

    def __init__(self, frames: Sequence[Frame], found: Expansion) -> None:
        self._found, self._unread = found, set(found.unread)
        self._by_comparison: dict[Frame, Layer] = {}
        self._last = last_steps(frames)
        made: dict[object, Layer] = {}
        for frame in frames:
            if frame.what in (*COMPARISONS, *ROUNDING, "sign") and frame.operands:
                layer = made.setdefault((frame.path or layer_before(frame), frame.shape), Layer())
                layer.comparisons.append(frame)
                layer.compared.append(_compared(frame))
                layer.unread += [frame] if frame.kind == "host" or frame in self._unread else []
                self._by_comparison[frame] = layer
        self.unread = [layer for layer in made.values() if layer.unread]

    def of(self, potentials: Iterable[Potential]) -> Layer | None:
        """The layer of some potentials."""
        named = {potential.variable for potential in potentials}
        frames = (t.frame for t in self._found.thresholds.values() if t.potential in named)
        return next((self._by_comparison[f] for f in frames if f in self._by_comparison), None)

    def against(self, potentials: Sequence[Potential]) -> Reason | None:
        """What stands against potentials that look like a chain: that only the host computes them, or what follows."""
        layer = self.of(potentials)
        if layer is None:
            return None
        for potential in potentials:
            if potential.frame in self._unread:
                return self._unreadable(potential.frame, layer)
            for variable in potential.form.variables:
                source = self._found.sources.get(variable)
                if source is not None and layer.is_behind(source):
                    return self._unreadable(source, layer)
        end = self._last[potentials[-1].frame]
        later = [frame for frame in layer.compared if self._last[frame] > end]
        if later or len(potentials) < len(layer.unread):
            return self._kind(layer) or self._unreadable((later or layer.unread)[0], layer)
        return None

    def truer(self, potentials: Sequence[Potential], reason: Reason) -> Reason:
        """The reason in the words of the kind of neuron that it is, or of the operation that mixes its steps."""
        layer = self.of(potentials)
        mixing = mixer(potentials[-1].frame) if reason.rule in UNEVEN else None
        known = None if layer is None else self._kind(layer)
        return known or (reason if mixing is None else bounds.HOST_MIXES.because(**named(mixing)))

    def why(self, layer: Layer) -> Reason:
        """What stands against a layer with comparisons that were not read."""
        return self._kind(layer) or self._unreadable(layer.unread[0], layer)

    def _kind(self, layer: Layer) -> Reason | None:
        """What stands against a kind of neuron that people write and the program does not have; None of others."""
        operations = {frame.what for frame in layer.comparisons}
        if operations == {"sign"}:
            return bounds.SIGN.because()
        if rounded := operations.intersection(ROUNDING):
            return bounds.GRADED.because(what=rounded.pop())
        if any(len(_moving_threshold(frame, layer)) > 1 for frame in layer.comparisons):
            return bounds.MOVING_THRESHOLD.because()
        return bounds.BOTH_SIGNS.because() if "sign" in operations or self._fires_both_ways(layer) else None

    def _unreadable(self, frame: Frame, layer: Layer) -> Reason:
        """What stands against a layer by whose comparison or potential `frame` nothing is read."""
        first = first_unread(frame, self._found)
        if first in layer.comparisons:
            return bounds.NO_NEURON.because()
        bound: Bound = bounds.COMPARISON
        if layer.is_behind(first):
            bound = bounds.COMPETES if first.what in COMPETING else bounds.LOOP
        return bound.because(**named(first))

    def _fires_both_ways(self, layer: Layer) -> bool:
        """Whether a potential has a threshold above 0 and one below."""
        signs: dict[object, set[bool]] = {}
        for threshold in self._found.thresholds.values():
            if threshold.frame in layer.comparisons:
                signs.setdefault(threshold.potential, set()).add(bool((threshold.value > 0).all()))
        return any(len(both) > 1 for both in signs.values())


def _compared(comparison: Frame) -> Frame:
    """What a comparison compares, without the arithmetic with constants between."""
    frame = comparison.operands[0]
    while frame.kind == "elementwise" and frame.op.name in PASSED_THROUGH and len(frame.operands) == 1:
        (frame,) = frame.operands
    return frame


def _moving_threshold(comparison: Frame, layer: Layer) -> frozenset[Frame]:
    """The layer's comparisons that one side of a comparison, or of the difference that it takes, follows from alone."""
    sides = comparison.operands
    while len(sides) == 1 and sides[0].kind == "elementwise" and sides[0].op.name in PASSED_THROUGH:
        sides = sides[0].operands
    return max((_spikes_alone(side, layer) for side in sides if len(sides) > 1), key=len, default=frozenset())


def _spikes_alone(frame: Frame, layer: Layer) -> frozenset[Frame]:
    """The layer's comparisons that a frame follows from; none if it follows from anything else."""
    met: set[Frame] = set()
    seen, todo = {frame}, [frame]
    while todo:
        one = todo.pop()
        if one in layer.comparisons:
            met.add(one)
            continue
        if not one.operands:
            return frozenset()
        todo += set(one.operands) - seen
        seen.update(one.operands)
    return frozenset(met)
