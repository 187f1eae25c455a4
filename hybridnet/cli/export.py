"""`hybridnet export`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.cli.backends import add_parity
from hybridnet.cli.options import Adder, chosen
from hybridnet.workflows.options import ExportOptions

if TYPE_CHECKING:
    from hybridnet.deploy.bundle_parts import Bundle
    from hybridnet.support.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("checkpoint", type=arguments.CHECKPOINT, metavar="CKPT",
                        help="written by `hybridnet train`; with --model, a state dict")  # fmt: skip
    parser.add_argument("-o", "--out", type=arguments.OUT_FOLDER, default=Path("hybridnet-bundle"), metavar="DIR",
                        help="folder of the bundle (default: hybridnet-bundle)")  # fmt: skip
    parser.add_argument("--model", metavar="MODULE:FACTORY",
                        help="export a model of yours: import MODULE from this folder or PYTHONPATH and call FACTORY(),"
                             " which runs your code")  # fmt: skip
    parser.add_argument("--inputs", type=arguments.ARRAYS, metavar="FILE.npz",
                        help="with --model: example inputs by name (default: the model's example_inputs)")  # fmt: skip
    parser.add_argument(
        "--labels", type=arguments.LABELS, metavar="FILE", help="with --model: names of the classes, one a line"
    )
    option = Adder(parser, ExportOptions)
    option("--calibrate", "clips or arrays to find the fixed-point scales and measure parity on (default: clips of the"
           " motion set; with --model, the example inputs)",
           type=arguments.VIDEOS_OR_ARRAYS, metavar="VIDEO_OR_DIR_OR_NPZ")  # fmt: skip
    option("--opset", "ONNX opset, 18 to 20", type=int, choices=range(18, 21), metavar="N")
    add_parity(parser)
    parser.add_argument("--fail-on", choices=["parity"], help="exit 3 if a parity check is beyond its tolerance")
    parser.add_argument("--nir", type=arguments.OUT_HDF5, metavar="FILE",
                        help="also write the spiking half as NIR, which loses some; of several streams each has its"
                             " own file, FILE with the stream's name before the suffix")  # fmt: skip
    option("--overwrite", "replace an existing bundle", action="store_true")
    parser.add_argument(
        "--json", type=arguments.OUT_TEXT, metavar="FILE", help="write the parity report as JSON too; - for stdout"
    )


def run(args: argparse.Namespace) -> int:
    """Export, then print what was written and what it lost."""
    from hybridnet.cli.console import EXIT_CHECK_FAILED, progress_on_stderr, put, say
    from hybridnet.deploy.nir.file import import_nir, write_nir
    from hybridnet.report.record.parity import to_json
    from hybridnet.support.files import write_text

    if args.nir is not None:
        import_nir()  # before any work, not after it
    with progress_on_stderr() as progress:
        bundle = (_export_checkpoint if args.model is None else _export_module)(args, progress)
    if str(args.json) == "-":
        put(to_json(bundle.parity))
    else:
        if args.json is not None:
            write_text(args.json, to_json(bundle.parity))
        put(describe(bundle))
    if args.nir is not None:
        for file, losses in write_nir(args.nir, bundle.program).items():
            for loss in losses:
                say(f"hybridnet: {file}: {loss}")
    if args.fail_on == "parity" and bundle.parity.failed:
        say(f"hybridnet: parity failed: {', '.join(bundle.parity.failed)}; the bundle was written")
        return EXIT_CHECK_FAILED
    return 0


def _export_checkpoint(args: argparse.Namespace, progress: Progress) -> Bundle:
    from hybridnet.errors import ConfigError
    from hybridnet.workflows.export import export_checkpoint

    for name in ("inputs", "labels"):
        if getattr(args, name) is not None:
            raise ConfigError(name, str(getattr(args, name)), "only with --model; a checkpoint brings its own")
    return export_checkpoint(args.checkpoint, args.out, chosen(ExportOptions, args), progress=progress)


def _export_module(args: argparse.Namespace, progress: Progress) -> Bundle:
    from hybridnet.workflows.export import export_module
    from hybridnet.workflows.foreign import load_model, read_labels

    labels = None if args.labels is None else read_labels(args.labels)
    options = dataclasses.replace(chosen(ExportOptions, args), labels=labels, name=args.model)
    model, inputs = load_model(args.model, args.checkpoint, args.inputs)
    return export_module(model, inputs, args.out, options, progress=progress)


def describe(bundle: Bundle) -> str:
    """The bundle in two dozen lines: both halves, what crosses, and the parity of each joint."""
    from hybridnet.report.counting.onnx import count_graph
    from hybridnet.report.render.parity import render_parity
    from hybridnet.report.render.text import count
    from hybridnet.support.text import lines_of

    graph, manifest = count_graph(bundle.ann_path), bundle.manifest
    ann_macs = graph.macs
    classes = "no labels" if manifest.labels is None else f"{len(manifest.labels)} classes"
    lines = [f"Model    {manifest.model.name}, {classes}"]
    for stream, fixed_stream in zip(bundle.program.streams, bundle.fixed.streams, strict=True):
        for layer, chip in zip(stream.layers, fixed_stream.layers, strict=True):
            size = "×".join(map(str, layer.geometry.output_shape))
            lines.append(
                f"SNN      {layer.name}: {size} neurons, {layer.input_kind} input,"
                f" λ {layer.leak:.3f}, vth {layer.threshold:.3f} → dv {chip.decay}, vth {chip.threshold}"
            )
    for tensor in bundle.bridge:
        bits, size = bundle.encodings[tensor.name].bits, "×".join(map(str, tensor.shape))
        lines.append(
            f"Bridge   {tensor.name}: {tensor.kind.replace('_', ' ')} {size}, {bits} bits,"
            f" {count(tensor.bytes(bits))}B per view"
        )
    scales = manifest.quantisation
    lines += [
        f"ANN      {len(graph.nodes)} counted ONNX nodes, {count(ann_macs)}MAC per view, opset {manifest.opset}",
        f"Scales   {scales.rule}, {scales.views} views of {scales.calibrated_on}",
        "",
        *render_parity(bundle.parity).splitlines(),
        "",
        f"Wrote    {bundle.path}/",
        f"Next:    hybridnet simulate {'VIDEO' if manifest.model.preprocess else 'INPUTS.npz'} --bundle {bundle.path}",
        f"         hybridnet calibrate {bundle.path} -o {bundle.path} --overwrite   (finer scales: less is lost)",
    ]
    return lines_of(lines)
