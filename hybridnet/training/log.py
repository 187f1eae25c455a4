"""What can be looked at while a run goes on: `log.jsonl`, and TensorBoard's files where that is installed."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hybridnet.errors import BackendError
from hybridnet.support.files import write_text
from hybridnet.support.optional import PACKAGES, importing
from hybridnet.training.reports import EpochReport

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG, BOARD = "log.jsonl", "tensorboard"


class EpochLog:
    """Writes each epoch's report: a line of `log.jsonl`, and scalars.

    Args:
        folder: Where.
        done: Epochs of before the interruption. Without any, what another run left is replaced by the first epoch.
    """

    def __init__(self, folder: Path, done: Sequence[EpochReport] = ()) -> None:
        self._folder, self._reports = folder, list(done)
        self._board: SummaryWriter | None = None
        self.notes: tuple[str, ...] = ()
        """What is not written, and why."""
        try:
            with importing(PACKAGES["tensorboard"]):
                import torch.utils.tensorboard  # noqa: F401
        except BackendError as error:
            self.notes = (f"no TensorBoard files: {error}",)

    def write(self, report: EpochReport) -> None:
        """One more epoch; the file is whole at any time."""
        if self._board is None and not self.notes:
            from torch.utils.tensorboard import SummaryWriter

            if not self._reports:
                shutil.rmtree(self._folder / BOARD, ignore_errors=True)
            self._board = SummaryWriter(str(self._folder / BOARD), purge_step=len(self._reports) + 1)
        self._reports.append(report)
        lines = [json.dumps(dataclasses.asdict(each)) + "\n" for each in self._reports]
        write_text(self._folder / LOG, "".join(lines))
        if self._board is not None:
            for name, value in scalars(report).items():
                self._board.add_scalar(name, value, report.epoch)
            self._board.flush()

    def close(self) -> None:
        """No more epochs."""
        if self._board is not None:
            self._board.close()


def scalars(report: EpochReport) -> dict[str, float]:
    """Its numbers by name, such as `spike_rate/mv.0`."""
    numbers: dict[str, float] = {}
    for name, value in dataclasses.asdict(report).items():
        if isinstance(value, dict):
            numbers |= {f"{name}/{layer}": number for layer, number in value.items()}
        elif value is not None and name != "epoch":
            numbers[name] = value
    return numbers


def as_line(report: EpochReport) -> str:
    """One line for a terminal."""
    validation = "" if report.accuracy is None else f", validation accuracy {report.accuracy:.1%}"
    left = report.unexplained_motion
    forecast = "" if left is None else f", next motion unexplained {left:.1%}"
    parts = [
        f"epoch {report.epoch}: loss {report.train_loss:.3f}, training {report.train_accuracy:.1%}"
        f"{validation}{forecast}, {report.seconds:.0f} s"
    ]
    if report.spike_rate:
        parts += [
            "spikes " + " ".join(f"{name} {rate:.1%}" for name, rate in report.spike_rate.items()),
            "λ " + " ".join(f"{value:.3f}" for value in report.leak.values()),
            "vth " + " ".join(f"{value:.3f}" for value in report.threshold.values()),
        ]
    return "; ".join(parts)
