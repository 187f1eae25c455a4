"""The compiled window of LIF neurons against `lif_step`, a step at a time: same bits forward, same gradient."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.model.neuron import LIFState, lif_step
from hybridnet.model.scan import BLOCK, lif_scan
from hybridnet.program.layers import Reset


def stepwise(
    current: torch.Tensor, leak: torch.Tensor, threshold: torch.Tensor, reset: Reset, width: float
) -> tuple[torch.Tensor, torch.Tensor]:
    state: LIFState | None = None
    u, o = [], []
    for step in current.unbind(1):
        state = lif_step(step, state, leak, threshold, reset, width)
        u.append(state.u)
        o.append(state.o)
    return torch.stack(u, 1), torch.stack(o, 1)


def check(shape: tuple[int, ...], channels_last: bool, dtype: torch.dtype, reset: Reset, read: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randn((shape[0] * shape[1], *shape[2:]), dtype=dtype, generator=generator)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    current = frames.contiguous(memory_format=layout).unflatten(0, shape[:2])
    weights = torch.randn((2, *shape), dtype=dtype, generator=generator)
    found = []
    for window in (lif_scan, stepwise):
        leak, threshold = torch.tensor(0.7, dtype=dtype), torch.tensor(0.4, dtype=dtype)
        inputs = [x.requires_grad_() for x in (current.clone(), leak, threshold)]
        u, o = window(inputs[0], leak, threshold, reset, 10.0)
        loss = (u[:, -1] * weights[0, :, -1]).sum() if "u" in read else torch.zeros(())
        if "o" in read:
            loss = loss + (o * weights[1]).sum()
        gradients = torch.autograd.grad(loss, inputs, allow_unused=True)
        found.append((u.detach(), o.detach(), *(torch.zeros(()) if g is None else g for g in gradients)))
    (got_u, got_o, *got_gradients), (want_u, want_o, *wanted) = found
    assert torch.equal(got_u, want_u)
    assert torch.equal(got_o, want_o)
    tolerance = 1e-10 if dtype is torch.float64 else 1e-4
    for got, want in zip(got_gradients, wanted, strict=True):
        torch.testing.assert_close(
            got, want.to(got.dtype), rtol=tolerance, atol=tolerance * (1 + want.abs().max().item())
        )


@settings(deadline=None, max_examples=80)
@given(
    shape=st.tuples(*(st.integers(1, n) for n in (3, 6, 4, 7, 5))),
    channels_last=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    reset=st.sampled_from(["soft", "hard"]),
    read=st.sampled_from(["u", "o", "uo"]),
    seed=st.integers(0, 1000),
)
def test_a_window_is_its_steps(
    shape: tuple[int, ...], channels_last: bool, dtype: torch.dtype, reset: Reset, read: str, seed: int
) -> None:
    check(shape, channels_last, dtype, reset, read, seed)


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_maps_of_several_blocks(reset: Reset) -> None:
    side = int((2.5 * BLOCK / 3) ** 0.5)
    check((2, 4, 3, side, side + 1), True, torch.float32, reset, "uo", 0)


def test_threads_change_nothing() -> None:
    threads = torch.get_num_threads()
    current = torch.randn(5, 4, 3, 8, 9)
    found = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            x, leak, threshold = current.clone().requires_grad_(), torch.tensor(0.8), torch.tensor(0.3)
            u, o = lif_scan(x, leak.requires_grad_(), threshold.requires_grad_(), "soft", 100.0)
            found.append((u, o, *torch.autograd.grad(u.sum() + o.sum(), (x, leak, threshold))))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@pytest.mark.parametrize("part", [np.s_[:, :, 1:3], np.s_[:, ::2], np.s_[1:, :, :, ::2, 1:]])
@pytest.mark.parametrize("channels_last", [False, True])
def test_currents_with_gaps_between_them(part: tuple[slice, ...], channels_last: bool) -> None:
    """A part of a tensor, or every second step: what lies between the currents in memory is none of them."""
    whole = torch.randn(24, 4, 6, 5, dtype=torch.float64)
    if channels_last:
        whole = whole.contiguous(memory_format=torch.channels_last)
    current = whole.unflatten(0, (3, 8))[part]
    leak, threshold = torch.tensor(0.8, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    found = []
    for drawn in (current, current.contiguous()):
        x = drawn.detach().requires_grad_()
        u, o = lif_scan(x, leak, threshold, "soft", 100.0)
        found.append((u, o, *torch.autograd.grad((u * u).sum() + o.sum(), x)))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
