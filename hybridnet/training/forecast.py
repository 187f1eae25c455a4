"""Predicting the motion vectors of the next P-frame from membrane potentials, beside the classes.

A 1×1 convolution per stream looks at u[t] of the last spiking layer and says how the motion vectors change from P-frame
t to t + 1. The labels are the clip's own next vectors; they ask a spiking modulator to hold what moves, and how fast.
Predicting motion as a second task: Huang et al., Self-supervised video representation learning by context and motion
decoupling, CVPR 2021 (arXiv 2104.00862). The convolution is of the training alone, and no checkpoint holds it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridnet.errors import ConfigError
from hybridnet.model.network import CHANNELS, HybridNet
from hybridnet.model.neuron import LIFState

LEAST_MOTION = 1e-6
"""Mean square of the vectors below which nothing moves, and there is nothing to explain."""


class Forecast(nn.Module):
    """A model and what predicts from its potentials.

    Raises:
        ConfigError: If it has no spiking layers, or a view one P-frame only.
    """

    def __init__(self, model: HybridNet) -> None:
        super().__init__()
        self.model = model
        stacks = model.stacks()
        if not stacks:
            raise ConfigError("forecast", "above 0", "0 for a model without spiking layers, whose potentials it reads")
        if model.config.preprocess.steps < 2:
            raise ConfigError("forecast", "above 0", "0 where a view has one P-frame, which no other follows")
        self._last = {name: stack.layers[-1] for name, stack in stacks.items()}
        self.heads = nn.ModuleDict(
            {name: nn.Conv2d(layer.geometry.out_channels, CHANNELS["mv"], 1) for name, layer in self._last.items()}
        )
        for parameter in self.heads.parameters():  # the first forecast is that nothing moves
            nn.init.zeros_(parameter)

    def forward(self, i_frame: Tensor, motion_vectors: Tensor, residuals: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, classes) of views, and the share of the next motion that stays unexplained, a number from 0.

        Args:
            i_frame: See `HybridNet.forward`; so for the others.
            motion_vectors: (B, T, 2, S, S), accumulated or not.
            residuals: (B, T, 3, S, S).
        """
        potentials: list[Tensor] = []  # in the order of the stacks, which may share their last layer
        hooks = [
            layer.register_forward_hook(lambda _layer, _inputs, state: potentials.append(_potential(state)))
            for layer in dict.fromkeys(self._last.values())
        ]
        try:
            logits = self.model(i_frame=i_frame, motion_vectors=motion_vectors, residuals=residuals)
        finally:
            for hook in hooks:
                hook.remove()
        accumulated = self.model.config.preprocess.accumulate
        coming = motion_vectors[:, 1:] - motion_vectors[:, :-1] if accumulated else motion_vectors[:, 1:]
        shares = [unexplained(head, u, coming) for head, u in zip(self.heads.values(), potentials, strict=True)]
        return logits, torch.stack(shares).mean()


def unexplained(head: nn.Module, u: Tensor, coming: Tensor) -> Tensor:
    """Mean square error of a forecast, in units of the mean square of what came; 1 for a forecast that nothing moves.

    Args:
        head: Predicts two channels from those of a map.
        u: Potentials of all steps, (B, T, C, h, w).
        coming: Motion of P-frames 2 to T, (B, T − 1, 2, S, S); averaged over the cells of the map.
    """
    forecast = head(u[:, :-1].flatten(0, 1)).float()
    target = F.adaptive_avg_pool2d(coming.flatten(0, 1), forecast.shape[-2:])
    return F.mse_loss(forecast, target) / target.square().mean().clamp_min(LEAST_MOTION)


def _potential(state: LIFState) -> Tensor:
    return state.u
