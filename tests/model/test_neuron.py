"""The ConvLIF step against the paper's equation written as a loop, and against snnTorch; its gradient too."""

import math

import numpy as np
import pytest
import torch
from helpers import naive_model, naive_program
from helpers.chains import ConvLIFLayer, Stream
from helpers.naive_model import Array, array
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hybridnet.config import STMConfig
from hybridnet.model.neuron import ArctanSpike, ConvLIF, LIFState, conv_current, lif_step
from hybridnet.model.stm import SpikingStack, build_stm
from hybridnet.program.layers import ConvGeometry, Reset


def naive(current: torch.Tensor, leak: float, threshold: float, reset: Reset) -> tuple[list[float], list[int]]:
    """One neuron, one step at a time, as docs/program.md's equation reads."""
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


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_conv_lif_equals_its_equation_neuron_by_neuron(reset: Reset) -> None:
    torch.manual_seed(0)
    geometry = ConvGeometry((4, 5, 6), 6, (3, 2), (2, 1), (1, 0), (1, 2), groups=2)
    layer = ConvLIF(geometry, leak=0.7, threshold=0.3, reset=reset, batch_norm=True, bias=True).double()
    layer(torch.randn(2, 3, 4, 5, 6, dtype=torch.float64))
    layer.eval()
    x = torch.randn(2, 5, 4, 5, 6, dtype=torch.float64)
    weight, bias = (tensor.numpy() for tensor in layer.folded())
    row = ConvLIFLayer("x.0", geometry, weight, bias, 0.7, 0.3, reset, "analog", read_out=True)
    expected = naive_program.run_stream(Stream("x", "x", (row,)), x.numpy())
    with torch.no_grad():
        states = layer(x)
    np.testing.assert_allclose(states.u.numpy(), expected.potentials["x.0"], rtol=0, atol=1e-6)  # leak is float32
    assert np.array_equal(states.o.numpy(), expected.spikes["x.0"])
    assert 0 < states.o.mean() < 1


class SmoothedStack:
    """A spiking stack in NumPy whose spikes have the slope that the surrogate claims, around one working point.

    There it gives the stack's own spikes. Away from it, o = H(x₀) + S(x) − S(x₀) with x = u − vth and S the integral of
    1 / (1 + γ·x²), so that its differences are finite and its derivative is the surrogate gradient.
    """

    def __init__(self, stack: SpikingStack, x: Array) -> None:
        self.stack, self.x = stack, x
        self.working_point: dict[tuple[int, int], Array] = {}
        self.value()

    def value(self) -> Array:
        """u[T] of the last layer plus the sum of its spikes, for the parameters that the stack has now."""
        frames = self.x
        for number, layer in enumerate(self.stack.layers):
            leak = 1 / (1 + math.exp(-layer.leak_logit.item()))
            threshold = math.exp(layer.log_threshold.item())
            u, o = np.zeros(1), np.zeros(1)
            spikes: list[Array] = []
            for t, frame in enumerate(frames):
                current = naive_model.conv(frame, layer.conv)
                u = current + leak * u - threshold * o if layer.reset == "soft" else current + leak * u * (1 - o)
                distance = u - threshold
                centre = self.working_point.setdefault((number, t), distance)
                gamma = math.sqrt(layer.surrogate_width)
                o = (centre > 0) + (np.arctan(gamma * distance) - np.arctan(gamma * centre)) / gamma
                spikes.append(o)
            frames = np.stack(spikes)
        return u + frames.sum(axis=0)


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_surrogate_gradient_is_that_of_the_smoothed_neuron(reset: Reset) -> None:
    torch.manual_seed(0)
    config = STMConfig(channels=(3, 2), strides=(2, 1), leak=0.7, threshold=0.2, reset=reset)
    stack = build_stm(config, 2, 5).double()
    x = torch.randn(1, 4, 2, 5, 5, dtype=torch.float64)
    smoothed = SmoothedStack(stack, array(x)[0])
    last = stack.trace(x)[-1]
    direction = torch.randn_like(last.u[0, -1])
    ((last.u[:, -1] + last.o.sum(1))[0] * direction).sum().backward()
    assert 0 < last.o.mean() < 1
    np.testing.assert_allclose(smoothed.value(), array(last.u[0, -1] + last.o[0].sum(0)), atol=1e-12)
    for name, parameter in stack.named_parameters():
        assert parameter.grad is not None
        flat = parameter.data.view(-1)
        for index in range(0, len(flat), 5):
            changed = []
            for step in (1e-6, -2e-6):
                flat[index] += step
                changed.append((smoothed.value() * array(direction)).sum())
            flat[index] += 1e-6
            difference = (changed[0] - changed[1]) / 2e-6
            assert parameter.grad.view(-1)[index].item() == pytest.approx(difference, rel=1e-4, abs=1e-7), name


@pytest.mark.parametrize("padding", [(0, 0), (2, 1)])
@pytest.mark.parametrize("kernel", [(3, 3), (1, 5), (4, 7)])
@pytest.mark.parametrize("stride", [(1, 2), (1, 5), (2, 3)])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_single_column_of_whole_numbers_is_exact(
    channels: int, stride: tuple[int, int], kernel: tuple[int, int], padding: tuple[int, int]
) -> None:
    """oneDNN returns wrong rows for one input channel that lies channels-last, once the stride is left in."""
    height, width = 11 - 2 * padding[0], kernel[1] + stride[1] - 1 - 2 * padding[1]
    g = ConvGeometry((channels, height, width), 3, kernel, stride, padding, dilation=(2, 1))
    assert g.output_shape[2] == 1
    random = torch.Generator().manual_seed(0)
    x = torch.randint(-2, 3, (5, height, width, channels), generator=random).movedim(3, 1)
    weight = torch.randint(-200, 201, g.weight_shape, generator=random)
    bias = torch.arange(3)
    got = conv_current(x.float(), weight.float(), bias.float(), g)
    padded = np.pad(x.numpy(), [(0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2])
    for row in range(g.output_shape[1]):
        top = row * stride[0]
        window = padded[:, :, top : top + 2 * kernel[0] - 1 : 2, : kernel[1]]
        expected = np.einsum("bchw,ochw->bo", window, weight.numpy()) + bias.numpy()
        np.testing.assert_array_equal(got[:, :, row, 0].numpy(), expected)
