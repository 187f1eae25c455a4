"""Scales of one population of a graph that are worth trying, and its integers at one of them.

S, the population's scale, is bounded by its registers and by the weights of its groups, which all follow it:
w·S / (2^s·S_x) must fit 8 bits at a shift s of 0 to 6. An input whose messages no population before has settled is
free: messages may be as fine as ±32767, if no sum of synaptic input can leave 24 bits, whatever arrives. Weights use
all of their bits where S is 254·2^s·S_x / max|w|, so that these are the scales that are tried.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from hybridnet.calibration.fixed_point import quantise_population, register_scale
from hybridnet.calibration.limits import HEADROOM
from hybridnet.calibration.observation import Observation
from hybridnet.calibration.patches import rows_of
from hybridnet.calibration.rounding import Moments, Target, round_groups, target_of
from hybridnet.errors import RangeError
from hybridnet.program.fixed_graph import WEIGHT_BITS, FixedInput, FixedPopulation, FixedSynapse, largest_weight
from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.program.layers import BIAS_MAX, INPUT_MAX, MESSAGE_MAX, PAYLOAD_MAX, POTENTIAL_SHIFT, IntArray

SHIFTS = range(POTENTIAL_SHIFT + 1)

SUM_MARGIN = 0.97
"""The share of 24 bits of synaptic input that scales are planned for: rounding may enlarge a sum of weights."""

EPSILON = 1 + 1e-9
"""Scales that fill a register exactly fit it."""


@dataclass(frozen=True, eq=False)
class Member:
    """A population in integers, the groups that end at it, and the inputs that were settled with it."""

    population: FixedPopulation
    groups: tuple[FixedSynapse, ...]
    inputs: Mapping[str, FixedInput]


@dataclass(frozen=True)
class Setting:
    """S, S_x of the inputs that are free, and the shift of each group; the least that fits where there is none."""

    scale: float
    sent: Mapping[str, float]
    shifts: tuple[int, ...] | None = None


@dataclass(frozen=True, eq=False)
class Scales:
    """What one population may be scaled by.

    Attributes:
        population: In float.
        groups: That end at it.
        inputs: Inputs of the program, by name.
        settled: Those whose messages are settled.
        seen: What calibration saw.
        finest: The largest S_x of each input at which all that it reaches have 8 bits for its weights.
        stock: Whether its neurons must stay stock Lava's `LIF`, which adds synaptic input as it comes, at shift 6,
            and takes messages of 8 bits: so netx files hold neurons with hard reset.
        weight_bits: Bits of its weights.
        register: Largest S that states, threshold, reset and bias allow.
    """

    population: Population
    groups: tuple[Synapse, ...]
    inputs: Mapping[str, Input]
    settled: Mapping[str, FixedInput]
    seen: Observation
    finest: Mapping[str, float]
    stock: bool = False
    weight_bits: int = WEIGHT_BITS
    register: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "register", register_scale(self.population, self.seen))

    @property
    def shifts(self) -> range:
        """Shifts that a group may have."""
        return SHIFTS[-1:] if self.stock else SHIFTS

    @property
    def weight_max(self) -> int:
        """Largest integer weight."""
        return largest_weight(self.weight_bits)

    @property
    def free(self) -> tuple[str, ...]:
        """Inputs that reach it and are not settled."""
        sources = (g.source for g in self.groups)
        return tuple(dict.fromkeys(s for s in sources if s in self.inputs and s not in self.settled))

    def plain(self) -> Setting:
        """Scales by the maximum: int8 messages, and S as large as everything allows."""
        sent = {name: MESSAGE_MAX / self.seen.input_max[name] for name in self.free}
        return Setting(self._limit(sent), sent)

    def settings(self) -> Iterator[Setting]:
        """All worth trying; each also with whole numbers of messages per unit, which send counted events exactly."""
        for setting in (self.plain(), *self._settings()):
            yield setting
            if setting.sent and all(sent >= 1 for sent in setting.sent.values()):
                whole = {name: float(math.floor(sent)) for name, sent in setting.sent.items()}
                least = min(whole[name] / sent for name, sent in setting.sent.items())
                yield Setting(setting.scale * least, whole)

    def _settings(self) -> Iterator[Setting]:
        finest = {name: self._finest(name) for name in self.free}
        limit = self._limit(finest)
        bound = [g for g in self.groups if g.source not in finest and _largest(g) > 0]
        if bound or not finest:
            scales = {limit, limit / 2} if self.settled else {limit}
            for g in bound:
                filled = (self.weight_max * 2**s * self._sent(g.source, finest) / _largest(g) for s in self.shifts)
                scales |= set(sorted(scale for scale in filled if scale <= limit * EPSILON)[-2:])
            yield from (Setting(scale, self._follow(scale, finest)) for scale in sorted(scales, reverse=True))
            return
        first = self.free[0]
        largest = self._largest_of(first)
        for s in reversed(self.shifts) if largest > 0 else ():
            sent = min(limit * largest / (self.weight_max * 2**s), finest[first])
            scale = min(limit, self.weight_max * 2**s * sent / largest)
            yield Setting(scale, {**self._follow(scale, finest), first: sent})

    def other_messages(self, setting: Setting, name: str) -> Iterator[Setting]:
        """One free input sent otherwise, the rest as it is."""
        largest, finest = self._largest_of(name), self._finest(name)
        for s in self.shifts if largest > 0 else ():
            sent = setting.scale * largest / (self.weight_max * 2**s)
            if sent <= finest * EPSILON:
                yield dataclasses.replace(setting, sent={**setting.sent, name: sent}, shifts=None)

    def filled(self, setting: Setting, fill: float, shifts: tuple[int, ...]) -> Iterator[Setting]:
        """Weights that fill so much of their bits, shifted as before: by a smaller scale, or by finer messages."""
        if setting.scale * fill <= self.register * EPSILON:
            yield Setting(setting.scale * fill, setting.sent, shifts)
        if setting.sent:
            yield Setting(setting.scale, {name: sent / fill for name, sent in setting.sent.items()}, shifts)

    def built(self, setting: Setting, moments: Moments | None, target: Target | None = None) -> Member | None:
        """The integers at a setting; None if something does not fit.

        Args:
            setting: Scales.
            moments: Weights are rounded together by them; None rounds each to its nearest.
            target: In float; as trained unless given.
        """
        if setting.scale > self.register * EPSILON:
            return None
        wanted = {name: self._wanted(name, setting.sent[name]) for name in self.free}
        shifts = setting.shifts or self._shifts(setting, wanted)
        if shifts is None:
            return None
        units = [self._unit(g, s, setting) for g, s in zip(self.groups, shifts, strict=True)]
        weights, bias = round_groups(
            target or target_of(self.population, self.groups),
            self.groups,
            moments,
            setting.scale,
            units,
            self.weight_bits,
        )
        groups = tuple(
            FixedSynapse(g.source, g.target, g.geometry, weight, g.delay, s, self.weight_bits)
            for g, weight, s in zip(self.groups, weights, shifts, strict=True)
        )
        inputs = self._inputs(setting, wanted, groups)
        population = self._population(setting.scale, bias)
        return None if inputs is None or population is None else Member(population, groups, inputs)

    def _population(self, scale: float, bias: IntArray) -> FixedPopulation | None:
        try:
            plain = quantise_population(self.population, scale)
        except RangeError:  # a threshold below one unit
            return None
        if self.population.bias.ndim > 1:
            bias = np.clip(plain.bias + bias[:, None, None], -BIAS_MAX, BIAS_MAX)
        return dataclasses.replace(plain, bias=bias)

    def _inputs(
        self, setting: Setting, wanted: Mapping[str, int], groups: tuple[FixedSynapse, ...]
    ) -> dict[str, FixedInput] | None:
        """The free inputs, with room for messages beyond the largest seen; None if a sum could leave 24 bits."""
        for g in groups:
            node = self.settled.get(g.source)
            if node is not None and node.message_max > MESSAGE_MAX and g.largest_sum(node.message_max) > INPUT_MAX:
                return None
        found = {}
        for name in self.free:
            fan_in = max(1, *(g.largest_sum(1) for g in groups if g.source == name))
            room = max(MESSAGE_MAX, min(wanted[name], INPUT_MAX // fan_in))
            if room < round(self.seen.input_max[name] * setting.sent[name]):
                return None
            own = self.inputs[name]
            found[name] = FixedInput(name, own.shape, own.still, setting.sent[name], room)
        return found

    def _shifts(self, setting: Setting, wanted: Mapping[str, int]) -> tuple[int, ...] | None:
        found = []
        for g in self.groups:
            largest = wanted.get(g.source) or (self.settled[g.source].message_max if g.source in self.settled else 1)
            fitting = (s for s in self.shifts if self._fits(g, self._unit(g, s, setting), largest))
            if (shift := next(fitting, None)) is None:
                return None
            found.append(shift)
        return tuple(found)

    def _fits(self, g: Synapse, unit: float, largest_message: int) -> bool:
        if _largest(g) / unit > self.weight_max * EPSILON:
            return False
        if largest_message <= MESSAGE_MAX:
            return True
        fan_in = 2 * np.abs(np.rint(rows_of(g.geometry, g.weight) / (2 * unit))).sum(1).max()
        return bool(largest_message * fan_in <= INPUT_MAX)

    def _unit(self, g: Synapse, shift: int, setting: Setting) -> float:
        """What one unit of a weight is in model units."""
        return 2.0**shift * self._sent(g.source, setting.sent) / setting.scale

    def _sent(self, source: str, free: Mapping[str, float]) -> float:
        if source in self.settled:
            return self.settled[source].input_scale
        return free.get(source, 1.0)

    def _limit(self, free: Mapping[str, float]) -> float:
        """The largest S at which all weights fit some shift, and sums of messages that are settled 24 bits."""
        weights = (
            self.weight_max * 2**POTENTIAL_SHIFT * self._sent(g.source, free) / _largest(g)
            for g in self.groups
            if _largest(g) > 0
        )
        sums = (
            2**POTENTIAL_SHIFT * SUM_MARGIN * INPUT_MAX * node.input_scale / (node.message_max * fan_in)
            for g in self.groups
            if (node := self.settled.get(g.source)) is not None and node.message_max > MESSAGE_MAX
            if (fan_in := float(np.abs(rows_of(g.geometry, g.weight)).sum(1).max())) > 0
        )
        limit = min([self.register, *weights, *sums])
        return limit if math.isfinite(limit) else 1.0

    def _follow(self, scale: float, finest: Mapping[str, float]) -> dict[str, float]:
        """S_x of the free inputs that fills their weights at the least shift that 24 bits and messages allow."""
        found = {}
        for name, most in finest.items():
            filled = (scale * self._largest_of(name) / (self.weight_max * 2**s) for s in self.shifts)
            found[name] = next((sent for sent in filled if 0 < sent <= most * EPSILON), most)
        return found

    def _wanted(self, name: str, sent: float) -> int:
        if self.stock:
            return MESSAGE_MAX
        return max(MESSAGE_MAX, min(PAYLOAD_MAX, math.ceil(self.seen.input_max[name] * sent * HEADROOM)))

    def _finest(self, name: str) -> float:
        """The largest S_x for 16-bit messages, 24-bit sums and weights that fill their bits; int8 always passes."""
        if self.stock:
            return MESSAGE_MAX / self.seen.input_max[name]
        rows = [np.abs(rows_of(g.geometry, g.weight)) for g in self.groups if g.source == name]
        fan_in = max((float(r.sum(1).max() / r.max()) for r in rows if r.any()), default=1.0) * self.weight_max
        largest = self.seen.input_max[name]
        finest = min(PAYLOAD_MAX / HEADROOM, SUM_MARGIN * INPUT_MAX / fan_in / HEADROOM, self.finest[name] * largest)
        return max(float(MESSAGE_MAX), finest) / largest

    def _largest_of(self, name: str) -> float:
        return max(_largest(g) for g in self.groups if g.source == name)


def finest_messages(program: GraphProgram, seen: Observation, weight_bits: int = WEIGHT_BITS) -> dict[str, float]:
    """The largest S_x per input that leaves 8 bits to its weights at every population that it reaches.

    There w·S / S_x is an integer weight, and S is bounded by registers and by weights behind spikes.
    """
    weight_max = largest_weight(weight_bits)
    inputs, found = {node.name for node in program.inputs}, {node.name: math.inf for node in program.inputs}
    for p in program.populations:
        groups = [g for g in program.onto(p.name) if _largest(g) > 0]
        behind = (weight_max * 2.0**POTENTIAL_SHIFT / _largest(g) for g in groups if g.source not in inputs)
        limit = min([register_scale(p, seen), *behind])
        for name in inputs:
            largest = max((_largest(g) for g in groups if g.source == name), default=0.0)
            if largest > 0:
                found[name] = min(found[name], limit * largest / weight_max)
    return found


def _largest(g: Synapse) -> float:
    return float(np.abs(g.weight).max(initial=0))
