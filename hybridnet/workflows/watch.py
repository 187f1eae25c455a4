"""Watch a live source: a line per GOP, as soon as its last frame is there."""

from __future__ import annotations

import datetime
import os
import shlex
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import ONNX_STEP
from hybridnet.errors import BackendError, ConfigError, ModelError, VideoError
from hybridnet.report.record.data import ArraysRow, RunRecord
from hybridnet.report.record.session import GopRow
from hybridnet.simulators.hybrid import HybridRun
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.onnxruntime.stepper import Stepper
from hybridnet.simulators.options import Runtime
from hybridnet.simulators.registry import spiking_entry
from hybridnet.support.ahead import newest, stopped
from hybridnet.support.arrays import Array
from hybridnet.support.statistics import softmax
from hybridnet.support.views import Views
from hybridnet.video import LiveClip, View, open_live, prepare_view, stack_views
from hybridnet.video.container import CAMERAS
from hybridnet.video.source import Readable, is_address
from hybridnet.video.views import load_kernels, prepare_steps
from hybridnet.workflows.options import SimulateOptions, WatchOptions
from hybridnet.workflows.pictures import pictures_of
from hybridnet.workflows.session import STDIN, WatchSummary, shown
from hybridnet.workflows.simulate import Simulator, load
from hybridnet.workflows.sources import Read

FIRST_WAIT_S, RECONNECT_S = 0.5, 30.0
"""Seconds before a lost source is opened again: the first time, and at the most; each time twice as long."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """One GOP: the model's inputs, the spikes if they are there already, and when its last frame was."""

    inputs: Mapping[str, Array]
    spiking: SpikingResult | None
    at: float
    corrupt: bool


Say = Callable[[str], object]


class Watcher:
    """A bundle, ready for a live source.

    Args:
        bundle: What to run; see `hybridnet.workflows.simulate.load`.
        options: How.
        say: Told in a sentence of what happens to the source.

    Attributes:
        summary: What was seen so far.

    Raises:
        HybridNetError: If the bundle or a back-end cannot be had, or it names no classes.
    """

    def __init__(
        self,
        bundle: Bundle | str | Path | None = None,
        options: WatchOptions = WatchOptions(),
        say: Say = lambda _: None,
    ) -> None:
        self._bundle = bundle if isinstance(bundle, Bundle) else load(bundle)
        self._options, self._say, self.summary = options, say, WatchSummary()
        labels = self._bundle.manifest.labels
        if labels is None:
            raise ModelError("names no classes to watch for", where=self._bundle.path, remedy="Export it with --labels")
        if options.on_class is not None and options.on_class not in labels:
            raise ConfigError("on-class", options.on_class, ", ".join(labels))
        self._labels, self._preprocess = labels, self._bundle.preprocess
        if options.snn is not None and not spiking_entry(options.snn).fixed_point:
            raise ConfigError("snn", options.snn, "a back-end in fixed point")
        by_step = options.snn is None and self._reads_steps()
        chosen = SimulateOptions(
            snn="onnxruntime" if by_step else options.snn,
            ann=options.ann,
            settings=options.settings,
            profile=options.profile,
            parity=False,
            pictures=False,
        )
        self._simulator = Simulator(self._bundle, chosen)
        self._stepper = self._step_by_step() if by_step else None
        self._scores: deque[Array] = deque(maxlen=options.smooth)
        self._last, self._running = "", list[subprocess.Popen[bytes]]()
        self._source = ""
        self._kept: tuple[Read, HybridRun, RunRecord] | None = None
        load_kernels()
        self._rehearse()

    def watch(self, source: str | Path | Readable) -> Iterator[GopRow]:
        """Rows as GOPs come, until the source ends.

        Args:
            source: A file that grows, an address, a camera with `input_format`, or an object with `read`.

        Raises:
            HybridNetError: If the source cannot be opened, gives no frame, or is lost and is not to be opened again.
        """
        self._source, coming = shown(source), self._gops(source)
        waiting = newest(coming) if self._options.policy == "drop" else ((one, 0) for one in coming)
        number = -1
        with closing(waiting):
            for seen, dropped in waiting:
                number += 1 + dropped
                row = self._row(seen, number, dropped)
                self.summary.add(row)
                self._react(row)
                yield row

    def record(self, command: str = "") -> RunRecord | None:
        """The record of the last GOP, with its pictures and the session; None before there is one, or unless kept.

        Args:
            command: What made the run.
        """
        if self._kept is None:
            return None
        read, run, record = self._kept
        pictures = pictures_of(self._bundle, read, run)
        return replace(record, command=command, pictures=pictures, session=self.summary.session())

    def _row(self, seen: _Seen, number: int, dropped: int) -> GopRow:
        spiking = seen.spiking or self._simulator.spiking(seen.inputs)
        origin = ArraysRow(self._source, 1)
        read = Read(Views(dict(seen.inputs)), None, origin, None, 0.0, are_samples=False, is_live=True)
        run, made = self._simulator.finished(read, spiking)
        self._scores.append(softmax(run.logits[0]))
        scores = np.mean(self._scores, axis=0)
        latency_ms = (time.monotonic() - seen.at) * 1e3
        best = int(scores.argmax())
        now = datetime.datetime.now().astimezone().isoformat(timespec="milliseconds")
        record = made()
        self._kept = (read, run, record) if self._options.keep_last else None
        energy_pj = record.totals.energy_pj.known_pj
        return GopRow(
            now, number, self._labels[best], float(scores[best]), latency_ms, energy_pj, seen.corrupt, dropped
        )

    def _gops(self, source: str | Path | Readable) -> Generator[_Seen, None, None]:
        """GOPs of the source, opened again when it is lost."""
        again = isinstance(source, str) and (is_address(source) or self._options.input_format in CAMERAS)
        wait_s = FIRST_WAIT_S
        while True:
            try:
                for seen in self._connection(source):
                    wait_s = FIRST_WAIT_S
                    yield seen
                lost = "it ended"
            except VideoError as error:
                if not (again and self._options.reconnect and self.summary.frames):
                    raise
                lost = str(error.what)
            if not (again and self._options.reconnect):
                return
            self._say(f"source lost ({lost}); opening it again in {wait_s:g} s")
            _sleep(wait_s)
            if stopped():
                return
            wait_s = min(2 * wait_s, RECONNECT_S)

    def _connection(self, source: str | Path | Readable) -> Generator[_Seen, None, None]:
        """GOPs of the source until it ends.

        Raises:
            VideoError: If it cannot be opened or read on, or ends without a frame.
        """
        with self._opened(source) as clip:
            self.summary.connections += 1
            if clip.reason:
                self._say(f"encoded anew as it comes: {clip.reason}")
            try:
                for view in clip:
                    yield self._seen(view, clip)
            finally:
                self.summary.frames += clip.counts.frames
                self.summary.unused_frames += clip.counts.unused_frames
        if not clip.counts.frames and not stopped():
            what = "ended, and not one frame of it could be read"
            raise VideoError(what, where=shown(source), remedy="Check the source")

    def _opened(self, source: str | Path | Readable) -> LiveClip:
        options = self._options
        return open_live(
            sys.stdin.buffer if source == STDIN else source,
            self._preprocess,
            transcode=options.transcode,
            on_step=None if self._stepper is None else self._step,
            container_format=options.input_format,
            idle_s=options.idle_s,
            limit_s=options.limit_s,
        )

    def _seen(self, view: View, clip: LiveClip) -> _Seen:
        inputs = stack_views([prepare_view(view, self._preprocess)]).arrays
        spiking = None if self._stepper is None else self._stepper.result()
        return _Seen(inputs, spiking, clip.completed_at, view.corrupt)

    def _step(self, place: int, step: View) -> None:
        """One step of the spiking half, as its frame comes."""
        if self._stepper is None:
            return
        if place == 0:
            self._stepper.start()
        motion_vectors, residuals, _, _ = prepare_steps(step, self._preprocess)
        self._stepper.step({"motion_vectors": motion_vectors, "residuals": residuals})

    def _reads_steps(self) -> bool:
        """Whether the spiking half can run a step at a time; it is told if not."""
        steps = {"motion_vectors": 0, "residuals": 0}
        feeds = self._bundle.manifest.feeds
        if self._bundle.front_path is None and all(steps.get(name, -1) == axis for name, axis in feeds.items()):
            return True
        self._say("spikes are computed when a GOP is complete: the spiking half reads more than steps of the clip")
        return False

    def _step_by_step(self) -> Stepper:
        """The spiking half a step at a time."""
        return Stepper(
            self._bundle.file(ONNX_STEP),
            self._bundle.fixed,
            Runtime(threads=self._options.settings.get("threads", 1)),  # more wait for each other longer than they work
            record_potentials=self._simulator.records_all,
        )

    def _rehearse(self) -> None:
        """Pay for thread pools and memory before the first GOP comes."""
        shapes = self._bundle.manifest.model.inputs
        inputs = {name: np.zeros((1, *shape), np.float32) for name, shape in shapes.items()}
        read = Read(Views(inputs), None, ArraysRow("live", 1), None, 0.0, are_samples=False)
        self._simulator.finished(read, self._simulator.spiking(inputs))[1]()

    def _react(self, row: GopRow) -> None:
        """Run the user's command where its class comes, and take leave of those that ended."""
        self._running = [process for process in self._running if process.poll() is None]
        command, came = self._options.exec_command, row.label != self._last
        self._last = row.label
        if command is None or not came or row.label != self._options.on_class:
            return
        told = {"HYBRIDNET_CLASS": row.label, "HYBRIDNET_SCORE": f"{row.score:.4f}", "HYBRIDNET_GOP": str(row.gop)}
        try:
            process = subprocess.Popen(  # noqa: S603 # the user's own command, without a shell
                shlex.split(command), env=os.environ | told, stdin=subprocess.DEVNULL
            )
            self._running.append(process)
        except (OSError, ValueError) as error:
            raise BackendError(f"cannot be run ({error})", where="--exec", remedy="Check the command") from error


def _sleep(seconds: float) -> None:
    """Wait, unless nothing is wanted any longer."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stopped():
        time.sleep(min(0.1, max(0.0, until - time.monotonic())))
