"""The float model on calibration clips: what passes through it, and the views that candidates are run on."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from hybridnet.calibration.cache import cached_observation
from hybridnet.calibration.clips import CalibrationClip
from hybridnet.calibration.observation import Observation, observation_of
from hybridnet.calibration.sequence import SearchView
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import ConfigError
from hybridnet.partition.split import Split
from hybridnet.program.graph import GraphProgram
from hybridnet.simulators.feed import Feed
from hybridnet.simulators.torch.graph_step import trace_graph
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress, silent
from hybridnet.support.statistics import evenly
from hybridnet.support.views import Views

SEARCH_VIEWS = 16
"""Views that candidates are run on, spread over the clips; ranges are those of all views."""


def observe(split: Split, inputs: Mapping[str, Tensor]) -> Observation:
    """What N views hold that a model takes.

    Args:
        split: The model.
        inputs: Its inputs, (N, …) each.

    Raises:
        RangeError: If an input, current or potential is not finite.
    """
    count = len(next(iter(inputs.values())))
    views = ({name: tensor[n : n + 1] for name, tensor in inputs.items()} for n in range(count))
    return together(observation_of(split.program, split.fed(view)) for view in views)


def observe_clips(
    bundle: Bundle, clips: Sequence[CalibrationClip], cache: Path | None = None, progress: Progress = silent
) -> Observation:
    """What all views of some clips hold, clip by clip.

    Raises:
        RangeError: If a value is not finite.
    """
    feed = Feed(bundle)

    def seen_of(clip: CalibrationClip) -> Observation:
        return together(observation_of(bundle.program, tensors_of(feed(view.arrays).inputs)) for view in clip.views)

    def seen() -> Iterator[Observation]:
        for number, clip in enumerate(clips):
            progress("observing", number, len(clips))
            yield cached_observation(cache, bundle, clip, functools.partial(seen_of, clip))
        progress("observing", len(clips), len(clips))

    return together(seen())


def observe_arrays(program: GraphProgram, inputs: Mapping[str, Array]) -> Observation:
    """What N views hold that a program is fed.

    Args:
        program: In float.
        inputs: (N, T, C, H, W) by name, or (N, C, H, W) of a still one.

    Raises:
        RangeError: If a value is not finite.
    """
    return together(observation_of(program, tensors_of(view.arrays)) for view in Views(dict(inputs)))


def together(seen: Iterable[Observation]) -> Observation:
    """What was seen of all views."""
    every = list(seen)
    if not every:
        raise ConfigError("views", 0, "1 or more")
    return functools.reduce(operator.add, every)


def search_views(bundle: Bundle, clips: Sequence[CalibrationClip], most: int = SEARCH_VIEWS) -> list[SearchView]:
    """At most so many views with their float states, spread over the clips."""
    views = [view for clip in clips for view in clip.views]
    chosen = [views[place] for place in evenly(len(views), most)]
    feed = Feed(bundle)
    fed = [feed(view.arrays).inputs for view in chosen]
    return [SearchView(one, trace_graph(bundle.program, tensors_of(one))) for one in fed]


def tensors_of(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """The same numbers as tensors; not copied."""
    return {name: torch.from_numpy(values) for name, values in arrays.items()}
