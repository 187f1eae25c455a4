"""Searching the integers of a graph's populations, in the order of data flow; the sibling of `search` for chains.

A population, or a circle of populations that feed each other, is run in the chip's arithmetic, fed by the rounded ones
before it. Population by population, each time keeping what loses least:

    1  scales: S, messages of inputs that nobody settled before, a shift per group (`calibration/graph_scales.py`); the
       weights of all groups rounded together (`calibration/graph_rounding.py`), beside those by the maximum rule
    2  messages of each further free input
    3  how far weights fill their bits, up to clipping the largest
    4  rounding for the trained weights, or for those refitted to the rounded input
    5  biases shifted by the mean error of u that is left
    6  threshold, decays and reset, a few steps to either side

Each part from 5 on also tries the best of every channel together, where a number is one per channel. What is lost is
said in `calibration/graph_run.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hybridnet.calibration.graph_rounding import Moments, graph_moments, refitted
from hybridnet.calibration.graph_run import Found, Task, run_component
from hybridnet.calibration.graph_scales import Member, Scales, Setting
from hybridnet.calibration.search import COARSE_FILLS, FINE_STEPS, WEIGHT_FILLS, Step
from hybridnet.errors import RangeError
from hybridnet.program.fixed_graph import FixedInput, FixedPopulation
from hybridnet.program.layers import BIAS_MAX, DECAY_ONE, POTENTIAL_SHIFT, THRESHOLD_MAX


@dataclass(eq=False)
class ComponentSearch:
    """Searches one component; inputs that it settles are added to `settled`."""

    task: Task
    settled: dict[str, FixedInput]
    steps: dict[str, tuple[Step, ...]] = field(default_factory=dict)

    def search(self) -> Found:
        """All populations, one after another.

        Raises:
            RangeError: If no scale fits one of them.
        """
        members = {name: self.plain(self.scales_of(name, self.settled)) for name in self.task.names}
        found: Found | None = None
        for name in self.task.names:
            found = self._population(name, members if found is None else dict(found.members))
            self.settled |= found.members[name].inputs
        if found is None:
            raise ValueError("an empty component")
        return found

    def _population(self, name: str, members: Mapping[str, Member | None]) -> Found:
        scales, trial = self.scales_of(name, self.settled), _Trial(self, name, members)
        moments = self._moments(scales)

        def made(settings: Iterable[Setting]) -> Iterator[tuple[Setting, Member | None]]:
            return ((one, scales.built(one, moments)) for one in settings)

        trial.scales("scales", [(scales.plain(), self.plain(scales)), *made(scales.settings())])
        for source in scales.free if len(scales.groups) > 1 else ():
            trial.scales(f"messages of {source}", made(scales.other_messages(trial.setting, source)))
        shifts = tuple(g.shift for g in trial.member.groups)
        fills = (*WEIGHT_FILLS, *COARSE_FILLS) if scales.free else WEIGHT_FILLS
        setting = trial.setting
        filled = (one for fill in fills for one in scales.filled(setting, fill, shifts))
        trial.scales("weight scale", made(filled))
        if moments is not None:
            again = refitted(scales.population, scales.groups, moments)
            setting = dataclasses.replace(trial.setting, shifts=shifts)
            refit = scales.built(setting, moments, again)
            trial.scales("weights refitted to their rounded input", [(setting, refit)])
        trial.by_channel("bias shifted by the mean error", "bias", [self._corrected(trial.found, name)])
        for of, changes in _fine(trial.member.population):
            trial.by_channel(of.replace("_", " "), of, changes)
        self.steps[name] = trial.steps
        return trial.found

    def scales_of(self, name: str, settled: Mapping[str, FixedInput]) -> Scales:
        """What a population may be scaled by, beside inputs that are settled."""
        program = self.task.program
        return Scales(
            next(p for p in program.populations if p.name == name),
            program.onto(name),
            {node.name: node for node in program.inputs},
            settled,
            self.task.seen,
        )

    @staticmethod
    def plain(scales: Scales) -> Member | None:
        """By the maximum rule, beside what is settled."""
        return scales.built(scales.plain(), None)

    def _moments(self, scales: Scales) -> Moments | None:
        """Of what reaches a population; what comes from its own circle, as in float."""
        inside = {name: self.task.exact[name] for name in self.task.names}
        return graph_moments(
            scales.population,
            scales.groups,
            {**self.task.fed, **inside},
            self.task.exact,
            self.task.program.steps,
        )

    def _corrected(self, found: Found, name: str) -> FixedPopulation:
        """Biases against the mean error of u[T] per channel; a bias acts on every step, as the leak lets it."""
        population = found.members[name].population
        float_one = next(p for p in self.task.program.populations if p.name == name)
        error = found.run.readouts[name] / population.scale - self.task.wanted[name].u[:, -1].numpy()
        leak = np.broadcast_to(float_one.leak, population.shape[:1])
        gathered = sum(leak**k for k in range(self.task.program.steps))
        unit = population.scale / 2**POTENTIAL_SHIFT
        shift = np.rint(error.mean(axis=(0, 2, 3), dtype=np.float64) / gathered * unit)
        bias = population.bias - (shift if population.bias.ndim == 1 else shift[:, None, None])
        return dataclasses.replace(population, bias=np.clip(bias, -BIAS_MAX, BIAS_MAX).astype(np.int32))


def _fine(population: FixedPopulation) -> Iterator[tuple[str, list[FixedPopulation]]]:
    """Numbers of the neuron, by the name of their field, a few steps to either side."""
    limits = {"threshold": (1, THRESHOLD_MAX), "decay": (0, DECAY_ONE), "current_decay": (0, DECAY_ONE),
              "reset_amount": (-THRESHOLD_MAX, THRESHOLD_MAX)}  # fmt: skip
    for name, (low, high) in limits.items():
        values: Any = getattr(population, name)
        unused = values is None or (name == "current_decay" and not population.keeps_current)
        if unused or (name == "reset_amount" and (population.threshold is None or population.reset == "hard")):
            continue
        step = 1 if "decay" in name else np.maximum(1, np.abs(values) // 512)
        moved = (np.clip(values + sign * n * step, low, high).astype(np.int32) for n in FINE_STEPS for sign in (-1, 1))
        yield name, [dataclasses.replace(population, **{name: one}) for one in moved if (one != values).any()]


class _Trial:
    """One population under search, the rest of its component as it is.

    Attributes:
        steps: What was tried so far, and what it left of the loss.
        found: The best so far.
        setting: Its scales.
    """

    found: Found
    setting: Setting

    def __init__(self, search: ComponentSearch, name: str, members: Mapping[str, Member | None]) -> None:
        self._search, self._name, self._members = search, name, members
        self.steps: tuple[Step, ...] = ()

    @property
    def member(self) -> Member:
        """The population as it is best so far."""
        return self.found.members[self._name]

    def scales(self, what: str, candidates: Iterable[tuple[Setting, Member | None]]) -> None:
        """Try the population at other scales; the first of equals is kept, for the same result every time."""
        tried = 0
        for setting, member in candidates:
            found = self._run(member)
            if found is None:
                continue
            tried += 1
            if not hasattr(self, "found") or found.loss < self.found.loss:
                self.found, self.setting = found, setting
        if not hasattr(self, "found"):
            raise RangeError(
                "no scale keeps its threshold at one unit or more beside its potentials and weights", where=self._name
            )
        self._told(what, tried)

    def by_channel(self, what: str, of: str, changes: Iterable[FixedPopulation]) -> None:
        """Try other numbers of one field, and, where they are per channel, the best of each channel together."""
        before, runs = self.found, []
        for population in changes:
            if (found := self._run(dataclasses.replace(self.member, population=population))) is not None:
                runs.append(found)
        tried = len(runs)
        values = getattr(self.member.population, of)
        if runs and values.ndim:
            every = [before, *runs]
            best = np.argmin([one.losses[self._name] for one in every], axis=0)
            each = np.stack([getattr(one.members[self._name].population, of) for one in every])
            mixed = dataclasses.replace(self.member.population, **{of: each[best, np.arange(len(best))]})
            if (found := self._run(dataclasses.replace(self.member, population=mixed))) is not None:
                runs, tried = [*runs, found], tried + 1
        self.found = min([before, *runs], key=lambda one: one.loss)
        self._told(what, tried)

    def _run(self, member: Member | None) -> Found | None:
        """The component with this population; those that share an input that it settles are scaled by the maximum."""
        if member is None:
            return None
        search = self._search
        settled, members = {**search.settled, **member.inputs}, {}
        for name, other in self._members.items():
            if name == self._name:
                other = member
            elif other is not None and any(member.inputs.get(at, node) != node for at, node in other.inputs.items()):
                other = search.plain(search.scales_of(name, settled))
            if other is None:
                return None
            members[name] = other
        for other in members.values():
            settled = {**other.inputs, **settled}
        return run_component(search.task, members, settled)

    def _told(self, what: str, tried: int) -> None:
        self.steps = (*self.steps, Step(what, self.found.loss, tried))
