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
from helpers.peer_models import (  # noqa: E402  # snntorch itself may be missing
    STEPS,
    FoldedJelly,
    Jelly,
    LeakyDense,
    LeakyHidden,
    LeakyLoop,
    NorseLoop,
    NorseWindow,
    peer,
)


def events(seed: int, *shape: int) -> Tensor:
    return torch.randn(3, STEPS, *shape, generator=torch.Generator().manual_seed(seed)) * 2


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


def test_snntorch_leaky_with_hidden_state() -> None:
    torch.manual_seed(2)
    split = compare(LeakyHidden(), events(2, 2, 7, 6))
    assert [t.kind for t in split.bridge] == ["potential", "potential", "spike_count"]


def test_fully_connected_spiking_layers() -> None:
    torch.manual_seed(8)
    split = compare(LeakyDense(), events(8, 2, 7, 6))
    assert [g.geometry.kernel for g in split.program.synapses] == [(3, 3), (3, 2), (1, 1)]
    assert [t.shape for t in split.bridge] == [(10, 1, 1), (STEPS, 3, 1, 1), (3, 1, 1)]


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


@pytest.mark.parametrize("model", [NorseLoop, NorseWindow])
def test_norse_cells(model: Callable[[], nn.Module]) -> None:
    peer("norse.torch")
    torch.manual_seed(5)
    compare(model(), events(5, 2, 7, 6))


def refused(model: nn.Module, reason: str) -> None:
    with pytest.raises(PartitionError, match=reason + ".*R115"):
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
