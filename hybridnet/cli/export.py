"""`hybridnet export`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridnet.deploy.bundle import Bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("checkpoint", type=Path, metavar="CKPT", help="written by `hybridnet train`")
    parser.add_argument("-o", "--out", type=Path, default=Path("hybridnet-bundle"), metavar="DIR",
                        help="folder of the bundle (default: hybridnet-bundle)")  # fmt: skip
    parser.add_argument("--calibrate", type=Path, metavar="VIDEO_OR_DIR",
                        help="clips to find the fixed-point scales on (default: clips of the motion set)")  # fmt: skip
    parser.add_argument("--opset", type=int, default=18, choices=range(18, 21), metavar="N",
                        help="ONNX opset, 18 to 20 (default: 18)")  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace an existing bundle")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the parity report as JSON too; - for stdout")


def run(args: argparse.Namespace) -> int:
    """Export, then print what was written and what it lost."""
    from hybridnet.cli.console import progress_on_stderr
    from hybridnet.exporting import export
    from hybridnet.files import write_text

    with progress_on_stderr() as progress:
        bundle = export(
            args.checkpoint,
            args.out,
            calibrate=args.calibrate,
            opset=args.opset,
            overwrite=args.overwrite,
            progress=progress,
        )
    if str(args.json) == "-":
        sys.stdout.write(json.dumps(bundle.parity, indent=1) + "\n")
        return 0
    if args.json is not None:
        write_text(args.json, json.dumps(bundle.parity, indent=1) + "\n")
    sys.stdout.write(describe(bundle))
    return 0


def describe(bundle: Bundle) -> str:
    """The bundle in a dozen lines: both halves, what crosses, and the parity of each joint."""
    from hybridnet.report.onnx_counts import count_graph
    from hybridnet.report.render_text import count

    graph, parity = count_graph(bundle.ann_path), bundle.parity
    ann_macs = sum(node.macs for node in graph.nodes)
    fixed, onnx, scales = parity["fixed_point"], parity["onnx"], bundle.manifest.quantisation
    lines = [f"Model    {bundle.manifest.model.name}, {len(bundle.manifest.labels)} classes"]
    for stream, fixed_stream in zip(bundle.program.streams, bundle.fixed.streams, strict=True):
        for layer, chip in zip(stream.layers, fixed_stream.layers, strict=True):
            size = "×".join(map(str, layer.geometry.output_shape))
            lines.append(
                f"SNN      {layer.name}: {size} neurons, {layer.input_kind} input,"
                f" λ {layer.leak:.3f}, vth {layer.threshold:.3f} → dv {chip.decay}, vth {chip.threshold}"
            )
    for tensor in bundle.bridge:
        bits, size = bundle.encodings[tensor.name].bits, "×".join(map(str, tensor.shape))
        lines.append(f"Bridge   {tensor.name}: {size}, {bits} bits, {count(tensor.elements * bits // 8)}B per view")
    lines += [
        f"ANN      {len(graph.nodes)} counted ONNX nodes, {count(ann_macs)}MAC per view, opset {bundle.manifest.opset}",
        f"Scales   {scales.rule}, {scales.views} views of {scales.calibrated_on}",
        f"Parity   split = model: exact ({parity['views']} views)",
        f"         ONNX = torch: max {onnx['max_abs']:.1e}, mean {onnx['mean_abs']:.1e} on logits"
        f" ({'within' if onnx['ok'] else 'ABOVE'} {onnx['tolerance']:g})",
        f"         fixed ≈ float: u[T] SQNR {_decibels(fixed['sqnr_db'])};"
        f" top-1 agrees on {fixed['top1_agreement']:.1%} of views",
        f"Wrote    {bundle.path}/",
        f"Next:    hybridnet simulate VIDEO --bundle {bundle.path}",
    ]
    return "\n".join(lines) + "\n"


def _decibels(values: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {'exact' if v is None else f'{v:.1f} dB'}" for name, v in values.items())
