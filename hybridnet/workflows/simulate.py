"""Run a bundle on a clip and record everything."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypedDict, Unpack

from hybridnet.config import DEFAULT_VIEWS
from hybridnet.deploy.bundle import read_bundle
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.chip import DEFAULT_CHIP
from hybridnet.deploy.chip.profile import load_chip
from hybridnet.errors import ConfigError
from hybridnet.program.outputs import LOGITS
from hybridnet.report.counting.onnx import count_graph
from hybridnet.report.pricing.price import load_prices
from hybridnet.report.pricing.profile import DEFAULT_PROFILE
from hybridnet.report.record.data import RunRecord, VideoRow
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.hybrid import HybridRun, run_hybrid
from hybridnet.simulators.options import NO_SETTINGS, Settings
from hybridnet.simulators.registry import (
    DEFAULT_ANN,
    DEFAULT_SNN,
    REFERENCE,
    ann_entry,
    check_settings,
    settings_in_words,
    spiking_entry,
)
from hybridnet.support.ahead import ahead
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress, silent
from hybridnet.video import TranscodePolicy
from hybridnet.video.frontend import read_clip
from hybridnet.workflows.record import Setup, build_record
from hybridnet.workflows.sources import Source, read_source

DEFAULT_BUNDLE = Path("hybridnet-bundle")
"""Where `hybridnet export` writes, and where `hybridnet simulate` looks first."""

SHIPPED_CHECKPOINT, SHIPPED_BUNDLE = "tiny-motion.pt", "tiny-motion.bundle"


class RunOptions(TypedDict, total=False):
    """Options of `Simulator.run`, all of which may be left out."""

    views: int | None
    transcode: TranscodePolicy
    profile: str
    ann_profile: str | None
    chip: str
    top_k: int
    parity: bool
    command: str
    progress: Progress


@dataclass(frozen=True, eq=False)
class Simulation:
    """A run: its record, and the arrays behind it."""

    record: RunRecord
    run: HybridRun


@dataclass(frozen=True, eq=False)
class Classified:
    """A clip and the outputs of its N views, by name, (N, …) each."""

    video: VideoRow
    outputs: Mapping[str, Array]

    @property
    def index(self) -> int:
        """The class with the largest mean of logits over the views, as in the paper; only for a classifier."""
        return int(self.outputs[LOGITS].mean(axis=0).argmax())


def load(path: str | Path | None = None) -> Bundle:
    """Read a bundle: `path`, else ./hybridnet-bundle if there is one, else the small trained model that ships.

    Raises:
        BundleError: If it is missing, foreign or damaged.
    """
    if path is not None:
        return read_bundle(Path(path))
    if DEFAULT_BUNDLE.exists():
        return read_bundle(DEFAULT_BUNDLE)
    return read_bundle(shipped_bundle_path())


def shipped_bundle_path() -> Path:
    """The small trained model that ships, exported."""
    return _asset(SHIPPED_BUNDLE)


def shipped_checkpoint() -> Path:
    """The small trained model that ships."""
    return _asset(SHIPPED_CHECKPOINT)


def _asset(name: str) -> Path:
    return Path(str(resources.files("hybridnet.assets") / name))


class Simulator:
    """A bundle on a pair of back-ends, loaded once for any number of clips.

    Args:
        bundle: What to run; see `load`.
        snn: Back-end of the spiking half, by its name in `hybridnet.simulators.registry`.
        ann: Back-end of the ANN half.
        settings: Options of either back-end by name, such as `{"threads": 2}`; `hybridnet simulate --help` lists them.

    Attributes:
        is_reference: Whether the spiking half is the float one itself, with which all others are compared.

    Raises:
        HybridNetError: If the bundle or a back-end cannot be had, or neither has an option.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path | None = None,
        *,
        snn: str = DEFAULT_SNN,
        ann: str = DEFAULT_ANN,
        settings: Settings = NO_SETTINGS,
    ) -> None:
        spiking, analog = spiking_entry(snn), ann_entry(ann)
        check_settings(settings, spiking, analog)
        self.bundle = bundle if isinstance(bundle, Bundle) else load(bundle)
        self.is_reference = snn == REFERENCE
        self._reference = spiking_entry(REFERENCE).open(self.bundle, settings)
        self._snn, self._ann = spiking.open(self.bundle, settings), analog.open(self.bundle, settings)
        self._bridge = Bridge(self.bundle.bridge, self.bundle.encodings)
        program = self.bundle.fixed if self._snn.fixed_point else self.bundle.program
        graph = count_graph(self.bundle.file(analog.counted))
        self._setup = Setup(self.bundle, (snn, ann), program, graph, settings_in_words(settings, spiking, analog))

    def run(
        self,
        source: Source,
        *,
        views: int | None = None,
        transcode: TranscodePolicy = "auto",
        profile: str = DEFAULT_PROFILE,
        ann_profile: str | None = None,
        chip: str = DEFAULT_CHIP,
        top_k: int = 5,
        parity: bool = True,
        command: str = "hybridnet.simulate",
        progress: Progress = silent,
    ) -> Simulation:
        """Run a clip, or arrays, through both halves and count, time and price every partition.

        Args:
            source: Any MPEG-4 or H.264 file; or the model's inputs by name, (N, …) each, as arrays or as a `.npz` file.
            views: GOPs sampled uniformly over a clip, DEFAULT_VIEWS if None; all of them if it has fewer. Of arrays all
                N views are run.
            transcode: When a clip is transcoded before it is read; see `hybridnet.video.open_clip`.
            profile: Energy profile, by name or path.
            ann_profile: Another one of the ANN half; the record says that technologies are mixed.
            chip: Whose time and fit are estimated, by name or path of its profile.
            top_k: Classes listed in the record.
            parity: Also run the float spiking half in torch, untimed, and report how far this run is from it; not done
                when this run is the float one.
            command: Kept in the record.
            progress: Told how far the work is.

        Raises:
            HybridNetError: With what to do about it.
        """
        if not top_k > 0:
            raise ConfigError("top_k", top_k, "greater than 0")
        prices, estimated = load_prices(profile, ann_profile), load_chip(chip)
        read = read_source(source, self.bundle, views, transcode, progress)
        run = run_hybrid(self._snn, self._bridge, self._ann, read.views.arrays, progress=progress)
        compared = parity and not self.is_reference
        reference = run_hybrid(self._reference, self._bridge, self._ann, read.views.arrays) if compared else None
        record = build_record(self._setup, read, run, reference, prices, command=command, top_k=top_k, chip=estimated)
        return Simulation(record, run)

    def classify(
        self, videos: Iterable[str | Path], *, views: int = DEFAULT_VIEWS, transcode: TranscodePolicy = "auto"
    ) -> Iterator[Classified]:
        """Run many clips as fast as they go: no record, no parity, the ANN half on all views of a clip at once.

        While a clip is in the ANN half, the next one is in the spiking half, and the one after it is read.

        Args:
            videos: As `run`'s sources.
            views: GOPs sampled uniformly over a clip; all of them if it has fewer.
            transcode: See `hybridnet.video.open_clip`.

        Raises:
            HybridNetError: At the place of a clip that cannot be read, with what to do about it.
        """
        clips = (read_clip(video, self.bundle.preprocess, views, transcode=transcode) for video in videos)
        with closing(ahead(clips)) as read:
            spiking = ((clip, inputs, self._snn.run(inputs)) for clip in read for inputs in [clip.views.arrays])
            with closing(ahead(spiking)) as results:
                for clip, inputs, result in results:
                    crossing = self._bridge.cross(result.readouts, result.spikes, fixed_point=self._snn.fixed_point)
                    yield Classified(clip.video, self._ann.run(inputs | crossing.values))


def simulate(
    source: Source,
    bundle: Bundle | str | Path | None = None,
    *,
    snn: str = DEFAULT_SNN,
    ann: str = DEFAULT_ANN,
    settings: Settings = NO_SETTINGS,
    **options: Unpack[RunOptions],
) -> Simulation:
    """Run one clip, or arrays; arguments as those of `Simulator` and of `Simulator.run`.

    Raises:
        HybridNetError: With what to do about it.
    """
    return Simulator(bundle, snn=snn, ann=ann, settings=settings).run(source, **options)
