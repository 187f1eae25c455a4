"""The float model on calibration clips: what passes through it, and the views that candidates are run on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from hybridnet.calibration.cache import cached_observation
from hybridnet.calibration.clips import CalibrationClip
from hybridnet.calibration.observers import Observation, observation_of
from hybridnet.calibration.sequence import SearchView
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import ConfigError
from hybridnet.simulators.feed import Feed
from hybridnet.simulators.torch.graph_step import trace_graph
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress, silent
from hybridnet.support.statistics import evenly

SEARCH_VIEWS = 16
"""Views that candidates are run on, spread over the clips; ranges are those of all views."""


def observe_clips(
    bundle: Bundle, clips: Sequence[CalibrationClip], cache: Path | None = None, progress: Progress = silent
) -> Observation:
    """What all views of some clips hold, clip by clip.

    Raises:
        RangeError: If a value is not finite.
    """
    seen: Observation | None = None
    feed = Feed(bundle)
    for number, clip in enumerate(clips):
        progress("observing", number, len(clips))
        one = cached_observation(cache, bundle, clip, lambda clip=clip: _observe(bundle, feed, clip))  # type: ignore[misc]
        seen = one if seen is None else seen + one
    progress("observing", len(clips), len(clips))
    if seen is None:
        raise ConfigError("clips", 0, "1 or more")
    return seen


def _observe(bundle: Bundle, feed: Feed, clip: CalibrationClip) -> Observation:
    seen: Observation | None = None
    for view in clip.views:
        one = observation_of(bundle.program, _tensors(feed(view.arrays).inputs))
        seen = one if seen is None else seen + one
    if seen is None:
        raise ConfigError("views", 0, "1 or more")
    return seen


def search_views(bundle: Bundle, clips: Sequence[CalibrationClip], most: int = SEARCH_VIEWS) -> list[SearchView]:
    """At most so many views with their float states, spread over the clips."""
    views = [view for clip in clips for view in clip.views]
    chosen = [views[place] for place in evenly(len(views), most)]
    feed = Feed(bundle)
    fed = [feed(view.arrays).inputs for view in chosen]
    return [SearchView(one, trace_graph(bundle.program, _tensors(one))) for one in fed]


def _tensors(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    return {name: torch.from_numpy(values) for name, values in arrays.items()}
