"""State dicts in the wrappings that trainings write, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

State = Mapping[str, Tensor]

HOLDERS: dict[str, Callable[[State], object]] = {
    "alone": dict,
    "state_dict": lambda state: {"state_dict": state, "epoch": 3},
    "model": lambda state: {"model": state, "best": 0.5, "args": {"lr": 0.1, "names": ["a", None]}},
    "model_state_dict": lambda state: {"model_state_dict": state, "loss": torch.tensor(0.1)},
    "net": lambda state: {"net": state},
    "ema": lambda state: {"ema": state, "step": 7},
    "model.state_dict": lambda state: {"model": {"state_dict": state}},
    "models.0": lambda state: {"models": [state]},
    "Lightning": lambda state: lightning(state),
}
"""What a dict around a state dict is called, and what may lie beside it."""

PREFIXES = ("", "module.", "_orig_mod.", "model.", "net.", "module._orig_mod.", "_orig_mod.module.", "model.module.",
            "any.common.prefix.", "_fsdp_wrapped_module.")  # fmt: skip
"""Wrappings of DDP, torch.compile, Lightning modules, FSDP, and several of them."""


def lightning(state: State) -> dict[str, Any]:
    """What a trainer of Lightning writes: hyperparameters, callbacks, optimizers and loops beside the state."""
    moments = [
        {"step": torch.tensor(3.0), "exp_avg": tensor + 1, "exp_avg_sq": tensor + 2} for tensor in state.values()
    ]
    return {
        "epoch": 2,
        "global_step": 600,
        "pytorch-lightning_version": "2.5.1",
        "state_dict": state,
        "loops": {"fit_loop": {"epoch_progress": {"total": {"ready": 3, "completed": 2}, "current": None}}},
        "callbacks": {"ModelCheckpoint{'monitor': 'loss'}": {"best_model_score": torch.tensor(0.2), "kth_value": None}},
        "optimizer_states": [{"state": dict(enumerate(moments)), "param_groups": [{"lr": 1e-3, "params": [0, 1]}]}],
        "lr_schedulers": [{"base_lrs": [0.001], "last_epoch": 2}],
        "hparams_name": "kwargs",
        "hyper_parameters": {"width": 3, "device": torch.device("cpu"), "dtype": torch.float32},
    }


def prefixed(state: State, prefix: str) -> dict[str, Tensor]:
    """With names that begin with `prefix`."""
    return {prefix + name: tensor for name, tensor in state.items()}


def small_net(seed: int = 0) -> nn.Module:
    """A convolution, a norm with buffers, and a module in a module."""
    torch.manual_seed(seed)
    inner = nn.ModuleDict({"linear": nn.Linear(3, 2)})
    return nn.ModuleDict({"conv": nn.Conv2d(2, 3, 3), "norm": nn.BatchNorm2d(3), "head": inner})
