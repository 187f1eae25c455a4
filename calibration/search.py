"""Searching the integers of a population, for the potentials and spikes that others read of it.

A population is tried in the chip's arithmetic, fed by the rounded ones before it. In turn, each time keeping what loses
least (`calibration/member.py`):

    1  scales: S, messages of inputs that nobody settled before, a shift per group (`calibration/scales.py`); the
       weights of all groups rounded together (`calibration/rounding.py`), beside those by the maximum rule
    2  messages of each further free input
    3  how far weights fill their bits, up to clipping the largest
    4  rounding for the trained weights, or for those refitted to the rounded input
    5  biases shifted by the mean error of u that is left
    6  threshold, decays and reset, a few steps to either side; a reset by the threshold stays one

Each part from 5 on also tries the best of every channel together, where a number is one per channel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hybridnet.calibration.member import Found, Task, run_member
from hybridnet.calibration.rounding import graph_moments, refitted
from hybridnet.calibration.scales import Member, Scales, Setting
from hybridnet.errors import RangeError
from hybridnet.program.fixed_graph import WEIGHT_BITS, FixedInput, FixedPopulation
from hybridnet.program.graph import Population
from hybridnet.program.layers import BIAS_MAX, DECAY_ONE, POTENTIAL_SHIFT, THRESHOLD_MAX, IntArray

WEIGHT_FILLS = (0.97, 0.94, 0.91, 0.88, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 1.03, 1.06, 1.1, 1.15, 1.2)
"""Scales tried, in units of the one at which the largest weight fills its bits; above 1 it is clipped."""

COARSE_FILLS = (0.5, 0.42, 0.35, 0.3, 0.25, 0.21, 0.18, 0.15, 0.125, 0.105, 0.09, 0.075, 0.06)
"""Tried too where messages are free, or with weights wider than the chip's: coarser weights leave room elsewhere."""

FINE_STEPS = (1, 2, 4, 8)
"""The steps of the threshold and of the reset, in 1/512 of them, and of the decays, in 1/4096."""


@dataclass(frozen=True)
class Step:
    """The loss of a population after one part of its search; `tried` is how many candidates the part ran."""

    what: str
    loss: float
    tried: int


def search_population(task: Task, scales: Scales) -> tuple[Found, tuple[Step, ...]]:
    """Search one population.

    Args:
        task: What it should do.
        scales: What it may be scaled by.

    Returns:
        The best integers, and how the loss fell.

    Raises:
        RangeError: If no scale fits it.
    """
    trial = _Trial(task, scales.settled)
    moments = graph_moments(scales.population, scales.groups, task.fed, task.exact, task.program.steps)

    def made(settings: Iterable[Setting]) -> Iterator[tuple[Setting, Member | None]]:
        return ((one, scales.built(one, moments)) for one in settings)

    plain = scales.plain()
    trial.scales("scales", [(plain, scales.built(plain, None)), *made(scales.settings())])
    for source in scales.free if len(scales.groups) > 1 else ():
        trial.scales(f"messages of {source}", made(scales.other_messages(trial.setting, source)))
    shifts, setting = tuple(g.shift for g in trial.found.member.groups), trial.setting
    fills = (*WEIGHT_FILLS, *COARSE_FILLS) if scales.free or scales.weight_bits > WEIGHT_BITS else WEIGHT_FILLS
    trial.scales("weight scale", made(one for fill in fills for one in scales.filled(setting, fill, shifts)))
    if moments is not None:
        setting = dataclasses.replace(trial.setting, shifts=shifts)
        again = refitted(scales.population, scales.groups, moments)
        trial.scales("weights refitted to their rounded input", [(setting, scales.built(setting, moments, again))])
    trial.by_channel("bias shifted by the mean error", "bias", [_corrected(task, trial.found)])
    tied = _resets_by_threshold(task.population)
    for of, changes in _fine(trial.found.member.population, tied):
        trial.by_channel(of.replace("_", " "), of, changes, tied)
    return trial.found, trial.steps


def _corrected(task: Task, found: Found) -> FixedPopulation:
    """Biases against the mean error of u[T] per channel; a bias acts on every step, as the leak lets it."""
    population = found.member.population
    error = found.run.readouts[population.name] / population.scale - task.wanted.u[:, -1].numpy()
    leak = np.broadcast_to(task.population.leak, population.shape[:1])
    gathered = sum(leak**k for k in range(task.program.steps))
    unit = population.scale / 2**POTENTIAL_SHIFT
    shift = np.rint(error.mean(axis=(0, 2, 3), dtype=np.float64) / gathered * unit)
    bias = population.bias - (shift if population.bias.ndim == 1 else shift[:, None, None])
    return dataclasses.replace(population, bias=np.clip(bias, -BIAS_MAX, BIAS_MAX).astype(np.int32))


def _resets_by_threshold(p: Population) -> bool:
    """Whether a spike takes the threshold off the potential, as trained."""
    return p.threshold is not None and p.reset == "soft" and bool(np.all(p.reset_amount == p.threshold))


def _fine(population: FixedPopulation, tied: bool) -> Iterator[tuple[str, list[FixedPopulation]]]:
    """Numbers of the neuron, by the name of their field, a few steps to either side."""
    limits = {"threshold": (1, THRESHOLD_MAX), "decay": (0, DECAY_ONE), "current_decay": (0, DECAY_ONE),
              "reset_amount": (-THRESHOLD_MAX, THRESHOLD_MAX)}  # fmt: skip
    if tied or population.threshold is None or population.reset == "hard":
        del limits["reset_amount"]
    for name, (low, high) in limits.items():
        values: Any = getattr(population, name)
        if values is None or (name == "current_decay" and not population.keeps_current):
            continue
        step = 1 if "decay" in name else np.maximum(1, np.abs(values) // 512)
        moved = (np.clip(values + sign * n * step, low, high).astype(np.int32) for n in FINE_STEPS for sign in (-1, 1))
        yield name, [_changed(population, name, one, tied) for one in moved if (one != values).any()]


def _changed(population: FixedPopulation, name: str, values: IntArray, tied: bool) -> FixedPopulation:
    """Other values of one field; a reset that is tied to the threshold follows it."""
    numbers: dict[str, Any] = {name: values}
    if tied and name == "threshold":
        numbers["reset_amount"] = values
    return dataclasses.replace(population, **numbers)


class _Trial:
    """One population under search.

    Attributes:
        steps: What was tried so far, and what it left of the loss.
        found: The best so far.
        setting: Its scales.
    """

    found: Found
    setting: Setting

    def __init__(self, task: Task, settled: Mapping[str, FixedInput]) -> None:
        self._task, self._settled = task, settled
        self.steps: tuple[Step, ...] = ()

    def scales(self, what: str, candidates: Iterable[tuple[Setting, Member | None]]) -> None:
        """Try the population at other scales; the first of equals is kept, for the same result every time."""
        tried = 0
        for setting, member in candidates:
            if member is None:
                continue
            found, tried = run_member(self._task, member, self._settled), tried + 1
            if not hasattr(self, "found") or found.loss < self.found.loss:
                self.found, self.setting = found, setting
        if not hasattr(self, "found"):
            raise RangeError(
                "no scale keeps its threshold at one unit or more beside its potentials and weights",
                where=self._task.population.name,
            )
        self._told(what, tried)

    def by_channel(self, what: str, of: str, changes: Iterable[FixedPopulation], tied: bool = False) -> None:
        """Try other numbers of one field, and, where they are per channel, the best of each channel together."""
        before = self.found
        runs = [self._with(population) for population in changes]
        if runs and getattr(before.member.population, of).ndim:
            every = [before, *runs]
            best = np.argmin([one.losses for one in every], axis=0)
            each = np.stack([getattr(one.member.population, of) for one in every])
            mixed = each[best, np.arange(len(best))]
            runs.append(self._with(_changed(before.member.population, of, mixed, tied)))
        self.found = min([before, *runs], key=lambda one: one.loss)
        self._told(what, len(runs))

    def _with(self, population: FixedPopulation) -> Found:
        member = dataclasses.replace(self.found.member, population=population)
        return run_member(self._task, member, self._settled)

    def _told(self, what: str, tried: int) -> None:
        self.steps = (*self.steps, Step(what, self.found.loss, tried))
