"""Our own reference model is read like any other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers.small_model import SMALL

from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.model.neuron import ConvLIF
from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.splitter import partition


def test_its_stacks_are_what_the_partition_says() -> None:
    torch.manual_seed(0)
    model = HybridNet(SMALL).eval()
    inputs = example_inputs(SMALL, batch=2)
    reading = read(model, inputs)
    assert reading.program is not None
    modules = dict(model.named_modules())
    layers = {name: m for name, m in modules.items() if isinstance(m, ConvLIF)}
    assert set(reading.placed) == set(layers)
    for p in reading.program.populations:
        layer = layers[p.name]
        assert float(p.leak) == pytest.approx(layer.leak.item())
        assert float(p.threshold or 0) == layer.threshold.item()
        assert p.reset == layer.reset
    by_weight = sorted(float(np.abs(s.weight).sum()) for s in reading.program.synapses)
    known = sorted(float(np.abs(s.weight).sum()) for s in partition(model, inputs).program.synapses)
    assert by_weight == pytest.approx(known)
    assert {role.kind for role in reading.leaving} == {"potential"}
