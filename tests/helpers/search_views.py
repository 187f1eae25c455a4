"""Views that a search is run on, and how close to float its integers are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from hybridnet.calibration.fidelity import FidelityMeter
from hybridnet.calibration.observation import Observation, observation_of
from hybridnet.calibration.sequence import Searched, SearchView
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram
from hybridnet.program.spiking import input_shapes
from hybridnet.simulators.torch.graph_step import trace_graph


def views_of(program: GraphProgram, count: int, seed: int) -> tuple[Observation, list[SearchView]]:
    """Random views with a few large values, and what is seen in them."""
    rng = np.random.default_rng(seed)
    seen, views = [], []
    for _ in range(count):
        fed = {name: rng.laplace(0, 0.4, (1, *s)).astype(np.float32) for name, s in input_shapes(program).items()}
        tensors = {name: torch.from_numpy(x) for name, x in fed.items()}
        seen.append(observation_of(program, tensors))
        views.append(SearchView(fed, trace_graph(program, tensors)))
    together = seen[0]
    for one in seen[1:]:
        together = together + one
    return together, views


@dataclass(frozen=True)
class Closeness:
    """SQNR of u[T] of each population, and the share of spikes that are the same in all of them."""

    sqnr_db: list[float]
    same_spikes: float


def fidelity(fixed: FixedGraph, views: list[SearchView]) -> Closeness:
    """What integers lose on views."""
    meter = FidelityMeter(fixed)
    for view in views:
        meter.add(view.states, view.inputs)
    ends = [row.end_to_end for row in meter.rows()]
    same = float(np.mean([end.spike_agreement for end in ends]))
    return Closeness([np.inf if end.sqnr_db is None else end.sqnr_db for end in ends], same)


def assert_losses_fall(found: Searched) -> None:
    """No step of the search makes a population worse."""
    for steps in found.steps.values():
        losses = [step.loss for step in steps]
        assert losses == sorted(losses, reverse=True)
