# mypy: disable-error-code="override,comparison-overlap,no-untyped-call"
"""What a reading may get wrong is caught by the replay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from helpers.stepped_nets import Net, Plain, one, x
from torch import Tensor

from hybridnet.errors import PartitionError
from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.reading import Reading
from hybridnet.partition.arithmetic.replay import compare
from hybridnet.program.graph import GraphProgram


def with_population(reading: Reading, **changes: Any) -> Reading:
    assert reading.program is not None
    p = reading.program
    changed = tuple(replace(q, **changes) for q in p.populations)
    return replace(reading, program=GraphProgram(p.inputs, changed, p.synapses, p.steps))


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("leak", {"leak": np.asarray(0.71)}),
        ("threshold", {"threshold": np.asarray(0.62)}),
        ("reset", {"reset": "soft", "reset_amount": np.asarray(0.42)}),
        ("bias", {"bias": np.full(3, 0.01)}),
        ("current", {"current_leak": np.asarray(0.1)}),
    ],
)
def test_a_reading_with_a_planted_fault_is_caught(what: str, changes: dict[str, Any]) -> None:
    _, reading = one(Plain())
    assert not compare(reading, x()).disagreements
    assert compare(with_population(reading, **changes), x()).disagreements, what


def test_late_synapses_are_caught() -> None:
    _, reading = one(Plain())
    assert reading.program is not None
    p = reading.program
    late = tuple(replace(s, delay=1) for s in p.synapses)
    broken = replace(reading, program=GraphProgram(p.inputs, p.populations, late, p.steps))
    assert compare(broken, x()).disagreements


def test_above_for_at_or_above_is_caught() -> None:
    class AtOrAbove(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            v = v + current
            s = (v >= 1).float()
            return s, v * (1 - s)

    model = AtOrAbove()
    model.conv.weight.data = torch.full_like(model.conv.weight, 0.25)
    inputs = {"x": torch.poisson(torch.full((2, 5, 2, 6, 5), 0.3))}
    p, reading = one(model, inputs)
    assert float(p.threshold or 0) == np.nextafter(np.float32(1), np.float32(0))
    assert compare(with_population(reading, threshold=np.asarray(1.0)), inputs).disagreements


def test_numbers_taken_past_torch_are_caught() -> None:
    class Numpy(Net):
        def step(self, v: Any, current: Tensor, t: int) -> tuple[Tensor, Any]:
            v = 0.7 * v + torch.from_numpy(np.tanh(current.numpy()))
            return (v > 0.6).float(), v

    with pytest.raises(PartitionError, match="not traced"):
        read(Numpy(), x())
