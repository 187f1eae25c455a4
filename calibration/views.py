"""The views that scales are found on and parity is measured on: from clips, from arrays, or from tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from hybridnet.config import PreprocessConfig
from hybridnet.errors import ModelError
from hybridnet.support.arrays import read_samples
from hybridnet.support.files import temporary_folder
from hybridnet.support.inputs import Shapes, checked, checked_tensors
from hybridnet.support.progress import Progress
from hybridnet.support.statistics import evenly
from hybridnet.support.views import Views
from hybridnet.video.frontend import find_videos, read_clip
from hybridnet.video.synthetic import MADE, make_clip

MAX_CALIBRATION_CLIPS, VIEWS_PER_CLIP = 16, 4
"""Clips of a folder that are read, spread over it, and views of each clip."""

CALIBRATION_SEED = 3_000_000
"""Seed of the made clips used when no clips are given; training and validation use others."""

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Views, and where they came from."""

    views: Views
    source: str


def from_file(path: Path, shapes: Shapes, preprocess: PreprocessConfig | None, progress: Progress) -> Calibration:
    """A `.npz` file of arrays by input name, or a video, or a folder of videos.

    Raises:
        ModelError: If the arrays do not fit, or it is a video and the model takes arrays alone.
        VideoError: If there is no video, or it cannot be read.
    """
    if path.suffix == ".npz":
        return Calibration(checked(read_samples(path)[0], shapes, path), f"arrays of {path.resolve().name}")
    if preprocess is None:
        raise ModelError("is no .npz file, and the model takes no video", where=path, remedy="Give arrays by name")
    videos = find_videos(path)
    chosen = [videos[i] for i in evenly(len(videos), MAX_CALIBRATION_CLIPS)]
    source = f"{path.resolve().name} ({len(chosen)} of {len(videos)} clips)"
    return _from_clips(chosen, preprocess, source, progress)


def from_tensors(given: Tensors | Iterable[Tensors], shapes: Shapes) -> Calibration:
    """Tensors by input name, or several such sets one after another.

    Raises:
        ModelError: If they do not fit the model, or there are none.
    """
    sets = [given] if isinstance(given, Mapping) else list(given)
    if not sets:
        raise ModelError("no views were given", where="calibration", remedy="Give at least one set of inputs")
    return Calibration(
        Views.join(checked_tensors(each, shapes, "calibration") for each in sets), "tensors given to export"
    )


def from_made_set(preprocess: PreprocessConfig, labels: Sequence[str], progress: Progress) -> Calibration:
    """Views of made clips of what the model knows; see `known_set`."""
    with temporary_folder() as folder:
        made = known_set(labels)
        clips = make_calibration_clips(folder, preprocess, made, CALIBRATION_SEED)
        source = f"{made} set, seed {CALIBRATION_SEED} ({len(clips)} clips)"
        return _from_clips([*clips.values()], preprocess, source, progress)


def known_set(labels: Sequence[str] | None) -> str:
    """The set of `MADE` whose classes a model has, else the motion set."""
    return next((made for made, classes in MADE.items() if {*classes} == {*(labels or ())}), "motion")


def make_calibration_clips(folder: Path, preprocess: PreprocessConfig, made: str, seed: int) -> dict[str, Path]:
    """A clip of two GOPs of each class of a set of `MADE`, by class."""
    width, height = (preprocess.frame_width, preprocess.frame_height) if made == "motion" else preprocess.copy_size
    folder.mkdir(exist_ok=True)
    gop = preprocess.steps + 1
    return {
        each: make_clip(folder / f"{each}.avi", each, seed, frames=2 * gop, width=width, height=height, gop=gop)
        for each in MADE[made]
    }


def _from_clips(videos: Sequence[Path], preprocess: PreprocessConfig, source: str, progress: Progress) -> Calibration:
    clips = []
    for number, video in enumerate(videos):
        clips.append(read_clip(video, preprocess, VIEWS_PER_CLIP).views)
        progress("calibration clips", number + 1, len(videos))
    return Calibration(Views.join(clips), source)
