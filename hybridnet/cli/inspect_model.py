"""`hybridnet inspect CKPT` and `hybridnet inspect BUNDLE`: how the model is split."""

from __future__ import annotations

import argparse

from hybridnet.cli import arguments
from hybridnet.cli.formats import show

OPTIONS = ("model", "inputs", "weights", "tag", "all")
"""Options of models alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("of a model")
    group.add_argument("--model", type=arguments.factory, metavar="MODULE:FACTORY",
                       help="PATH has weights of a model of yours; see export")  # fmt: skip
    group.add_argument(
        "--inputs", type=arguments.ARRAYS, metavar="FILE.npz", help="with --model: example inputs by name"
    )
    group.add_argument("--weights", metavar="KEY", help="with --model: where in PATH they are; see export")
    group.add_argument("--all", action="store_const", const=True, help="list the operations between layers too")
    group.add_argument("--tag", type=arguments.OUT_ONNX, metavar="OUT.onnx",
                       help="write the whole model as ONNX, with the half in each node's name, to look at")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Split, tell, and write the tagged graph if asked."""
    from hybridnet.cli.console import say
    from hybridnet.errors import ConfigError
    from hybridnet.support.files import atomic_file
    from hybridnet.workflows.inspect import open_model, to_json
    from hybridnet.workflows.inspect_document import model_document

    for option in ("inputs", "weights"):
        if getattr(args, option) is not None and args.model is None:
            raise ConfigError(option, str(getattr(args, option)), "with --model")
    opened = open_model(args.path, args.model, args.inputs, args.weights)
    if opened.note:
        say(f"hybridnet: {opened.note}")
    report = opened.report()
    show(args, model_document(report, everything=bool(args.all)), to_json(report))
    if args.tag is not None:
        with atomic_file(args.tag) as temporary:
            opened.tag(temporary)
        say(f"hybridnet: wrote {args.tag}")
    return 0
