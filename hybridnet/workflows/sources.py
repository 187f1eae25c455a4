"""Reading what a bundle runs on: a video, arrays, or a `.npz` file of them; one reader for all workflows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hybridnet.config import DEFAULT_VIEWS
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import ConfigError
from hybridnet.report.record.data import ArraysRow, VideoRow
from hybridnet.support.arrays import Array, read_samples
from hybridnet.support.inputs import checked
from hybridnet.support.progress import Progress, silent
from hybridnet.support.views import Views
from hybridnet.video import TranscodePolicy
from hybridnet.video.frontend import read_clip

Source = str | Path | Mapping[str, Array] | Views
"""A video; samples, which are rows of the model's inputs by name, in a `.npz` file or as arrays; or views of a clip."""

ARRAYS_SUFFIX = ".npz"
"""A source with this suffix holds the model's inputs; any other is a video."""


@dataclass(frozen=True, eq=False)
class Read:
    """What was read: the rows of a video, or of arrays; the other of the two is None.

    Attributes:
        views: The model's inputs.
        view_ms: Host time of reading each view, (N,); None of arrays.
        open_ms: Host time of opening the clip, transcoding included.
        are_samples: Whether each view is a sample of its own, and not one of several of a clip.
        is_live: Whether the reader made the view of a live source, of which there is no row.
    """

    views: Views
    video: VideoRow | None
    arrays: ArraysRow | None
    view_ms: npt.NDArray[np.float64] | None
    open_ms: float
    are_samples: bool
    is_live: bool = False

    @property
    def is_clip(self) -> bool:
        """Whether the reader made the views."""
        return self.video is not None or self.is_live


def read_source(
    source: Source,
    bundle: Bundle,
    views: int | None = None,
    transcode: TranscodePolicy = "auto",
    progress: Progress = silent,
) -> Read:
    """Read the views of a clip, or check arrays, of which all views are taken.

    Args:
        source: A video; a `.npz` file, or arrays by the name of the model's input, (N, …) each; or views.
        bundle: Says what the model takes.
        views: GOPs sampled uniformly over a clip, DEFAULT_VIEWS if None; all of them if it has fewer.
        transcode: See `hybridnet.video.open_clip`.
        progress: Told after each view.

    Raises:
        ConfigError: If views are asked for of arrays.
        ModelError: If the arrays do not fit, or the model takes no video.
        VideoError: If the clip cannot be read.
    """
    if isinstance(source, Views):
        return Read(source, None, ArraysRow("views", len(source)), None, 0.0, are_samples=False)
    if not isinstance(source, Mapping) and Path(source).suffix != ARRAYS_SUFFIX:
        count = DEFAULT_VIEWS if views is None else views
        clip = read_clip(
            source,
            bundle.preprocess,
            count,
            transcode=transcode,
            residuals=bundle.reads_residuals,
            progress=progress,
        )
        return Read(clip.views, clip.video, None, clip.view_ms, clip.open_ms, are_samples=False)
    if views is not None:
        raise ConfigError("views", views, "none with arrays, of which all rows are run")
    given, name = (source, "arrays") if isinstance(source, Mapping) else (read_samples(Path(source))[0], str(source))
    found = checked(given, bundle.manifest.model.inputs, name)
    return Read(found, None, ArraysRow(name, len(found)), None, 0.0, are_samples=True)
