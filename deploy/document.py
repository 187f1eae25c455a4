"""A bundle as a report: both halves, what crosses, and the parity of each joint."""

from __future__ import annotations

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.report.counting.onnx import count_graph
from hybridnet.report.document import Document, Section, Table, facts
from hybridnet.report.numbers import count, figure, plural, shape_text, size, whole
from hybridnet.report.render.parity import parity_sections


def bundle_document(bundle: Bundle) -> Document:
    """What an export wrote and what it lost, and the commands that go on from there."""
    graph, manifest = count_graph(bundle.ann_path), bundle.manifest
    scales = manifest.quantisation
    table = facts(
        ("model", f"{manifest.model.name}, {_classes(manifest.labels)}"),
        ("ANN half", f"{plural(len(graph.nodes), 'counted ONNX node')}, opset {manifest.opset}"),
        ("MAC per view", count(graph.macs)),
        ("scales", f"{scales.rule}, {plural(scales.views, 'view')} of {scales.calibrated_on}"),
        ("wrote", f"{bundle.path}/"),
        ("next", f"hybridnet simulate {'VIDEO' if manifest.model.preprocess else 'INPUTS.npz'} --bundle {bundle.path}"),
        ("finer scales", f"hybridnet calibrate {bundle.path} -o {bundle.path} --overwrite"),
    )
    sections = (_spiking(bundle), _bridge(bundle), *parity_sections(bundle.parity), Section("Bundle", table=table))
    return Document(f"hybridnet: bundle of {manifest.model.name}", sections)


def _classes(labels: tuple[str, ...] | None) -> str:
    return "no labels" if labels is None else f"{len(labels)} classes"


def _spiking(bundle: Bundle) -> Section:
    rows = tuple(
        (
            layer.name,
            layer.input_kind,
            shape_text(layer.geometry.output_shape),
            figure(layer.leak, ".3f"),
            whole(chip.decay),
            figure(layer.threshold, ".3f"),
            whole(chip.threshold),
        )
        for layer, chip in zip(bundle.program.layers(), bundle.fixed.layers(), strict=True)
    )
    heading = ("layer", "input", "neurons", "λ", "dv", "vth", "vth, fixed")
    return Section("Spiking half", "float and fixed point", table=Table(heading, rows, left=2))


def _bridge(bundle: Bundle) -> Section:
    bits = {tensor.name: bundle.encodings[tensor.name].bits for tensor in bundle.bridge}
    rows = tuple(
        (t.name, t.kind.replace("_", " "), shape_text(t.shape), whole(bits[t.name]), size(t.bytes(bits[t.name])))
        for t in bundle.bridge
    )
    return Section("Bridge", "counted", table=Table(("tensor", "carries", "shape", "bits", "per view"), rows, left=2))
