"""All of `base` that `gpu.py` measures: clips, before the cut and cut, and training steps."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from gpu_halves import ANN_HALVES, EMULATOR, SPIKING_HALVES
from gpu_made import VIEWS, Case, Made, Run, agreement, crossed
from integers_on_device import whole_float32
from torch import Tensor

from hybridnet.errors import BackendError
from hybridnet.support.ahead import ahead
from hybridnet.support.arrays import Array
from hybridnet.training.data import ViewSet
from hybridnet.training.evaluate import CPU
from hybridnet.training.loop import Trainer
from hybridnet.training.neurons import keep_in_float32
from hybridnet.video import to_int8
from hybridnet.video.frontend import read_clip

CLIPS, STEPS = 4, 3
"""Clips of a run that reads them, training steps of a run."""

LEARNING_RATE = 1e-6
"""So small that training cannot diverge on clips of which nothing can be learned; a step takes as long at any rate."""


def clips(made: Made, spiking: str | None, ann: str | None) -> list[Case]:
    """Clips in torch before the cut, and cut, by what was fastest on the device of each half; None if nothing ran."""

    def cut(spiking: str | None) -> tuple[Run, str]:
        if spiking is None or ann is None:
            raise BackendError("no back-end of a half may run there")
        (_, readouts), half = SPIKING_HALVES[spiking](made), ANN_HALVES[ann](made)

        def logits() -> Array:
            return half({**made.views, **crossed(made.split, made.fixed, readouts())})

        return made.timed(logits), agreement(logits(), made.logits)

    memory, file = "clip, from memory", "clip, from file"
    return [
        Case(memory, "whole in torch, fp32", partial(whole_model, made, low=False)),
        Case(memory, "whole in torch, bf16", partial(whole_model, made, low=True)),
        Case(memory, f"cut: {EMULATOR}; {ann}", partial(cut, EMULATOR)),
        Case(memory, f"cut: {spiking}; {ann}", partial(cut, spiking)),
        Case(file, "whole in torch, fp32", partial(whole_model, made, low=False, read=True)),
        Case(file, "whole in torch, bf16", partial(whole_model, made, low=True, read=True)),
    ]


def whole_model(made: Made, *, low: bool, read: bool = False) -> tuple[Run, str]:
    """The model before it is cut, its ANN half in bfloat16 if `low`; with the reader, which overlaps, if `read`."""
    model = copy.deepcopy(made.model).to(made.device)
    if low:
        keep_in_float32(model, made.device.type)

    @torch.no_grad()
    def logits(views: Mapping[str, Tensor]) -> Array:
        with whole_float32(), torch.autocast(made.device.type, torch.bfloat16, enabled=low):
            return model(**{name: x.to(made.device) for name, x in views.items()}).float().cpu().numpy()

    def from_files() -> None:
        preprocess = made.experiment.model.preprocess
        clips = (read_clip(made.clip, preprocess, VIEWS).views.tensors() for _ in range(CLIPS))
        with closing(ahead(clips)) as ready:
            for views in ready:
                logits(views)

    views = {name: torch.from_numpy(values) for name, values in made.views.items()}
    seen = agreement(logits(views), made.whole)
    return (made.timed(from_files, CLIPS) if read else made.timed(lambda: logits(views))), seen


def training_steps(made: Made) -> list[Case]:
    """A step as `hybridnet train` takes it, in the config's own recipe but for its rate."""
    config = replace(made.experiment.training, learning_rate=LEARNING_RATE)
    low = config.mixed_precision and made.device.type == "cuda"

    def start(where: torch.device) -> tuple[Run, str]:
        views = repeated(made, config.batch_size * STEPS, where)
        trainer = Trainer(copy.deepcopy(made.model), config, views, None, device=made.device)

        def epoch() -> list[float]:
            ends: list[float] = []  # a step ends by reading its loss, for which it waits
            trainer.run_epoch(lambda what, done, total: ends.append(time.perf_counter()))
            return [float(ms) for ms in np.diff(ends) * 1e3]

        return epoch, "bf16, spikes in fp32" if low else "fp32"

    places = {"views in the host's memory": CPU}
    if made.device != CPU:
        places["views on the card"] = made.device
    return [Case("training step", how, partial(start, where), config.batch_size) for how, where in places.items()]


def repeated(made: Made, count: int, where: torch.device) -> ViewSet:
    """The clip's views again and again, as training keeps them, of each class in turn."""

    def again(values: Tensor) -> Tensor:
        return values.repeat(-(-count // VIEWS), *[1] * (values.ndim - 1))[:count].to(where)

    i_frame = again(torch.from_numpy(made.views["i_frame"]).half())
    motion_vectors, residuals = (
        again(torch.from_numpy(to_int8(made.views[name]))) for name in ("motion_vectors", "residuals")
    )
    numbers = torch.arange(count)
    return ViewSet(i_frame, motion_vectors, residuals, numbers % made.experiment.model.num_classes, numbers)
