"""`hybridnet count`."""

from __future__ import annotations

import argparse

from hybridnet.cli import arguments
from hybridnet.cli.formats import add_format, show
from hybridnet.report.pricing import DEFAULT_PROFILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("model", type=arguments.ONNX, metavar="MODEL.onnx", help="any ANN; one inference is counted")
    parser.add_argument("--profile", type=arguments.PROFILE, default=DEFAULT_PROFILE, metavar="NAME_OR_YAML",
                        help=f"prices (default: {DEFAULT_PROFILE})")  # fmt: skip
    add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Count and price."""
    from hybridnet.workflows.count import count, count_document, to_json

    found = count(args.model, args.profile)
    show(args, count_document(found), to_json(found))
    return 0
