"""The small model in every variant that the config can say, by name."""

from __future__ import annotations

import dataclasses
from typing import Any

from helpers.small_model import SMALL

from hybridnet.config import ModelConfig


def variant(**changes: Any) -> ModelConfig:
    """The small model with other fields; those of `stm` as a dict."""
    stm = dataclasses.replace(SMALL.stm, **changes.pop("stm", {}))
    return dataclasses.replace(SMALL, stm=stm, **changes)


DEPLOYABLE = {
    "reference": SMALL,
    "mv": variant(modalities=("mv",)),
    "r": variant(modalities=("r",)),
    "i-mv": variant(modalities=("i", "mv")),
    "i-r": variant(modalities=("i", "r")),
    "mv-r": variant(modalities=("mv", "r")),
    "separate": variant(encoder="separate"),
    "cross": variant(encoder="cross"),
    "common": variant(stm={"kind": "common"}),
    "common-mv": variant(stm={"kind": "common"}, modalities=("i", "mv")),
    "fixed-leak": variant(stm={"learn_leak": False}),
    "fixed-threshold": variant(stm={"learn_threshold": False}),
    "fixed": variant(stm={"learn_leak": False, "learn_threshold": False}),
    "hard": variant(stm={"reset": "hard"}),
    "batch-norm": variant(stm={"batch_norm": True}),
    "common-norm-hard": variant(stm={"kind": "common", "batch_norm": True, "reset": "hard"}),
    "one-layer": variant(stm={"channels": (4,), "strides": (2,)}),
    "no-mixer": variant(mixer=False),
    "no-skips": variant(skips=False),
    "no-rrdb": variant(rrdb_blocks=0),
    "class-token": variant(pooling="class_token"),
    "class-token-no-mixer": variant(pooling="class_token", mixer=False),
}
"""Those whose spiking half can leave for the chip."""

REFUSED = {
    "i": ("R101", variant(modalities=("i",))),
    "no-stm": ("R101", variant(stm={"kind": "none"})),
    "convlstm": ("R108", variant(stm={"kind": "convlstm"})),
    "ls-t-gs": ("R102", variant(order="ls-t-gs")),
    "ls-gs-t": ("R102", variant(order="ls-gs-t")),
    "ls-t-gs-common": ("R102", variant(order="ls-t-gs", stm={"kind": "common"})),
    "ls-t-gs-convlstm": ("R108", variant(order="ls-t-gs", stm={"kind": "convlstm"})),
    "ls-gs-t-mv": ("R102", variant(order="ls-gs-t", modalities=("mv",))),
    "ls-gs-t-no-stm": ("R101", variant(order="ls-gs-t", stm={"kind": "none"})),
}
"""Those that are all ANN, or spike behind an ANN, with the placement rule that says so."""

VARIANTS = DEPLOYABLE | {name: config for name, (_, config) in REFUSED.items()}
