"""Responses to one impulse: how what arrives at one step is still felt at later ones.

A synaptic current that decays by λc answers an impulse with 1, λc, λc², …; so λc is read off the response. Constants
and still inputs arrive at each step, so their response is what is added from each step to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

CLOSE = 1e-9
"""Coefficients that are equal but for float64 rounding differ by less, relative to the largest."""


def close(a: Tensor, b: Tensor) -> bool:
    """Whether two coefficients are equal but for rounding."""
    return bool((a - b).abs().max() <= CLOSE * torch.maximum(a.abs().max(), b.abs().max()))


def same(values: Sequence[Tensor]) -> bool:
    """Whether all are equal but for rounding."""
    return all(close(values[0], value) for value in values[1:])


def ratio(response: Sequence[Tensor]) -> Tensor | None:
    """λc of the response g, g·λc, g·λc², …; 0 for g, 0, 0, …; None if it is no such series.

    Where g is 0 nothing can be told, and nothing must follow.
    """
    first = response[0]
    if len(response) < 2:
        return torch.zeros((), dtype=torch.float64)
    decay = torch.where(first == 0, 0.0, response[1] / torch.where(first == 0, 1.0, first))
    for earlier, later in pairwise(response):
        if not close(earlier * decay, later):
            return None
    return decay


def two_decays(response: Sequence[Tensor]) -> tuple[Tensor, Tensor] | None:
    """(λ, λc) of the response g, g·(λ + λc), g·(λ² + λ·λc + λc²), …, λ ≥ λc; None if it is no such series.

    This is how an integrator behind a synaptic current answers; which decay is which makes no difference.
    """
    single = ratio(response)
    if single is not None:
        return single, torch.zeros((), dtype=torch.float64)
    first = response[0]
    if bool((first == 0).any()) or len(response) < 3:
        return None
    total = response[1] / first
    both = total * total - response[2] / first
    root = (total * total / 4 - both).clamp(min=0).sqrt()
    slow, fast = total / 2 + root, total / 2 - root
    for t in range(2, len(response)):
        if not bool(
            (response[t] - total * response[t - 1] + both * response[t - 2]).abs().max() <= 1e-7 * first.abs().max()
        ):
            return None
    return slow, fast


def increments(sums: Sequence[Tensor]) -> list[Tensor]:
    """What is added at each step."""
    return [sums[0], *(later - earlier for earlier, later in pairwise(sums))]
