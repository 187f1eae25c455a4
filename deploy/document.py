"""A bundle as a report: both halves, what crosses, and the parity of each joint."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.program.layers import FloatArray, IntArray
from hybridnet.program.spiking import SpikingHalf
from hybridnet.report.counting.onnx import GraphCount, count_graph
from hybridnet.report.document import Document, Section, Table, facts
from hybridnet.report.numbers import NONE, listed, plural, shape_text, size, whole
from hybridnet.report.record.words import BEFORE, calibrate_command
from hybridnet.report.render.parity import parity_lines, parity_sections
from hybridnet.support.inputs import LEAST_CLIPS


def bundle_document(bundle: Bundle, given: Path | None = None) -> Document:
    """What an export wrote, how sure that is, what crosses, the commands that go on from there; then details.

    Args:
        bundle: What was written.
        given: The user's file or folder that it was calibrated on; None if there was none.
    """
    ann, manifest = count_graph(bundle.ann_path), bundle.manifest
    front = None if bundle.front_path is None else count_graph(bundle.front_path)
    scales = manifest.quantisation
    neurons = [p.name for p in bundle.program.populations if p.threshold is not None and bundle.program.onto(p.name)]
    table = facts(
        ("wrote", f"{bundle.path}/, of {manifest.model.name}, {_classes(manifest.labels)}"),
        ("next", _simulate(bundle, given)),
        ("finer scales", _calibrate(bundle, given)),
        *(() if front is None else ((BEFORE, _counted(front)),)),
        ("ANN half", f"{_counted(ann)}, opset {manifest.opset}"),
        ("scales", f"{scales.rule}, {plural(scales.views, 'view')} of {scales.calibrated_on}"),
    )
    sections = (
        Section("Placement", lines=(*manifest.placement.lines(), *_where(bundle, front, ann))),
        Section("", lines=tuple(parity_lines(bundle.parity, neurons))),
        Section("Bundle", table=table),
        _bridge(bundle),
        _populations(bundle.spiking),
        *parity_sections(bundle.parity),
    )
    return Document(f"hybridnet: bundle of {manifest.model.name}", sections)


def _counted(graph: GraphCount) -> str:
    if not graph.nodes:
        return "nothing that is counted"
    return f"{plural(len(graph.nodes), 'counted ONNX node')}, {graph.macs:,} MAC per view"


def _where(bundle: Bundle, front: GraphCount | None, ann: GraphCount) -> Iterator[str]:
    """Which modules run where, if the host computes before the chip too: those that have weights there."""
    if front is not None:
        before = listed(front.modules) or "operations without weights"
        behind = f"{listed(ann.modules)} on the host behind it" if ann.modules else "no weights behind it"
        placed = listed(bundle.manifest.placement.placed)
        yield f"{before} run on the host before the chip; {placed} on the chip; {behind}."


def _simulate(bundle: Bundle, given: Path | None) -> str:
    """The command that runs the bundle, on what the user gave if it is one source."""
    usual = "VIDEO" if bundle.manifest.model.preprocess else "FILE.npz"
    source = usual if given is None else shlex.quote(str(given))
    return f"hybridnet simulate {source} --bundle {shlex.quote(str(bundle.path))}"


def _calibrate(bundle: Bundle, given: Path | None) -> str:
    """The command that finds finer scales, on what the user gave if that is enough, with what it needs if not."""
    video = bundle.manifest.model.preprocess is not None
    enough = given is not None and (given.is_dir() if video else bundle.manifest.quantisation.views >= LEAST_CLIPS)
    return calibrate_command(str(bundle.path), f"{bundle.path}-calibrated", str(given) if enough else None, video=video)


def _classes(labels: tuple[str, ...] | None) -> str:
    return "no labels" if labels is None else f"{len(labels)} classes"


def _populations(spiking: SpikingHalf) -> Section:
    rows = tuple(
        (
            p.name,
            " + ".join(dict.fromkeys(g.source for g in spiking.program.onto(p.name))) or NONE,
            shape_text(p.shape),
            _spread(p.leak, ".3f"),
            _spread(chip.decay, "d"),
            _spread(p.current_leak, ".3f") if p.current_leak.any() else NONE,
            NONE if p.threshold is None else _spread(p.threshold, ".3f"),
            NONE if chip.threshold is None else _spread(chip.threshold, "d"),
            "never fires" if p.threshold is None else p.reset,
        )
        for p, chip in zip(spiking.program.populations, spiking.fixed.populations, strict=True)
    )
    heading = ("population", "reads", "neurons", "λ", "dv", "λc", "vth", "vth, fixed", "reset")
    return Section("Spiking half", "float and fixed point", table=Table(heading, rows, left=2), folded=True)


def _spread(values: FloatArray | IntArray, form: str) -> str:
    """One number, or the range of those of all channels."""
    low, high = (format(end.item(), form) for end in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"


def _bridge(bundle: Bundle) -> Section:
    bits = {tensor.name: bundle.encodings[tensor.name].bits for tensor in bundle.bridge}
    rows = tuple(
        (t.name, t.kind.replace("_", " "), shape_text(t.shape), whole(bits[t.name]), size(t.bytes(bits[t.name])))
        for t in bundle.bridge
    )
    return Section("Bridge", "counted", table=Table(("tensor", "carries", "shape", "bits", "per view"), rows, left=2))
