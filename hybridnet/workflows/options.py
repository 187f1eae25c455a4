"""What can be chosen about each workflow; the command line takes its options and their defaults from here.

Imports nothing heavy, so that `--help` is quick.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hybridnet.config import DEFAULT_VIEWS
from hybridnet.deploy.chip import DEFAULT_CHIP
from hybridnet.deploy.layout import OPSET
from hybridnet.errors import ConfigError
from hybridnet.report.pricing import DEFAULT_PROFILE
from hybridnet.simulators.options import Settings
from hybridnet.simulators.registry import DEFAULT_ANN, DEFAULT_SNN, SIDES

if TYPE_CHECKING:
    from torch import Tensor

    from hybridnet.config import PreprocessConfig
    from hybridnet.video import TranscodePolicy

IN_PYTHON = "hybridnet, from Python"
"""Kept in a result as the command that made it, where nobody typed one."""


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """How a model becomes a bundle.

    Attributes:
        labels: One name per class, of a module that returns logits (N, classes); a checkpoint brings its own.
        calibrate: Finds the fixed-point scales and measures parity: inputs by name, (N, …), several such sets, a `.npz`
            file, a video or a folder of them. If None, made clips of what it knows, or a module's example inputs.
        preprocess: How clips become the reference model's inputs; see `hybridnet.workflows.foreign.video_preprocess`.
        name: The name of a module in the manifest and in records; the class's name if None.
        opset: ONNX opset of the ANN half.
        parity: Also compare the emulator with this back-end on one view, in every bit: `lava`.
        strict: Refuse a model of which not all spiking layers can be placed on the chip.
        keep_on_host: Patterns, such as `head.*`, of spiking layers that stay with the host.
        overwrite: Replace the folder if it holds a bundle.
    """

    labels: Iterable[str] | None = None
    calibrate: Mapping[str, Tensor] | Iterable[Mapping[str, Tensor]] | str | Path | None = None
    preprocess: PreprocessConfig | None = None
    name: str | None = None
    opset: int = OPSET
    parity: str | None = None
    strict: bool = False
    keep_on_host: Sequence[str] | None = None
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions:
    """What a calibration does.

    Attributes:
        clips: A video or a folder of videos, or a `.npz` file of the model's inputs; made clips if None.
        labels: A `.npy` file of the class of each row of the latter, unless it has an array `labels` itself.
        most_clips: Clips read at most, spread over the folder; every third is held out.
        views: Views read of each clip at most.
        ann: `int8` also writes the ANN half in int8.
        scales: A bundle whose scales are kept instead of a search: its integers too, if it is of the same model.
        search_bridge: Also find the fewest bits per bridge tensor that keep top-1.
        max_top1_drop: Points of accuracy (without classes, per cent of changed top-1) that held-out clips may lose.
        min_sqnr_db: Least SQNR of u[T] that is read out. The bundle is written even if this or the last check fails.
        parity: Also compare the emulator with this back-end on one view, in every bit: `lava`.
        cache: Folder for what was observed of each clip, so that an interrupted calibration goes on.
        overwrite: Replace the folder if it holds a bundle.
    """

    clips: str | Path | None = None
    labels: Path | None = None
    most_clips: int = 32
    views: int = 4
    ann: Literal["fp32", "int8"] = "fp32"
    scales: Path | None = None
    search_bridge: bool = False
    max_top1_drop: float | None = None
    min_sqnr_db: float | None = None
    parity: str | None = None
    cache: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True, kw_only=True)
class SimulateOptions:
    """How a bundle runs, and how its run is counted and priced.

    Attributes:
        snn: Back-end of the spiking half, by its name in `hybridnet.simulators.registry`; None for its `default_snn`.
        ann: Back-end of the ANN half.
        settings: Options of either back-end by name, such as `{"threads": 2}`; `hybridnet simulate --help` lists them.
        views: GOPs sampled uniformly over a clip, all if it has fewer, DEFAULT_VIEWS if None; arrays run whole.
        transcode: When a clip is transcoded before it is read; see `hybridnet.video.open_clip`.
        profile: Energy profile, by name or path.
        ann_profile: Another one of the ANN half; the record says that technologies are mixed.
        chip: Whose time and fit are estimated, by name or path of its profile.
        top_k: Classes listed in the record.
        parity: Also run the float program, untimed, and report how far this run is from it, unless it is this run.
        measure: Also measure joules of both halves, where the machine has a meter.
        pictures: Keep small pictures of one view in the record, for its page.
        command: Kept in the record.
    """

    snn: str | None = None
    ann: str = DEFAULT_ANN
    settings: Settings = field(default_factory=dict)
    views: int | None = None
    transcode: TranscodePolicy = "auto"
    profile: str = DEFAULT_PROFILE
    ann_profile: str | None = None
    chip: str = DEFAULT_CHIP
    top_k: int = 5
    parity: bool = True
    measure: bool = False
    pictures: bool = True
    command: str = IN_PYTHON

    def __post_init__(self) -> None:
        if not self.top_k > 0:
            raise ConfigError("top_k", self.top_k, "greater than 0")


@dataclass(frozen=True, kw_only=True)
class WatchOptions:
    """How a live source is watched.

    Attributes:
        snn: Back-end in fixed point, which runs when a GOP is complete; None computes each step as its frame comes.
        ann: Back-end of the ANN half.
        settings: Options of the back-ends by name.
        profile: Energy profile.
        smooth: GOPs over which scores are averaged, the last one included.
        policy: What is done while the machine is too slow: `drop` leaves out waiting GOPs but the newest and counts
            them, `queue` runs all of them, later and later.
        transcode: When frames are encoded anew as they come; see `hybridnet.video.open_live`.
        input_format: FFmpeg's name of the source's format: of a camera `v4l2`, `avfoundation` or `dshow`.
        idle_s: Seconds without growth after which a file has ended.
        limit_s: Seconds without a frame after which a source is taken for lost.
        reconnect: Open an address or a camera again when it is lost, later and later up to RECONNECT_S seconds.
        on_class: A class whose coming runs `exec_command`.
        exec_command: A command and its arguments, run each time that the class becomes `on_class`.
        keep_last: Keep the last GOP, for `Watcher.record`.
    """

    snn: str | None = None
    ann: str = DEFAULT_ANN
    settings: Settings = field(default_factory=dict)
    profile: str = DEFAULT_PROFILE
    smooth: int = 1
    policy: Literal["drop", "queue"] = "drop"
    transcode: TranscodePolicy = "auto"
    input_format: str | None = None
    idle_s: float = 10.0
    limit_s: float = 30.0
    reconnect: bool = True
    on_class: str | None = None
    exec_command: str | None = None
    keep_last: bool = False

    def __post_init__(self) -> None:
        if self.smooth < 1:
            raise ConfigError("smooth", self.smooth, "1 or more")
        if (self.on_class is None) != (self.exec_command is None):
            raise ConfigError("on-class, exec", "one of them", "both or neither")


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Which two sides of the spiking half are compared, and what counts as equal.

    Attributes:
        a: A back-end by name, or the `.npz` file of a recording; see `hybridnet.workflows.compare.recording`.
        b: The other.
        views: GOPs sampled uniformly over a clip, DEFAULT_VIEWS if None; all windows of arrays are run.
        tolerance: See `hybridnet.simulators.divergence.find.find`.
        transcode: When a clip is transcoded before it is read.
        command: Kept in the result.
    """

    a: str = SIDES[0]
    b: str = SIDES[1]
    views: int | None = None
    tolerance: float | None = None
    transcode: TranscodePolicy = "auto"
    command: str = IN_PYTHON


@dataclass(frozen=True, kw_only=True)
class ExploreOptions:
    """Where variants of a spiking half are tried.

    Attributes:
        chip: Whose cores and times are estimated, by name or path of its profile.
        profile: Energy profile.
        views: GOPs sampled uniformly over a clip, DEFAULT_VIEWS if None.
        evaluate: Clips in folders named as their classes, or a `.npz` file: to measure accuracy on.
        labels: A `.npy` file of the class of each row of the latter, unless it has an array `labels` itself.
    """

    chip: str = DEFAULT_CHIP
    profile: str = DEFAULT_PROFILE
    views: int | None = None
    evaluate: Path | None = None
    labels: Path | None = None


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Which clips a model is evaluated on, and where it runs.

    Attributes:
        labels: A `.npy` file of the class of each row, of data that are a `.npz` file without an array `labels`.
        split_name: `train`, `validation`, `test`, or `all`: every clip, of a folder without folds.
        split: Numbers of the splits, of data that are no cache; the first if None. Several give their mean.
        views: GOPs sampled uniformly over a clip, DEFAULT_VIEWS if None; a cache has its own number.
        snn: Back-end of a bundle's spiking half.
        ann: Back-end of a bundle's ANN half.
        profile: Energy profile of a bundle's counts.
        device: Where a checkpoint runs.
        engine: `local` works in processes of this machine, or in this one if there is one worker; `ray` in a cluster.
        workers: How many clips at a time.
        threads: Threads of each worker; if None 1 with several workers, else as many as each back-end finds good.
        overwrite: Evaluate anew, in place of going on; what is not of an evaluation stays.
        command: Kept in the record.
    """

    labels: Path | None = None
    split_name: str = "test"
    split: tuple[int, ...] | None = None
    views: int | None = None
    snn: str = DEFAULT_SNN
    ann: str = DEFAULT_ANN
    profile: str = DEFAULT_PROFILE
    device: Literal["cpu", "cuda"] = "cpu"
    engine: Literal["local", "ray"] = "local"
    workers: int = 1
    threads: int | None = None
    overwrite: bool = False
    command: str = IN_PYTHON

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise ConfigError("workers", self.workers, "1 or more")


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What is trained, how, and from where.

    Attributes:
        config: Model size and recipe, by name or path.
        recipe: Another recipe than the config's, by name or path.
        data: A set of `hybridnet.video.synthetic.MADE`, a cache, a class folder, or SPEC@ROOT.
        self_supervised: Do not read the classes of the data; see `hybridnet.training.pretext`.
        init: A checkpoint to start from; its classifier is kept if it knows all labels.
        epochs: Instead of the recipe's.
        seed: Instead of the recipe's.
        device: Where to compute.
        split: Number of the split, of data that are no cache yet.
        views: Most views of a clip, of data that are no cache yet.
        workers: Processes that cache clips.
        qat: `fixed-point` fine-tunes in the chip's integers, in the scales and from the weights of `bundle`.
        bundle: A calibrated bundle of this model.
        resume: Go on after an interruption, with the same result.
        overwrite: Replace another run.
        command: Kept in the record.
    """

    config: str | Path = "tiny"
    recipe: str | Path | None = None
    data: str = "motion"
    self_supervised: bool = False
    init: Path | None = None
    epochs: int | None = None
    seed: int | None = None
    device: Literal["cpu", "cuda"] = "cpu"
    split: int = 1
    views: int = DEFAULT_VIEWS
    workers: int = 2
    qat: Literal["fixed-point"] | None = None
    bundle: Path | None = None
    resume: bool = False
    overwrite: bool = False
    command: str = IN_PYTHON

    def __post_init__(self) -> None:
        if (self.qat is None) != (self.bundle is None):
            raise ConfigError("qat, bundle", "--qat alone" if self.qat else "--bundle alone", "both or neither")
        if self.bundle is not None and self.init is not None:
            raise ConfigError("init", str(self.init), "nothing with --bundle, which has weights of its own")
        if self.resume and self.overwrite:
            raise ConfigError("resume, overwrite", (True, True), "one of the two")
