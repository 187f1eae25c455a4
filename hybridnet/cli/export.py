"""`hybridnet export`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.cli.backends import add_parity
from hybridnet.cli.c_source import add_c, check_c, with_c
from hybridnet.cli.formats import add_format, show
from hybridnet.cli.options import Adder, chosen
from hybridnet.workflows.options import ExportOptions

if TYPE_CHECKING:
    from hybridnet.deploy.bundle_parts import Bundle
    from hybridnet.support.progress import Progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("checkpoint", type=arguments.WEIGHTS, metavar="CKPT",
                        help="written by `hybridnet train`; with --model, a file of torch.save or safetensors, or an"
                             " archive of torch.export, which holds its weights")  # fmt: skip
    parser.add_argument("-o", "--out", type=arguments.OUT_FOLDER, default=Path("hybridnet-bundle"), metavar="DIR",
                        help="folder of the bundle (default: hybridnet-bundle)")  # fmt: skip
    parser.add_argument("--model", type=arguments.factory, metavar="MODULE:FACTORY",
                        help="export a model of yours: import MODULE from this folder or PYTHONPATH and call FACTORY(),"
                             " which runs your code")  # fmt: skip
    parser.add_argument("--inputs", type=arguments.ARRAYS, metavar="FILE.npz",
                        help="with --model: example inputs by name (default: the model's example_inputs)")  # fmt: skip
    parser.add_argument(
        "--labels", type=arguments.LABELS, metavar="FILE", help="with --model: names of the classes, one a line"
    )
    parser.add_argument("--weights", metavar="KEY",
                        help="with --model: where in CKPT the weights are, such as ema (default: wherever they fit the"
                             " model)")  # fmt: skip
    option = Adder(parser, ExportOptions)
    option("--calibrate", "clips or arrays to find the fixed-point scales and measure parity on (default: made"
           " clips of what the model knows; with --model, the example inputs)",
           type=arguments.VIDEOS_OR_ARRAYS, metavar="VIDEO_OR_DIR_OR_NPZ")  # fmt: skip
    option("--opset", "ONNX opset, 18 to 20", type=int, choices=range(18, 21), metavar="N")
    add_parity(parser)
    option("--strict", "refuse a model of which not all spiking layers can be placed on the chip", action="store_true")
    option("--keep-on-host", "a spiking layer that stays with the host, by name or pattern; may be repeated",
           action="append", metavar="PATTERN")  # fmt: skip
    parser.add_argument("--fail-on", choices=["parity"], help="exit 3 if a parity check is beyond its tolerance")
    parser.add_argument("--nir", type=arguments.OUT_HDF5, metavar="FILE",
                        help="also write the spiking half as NIR, which loses some; of several streams, or parts of a"
                             " graph, each has its own file, FILE with its name before the suffix")  # fmt: skip
    add_c(parser)
    option("--overwrite", "replace an existing bundle", action="store_true")
    add_format(parser, out=False, json="the parity report")


def run(args: argparse.Namespace) -> int:
    """Export, then print what was written and what it lost."""
    from hybridnet.cli.console import EXIT_CHECK_FAILED, progress_on_stderr, say
    from hybridnet.deploy.document import bundle_document
    from hybridnet.deploy.nir.file import import_nir, write_nir
    from hybridnet.report.record.parity import to_json

    if args.nir is not None:
        import_nir()  # before any work, not after it
    check_c(args)
    with progress_on_stderr() as progress:
        bundle = (_export_checkpoint if args.model is None else _export_module)(args, progress)
        document = with_c(bundle_document(bundle, args.calibrate or args.inputs), args, bundle, progress)
    show(args, document, to_json(bundle.parity))
    if args.nir is not None:
        for file, losses in write_nir(args.nir, bundle.program, {tensor.layer for tensor in bundle.bridge}).items():
            for loss in losses:
                say(f"hybridnet: {file}: {loss}")
    if args.fail_on == "parity" and bundle.parity.failed:
        say(f"hybridnet: parity failed: {', '.join(bundle.parity.failed)}; the bundle was written")
        return EXIT_CHECK_FAILED
    return 0


def _export_checkpoint(args: argparse.Namespace, progress: Progress) -> Bundle:
    from hybridnet.errors import ConfigError
    from hybridnet.workflows.export import export_checkpoint

    for name in ("inputs", "labels", "weights"):
        if getattr(args, name) is not None:
            raise ConfigError(name, str(getattr(args, name)), "only with --model; a checkpoint brings its own")
    return export_checkpoint(args.checkpoint, args.out, chosen(ExportOptions, args), progress=progress)


def _export_module(args: argparse.Namespace, progress: Progress) -> Bundle:
    from hybridnet.cli.console import say
    from hybridnet.workflows.export import export_module
    from hybridnet.workflows.foreign import load_model, read_labels

    labels = None if args.labels is None else read_labels(args.labels)
    options = dataclasses.replace(chosen(ExportOptions, args), labels=labels, name=args.model)
    loaded = load_model(args.model, args.checkpoint, args.inputs, args.weights)
    if loaded.note:
        say(f"hybridnet: {loaded.note}")
    return export_module(loaded.model, loaded.inputs, args.out, options, progress=progress)
