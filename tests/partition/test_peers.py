# mypy: disable-error-code="override"
"""Neurons of snntorch, SpikingJelly and norse: the program computes what their own library does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hybridnet.errors import PartitionError
from hybridnet.partition.neurons import rest
from hybridnet.partition.splitter import Partition, partition
from hybridnet.simulators.torch.graph_step import TorchGraph

snn = pytest.importorskip("snntorch")
import snntorch.utils  # noqa: E402  # snntorch itself may be missing

STEPS = 5


def peer(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed; `make setup` installs it", exc_type=ImportError)


def events(seed: int, *shape: int) -> Tensor:
    return torch.randn(3, STEPS, *shape, generator=torch.Generator().manual_seed(seed)) * 2


def conv_norm(inputs: int, outputs: int, **options: Any) -> nn.Sequential:
    """A convolution without and a batch norm with some history."""
    norm = nn.BatchNorm2d(outputs)
    nn.init.normal_(norm.running_mean, 0, 0.2)  # type: ignore[arg-type]
    nn.init.uniform_(norm.running_var, 0.5, 2)  # type: ignore[arg-type]
    nn.init.normal_(norm.weight)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, bias=False, **options), norm)


def as_tuple(output: Any) -> tuple[Tensor, ...]:
    if isinstance(output, dict):
        return tuple(output.values())
    return output if isinstance(output, tuple) else (output,)


@torch.no_grad()
def compare(model: nn.Module, x: Tensor) -> Partition:
    """The cut model against the whole one, and the program's spikes against the float back-end's."""
    model.eval()
    rest(model)
    expected = as_tuple(model(x))
    split = partition(model, {"x": x[:1]})
    for whole, cut in zip(expected, as_tuple(split.run({"x": x})), strict=True):
        torch.testing.assert_close(cut, whole, rtol=0, atol=1e-6)
    result = TorchGraph(split.program).run({"x": x.numpy()}, record_potentials=True)
    for name, state in split.trace({"x": x}).items():
        assert np.array_equal(result.spikes[name], state.o.bool().numpy())
        np.testing.assert_allclose(result.potentials[name], state.u.numpy(), atol=1e-5)
    rates = [float(spikes.mean()) for spikes in result.spikes.values()]
    assert all(0.02 < rate < 0.98 for rate in rates), f"a layer that is silent proves nothing: {rates}"
    return split


class LeakyLoop(nn.Module):
    """snntorch's own tutorial form: explicit state, everything recorded."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2)
        self.lif1 = snn.Leaky(beta=0.8, threshold=0.3, **options)
        self.conv2 = conv_norm(4, 3, padding=(1, 0))
        self.lif2 = snn.Leaky(beta=0.7, threshold=0.2, learn_beta=True, learn_threshold=True, **options)
        self.readout = nn.Linear(3 * 5 * 2, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, potentials = [], []
        for step in range(x.shape[1]):
            spk1, mem1 = self.lif1(self.conv1(x[:, step]), mem1)
            spk2, mem2 = self.lif2(self.conv2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return (
            self.readout(mem2.flatten(1)),
            torch.stack(spikes, 1),
            torch.stack(spikes).sum(dim=0),
            torch.stack(potentials)[-1],
            mem1,
        )


@pytest.mark.parametrize(
    "options",
    [{}, {"reset_mechanism": "zero"}, {"reset_mechanism": "zero", "reset_delay": False}],
    ids=lambda o: "-".join(map(str, o.values())) or "default",
)
def test_snntorch_leaky_with_explicit_state(options: dict[str, Any]) -> None:
    torch.manual_seed(1)
    split = compare(LeakyLoop(**options), events(1, 2, 9, 7))
    nodes = {node.name: node for node in split.nodes}
    assert nodes["lif2"].kind == "Conv2d + BatchNorm2d + Leaky"
    assert "λ 0.7, vth 0.2" in nodes["lif2"].why
    kinds = {tensor.kind for tensor in split.bridge}
    assert {"potential", "spikes", "spike_count"} == kinds
    assert not split.exact


def test_snntorch_leaky_is_the_equation_itself() -> None:
    torch.manual_seed(1)
    model, x = LeakyLoop(), events(1, 2, 9, 7)
    model.conv2[1] = nn.Identity()
    split = compare(model, x)
    assert torch.equal(split.run({"x": x})[4], model(x)[4]), "the same numbers, to the last bit"


class LeakyHidden(nn.Module):
    """State hidden in the module, read back as an attribute; the count kept by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(2, 4, 3),
            snn.Leaky(beta=0.8, threshold=0.3, init_hidden=True),
            nn.Dropout2d(),
            nn.Conv2d(4, 3, (3, 2)),
            snn.Leaky(beta=0.6, threshold=0.2, init_hidden=True, output=True),
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        snntorch.utils.reset(self.net)
        count: Any = 0
        for frame in x.unbind(1):
            spikes, mem = self.net(frame)
            count = count + spikes
        return {"count": count, "mem": mem, "first": self.net[1].mem}


def test_snntorch_leaky_with_hidden_state() -> None:
    torch.manual_seed(2)
    split = compare(LeakyHidden(), events(2, 2, 7, 6))
    assert [t.kind for t in split.bridge] == ["potential", "potential", "spike_count"]


class LeakyDense(nn.Module):
    """Fully connected spiking layers behind a convolutional one, the usual classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.lif1 = nn.Conv2d(2, 4, 3, stride=2), snn.Leaky(beta=0.8, threshold=0.3)
        self.fc1, self.norm, self.lif2 = (
            nn.Linear(4 * 3 * 2, 10),
            nn.BatchNorm1d(10),
            snn.Leaky(beta=0.9, threshold=0.1),
        )
        self.fc2, self.lif3 = nn.Linear(10, 3, bias=False), snn.Leaky(beta=0.9, threshold=0.1)
        nn.init.normal_(self.norm.running_mean, 0, 0.2)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mem1 = mem2 = mem3 = None
        spikes = []
        for frame in x.unbind(1):
            spk, mem1 = self.lif1(self.conv(frame), mem1)
            spk, mem2 = self.lif2(self.norm(self.fc1(spk.flatten(1))), mem2)
            spk, mem3 = self.lif3(self.fc2(spk), mem3)
            spikes.append(spk)
        assert mem2 is not None
        return torch.stack(spikes, 1).sum(1), mem2, torch.stack(spikes, dim=1)


def test_fully_connected_spiking_layers() -> None:
    torch.manual_seed(8)
    split = compare(LeakyDense(), events(8, 2, 7, 6))
    assert [g.geometry.kernel for g in split.program.synapses] == [(3, 3), (3, 2), (1, 1)]
    assert [t.shape for t in split.bridge] == [(10, 1, 1), (STEPS, 3, 1, 1), (3, 1, 1)]


class Jelly(nn.Module):
    """SpikingJelly: one sequence of layers, run step by step or a whole window at a time."""

    def __init__(self, mode: str, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        layer, functional = (
            peer("spikingjelly.activation_based.layer"),
            peer("spikingjelly.activation_based.functional"),
        )
        self.mode = mode
        self.net = nn.Sequential(
            layer.Conv2d(2, 4, 3, stride=2, padding=1), layer.BatchNorm2d(4), first, layer.Conv2d(4, 3, 3), second
        )
        functional.set_step_mode(self.net, mode)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.mode == "m":
            spikes = self.net(x.transpose(0, 1))
        else:
            spikes = torch.stack([self.net(x[:, t]) for t in range(x.size(1))])
        last: Any = self.net[-1]
        return spikes.mean(0), spikes[2], last.v


@pytest.mark.parametrize("mode", ["s", "m"])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("LIFNode", {}),
        ("LIFNode", {"tau": 3.0, "decay_input": False}),
        ("ParametricLIFNode", {"init_tau": 1.5}),
        ("IFNode", {}),
        ("IFNode", {"v_reset": None}),
    ],
    ids=lambda value: str(value),
)
def test_spikingjelly_nodes(mode: str, name: str, options: dict[str, Any]) -> None:
    node = getattr(peer("spikingjelly.activation_based.neuron"), name)
    surrogate = peer("spikingjelly.activation_based.surrogate")
    torch.manual_seed(3)
    second = node(v_threshold=0.2, surrogate_function=surrogate.ATan(), **options)
    compare(Jelly(mode, node(v_threshold=0.3, **options), second), events(3, 2, 9, 7))


class FoldedJelly(nn.Module):
    """Convolutions see (T·B, C, H, W), neurons (T, B, C, H, W)."""

    def __init__(self) -> None:
        super().__init__()
        neuron, layer = peer("spikingjelly.activation_based.neuron"), peer("spikingjelly.activation_based.layer")
        self.conv, self.first = conv_norm(2, 4), neuron.LIFNode(v_threshold=0.3, step_mode="m")
        self.second = nn.Sequential(
            layer.SeqToANNContainer(nn.Conv2d(4, 3, 3), nn.BatchNorm2d(3)),
            neuron.IFNode(v_threshold=0.5, step_mode="m"),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(1, 0, 2, 3, 4)
        steps, batch = x.shape[:2]
        current = self.conv(x.reshape(-1, *x.shape[2:]))
        spikes = self.first(current.view(steps, batch, *current.shape[1:]))
        return self.second(spikes).mean(0).flatten(1)


@pytest.mark.parametrize("mode", ["s", "m"])
def test_spikingjelly_fully_connected(mode: str) -> None:
    neuron, layer = peer("spikingjelly.activation_based.neuron"), peer("spikingjelly.activation_based.layer")
    torch.manual_seed(6)
    model = Jelly(mode, neuron.LIFNode(v_threshold=0.3), neuron.IFNode(v_threshold=0.4))
    model.net[3] = nn.Sequential(layer.Flatten(step_mode=mode), layer.Linear(4 * 5 * 4, 6, step_mode=mode))
    compare(model, events(6, 2, 9, 7))


def test_spikingjelly_folded() -> None:
    peer("spikingjelly.activation_based.neuron")
    torch.manual_seed(4)
    split = compare(FoldedJelly(), events(4, 2, 8, 7))
    assert [tensor.kind for tensor in split.bridge] == ["spike_count"]


def test_a_potential_exactly_at_the_threshold_fires_as_in_its_own_library() -> None:
    neuron = peer("spikingjelly.activation_based.neuron")
    model = Jelly("s", neuron.IFNode(v_threshold=0.75), neuron.IFNode(v_threshold=0.75)).eval()
    x = torch.randint(-3, 4, (3, STEPS, 2, 9, 7)) / 4.0
    for module in model.net:
        if isinstance(module, nn.Conv2d):
            nn.init.constant_(module.weight, 0.0)
            module.weight.data[:, 0, 1, 1] = 1.0
            nn.init.constant_(module.bias, 0.0)  # type: ignore[arg-type]
    model.net[1] = nn.Identity()
    with torch.no_grad():
        expected = model(x)
    split = partition(model, {"x": x})
    u = split.trace({"x": x})["net.2"].u
    assert (u == 0.75).any(), "no tie, nothing shown"
    assert all(torch.equal(a, b) for a, b in zip(split.run({"x": x}), expected, strict=True))


def box(threshold: float) -> Any:
    torch_ = peer("norse.torch")
    return torch_.LIFBoxCell(torch_.LIFBoxParameters(v_th=torch.tensor(threshold)))


class NorseLoop(nn.Module):
    """Two kinds of cell that reduce to the same equation, states carried by hand."""

    def __init__(self) -> None:
        super().__init__()
        norse = peer("norse.torch")
        no_current = norse.LIFParameters(tau_syn_inv=torch.tensor(1000.0), v_th=torch.tensor(0.02))
        self.conv1, self.cell1 = nn.Conv2d(2, 4, 3, padding=1), box(0.05)
        self.conv2, self.cell2 = nn.Conv2d(4, 3, 3), norse.LIFCell(no_current)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        state1: Any = None
        state2: Any = None
        count: Any = 0
        for t in range(x.shape[1]):
            z, state1 = self.cell1(self.conv1(x[:, t]), state1)
            z, state2 = self.cell2(self.conv2(z), state2)
            count = count + z
        return count / x.shape[1], state2.v, state1.v


class NorseWindow(nn.Module):
    """`Lift` and `LIF` in a SequentialState over (T, B, …)."""

    def __init__(self) -> None:
        super().__init__()
        norse = peer("norse.torch")
        no_current = norse.LIFParameters(tau_syn_inv=torch.tensor(1000.0), v_th=torch.tensor(0.05))
        self.net = norse.SequentialState(norse.Lift(nn.Conv2d(2, 4, 3, padding=1)), norse.LIF(no_current))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        spikes, state = self.net(x.transpose(0, 1))
        return spikes.sum(0), state[1].v


@pytest.mark.parametrize("model", [NorseLoop, NorseWindow])
def test_norse_cells(model: Callable[[], nn.Module]) -> None:
    peer("norse.torch")
    torch.manual_seed(5)
    compare(model(), events(5, 2, 7, 6))


def refused(model: nn.Module, reason: str) -> None:
    with pytest.raises(PartitionError, match=r"R115.*" + reason):
        partition(model, {"x": events(0, 2, 9, 7)})


def test_what_spikingjelly_has_and_the_equation_has_not_is_refused() -> None:
    neuron, surrogate = peer("spikingjelly.activation_based.neuron"), peer("spikingjelly.activation_based.surrogate")
    good = neuron.IFNode(v_threshold=0.3)
    refused(Jelly("m", neuron.LIFNode(v_reset=None), good), "subtracts λ·vth")
    refused(Jelly("s", neuron.LIFNode(v_reset=-0.1), good), "v_reset = -0.1")
    refused(Jelly("s", neuron.EIFNode(), good), "EIFNode")
    refused(Jelly("s", neuron.LIFNode(surrogate_function=surrogate.Sigmoid(spiking=False)), good), "step at 0")


def test_what_norse_has_and_the_equation_has_not_is_refused() -> None:
    norse = peer("norse.torch")
    model = NorseLoop()
    model.cell2 = norse.LIFCell()
    refused(model, "synaptic current")
    model.cell2 = norse.LIFBoxCell(norse.LIFBoxParameters(v_leak=torch.tensor(0.1)))
    refused(model, "v_leak is not 0")


def test_a_state_changed_behind_the_neurons_back_is_refused() -> None:
    functional, neuron = peer("spikingjelly.activation_based.functional"), peer("spikingjelly.activation_based.neuron")

    class ResetsWithin(Jelly):
        def forward(self, x: Tensor) -> tuple[Tensor, ...]:
            for t in range(x.shape[1]):
                spikes = self.net(x[:, t])
                functional.reset_net(self)
            return (spikes,)

    with pytest.raises(PartitionError, match="forward changes the state"):
        partition(ResetsWithin("s", neuron.IFNode(), neuron.IFNode()), {"x": events(0, 2, 9, 7)})


@settings(max_examples=25, deadline=None)
@given(
    beta=st.floats(0, 1, width=32),
    threshold=st.floats(0.0625, 4, width=32),
    zero=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_snntorch_leaky_and_the_program_agree_for_any_leak_and_threshold(
    beta: float, threshold: float, zero: bool, seed: int
) -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 1)
            self.lif = snn.Leaky(beta, threshold, reset_mechanism="zero" if zero else "subtract")

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            mem, spikes = None, []
            for t in range(STEPS):
                spike, mem = self.lif(self.conv(x[:, t]), mem)
                spikes.append(spike)
            return torch.stack(spikes, 1), mem  # type: ignore[return-value]

    model, x = One().eval(), events(seed, 1, 2, 3)
    with torch.no_grad():
        spikes, mem = partition(model, {"x": x}).run({"x": x})
        rest(model)
        expected_spikes, expected = model(x)
    assert torch.equal(spikes, expected_spikes)
    torch.testing.assert_close(mem, expected, rtol=0, atol=1e-6)


def test_partitioning_leaves_the_model_as_it_was() -> None:
    model, x = LeakyHidden().eval(), events(2, 2, 7, 6)
    attributes = set(vars(model))
    with torch.no_grad():
        before = model(x)
        partition(model, {"x": x})
        after = model(x)
    assert set(vars(model)) == attributes
    assert all(torch.equal(before[name], after[name]) for name in before)
