"""What can be chosen about Lava, and whether it can be had here. Imports no Lava, and nothing else that is heavy."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from hybridnet.errors import BackendError, ConfigError, MissingBackendError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hybridnet.program.spiking import AnyGraph

ConvModel = Literal["fast", "stock"]
"""Who adds up in Lava's `Conv` processes on the CPU: our compiled loop, with the same bits, or Lava's own SciPy."""

RunConfig = Literal["sim", "loihi2-hw"]
"""Lava's `Loihi2SimCfg`, which simulates on the CPU, or its `Loihi2HwCfg`, which runs on the chip."""

CONV_MODELS: tuple[ConvModel, ...] = get_args(ConvModel)
RUN_CONFIGS: tuple[RunConfig, ...] = get_args(RunConfig)

CHIP_MODELS = "lava.magma.core.model.nc"
"""The package of process models for the chip's cores; only Intel's extension has it."""


@dataclass(frozen=True)
class LavaOptions:
    """What a user can choose of `LavaBackend`: its `conv` and `run_config`."""

    lava_conv: ConvModel | None = field(
        default=None, metadata={"help": "who convolves in Lava, ours or Lava's own; equal bits (default: fast)"}
    )
    lava_config: RunConfig = field(
        default="sim", metadata={"help": "Lava on the CPU, or on the chip by Intel's extension (default: sim)"}
    )


def choose_conv(
    conv: ConvModel | None,
    run_config: RunConfig,
    programs: Sequence[AnyGraph],
) -> ConvModel:
    """Check what was chosen, and choose the model of `Conv` if nothing was.

    Raises:
        ConfigError: If a name is unknown, or the choices exclude each other.
        MissingBackendError: If Intel's extension is asked for and not installed.
        BackendError: If the chip is asked for and has no model of a neuron.
    """
    if conv not in (None, *CONV_MODELS):
        raise ConfigError("conv", conv, ", ".join(CONV_MODELS))
    if run_config not in RUN_CONFIGS:
        raise ConfigError("run_config", run_config, ", ".join(RUN_CONFIGS))
    if run_config == "loihi2-hw":
        _check_chip(conv, programs)
        return "stock"
    return conv or "fast"


def _check_chip(conv: ConvModel | None, programs: Sequence[AnyGraph]) -> None:
    from hybridnet.program.fixed_graph import FixedGraph

    if conv is not None:
        raise ConfigError("conv", conv, "none with loihi2-hw: the chip adds up by itself")
    if importlib.util.find_spec(CHIP_MODELS) is None:
        raise MissingBackendError(
            "Loihi2HwCfg needs Intel's extension of Lava for the chip, which is not installed",
            remedy="It is not public: Intel gave it to members of its research community (INRC). Without it, use sim",
        )
    for program in programs:
        if not isinstance(program, FixedGraph):
            raise ConfigError("fixed_point", False, "True with loihi2-hw: the chip has no floating point")
        for p in program.populations:
            if p.reset == "soft":
                raise BackendError(
                    "SoftResetLIF has no microcode for the chip",
                    where=p.name,
                    remedy="Use sim, or a model with hard reset, which stock LIF computes",
                )
