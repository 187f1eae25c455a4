"""The ConvLIF step against the paper's equation written as a loop, and against snnTorch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hybridnet.model.neuron import ArctanSpike, ConvLIF, LIFState, lif_step
from hybridnet.partition.program import ConvGeometry, Reset


def naive(current: torch.Tensor, leak: float, threshold: float, reset: Reset) -> tuple[list[float], list[int]]:
    """One neuron, one step at a time, as DESIGN's equation reads."""
    u, o, potentials, spikes = 0.0, 0, [], []
    for a in current.tolist():
        u = a + leak * u - threshold * o if reset == "soft" else a + leak * u * (1 - o)
        o = 1 if u > threshold else 0
        potentials.append(u)
        spikes.append(o)
    return potentials, spikes


def run(current: torch.Tensor, leak: float, threshold: float, reset: Reset) -> list[LIFState]:
    states: list[LIFState] = []
    for a in current:
        states.append(lif_step(a, states[-1] if states else None, leak, threshold, reset))
    return states


@pytest.mark.parametrize("reset", ["soft", "hard"])
@settings(deadline=None, max_examples=50)
@given(
    current=st.lists(st.floats(-2, 2), min_size=1, max_size=12),
    leak=st.floats(0.01, 0.99),
    threshold=st.floats(0.05, 2),
)
def test_step_equals_the_equation(reset: Reset, current: list[float], leak: float, threshold: float) -> None:
    values = torch.tensor(current, dtype=torch.float64)
    states = run(values, leak, threshold, reset)
    potentials, spikes = naive(values, leak, threshold, reset)
    assert [s.u.item() for s in states] == pytest.approx(potentials, abs=1e-12)
    assert [int(s.o.item()) for s in states] == spikes


def test_hand_computed_sequence() -> None:
    # u: 0.6 | 0.6 + 0.5·0.6 = 0.9 | spike at 0.9 > 0.8: 0.6 + 0.45 − 0.8 = 0.25
    states = run(torch.tensor([0.6, 0.6, 0.6], dtype=torch.float64), 0.5, 0.8, "soft")
    assert [s.u.item() for s in states] == pytest.approx([0.6, 0.9, 0.25])
    assert [s.o.item() for s in states] == [0, 1, 0]


def test_threshold_is_strict() -> None:
    (state,) = run(torch.tensor([0.5]), 0.5, 0.5, "soft")
    assert state.o.item() == 0


def test_conv_lif_equals_snntorch() -> None:
    snntorch = pytest.importorskip("snntorch")
    geometry = ConvGeometry((3, 9, 7), 4, (3, 2), (2, 1), (1, 0), (1, 2))
    torch.manual_seed(0)
    layer = ConvLIF(geometry, leak=0.9, threshold=1.0).double()  # snnTorch multiplies the threshold in float32
    x = 2 * torch.randn(2, 11, 3, 9, 7, dtype=torch.float64)
    got = layer(x)
    oracle = snntorch.Leaky(beta=layer.leak.detach(), threshold=1.0, reset_mechanism="subtract", reset_delay=True)
    membrane = torch.zeros(2, *geometry.output_shape, dtype=torch.float64)
    for t in range(11):
        spikes, membrane = oracle(layer.conv(x[:, t]), membrane)
        torch.testing.assert_close(got.u[:, t], membrane, rtol=0, atol=1e-10)
        assert torch.equal(got.o[:, t], spikes)
    assert 0 < got.o.mean() < 1


def test_windows_do_not_leak_into_each_other() -> None:
    layer = ConvLIF(ConvGeometry((1, 4, 5), 2, (3, 3), padding=(1, 1)))
    x = torch.randn(2, 5, 1, 4, 5)
    torch.testing.assert_close(layer(x).u[1:], layer(x[1:]).u)


def test_surrogate_gradient_is_the_arctan_bell() -> None:
    distance = torch.tensor([-0.3, 0.0, 0.2], requires_grad=True)
    ArctanSpike.apply(distance, 100.0).sum().backward()  # type: ignore[no-untyped-call]
    assert distance.grad is not None
    torch.testing.assert_close(distance.grad, 1 / (1 + 100 * distance.detach() ** 2))


def test_leak_and_threshold_learn_within_their_ranges() -> None:
    layer = ConvLIF(ConvGeometry((1, 4, 4), 1, (3, 3)), leak=0.8, threshold=0.25)
    assert layer.leak.item() == pytest.approx(0.8)
    assert layer.threshold.item() == pytest.approx(0.25)
    layer(torch.rand(1, 4, 1, 4, 4)).u[:, -1].sum().backward()
    assert layer.leak_logit.grad is not None
    assert layer.log_threshold.grad is not None
    with torch.no_grad():
        layer.leak_logit.fill_(30.0)
        layer.log_threshold.fill_(-30.0)
    assert 0 < layer.leak.item() <= 1
    assert layer.threshold.item() > 0


def test_batch_norm_folds_into_weight_and_bias() -> None:
    torch.manual_seed(1)
    layer = ConvLIF(ConvGeometry((2, 6, 5), 3, (3, 3), padding=(1, 1)), batch_norm=True).double()
    layer.train()
    layer(torch.randn(4, 3, 2, 6, 5, dtype=torch.float64))  # gives the norm something to remember
    assert isinstance(layer.norm, nn.BatchNorm2d)
    nn.init.uniform_(layer.norm.weight, 0.5, 2)
    nn.init.uniform_(layer.norm.bias, -1, 1)
    layer.eval()
    x = torch.randn(2, 2, 6, 5, dtype=torch.float64)
    weight, bias = layer.folded()
    folded = nn.functional.conv2d(x, weight, bias, padding=1)
    torch.testing.assert_close(folded, layer.norm(layer.conv(x)))
