"""`hybridnet compare`."""

from __future__ import annotations

import argparse

from hybridnet.cli import arguments
from hybridnet.cli.formats import add_format, show
from hybridnet.cli.options import Adder, chosen
from hybridnet.config import DEFAULT_VIEWS
from hybridnet.simulators.registry import SPIKING
from hybridnet.workflows.options import CompareOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source",
        type=arguments.VIDEO_OR_ARRAYS,
        metavar="VIDEO_OR_NPZ",
        help="a clip, or a .npz file of the model's inputs by name",
    )
    option = Adder(parser, CompareOptions)
    option("--a", f"back-end of the spiking half ({', '.join(SPIKING)}), or a .npz recording",
           type=arguments.RECORDING, metavar="NAME_OR_NPZ")  # fmt: skip
    option("--b", "the other one; a recording holds <layer>.u and <layer>.o, (N, T, C, H, W)",
           type=arguments.RECORDING, metavar="NAME_OR_NPZ")  # fmt: skip
    parser.add_argument("--bundle", type=arguments.BUNDLE, metavar="DIR",
                        help="what to run (default: ./hybridnet-bundle, else the model that ships)")  # fmt: skip
    option("--views", f"GOPs sampled from a clip (default: {DEFAULT_VIEWS})", type=int, metavar="N")
    option("--tolerance", "largest |Δu| that counts as equal: in units of v between two fixed-point sides, else in"
           " model units (default: 0; between floats a share of the threshold; between fixed point and float only"
           " spikes are compared)", type=float, metavar="X")  # fmt: skip
    option("--transcode", "when to transcode a clip that is not I + T P", choices=["auto", "never", "always"])
    add_format(parser, json="what was found")


def run(args: argparse.Namespace) -> int:
    """Compare, tell where the sides part and why; exit 3 if they do."""
    from hybridnet.cli.console import EXIT_CHECK_FAILED, progress_on_stderr
    from hybridnet.workflows.compare import compare, to_json
    from hybridnet.workflows.compare_document import comparison_document

    with progress_on_stderr() as progress:
        found = compare(args.source, args.bundle, chosen(CompareOptions, args), progress=progress)
    show(args, comparison_document(found), to_json(found))
    return 0 if found.equal else EXIT_CHECK_FAILED
