# mypy: disable-error-code="no-untyped-call"
"""Models as they are published, made small: each is exported and computes what its module computes, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.own_neurons import BatchAsTime
from torch import Tensor, nn

import hybridnet
from hybridnet.errors import PartitionError
from hybridnet.workflows.options import SimulateOptions

spikingjelly = pytest.importorskip("spikingjelly.activation_based", exc_type=ImportError)
snntorch = pytest.importorskip("snntorch")

STEPS = 4


def reset(net: nn.Module) -> None:
    from spikingjelly.activation_based import functional

    functional.reset_net(net)


def fires(model: nn.Module) -> None:
    """Random weights that make every layer of a deep network fire now and then."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data = 4 * module.weight.data + module.weight.data.abs().mean()


class LavaMNIST(nn.Module):
    """SpikingJelly's example for Lava: 4 convolutions, 2 linear layers, IF; rate or largest potential."""

    def __init__(self, *, potentials: bool) -> None:
        from spikingjelly.activation_based import layer, neuron

        super().__init__()
        self.potentials, sizes, layers = potentials, (1, 4, 4, 8, 8), list[nn.Module]()
        for n, stride in enumerate((2, 2, 2, 1)):
            layers.append(layer.Conv2d(*sizes[n : n + 2], 3, stride, 1, bias=False, step_mode="m"))
            layers.append(neuron.IFNode(v_reset=0.0, step_mode="m"))
        layers.append(layer.Flatten(step_mode="m"))
        for width in (8, 4):
            layers.append(layer.Linear(32 if width == 8 else 8, width, bias=False, step_mode="m"))
            layers.append(neuron.IFNode(v_reset=0.0, step_mode="m", store_v_seq=potentials and width == 4))
        self.net = nn.Sequential(*layers)
        fires(self)

    def forward(self, x: Tensor) -> Tensor:
        reset(self.net)
        spikes: Tensor = self.net(x.transpose(0, 1))
        last: Any = self.net[-1]
        return last.v_seq.max(0)[0] if self.potentials else spikes.mean(0)


class SpikingQ(nn.Module):
    """A deep spiking Q-network: 3 convolutions, 1 linear layer, LIF, one step at a time, values summed."""

    def __init__(self) -> None:
        from spikingjelly.activation_based import neuron

        super().__init__()
        convolutions = (nn.Conv2d(1, 4, 4, 2), nn.Conv2d(4, 4, 3, 2), nn.Conv2d(4, 4, 3, 1))
        chain = [m for conv in convolutions for m in (conv, neuron.LIFNode(decay_input=True, v_reset=0.0))]
        self.net = nn.Sequential(*chain, nn.Flatten(), nn.Linear(4, 3))
        fires(self)

    def forward(self, x: Tensor) -> Tensor:
        reset(self.net)
        values: Tensor = sum(self.net(x[:, t]) for t in range(x.shape[1]))
        return values


class Encoder(nn.Module):
    """An autoencoder's encoder: convolution, norm, Leaky with hidden state, linear; the last potential is the code."""

    def __init__(self) -> None:
        super().__init__()

        def leaky(**options: Any) -> Any:
            return snntorch.Leaky(beta=0.5, init_hidden=True, **options)

        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2, 1), nn.BatchNorm2d(4), leaky(), nn.Conv2d(4, 8, 3, 2, 1), nn.BatchNorm2d(8), leaky(),
            nn.Flatten(), nn.Linear(8 * 4 * 4, 6), leaky(output=True),
        )  # fmt: skip
        fires(self)

    def forward(self, x: Tensor) -> Tensor:
        from snntorch import utils

        utils.reset(self.encoder)
        for t in range(x.shape[1]):
            _, code = self.encoder(x[:, t])
        return code


PUBLISHED: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "mnist": (lambda: LavaMNIST(potentials=False), 6),
    "mnist of potentials": (lambda: LavaMNIST(potentials=True), 6),
    "q-network": (SpikingQ, 3),
    "encoder": (Encoder, 3),
}
"""What makes each, and how many layers of it spike."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_model_is_exported_and_computes_the_same(name: str, tmp_path: Path) -> None:
    make, layers = PUBLISHED[name]
    torch.manual_seed(0)
    model, x = make().eval(), torch.rand(2, STEPS, 1, 16, 16)
    bundle = hybridnet.export(model, {"x": x}, tmp_path / "b")
    assert bundle.parity.failed == ()
    run = hybridnet.simulate({"x": x.numpy()}, bundle, SimulateOptions(snn="torch")).run
    with torch.no_grad():
        expected = model(x).numpy()
    (found,) = run.outputs.values()
    assert np.abs(found - expected).max() <= 1e-4
    assert np.ptp(expected) > 0
    fired = [spikes.any() for spikes in run.spiking.spikes.values()]
    assert (len(fired), all(fired[:-1])) == (layers, True)  # a code may be a potential below its threshold


def test_neurons_that_step_through_the_batch_are_refused(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = BatchAsTime()
    with pytest.raises(PartitionError, match=r"views depend on each other"):
        hybridnet.export(model, model.inputs(), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []
