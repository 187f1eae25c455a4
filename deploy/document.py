"""A bundle as a report: both halves, what crosses, and the parity of each joint."""

from __future__ import annotations

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.program.layers import FloatArray, IntArray
from hybridnet.program.spiking import SpikingHalf
from hybridnet.report.counting.onnx import count_graph
from hybridnet.report.document import Document, Section, Table, facts
from hybridnet.report.numbers import NONE, count, plural, shape_text, size, whole
from hybridnet.report.record.words import BEFORE
from hybridnet.report.render.parity import parity_lines, parity_sections
from hybridnet.support.sealed import SealedFile


def bundle_document(bundle: Bundle) -> Document:
    """What an export wrote, how sure that is, what crosses, the commands that go on from there; then details."""
    graph, manifest = count_graph(bundle.ann_path), bundle.manifest
    scales = manifest.quantisation
    own = "" if manifest.model.preprocess else " --clips INPUTS.npz"
    calibrate = f"hybridnet calibrate {bundle.path}{own} -o {bundle.path} --overwrite"
    table = facts(
        ("model", f"{manifest.model.name}, {_classes(manifest.labels)}"),
        *(() if bundle.front_path is None else ((BEFORE, _front(bundle.front_path)),)),
        ("ANN half", f"{plural(len(graph.nodes), 'counted ONNX node')}, opset {manifest.opset}"),
        ("MAC per view", count(graph.macs)),
        ("scales", f"{scales.rule}, {plural(scales.views, 'view')} of {scales.calibrated_on}"),
        ("wrote", f"{bundle.path}/"),
        ("next", f"hybridnet simulate {'VIDEO' if manifest.model.preprocess else 'INPUTS.npz'} --bundle {bundle.path}"),
        ("finer scales", calibrate),
    )
    sections = (
        Section("Placement", lines=bundle.manifest.placement.lines()),
        Section("", lines=parity_lines(bundle.parity)),
        Section("Bundle", table=table),
        _bridge(bundle),
        _populations(bundle.spiking),
        *parity_sections(bundle.parity),
    )
    return Document(f"hybridnet: bundle of {manifest.model.name}", sections)


def _front(path: SealedFile) -> str:
    graph = count_graph(path)
    return f"{plural(len(graph.nodes), 'counted ONNX node')}, {count(graph.macs)} MAC per view, before the chip"


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
