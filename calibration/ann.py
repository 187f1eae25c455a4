"""The ANN half in int8: several ways tried on the clips of the search, told on those held out."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from hybridnet.calibration.clips import CalibrationClip
from hybridnet.calibration.report import AnnRow
from hybridnet.calibration.sensitivity import sqnr_by_node
from hybridnet.calibration.stages import Bench, Outputs, keep_classes, top1
from hybridnet.deploy.onnx.int8 import METHODS, AnnQuantiser, Method, write_dynamic, write_half
from hybridnet.errors import BackendError
from hybridnet.program.bridge import FixedEncoding
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend
from hybridnet.support.files import temporary_folder
from hybridnet.support.sealed import AnyFile, content_of
from hybridnet.support.statistics import evenly, outputs_sqnr_db
from hybridnet.support.views import Views

RANGE_VIEWS = 16
"""Views that ranges are found on, spread over the clips of the search."""

SENSITIVITY_VIEWS = 4
"""Views among them that tell which nodes cost most."""

WANTED_DB = 30.0
"""SQNR that every output must keep on the views of the search, and each of its clips its class; nodes are left in float
until then."""

MOST_IN_FLOAT = 8
"""Nodes left in float at most: more would cost the size that int8 is there for."""


def quantise_ann(
    bench: Bench, program: FixedGraph, encodings: Mapping[str, FixedEncoding], out: Path
) -> tuple[AnnRow, ...]:
    """Write the best int8 graph.

    Args:
        bench: The pipeline and its clips.
        program: The spiking half in integers, whose potentials feed the ANN half.
        encodings: How they cross.
        out: The file to write.

    Raises:
        BackendError: If ONNX Runtime cannot quantise the graph.
    """
    trial = _AnnTrial(bench, program, encodings)
    quantiser = AnnQuantiser.load(bench.bundle.ann_path)
    with temporary_folder() as folder:
        files: dict[Method, Path] = {}
        for number, method in enumerate(METHODS):
            bench.progress("ANN half in int8", number, len(METHODS))
            quantiser.observe(method, trial.feeds)
            files[method] = folder / f"{method}.onnx"
            quantiser.write(files[method], method)
        sqnr = {method: trial.worst_db(file) for method, file in files.items()}
        best = max(METHODS, key=lambda method: sqnr[method])
        shutil.copyfile(files[best], out)
        in_float = trial.spare(quantiser, best, out)
        bench.progress("ANN half in int8", len(METHODS), len(METHODS))
        rows = [trial.row("fp32", bench.bundle.ann_path)]
        rows += [
            trial.row(f"int8 {method}", file, chosen=method == best and not in_float) for method, file in files.items()
        ]
        if in_float:
            rows.append(trial.row(f"int8 {best}, some nodes in float", out, in_float=in_float, chosen=True))
        rows += [trial.written(folder / "other.onnx", variant, write) for variant, write in OTHERS.items()]
    rows.append(_not_run("bf16", "ONNX Runtime has no bf16 kernels for the CPU"))
    return tuple(rows)


OTHERS: dict[str, Callable[[AnyFile, Path], None]] = {"int8 dynamic": write_dynamic, "fp16": write_half}
"""Beside static int8, for comparison; none of them is faster on a CPU without arithmetic of its own for them."""


class _AnnTrial:
    """Graphs of the ANN half beside the one in fp32, on the same bridged potentials."""

    def __init__(self, bench: Bench, program: FixedGraph, encodings: Mapping[str, FixedEncoding]) -> None:
        self._bench, self._program, self._encodings = bench, program, encodings
        fed = [(clip, n) for clip in bench.clips.searched for n in range(len(clip.views))]
        self.feeds = [self._view(*fed[place]) for place in evenly(len(fed), RANGE_VIEWS)]
        self._wanted = [bench.ann.run(feed) for feed in self.feeds]
        self._held_out = [self._feed(clip) for clip in bench.clips.held_out]
        self._reference = [bench.ann.run(feed) for feed in self._held_out]
        self._searched = [bench.ann.run(self._feed(clip)) for clip in bench.clips.searched]
        self._fp32_bytes = len(bench.bundle.ann_path.read_bytes())

    def worst_db(self, file: Path) -> float:
        """SQNR of the output that suffers most, on views of the search."""
        backend = OnnxRuntimeBackend(file)
        return _worst(outputs_sqnr_db([backend.run(feed) for feed in self.feeds], self._wanted))

    def good(self, file: Path) -> bool:
        """Whether the clips of the search keep their classes, and the outputs WANTED_DB."""
        if self.worst_db(file) < WANTED_DB:
            return False
        backend = OnnxRuntimeBackend(file)
        return keep_classes(
            self._bench, (backend.run(self._feed(clip)) for clip in self._bench.clips.searched), self._searched
        )

    def spare(self, quantiser: AnnQuantiser, method: Method, out: Path) -> tuple[str, ...]:
        """Leave the nodes in float that cost most by themselves, few of them, until it is good; rewrites the file."""
        if self.good(out):
            return ()
        few = [self.feeds[place] for place in evenly(len(self.feeds), SENSITIVITY_VIEWS)]
        alone = sqnr_by_node(quantiser.model, out, quantiser.nodes, few, self._bench.progress)
        worst_first = sorted(quantiser.nodes, key=lambda node: alone[node])
        number = 0
        while number < min(MOST_IN_FLOAT, len(worst_first)):
            number = max(1, 2 * number)
            quantiser.write(out, method, worst_first[:number])
            if self.good(out):
                break
        return tuple(worst_first[:number])

    def written(self, file: Path, variant: str, write: Callable[[AnyFile, Path], None]) -> AnnRow:
        """A variant made by a function from the graph in fp32; why not, if ONNX Runtime does not run it."""
        try:
            write(self._bench.bundle.ann_path, file)
            return self.row(variant, file)
        except (BackendError, ValueError) as error:
            return _not_run(variant, str(error).splitlines()[0])

    def row(self, variant: str, file: AnyFile, *, in_float: tuple[str, ...] = (), chosen: bool = False) -> AnnRow:
        """One graph on the held-out clips."""
        backend = OnnxRuntimeBackend(file)
        got = [backend.run(feed) for feed in self._held_out]
        agreement = None
        if self._bench.classifies:
            same = [top1(a) == top1(b) for a, b in zip(got, self._reference, strict=True)]
            agreement = sum(same) / len(same)
        size = len(content_of(file))
        sqnr = outputs_sqnr_db(got, self._reference)
        return AnnRow(variant, size, size / self._fp32_bytes, sqnr, agreement, in_float, chosen)

    def _feed(self, clip: CalibrationClip) -> Outputs:
        return self._bench.fed(clip, self._program, self._encodings)

    def _view(self, clip: CalibrationClip, n: int) -> Outputs:
        return Views(self._feed(clip))[n].arrays


def _not_run(variant: str, reason: str) -> AnnRow:
    return AnnRow(variant, None, None, {}, None, (), False, f"not run: {reason}")


def _worst(sqnr: Mapping[str, float | None]) -> float:
    return min((float("inf") if value is None else value for value in sqnr.values()), default=float("inf"))
