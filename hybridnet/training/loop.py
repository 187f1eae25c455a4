"""Training epoch by epoch: the recipe's steps, the best epoch on validation, and all that is needed to go on later."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from hybridnet.config import Experiment, TrainingConfig
from hybridnet.errors import CheckpointError, ConfigError, TrainingError
from hybridnet.model.network import HybridNet
from hybridnet.support.ahead import ahead
from hybridnet.support.progress import Progress, silent
from hybridnet.support.statistics import evenly
from hybridnet.training.augment import centre, draw, transform
from hybridnet.training.batches import Examples, Order, mean_logits
from hybridnet.training.data import LabelledViews
from hybridnet.training.evaluate import CPU, evaluate
from hybridnet.training.forecast import Forecast, unexplained
from hybridnet.training.group import ALONE, Group
from hybridnet.training.neurons import keep_in_float32, neuron_layers, spike_rates
from hybridnet.training.optimise import Weights, average_into, build_optimizer, copied, rate_at
from hybridnet.training.reports import Best, EpochReport

PROBE_VIEWS = 32
"""Views, spread over the validation set, on which spike rates are measured after each epoch."""


@dataclass(frozen=True, eq=False)
class Batch:
    """A process's part of a batch; `weight` makes the mean over processes that over the whole batch's examples."""

    inputs: dict[str, Tensor]
    examples: Examples
    label: Tensor
    weight: float


class Trainer:
    """A model in training, between two epochs.

    Args:
        model: Trained in place, on `device`.
        config: The recipe.
        training: What is learned.
        validation: What chooses the epoch; without it the last epoch is kept.
        device: Where to compute.
        group: The processes that train together; each calls everything here.
    """

    def __init__(
        self,
        model: HybridNet,
        config: TrainingConfig,
        training: LabelledViews,
        validation: LabelledViews | None,
        *,
        device: torch.device = CPU,
        group: Group = ALONE,
    ) -> None:
        if group.size > 1 and model.config.stm.batch_norm:
            raise ConfigError("stm.batch_norm", True, "false with several processes, which would each normalise alone")
        self.model, self.config, self.device, self._group = model.to(device), config, device, group
        self._training, self._validation = training, validation
        Experiment(model.config, config)  # refuses a recipe that this model cannot follow
        self._low_precision = config.mixed_precision and device.type == "cuda"
        if self._low_precision:
            keep_in_float32(model, device.type)
        self._forecast = Forecast(model).to(device) if config.forecast else None
        self._net: nn.Module = self._forecast or model
        self._optimizer = build_optimizer(self._net, config)
        if group.size > 1:
            # Gradients of a 1×1 kernel may lie channels-last: they are copied, and torch warns of that.
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
            self._net = DistributedDataParallel(self._net, device_ids=[device.index] if device.type == "cuda" else None)
            if group.rank:  # dropout differs from process to process
                torch.manual_seed(config.seed + 1_000_003 * group.rank)
        self._average = copied(model.state_dict()) if config.ema_decay else None
        self._generator = torch.Generator().manual_seed(config.seed)
        self._order = Order(training, config, self._generator)
        self._steps = self._order.steps
        self.reports: list[EpochReport] = []
        self.best: Best | None = None

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.reports)

    @property
    def weights(self) -> Weights:
        """What is evaluated and kept: the weights, or their average."""
        return self.model.state_dict() if self._average is None else self._average

    def run_epoch(self, progress: Progress = silent) -> EpochReport:
        """One pass over the training views, and the evaluation after it.

        Raises:
            TrainingError: If it diverges.
        """
        started, first = time.perf_counter(), self.epoch * self._steps
        totals = torch.zeros(5, dtype=torch.float64)  # loss, right ones, unexplained motion, motion, views
        self.model.train()
        with closing(ahead(self._batches())) as batches:
            for number, batch in enumerate(batches):
                totals += self._step(first + number, batch)
                progress(f"epoch {self.epoch + 1}/{self.config.epochs}", number + 1, self._steps)
        loss, right, missed, moved, views = self._group.total(totals.to(self.device)).tolist()
        with self._kept_weights():
            result = None
            if self._validation is not None:
                result = evaluate(self.model, self._validation, device=self.device, group=self._group)
            report = EpochReport(
                epoch=self.epoch + 1,
                train_loss=loss / views,
                train_accuracy=right / views,
                unexplained_motion=missed / moved if moved else None,
                accuracy=None if result is None else result.accuracy,
                seconds=time.perf_counter() - started,
                learning_rate=self._optimizer.param_groups[0]["lr"],
                spike_rate=spike_rates(self.model, self._probe()),
                leak={name: layer.leak.item() for name, layer in neuron_layers(self.model).items()},
                threshold={name: layer.threshold.item() for name, layer in neuron_layers(self.model).items()},
            )
        best = None if self.best is None else self.best.evaluation
        if result is None or best is None or result.accuracy >= best.accuracy:
            self.best = Best(report.epoch, result, copied(self.weights))
        self.reports.append(report)
        return report

    def state(self) -> dict[str, Any]:
        """Everything that `restore` needs, as tensors and plain values; of all processes, the same in each."""
        own = torch.get_rng_state().to(self.device)
        cuda = torch.cuda.get_rng_state(self.device).to(self.device) if self.device.type == "cuda" else None
        return {
            "processes": self._group.size,
            "device": self.device.type,
            "model": self.model.state_dict(),
            "forecast": None if self._forecast is None else self._forecast.heads.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self._average,
            "order_rng": self._generator.get_state(),
            "rng": self._group.gather(own).cpu(),
            "cuda_rng": None if cuda is None else self._group.gather(cuda).cpu(),
            "reports": [dataclasses.asdict(report) for report in self.reports],
            "best": None if self.best is None else self.best.plain(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken, with the same result.

        Raises:
            ConfigError: If it was taken with another number of processes or on another kind of device.
            CheckpointError: If it does not fit the model.
        """
        try:
            self._restore(state)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
            if isinstance(error, ConfigError):
                raise
            reason = str(error).strip().splitlines()[0][:120]
            raise CheckpointError(f"the state to go on from is damaged ({reason})", remedy="Train anew") from error

    def _restore(self, state: Mapping[str, Any]) -> None:
        for name, own in {"processes": self._group.size, "device": self.device.type}.items():
            if state[name] != own:
                raise ConfigError(name, own, f"{state[name]}, as before the interruption")
        self.model.load_state_dict(state["model"])
        if self._forecast is not None:
            self._forecast.heads.load_state_dict(state["forecast"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._average is not None:
            self._average = {name: tensor.to(self.device) for name, tensor in state["average"].items()}
        self._generator.set_state(state["order_rng"])
        torch.set_rng_state(state["rng"][self._group.rank].clone())  # of a row, not a copy, torch crashes
        if state["cuda_rng"] is not None:
            torch.cuda.set_rng_state(state["cuda_rng"][self._group.rank].clone(), self.device)
        self.reports = [EpochReport(**report) for report in state["reports"]]
        self.best = Best.from_plain(state["best"])

    def _batches(self) -> Iterator[Batch]:
        """This process's part of every batch of an epoch, in an order that the seed decides."""
        config, group = self.config, self._group
        side = self.model.config.preprocess.crop
        for drawn in self._order.epoch():
            own, share = drawn.share(group)
            weight = own.count * group.size / drawn.count if drawn.count > group.rank else 0.0
            inputs = {name: values.to(self.device) for name, values in self._training.batch(own.views).items()}
            if config.augment.active:
                stored = inputs["i_frame"].shape[-1]
                geometry = draw(drawn.count, stored, side, config.augment, self._generator)[share][own.owner]
                inputs = transform(inputs, geometry.to(self.device), side)
            yield Batch(inputs, own, self._training.label[own.first()].to(self.device), weight)

    def _step(self, step: int, batch: Batch) -> Tensor:
        """One step; sums of loss, right answers, unexplained motion, motion and views, (5,), float64, on the CPU.

        Raises:
            TrainingError: If the gradient is not finite; the weights are then those before the step.
        """
        config = self.config
        for group in self._optimizer.param_groups:
            group["lr"] = config.learning_rate * rate_at(step, self._steps, config)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._low_precision):
            found = self._net(**batch.inputs)
            logits, missed = (found, torch.zeros(1, 3)) if self._forecast is None else found
            logits = mean_logits(logits.float(), batch.examples)
        loss = F.cross_entropy(logits, batch.label, label_smoothing=config.label_smoothing)
        missed = missed * float(batch.weight > 0)
        asked = loss if batch.weight == 1 else loss * batch.weight
        if self._forecast is not None:
            asked = asked + config.forecast * unexplained(missed, self._group)
        self._optimizer.zero_grad()
        asked.backward()
        norm = nn.utils.clip_grad_norm_(self._net.parameters(), config.clip_norm).item()
        if not math.isfinite(norm):  # of the mean over processes, so that all of them stop here
            raise TrainingError(
                f"training diverged: the loss is {loss.item():g}, the length of its gradient {norm:g}",
                where=f"epoch {self.epoch + 1}, step {step % self._steps + 1}",
                remedy="Lower learning_rate (--recipe FILE), or look for damage in the data",
            )
        self._optimizer.step()
        if self._average is not None:
            average_into(self._average, self.model.state_dict(), config.ema_decay, step)
        counted = len(batch.label) if batch.weight else 0
        right = (logits.argmax(1) == batch.label).sum().item() if counted else 0
        wrong, came, _ = missed.detach().sum(0).tolist()
        return torch.tensor([loss.item() * counted, right, wrong, came, counted], dtype=torch.float64)

    def _probe(self) -> dict[str, Tensor]:
        views = self._training if self._validation is None else self._validation
        index = torch.tensor(evenly(len(views), PROBE_VIEWS))
        found = centre(views.batch(index), self.model.config.preprocess.crop)
        return {name: values.to(self.device) for name, values in found.items()}

    @contextmanager
    def _kept_weights(self) -> Iterator[None]:
        """The model with the weights that would be kept."""
        if self._average is None:
            yield
            return
        learned = copied(self.model.state_dict())
        self.model.load_state_dict(self._average)
        try:
            yield
        finally:
            self.model.load_state_dict(learned)


def train(
    model: HybridNet,
    config: TrainingConfig,
    training: LabelledViews,
    validation: LabelledViews | None,
    *,
    state: Mapping[str, Any] | None = None,
    device: torch.device = CPU,
    group: Group = ALONE,
    progress: Progress = silent,
    on_epoch: Callable[[EpochReport], None] = lambda report: None,
    keep: Callable[[Trainer], None] = lambda trainer: None,
) -> Best:
    """Train `model` in place, leave it with the weights of its best epoch on validation, and return that epoch.

    Without validation it is the last epoch.

    Args:
        state: What `Trainer.state` gave after an epoch of the same training, to go on from there.
        on_epoch: Told after each epoch, in each process.
        keep: Given the trainer after each epoch, before `on_epoch`, to save it; in each process.

    Raises:
        TrainingError: If it diverges.
    """
    trainer = Trainer(model, config, training, validation, device=device, group=group)
    if state is not None:
        trainer.restore(state)
    while trainer.epoch < config.epochs:
        report = trainer.run_epoch(progress)
        keep(trainer)
        on_epoch(report)
    if trainer.best is None:
        raise ValueError("training needs at least one epoch")
    model.load_state_dict(trainer.best.weights)
    model.eval()
    return trainer.best
