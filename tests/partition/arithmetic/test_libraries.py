# mypy: disable-error-code="override,no-untyped-call"
"""Neurons of libraries are read as what they compute: no class of theirs is known to the reader."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.reading import Reading
from hybridnet.partition.neurons import rest
from hybridnet.program.graph import GraphProgram, Population

STEPS = 6


def peer(name: str) -> Any:
    return pytest.importorskip(name, exc_type=ImportError)


class Stepped(nn.Module):
    """Two convolutions, each before a neuron that is called step by step, with or without states handed around."""

    def __init__(self, make: Callable[[], nn.Module], states: int | None = None, bias: bool = True) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 4, 3, 1, 1, bias=bias), nn.Conv2d(4, 3, 3, 2, 1, bias=bias)
        self.neuron1, self.neuron2, self.states = make(), make(), states
        for conv in (self.conv1, self.conv2):
            conv.weight.data *= 3

    def start(self, neuron: Any) -> tuple[Any, ...]:
        return neuron.init_synaptic() if hasattr(neuron, "init_synaptic") else (None,) * (self.states or 0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 2, H, W) to (B, T, …)."""
        states: list[tuple[Any, ...]] = [self.start(neuron) for neuron in (self.neuron1, self.neuron2)]
        spikes = []
        for step in x.unbind(1):
            for i, (conv, neuron) in enumerate(((self.conv1, self.neuron1), (self.conv2, self.neuron2))):
                result = neuron(conv(step), *states[i])
                step, *states_ = result if isinstance(result, tuple) else (result,)
                states[i] = tuple(states_)[: self.states or 0]
            spikes.append(step)
        return torch.stack(spikes, 1)


class Windowed(nn.Module):
    """The same with neurons that take a whole window, time first."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 4, 3, 1, 1), nn.Conv2d(4, 3, 3, 2, 1)
        self.neuron1, self.neuron2 = make(), make()
        for conv in (self.conv1, self.conv2):
            conv.weight.data *= 3

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 2, H, W) to (T, B, …)."""
        for conv, neuron in ((self.conv1, self.neuron1), (self.conv2, self.neuron2)):
            y = conv(x.flatten(0, 1) if conv is self.conv1 else x.transpose(0, 1).flatten(0, 1))
            result = neuron(y.unflatten(0, (-1, STEPS)).transpose(0, 1))
            x = result[0] if isinstance(result, tuple) else result
        return x


def events(*shape: int) -> Tensor:
    return torch.randn(2, STEPS, 2, *(shape or (7, 6)), generator=torch.Generator().manual_seed(1)) * 2


def program_of(model: nn.Module, x: Tensor | None = None) -> tuple[Reading, GraphProgram]:
    reading = read(model.eval(), {"x": events() if x is None else x}, rest=rest)
    assert reading.program is not None, [str(o) for o in reading.obstacles]
    return reading, reading.program


def first(model: nn.Module) -> Population:
    torch.manual_seed(0)
    reading, program = program_of(model)
    assert reading.placed == ("neuron1", "neuron2"), [str(o) for o in reading.obstacles]
    return program.populations[-2]


def refusal(model: nn.Module) -> str:
    torch.manual_seed(0)
    reading = read(model.eval(), {"x": events()}, rest=rest)
    assert reading.program is None
    return str(reading.obstacles[0])


@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
def test_snntorch_leaky(reset: str) -> None:
    snn = peer("snntorch")
    p = first(Stepped(lambda: snn.Leaky(beta=0.8, threshold=0.7, reset_mechanism=reset), states=1))
    assert float(p.leak) == pytest.approx(0.8)
    assert float(p.threshold or 0) == pytest.approx(0.7)
    assert (p.reset, float(p.reset_amount)) == ("hard", 0) if reset == "zero" else p.reset == "soft"
    assert float(p.reset_amount) == pytest.approx(0.7 if reset == "subtract" else 0)


def test_snntorch_leak_per_channel() -> None:
    snn = peer("snntorch")
    beta, threshold = torch.rand(4, 1, 1), torch.rand(4, 1, 1) + 0.5
    model = Stepped(lambda: snn.Leaky(beta=beta, threshold=threshold), states=1)
    model.neuron2 = snn.Leaky(beta=0.5)
    p = first(model)
    np.testing.assert_allclose(p.leak, beta.flatten(), 1e-6)


def test_snntorch_without_reset_delay_resets_twice_and_is_refused() -> None:
    snn = peer("snntorch")
    told = refusal(Stepped(lambda: snn.Leaky(beta=0.8, reset_delay=False), states=1))
    assert told.startswith("neuron1: its threshold moves with its own spikes")  # what a second reset comes to


def test_snntorch_synaptic() -> None:
    snn = peer("snntorch")
    model = Stepped(lambda: snn.Synaptic(alpha=0.6, beta=0.9), states=2, bias=False)
    torch.manual_seed(0)
    reading, program = program_of(model)
    p = program.populations[0]
    assert (float(p.current_leak), float(p.leak)) == pytest.approx((0.6, 0.9))
    assert reading.placed == ("neuron1", "neuron2")


def test_snntorch_lapicque() -> None:
    snn = peer("snntorch")
    p = first(Stepped(lambda: snn.Lapicque(beta=0.7, threshold=0.6), states=1))
    assert 0 < float(p.leak) < 1
    assert p.reset == "soft"


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("v_reset", [0.0, None, -0.3])
def test_spikingjelly_if(mode: str, v_reset: float | None) -> None:
    neuron = peer("spikingjelly.activation_based.neuron")
    kind = Stepped if mode == "s" else Windowed
    p = first(kind(lambda: neuron.IFNode(v_threshold=0.8, v_reset=v_reset, step_mode=mode)))
    assert float(p.leak) == 1
    assert p.reset == ("soft" if v_reset is None else "hard")
    assert float(p.threshold or 0) == pytest.approx(0.8 - (v_reset or 0), abs=1e-6)


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize("decay_input", [True, False])
@pytest.mark.parametrize("v_reset", [0.0, None, 0.2])
def test_spikingjelly_lif(mode: str, decay_input: bool, v_reset: float | None) -> None:
    neuron = peer("spikingjelly.activation_based.neuron")
    kind = Stepped if mode == "s" else Windowed
    p = first(kind(lambda: neuron.LIFNode(tau=2.5, decay_input=decay_input, v_reset=v_reset, step_mode=mode)))
    assert float(p.leak) == pytest.approx(0.6)
    assert p.reset == ("soft" if v_reset is None else "hard")
    if v_reset is None:
        assert float(p.reset_amount) == pytest.approx(0.6)  # taken off at once, so it decays with the rest


@pytest.mark.parametrize("v_reset", [0.0, None])
def test_spikingjelly_plif(v_reset: float | None) -> None:
    neuron = peer("spikingjelly.activation_based.neuron")
    p = first(Stepped(lambda: neuron.ParametricLIFNode(init_tau=4.0, v_reset=v_reset)))
    assert float(p.leak) == pytest.approx(0.75)


def test_norse_lif_box_cell() -> None:
    norse = peer("norse.torch")
    p = first(Stepped(lambda: norse.LIFBoxCell(norse.LIFBoxParameters(v_th=torch.as_tensor(0.3)), dt=0.002), states=1))
    assert (p.reset, float(p.current_leak)) == ("hard", 0)
    assert float(p.leak) == pytest.approx(0.8)


def test_norse_lif_cell_has_a_current() -> None:
    norse = peer("norse.torch")
    p = first(
        Stepped(lambda: norse.LIFCell(norse.LIFParameters(v_th=torch.as_tensor(0.3)), dt=0.002), states=1, bias=False)
    )
    assert float(p.leak) == pytest.approx(0.8)
    assert float(p.current_leak) == pytest.approx(0.6)
    assert p.reset == "hard"


def test_norse_lif_runs_a_window() -> None:
    norse = peer("norse.torch")
    p = first(Windowed(lambda: norse.LIF(norse.LIFParameters(v_th=torch.as_tensor(0.3)), dt=0.002)))
    assert float(p.current_leak) == pytest.approx(0.6)


def test_norse_li_is_an_integrator() -> None:
    norse = peer("norse.torch")

    class ReadOut(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.lif = nn.Conv2d(2, 4, 3, bias=False), norse.LIFBoxCell(dt=0.002)
            self.out, self.li = nn.Conv2d(4, 2, 3), norse.LICell(dt=0.002)
            self.conv.weight.data *= 4

        def forward(self, x: Tensor) -> Tensor:
            lif = li = v = None
            for step in x.unbind(1):
                s, lif = self.lif(self.conv(step), lif)
                v, li = self.li(self.out(s), li)
            return torch.softmax(v.flatten(1), 1)  # type: ignore[union-attr]

    torch.manual_seed(0)
    reading, program = program_of(ReadOut())
    p = next(p for p in program.populations if p.threshold is None)
    assert sorted((float(p.leak), float(p.current_leak))) == pytest.approx([0.6, 0.8])
    assert [(r.kind, r.steps) for r in reading.leaving] == [("potential", (STEPS - 1,))]


def random_snntorch(dice: random.Random) -> nn.Module:
    snn = peer("snntorch")
    reset = dice.choice(["subtract", "zero", "none"])
    beta, threshold = dice.uniform(0.2, 0.95), dice.uniform(0.3, 1.5)
    if dice.random() < 0.5:
        return Stepped(lambda: snn.Leaky(beta=beta, threshold=threshold, reset_mechanism=reset), states=1)
    return Stepped(
        lambda: snn.Synaptic(alpha=0.5, beta=beta, threshold=threshold, reset_mechanism="subtract"), states=2
    )


def random_spikingjelly(dice: random.Random) -> nn.Module:
    neuron = peer("spikingjelly.activation_based.neuron")
    mode, v_reset = dice.choice("sm"), dice.choice([0.0, None, -0.2, 0.1])
    threshold, decay_input = dice.uniform(0.4, 1.5), dice.random() < 0.5
    kinds = {
        "if": lambda: neuron.IFNode(threshold, v_reset, step_mode=mode),
        "lif": lambda: neuron.LIFNode(dice.uniform(1.2, 4), decay_input, threshold, v_reset, step_mode=mode),
        "plif": lambda: neuron.ParametricLIFNode(dice.uniform(1.2, 4), decay_input, threshold, v_reset, step_mode=mode),
    }
    return (Stepped if mode == "s" else Windowed)(kinds[dice.choice(sorted(kinds))])


def random_norse(dice: random.Random) -> nn.Module:
    norse = peer("norse.torch")
    dt, v_th = dice.uniform(0.001, 0.004), torch.as_tensor(dice.uniform(0.2, 0.6))
    return dice.choice(
        [
            lambda: Stepped(lambda: norse.LIFBoxCell(norse.LIFBoxParameters(v_th=v_th), dt=dt), states=1),
            lambda: Stepped(lambda: norse.LIFCell(norse.LIFParameters(v_th=v_th), dt=dt), states=1),
            lambda: Windowed(lambda: norse.LIF(norse.LIFParameters(v_th=v_th), dt=dt)),
        ]
    )()


def read_random(make: Callable[[random.Random], nn.Module], seed: int) -> None:
    torch.manual_seed(seed)
    model = make(random.Random(seed))  # noqa: S311  # not for secrets
    reading, _ = program_of(model)
    assert reading.placed == ("neuron1", "neuron2"), [str(o) for o in reading.obstacles]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100))
@pytest.mark.parametrize("make", [random_snntorch, random_spikingjelly, random_norse])
def test_random_settings(make: Callable[[random.Random], nn.Module], seed: int) -> None:
    read_random(make, seed)
