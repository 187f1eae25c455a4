"""What an epoch did, and which one is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hybridnet.training.evaluate import Evaluation
from hybridnet.training.optimise import Weights


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did.

    Attributes:
        epoch: From 1.
        train_loss: Mean cross-entropy per view, smoothing included.
        train_accuracy: Share of training views, as they were augmented, that were right while they were learned.
        accuracy: Share of validation clips; None without validation.
        seconds: Evaluation included.
        learning_rate: Learning rate of the last step.
        unexplained_motion: Mean square error of the forecasts of the next motion, in units of the mean square of that
            motion (`hybridnet.training.forecast`); None without a forecast, or where nothing moves.
        spike_rate: Per spiking layer, share of neurons and steps that spike.
        leak: λ per spiking layer.
        threshold: vth per spiking layer.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    accuracy: float | None
    seconds: float
    learning_rate: float
    unexplained_motion: float | None = None
    spike_rate: dict[str, float] = field(default_factory=dict)
    leak: dict[str, float] = field(default_factory=dict)
    threshold: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Best:
    """The epoch that is kept, from 1; its evaluation on validation clips, None without any; and its weights."""

    epoch: int
    evaluation: Evaluation | None
    weights: Weights

    def plain(self) -> dict[str, Any]:
        """As plain values and the tensors themselves, which `dataclasses.asdict` would copy."""
        evaluation = None if self.evaluation is None else dataclasses.asdict(self.evaluation)
        return {"epoch": self.epoch, "evaluation": evaluation, "weights": self.weights}

    @staticmethod
    def from_plain(values: Mapping[str, Any]) -> Best:
        """What `plain` gave."""
        found = values["evaluation"]
        return Best(values["epoch"], None if found is None else Evaluation(**found), values["weights"])
