"""A population's window in one pass beside its steps one by one."""

import numpy as np
import pytest
import torch
from helpers.float_graphs import in_float
from helpers.graph_equality import patient
from helpers.random_graphs import graphs
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.partition.arithmetic.equations import State, joined, step, whole_window
from hybridnet.program.fixed_graph import FixedGraph


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(patient, max_examples=60)
@given(graph=graphs(), views=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_a_window_has_the_bits_of_its_steps(dtype: torch.dtype, graph: FixedGraph, views: int, seed: int) -> None:
    program, rng = in_float(graph), np.random.default_rng(seed)
    for p in program.populations:
        scale = float(np.abs(p.threshold).max()) if p.threshold is not None else 1.0
        arriving = torch.from_numpy(rng.normal(scale=scale, size=(views, program.steps, *p.shape))).to(dtype)
        states: list[State] = []
        for t in range(program.steps):
            states.append(step(p, arriving[:, t], states[-1] if states else None))
        one_by_one, at_once = joined(torch.stack, states, 1), whole_window(p, arriving)
        for name in ("c", "u", "o"):
            assert torch.equal(getattr(one_by_one, name), getattr(at_once, name)), (p.name, name)
