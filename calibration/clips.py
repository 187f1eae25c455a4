"""Clips to calibrate on: read, looked at for what makes a calibration worthless, and some of them held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hybridnet.calibration.views import CALIBRATION_SEED, Calibration, known_set, make_calibration_clips
from hybridnet.config import PreprocessConfig
from hybridnet.errors import ConfigError, ModelError, VideoError
from hybridnet.report.record.data import VideoRow
from hybridnet.support.arrays import read_array, read_samples
from hybridnet.support.files import temporary_folder
from hybridnet.support.inputs import LEAST_CLIPS, Shapes, checked, checked_labels
from hybridnet.support.progress import Progress
from hybridnet.support.sealed import sha256_file
from hybridnet.support.statistics import evenly
from hybridnet.support.views import Views
from hybridnet.video.frontend import find_videos, read_clip
from hybridnet.video.synthetic import MADE

FEW_CLIPS = 12
"""Fewer are warned of."""

FEW_HELD_OUT = 30
"""Fewer held-out views are warned of."""

MADE_SEEDS = 3
"""Clips of each class that a calibration without clips makes."""

HELD_OUT = 3
"""Every third clip is held out."""


@dataclass(frozen=True, eq=False)
class CalibrationClip:
    """One clip, or one view of arrays.

    Attributes:
        name: Its path, or number.
        label: Index of its class; None if that is not known.
        views: Its N views.
        sha256: SHA-256 of its file; empty for arrays.
    """

    name: str
    label: int | None
    views: Views
    sha256: str


@dataclass(frozen=True, eq=False)
class ClipSet:
    """What was read.

    Attributes:
        searched: Clips that integers are found on.
        held_out: Clips that nothing is found on.
        warnings: What is odd about them.
    """

    source: str
    searched: tuple[CalibrationClip, ...]
    held_out: tuple[CalibrationClip, ...]
    warnings: tuple[str, ...]

    @property
    def clips(self) -> tuple[CalibrationClip, ...]:
        """All of them."""
        return (*self.searched, *self.held_out)

    def together(self, clips: Sequence[CalibrationClip]) -> Calibration:
        """The views of some clips one after another."""
        return Calibration(Views.join(clip.views for clip in clips), self.source)


def read_clips(
    path: Path | None,
    shapes: Shapes,
    preprocess: PreprocessConfig | None,
    labels: tuple[str, ...] | None,
    *,
    spiking: Sequence[str],
    most: int,
    views: int,
    truth: Path | None = None,
    progress: Progress,
) -> ClipSet:
    """Read clips of a folder, views of a `.npz` file, or, without either, made clips of what the model knows.

    Args:
        path: A folder of videos, a `.npz` file of arrays by input name; None for made clips.
        shapes: The model's inputs.
        preprocess: How clips become inputs; None if the model takes arrays alone.
        labels: The model's classes; a clip in a folder of that name is of that class.
        truth: A `.npy` file of the class of each row of arrays; None if they have none, or hold it themselves.
        spiking: Inputs of the spiking half, which must move.
        most: Clips read at most, spread over the folder.
        views: Read of each clip at most.
        progress: Told after each clip.

    Raises:
        HybridNetError: If there are fewer than LEAST_CLIPS usable ones, or none at all.
    """
    if most < LEAST_CLIPS or views < 1:
        raise ConfigError("clips, views", (most, views), f"{LEAST_CLIPS} or more clips and 1 or more views")
    warnings: list[str] = []
    arrays = path is not None and path.suffix == ".npz"
    if truth is not None and not arrays:
        raise ConfigError("labels", str(truth), "with --clips FILE.npz; folders of class folders tell theirs")
    if path is not None and arrays:
        clips, source = _of_arrays(path, shapes, labels, truth, most), f"{{usable}} views of {path.resolve().name}"
    elif preprocess is None:
        raise ModelError("the model takes no video", where=path or "--clips", remedy="Give a .npz file of its inputs")
    elif path is None:
        clips, source = _of_made_set(preprocess, labels, progress)
    elif not path.exists():
        raise VideoError("does not exist", where=path, remedy="--clips takes a folder of videos or a .npz file")
    else:
        found = find_videos(path)
        chosen = [found[i] for i in evenly(len(found), most)]
        clips = _read(chosen, preprocess, labels, views, warnings, progress)
        source = f"{path.resolve().name} ({{usable}} of {len(found)} clips)"  # not where it lies on this machine
    usable = [clip for clip in clips if not _still(clip, spiking, warnings)]
    if len(usable) < LEAST_CLIPS:
        why = f" ({'; '.join(warnings)})" if warnings else ""
        what, that = ("rows", "that are not all zero") if arrays else ("clips", "in which something moves")
        raise (ModelError if arrays else VideoError)(
            f"{LEAST_CLIPS} usable {what} or more are needed to calibrate on, and there are {len(usable)}{why}",
            where=path or "made clips",
            remedy=f"Give {LEAST_CLIPS} or more {what} {that}; {FEW_CLIPS} or more are better",
        )
    if len(usable) < FEW_CLIPS:
        warnings.append(
            f"clips that can be used: only {len(usable)}; the figures are rough, {FEW_CLIPS} or more are better"
        )
    held_out = usable[HELD_OUT - 1 :: HELD_OUT]
    searched = [clip for clip in usable if clip not in held_out]
    if (measured := sum(len(clip.views) for clip in held_out)) < FEW_HELD_OUT:
        warnings.append(
            f"held-out views: only {measured}, on which all losses are measured; {FEW_HELD_OUT} or more are better"
        )
    return ClipSet(source.replace("{usable}", str(len(usable))), tuple(searched), tuple(held_out), tuple(warnings))


def _of_arrays(
    path: Path, shapes: Shapes, labels: tuple[str, ...] | None, truth: Path | None, most: int
) -> list[CalibrationClip]:
    arrays, own = read_samples(path)
    views = checked(arrays, shapes, path)
    if truth is not None and own is not None:
        raise ConfigError("labels", str(truth), f"none, as {path} has an array of them")
    given = own if truth is None else read_array(truth)
    if truth is not None and labels is None:
        raise ConfigError("labels", str(truth), "none, as the model has no classes")
    known = None if given is None or labels is None else checked_labels(given, len(views), len(labels), truth or path)
    return [
        CalibrationClip(f"view {n}", None if known is None else known[n], views[n], "")
        for n in evenly(len(views), most)
    ]


def _of_made_set(
    preprocess: PreprocessConfig, labels: tuple[str, ...] | None, progress: Progress
) -> tuple[list[CalibrationClip], str]:
    """Three clips of each class, of seeds that neither training nor testing uses."""
    clips: list[CalibrationClip] = []
    made = known_set(labels)
    with temporary_folder() as folder:
        for seed in range(CALIBRATION_SEED, CALIBRATION_SEED + MADE_SEEDS):
            for each, video in make_calibration_clips(folder / f"{seed}", preprocess, made, seed).items():
                label = labels.index(each) if labels is not None and each in labels else None
                two = read_clip(video, preprocess, 2).views
                clips.append(CalibrationClip(f"{each}, seed {seed}", label, two, sha256_file(video)))
                progress("calibration clips", len(clips), MADE_SEEDS * len(MADE[made]))
    return clips, f"{made} set, {MADE_SEEDS} seeds from {CALIBRATION_SEED} ({{usable}} clips)"


def _read(
    videos: Sequence[Path],
    preprocess: PreprocessConfig,
    labels: tuple[str, ...] | None,
    views: int,
    warnings: list[str],
    progress: Progress,
) -> list[CalibrationClip]:
    """Read the clips that can be read, and warn of the others."""
    clips: list[CalibrationClip] = []
    for number, video in enumerate(videos):
        try:
            read = read_clip(video, preprocess, views)
        except VideoError as error:
            warnings.append(f"{video.name} was left out: {error.what}")
            continue
        finally:
            progress("calibration clips", number + 1, len(videos))
        warnings.extend(_oddities(video.name, read.video, preprocess))
        name = video.parent.name
        label = labels.index(name) if labels is not None and name in labels else None
        clips.append(CalibrationClip(str(video), label, read.views, sha256_file(video)))
    return clips


def _oddities(name: str, video: VideoRow, preprocess: PreprocessConfig) -> list[str]:
    found = []
    if video.width < preprocess.frame_width or video.height < preprocess.frame_height:
        found.append(
            f"{name} is {video.width}×{video.height} and was enlarged to"
            f" {preprocess.frame_width}×{preprocess.frame_height}: its motion is not what the model will see"
        )
    if video.corrupt_frames:
        found.append(f"{name} has {video.corrupt_frames} damaged frames")
    return found


def _still(clip: CalibrationClip, spiking: Sequence[str], warnings: list[str]) -> bool:
    """Whether all inputs of the spiking half hold nothing but zeros; a clip of one colour, or of one picture."""
    still = not any(clip.views.arrays[name].any() for name in spiking)
    if still:
        moves = "nothing moves, " if clip.sha256 else ""
        warnings.append(f"{Path(clip.name).name} was left out: {moves}{' and '.join(spiking)} are all zero")
    return still
