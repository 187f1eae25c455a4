"""Run a bundle on a clip and record everything."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypedDict, Unpack

import numpy as np

from hybridnet.deploy.bundle import Bundle, read_bundle
from hybridnet.errors import ConfigError
from hybridnet.frontend import read_clip
from hybridnet.progress import Progress, silent
from hybridnet.report.data import RunRecord
from hybridnet.report.energy import DEFAULT_PROFILE, load_profile
from hybridnet.report.onnx_counts import count_graph
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.hybrid import HybridRun, run_hybrid
from hybridnet.simulators.record import build_record
from hybridnet.simulators.registry import ann_backend, spiking_backend
from hybridnet.simulators.torch_float import TorchBackend
from hybridnet.video import TranscodePolicy

DEFAULT_BUNDLE = Path("hybridnet-bundle")
"""Where `hybridnet export` writes, and where `hybridnet simulate` looks first."""

SHIPPED_CHECKPOINT, SHIPPED_BUNDLE = "tiny-motion.pt", "tiny-motion.bundle"


class RunOptions(TypedDict, total=False):
    """Options of `Simulator.run`, all of which may be left out."""

    views: int
    transcode: TranscodePolicy
    profile: str
    top_k: int
    parity: bool
    command: str
    progress: Progress


@dataclass(frozen=True, eq=False)
class Simulation:
    """A run: its record, and the arrays behind it."""

    record: RunRecord
    run: HybridRun


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
        snn: Back-end of the spiking half: emulator, lava, torch.
        ann: Back-end of the ANN half: onnxruntime, torch.

    Raises:
        HybridNetError: If the bundle or a back-end cannot be had.
    """

    def __init__(
        self, bundle: Bundle | str | Path | None = None, *, snn: str = "emulator", ann: str = "onnxruntime"
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else load(bundle)
        self._names = (snn, ann)
        self._snn, self._ann = spiking_backend(snn, self.bundle), ann_backend(ann, self.bundle)
        self._reference = TorchBackend(self.bundle.program)
        self._bridge = Bridge(self.bundle.bridge, self.bundle.encodings)
        self._graph = count_graph(self.bundle.ann_path)

    def run(
        self,
        video: str | Path,
        *,
        views: int = 8,
        transcode: TranscodePolicy = "auto",
        profile: str = DEFAULT_PROFILE,
        top_k: int = 5,
        parity: bool = True,
        command: str = "hybridnet.simulate",
        progress: Progress = silent,
    ) -> Simulation:
        """Classify a clip with both halves and count, time and price every partition.

        Args:
            video: Any MPEG-4 or H.264 file.
            views: GOPs sampled uniformly over the clip; all of them if it has fewer.
            transcode: When a clip is transcoded before it is read; see `hybridnet.video.open_clip`.
            profile: Energy profile, by name or path.
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
        prices = load_profile(profile)
        clip = read_clip(video, self.bundle.preprocess, views, transcode=transcode, progress=progress)
        inputs = {name: np.asarray(tensor.numpy()) for name, tensor in clip.inputs.items()}
        run = run_hybrid(self._snn, self._bridge, self._ann, inputs, progress=progress)
        compared = parity and self._snn.name != self._reference.name
        record = build_record(
            command=command,
            video=clip.video,
            bundle=self.bundle,
            backends=self._names,
            program=self.bundle.fixed if self._snn.fixed_point else self.bundle.program,
            run=run,
            frontend_ms=clip.view_ms,
            open_ms=clip.open_ms,
            graph=self._graph,
            reference=run_hybrid(self._reference, self._bridge, self._ann, inputs) if compared else None,
            top_k=top_k,
            profile=prices,
        )
        return Simulation(record, run)


def simulate(
    video: str | Path,
    bundle: Bundle | str | Path | None = None,
    *,
    snn: str = "emulator",
    ann: str = "onnxruntime",
    **options: Unpack[RunOptions],
) -> Simulation:
    """Run one clip; arguments as those of `Simulator` and of `Simulator.run`.

    Raises:
        HybridNetError: With what to do about it.
    """
    return Simulator(bundle, snn=snn, ann=ann).run(video, **options)
