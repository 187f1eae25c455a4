"""Random networks that the program can say are read whole; the reading itself replays each of them."""

from __future__ import annotations

import pytest
import torch
from helpers.random_nets import RandomNet

from hybridnet.partition.arithmetic.halves import cut
from hybridnet.partition.arithmetic.read import read


def check(seed: int) -> None:
    model = RandomNet(seed)
    reading = read(model, model.inputs())
    assert reading.obstacles == (), [str(o) for o in reading.obstacles]
    neurons = {p.name for p in reading.populations if p.kind == "neurons"}
    assert neurons == {f"neurons.{i}" for i in range(len(model.layers))} | (
        {"side", "joined"} if model.join != "none" else set()
    )
    assert set(reading.placed) == {p.name for p in reading.populations}
    halves = cut(reading, model, model.inputs())
    assert {t.kind for t in halves.bridge} <= {"spikes", "spike_count"}
    for x in (model.inputs()["x"], model.inputs()["x"][:1]):
        with torch.no_grad():
            assert torch.equal(halves.run({"x": x}), model(x))


@pytest.mark.parametrize("seed", range(10))
def test_random_nets(seed: int) -> None:
    check(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 400))
def test_more_random_nets(seed: int) -> None:
    check(seed)
