"""Predicting the motion vectors of the next P-frame from membrane potentials, beside the classes.

A 1×1 convolution per stream looks at u[t] of the last spiking layer and says what P-frame t + 1 adds: how accumulated
motion vectors change, or the vectors themselves where they are not accumulated. The labels are the clip's own next
vectors; they ask a spiking modulator to hold what moves, and how fast. Predicting motion as a second task: Huang et
al., Self-supervised video representation learning by context and motion decoupling, CVPR 2021 (arXiv 2104.00862). The
convolution is of the training alone, and no checkpoint holds it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridnet.model.network import CHANNELS, HybridNet
from hybridnet.model.neuron import LIFState
from hybridnet.training.group import ALONE, Group
from hybridnet.video.views import LEVELS

LEAST_MOTION = 1 / LEVELS**2
"""Mean square of the motion of a batch, below which it is finer than stored vectors are, and nothing is asked."""


class Forecast(nn.Module):
    """A model with spiking layers, and what predicts from their potentials."""

    def __init__(self, model: HybridNet) -> None:
        super().__init__()
        self.model = model
        self.heads = nn.ModuleDict(
            {
                name: nn.Conv2d(stack.layers[-1].geometry.out_channels, CHANNELS["mv"], 1)
                for name, stack in model.stacks().items()
            }
        )
        for parameter in self.heads.parameters():  # the first forecast is that nothing moves
            nn.init.zeros_(parameter)

    def forward(self, i_frame: Tensor, motion_vectors: Tensor, residuals: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, classes) of views, and `errors` of each stream, (streams, 3).

        Args:
            i_frame: See `HybridNet.forward`; so for the others.
            motion_vectors: (B, T, 2, S, S), accumulated or not.
            residuals: (B, T, 3, S, S).
        """
        with _Potentials(self.model) as potentials:
            logits = self.model(i_frame=i_frame, motion_vectors=motion_vectors, residuals=residuals)
        accumulated = self.model.config.preprocess.accumulate
        coming = motion_vectors[:, 1:] - motion_vectors[:, :-1] if accumulated else motion_vectors[:, 1:]
        return logits, torch.stack([errors(head, potentials.of[name], coming) for name, head in self.heads.items()])


class _Potentials:
    """While it is entered, keeps the potentials of each stream's last spiking layer.

    Attributes:
        of: By stream, (B, T, C, h, w). Streams may share their last layer, or a layer of one may call another's.
    """

    def __init__(self, model: HybridNet) -> None:
        self.of: dict[str, Tensor] = {}
        self._running = ""
        self._stacks = model.stacks()

    def __enter__(self) -> _Potentials:
        last = dict.fromkeys(stack.layers[-1] for stack in self._stacks.values())
        self._hooks = [
            *(stack.register_forward_pre_hook(self._starts(name)) for name, stack in self._stacks.items()),
            *(layer.register_forward_hook(self._keep) for layer in last),
        ]
        return self

    def __exit__(self, *error: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _starts(self, name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def start(_stack: nn.Module, _inputs: tuple[Tensor, ...]) -> None:
            self._running = name

        return start

    def _keep(self, _layer: nn.Module, _inputs: tuple[Tensor, ...], state: LIFState) -> None:
        self.of[self._running] = state.u


def errors(head: nn.Module, u: Tensor, coming: Tensor) -> Tensor:
    """Sum of squared errors of a forecast, of squares of what came, and how many numbers came, (3,).

    Args:
        head: Predicts two channels from those of a map.
        u: Potentials of all steps, (B, T, C, h, w).
        coming: Motion of P-frames 2 to T, (B, T − 1, 2, S, S); averaged over the cells of the map.
    """
    forecast = head(u[:, :-1].flatten(0, 1)).float()
    target = F.adaptive_avg_pool2d(coming.flatten(0, 1), forecast.shape[-2:])
    wrong, came = (forecast - target).square().sum(), target.square().sum()
    return torch.stack([wrong, came, torch.full_like(came, target.numel())])


def unexplained(found: Tensor, group: Group = ALONE) -> Tensor:
    """The share of the motion that the forecasts of all streams leave unexplained; 1 if they say that nothing moves.

    Its mean over the processes of a group is the share over the batch of all.

    Args:
        found: `errors` of each stream in this process, (streams, 3).
        group: The processes that share the batch.
    """
    wrong, came, numbers = found[:, 0], *group.total(found[:, 1:].detach().clone()).unbind(1)
    moving = came > LEAST_MOTION * numbers
    shares = group.size * wrong / came.where(moving, torch.ones_like(came))
    return shares.where(moving, torch.zeros_like(shares)).mean()
