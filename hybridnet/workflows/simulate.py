"""Run a bundle on a clip and record everything."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hybridnet.config import DEFAULT_VIEWS
from hybridnet.deploy.bundle import read_bundle
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.chip.profile import load_chip
from hybridnet.deploy.layout import CHECKPOINT
from hybridnet.program.outputs import LOGITS
from hybridnet.report.counting.onnx import count_graph
from hybridnet.report.pricing.price import load_prices
from hybridnet.report.record.data import RunRecord, VideoRow
from hybridnet.report.record.measured import Measured
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.feed import Feed
from hybridnet.simulators.hybrid import HybridRun, finish_view, run_hybrid
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.registry import (
    FLOAT,
    ann_entry,
    check_settings,
    default_snn,
    settings_in_words,
    spiking_entry,
)
from hybridnet.support.ahead import overlapped
from hybridnet.support.arrays import Array
from hybridnet.support.meters import find_meters
from hybridnet.support.progress import Progress, silent
from hybridnet.support.statistics import mean_logits
from hybridnet.support.views import Views
from hybridnet.video.frontend import read_clip
from hybridnet.workflows.measure import Half, measure
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.record import Int8Graph, Setup, build_record
from hybridnet.workflows.sources import Read, Source, read_source

DEFAULT_BUNDLE = Path("hybridnet-bundle")
"""Where `hybridnet export` writes, and where `hybridnet simulate` looks first."""

SHIPPED = "gestures"
"""The model that runs where none is named. `tiny-motion` ships too: the reference model with all its inputs."""


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
        return int(mean_logits(self.outputs[LOGITS]).argmax())


def load(path: str | Path | None = None) -> Bundle:
    """Read a bundle: `path`, else ./hybridnet-bundle if there is one, else the model that ships.

    Raises:
        BundleError: If it is missing, foreign or damaged.
    """
    if path is not None:
        return read_bundle(Path(path))
    if DEFAULT_BUNDLE.exists():
        return read_bundle(DEFAULT_BUNDLE)
    return read_bundle(shipped_bundle_path())


def shipped_bundle_path(name: str = SHIPPED) -> Path:
    """A small trained model that ships, exported: `gestures` or `tiny-motion`."""
    return Path(str(resources.files("hybridnet"))) / "assets" / f"{name}.bundle"


def shipped_checkpoint(name: str = SHIPPED) -> Path:
    """A small trained model that ships, which its bundle holds."""
    return shipped_bundle_path(name) / CHECKPOINT


class Simulator:
    """A bundle on a pair of back-ends, loaded once for any number of clips.

    Args:
        bundle: What to run; see `load`.
        options: How it runs, and how its runs are counted and priced.

    Attributes:
        is_reference: Whether the spiking half is in float itself, with which all others are compared.

    Raises:
        HybridNetError: If the bundle, a back-end, a profile or a chip cannot be had, or no back-end has an option.
    """

    def __init__(self, bundle: Bundle | str | Path | None = None, options: SimulateOptions = SimulateOptions()) -> None:
        named, analog = None if options.snn is None else spiking_entry(options.snn), ann_entry(options.ann)
        prices, chip = load_prices(options.profile, options.ann_profile), load_chip(options.chip)
        self.bundle = bundle if isinstance(bundle, Bundle) else load(bundle)
        spiking = named or spiking_entry(default_snn(self.bundle.fixed))
        check_settings(options.settings, spiking, analog)
        self.is_reference = not spiking.fixed_point
        self._options = options
        self._snn = spiking.open(self.bundle, options.settings)
        self._ann = analog.open(self.bundle, options.settings)
        self._bridge = Bridge(self.bundle.bridge, self.bundle.encodings)
        compared = options.parity and not self.is_reference
        self._reference = spiking_entry(FLOAT).open(self.bundle, options.settings) if compared else None
        self._feed = Feed(self.bundle, threads=options.settings.get("threads"))
        program = self.bundle.fixed if self._snn.fixed_point else self.bundle.program
        front = None if self.bundle.front_path is None else count_graph(self.bundle.front_path)
        words = settings_in_words(options.settings, spiking, analog)
        graph, int8 = Int8Graph.beside(self.bundle, analog.counted)
        names = spiking.name, analog.name
        self._setup = Setup(self.bundle, options, *names, program, front, graph, int8, words, prices, chip)

    def run(self, source: Source, *, progress: Progress = silent) -> Simulation:
        """Run a clip, or arrays, through both halves and count, time and price every partition.

        Args:
            source: Any MPEG-4 or H.264 file; or N samples of the model's inputs by name, (N, …) each, as arrays or as a
                `.npz` file.
            progress: Told how far the work is.

        Raises:
            HybridNetError: With what to do about it.
        """
        options = self._options
        read = read_source(source, self.bundle, options.views, options.transcode, progress)
        inputs, fed = read.views.arrays, self._feed(read.views.arrays, progress)
        run = run_hybrid(fed, self._snn, self._bridge, self._ann, inputs, progress=progress)
        reference = run_hybrid(fed, self._reference, self._bridge, self._ann, inputs) if self._reference else None
        measured = self._measured(read.views, run, progress) if options.measure else None
        return Simulation(build_record(self._setup, read, run, reference, measured), run)

    def _measured(self, views: Views, run: HybridRun, progress: Progress) -> Measured:
        """Both halves, and the front, again and again; the ANN half view by view, as it ran."""
        fed, crossed = self._feed(views.arrays).inputs, Views({**views.arrays, **run.crossing.values})
        record_all, setup = self._bridge.needs_all_potentials, self._setup
        halves: dict[Half, Callable[[], object]] = {
            ("front", "onnxruntime"): lambda: self._feed(views.arrays),
            ("snn", setup.snn): lambda: self._snn.run(fed, record_potentials=record_all),
            ("ann", setup.ann): lambda: [self._ann.run(view.arrays) for view in crossed],
        }
        if not self._feed.has_front:
            del halves["front", "onnxruntime"]
        return measure(halves, len(views), find_meters(), progress=progress)

    def classify(self, videos: Iterable[str | Path]) -> Iterator[Classified]:
        """Run many clips as fast as they go: no record, no parity, the ANN half on all views of a clip at once.

        While a clip is in the ANN half, the next one is in the spiking half, and the one after it is read; on one core
        each clip goes through alone, which is quicker there.

        Raises:
            HybridNetError: At the place of a clip that cannot be read, with what to do about it.
        """
        views = DEFAULT_VIEWS if self._options.views is None else self._options.views
        transcode, residuals = self._options.transcode, self.bundle.reads_residuals
        clips = (
            read_clip(video, self.bundle.preprocess, views, transcode=transcode, residuals=residuals)
            for video in videos
        )
        with closing(overlapped(clips)) as read:
            spiking = ((clip, self.spiking(clip.views.arrays)) for clip in read)
            with closing(overlapped(spiking)) as results:
                for clip, result in results:
                    parts = (result.readouts, result.spikes, result.potentials)
                    crossing = self._bridge.cross(*parts, fixed_point=self._snn.fixed_point)
                    yield Classified(clip.video, self._ann.run(clip.views.arrays | crossing.values))

    @property
    def records_all(self) -> bool:
        """Whether potentials of all steps cross the bridge."""
        return self._bridge.needs_all_potentials

    def spiking(self, inputs: Mapping[str, Array]) -> SpikingResult:
        """The spiking half on views whose inputs are at hand, (N, …) by name."""
        return self._snn.run(self._feed(inputs).inputs, record_potentials=self.records_all)

    def finished(self, read: Read, spiking: SpikingResult) -> tuple[HybridRun, Callable[[], RunRecord]]:
        """The rest of one view whose spiking half, in fixed point, is done; and what makes its record when asked to."""
        run = finish_view(spiking, self._bridge, self._ann, read.views.arrays)
        return run, lambda: build_record(self._setup, read, run, None)


def simulate(
    source: Source,
    bundle: Bundle | str | Path | None = None,
    options: SimulateOptions = SimulateOptions(),
    *,
    progress: Progress = silent,
) -> Simulation:
    """Run one clip, or arrays; see `Simulator` and `Simulator.run`.

    Raises:
        HybridNetError: With what to do about it.
    """
    return Simulator(bundle, options).run(source, progress=progress)
