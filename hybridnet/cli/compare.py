"""`hybridnet compare`."""

from __future__ import annotations

import argparse

from hybridnet.cli import arguments
from hybridnet.cli.formats import add_format, show
from hybridnet.simulators.registry import SIDES, SPIKING


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "source",
        type=arguments.VIDEO_OR_ARRAYS,
        metavar="VIDEO_OR_NPZ",
        help="a clip, or a .npz file of the model's inputs by name",
    )
    parser.add_argument("--a", type=arguments.RECORDING, default=SIDES[0], metavar="NAME_OR_NPZ",
                        help=f"back-end of the spiking half ({', '.join(SPIKING)}), or a .npz recording"
                             f" (default: {SIDES[0]})")  # fmt: skip
    parser.add_argument("--b", type=arguments.RECORDING, default=SIDES[1], metavar="NAME_OR_NPZ",
                        help="the other one; a recording holds <layer>.u and <layer>.o, (N, T, C, H, W)"
                             f" (default: {SIDES[1]})")  # fmt: skip
    parser.add_argument("--bundle", type=arguments.BUNDLE, metavar="DIR",
                        help="what to run (default: ./hybridnet-bundle, else the model that ships)")  # fmt: skip
    parser.add_argument("--views", type=int, metavar="N", help="GOPs sampled from a clip (default: 8)")
    parser.add_argument("--tolerance", type=float, metavar="X",
                        help="largest |Δu| that counts as equal: in units of v between two fixed-point sides, else"
                             " in model units (default: 0; between floats a share of the threshold; between fixed"
                             " point and float only spikes are compared)")  # fmt: skip
    parser.add_argument("--transcode", default="auto", choices=["auto", "never", "always"],
                        help="when to transcode a clip that is not I + T P (default: auto)")  # fmt: skip
    add_format(parser, json="what was found")


def run(args: argparse.Namespace) -> int:
    """Compare, tell where the sides part and why; exit 3 if they do."""
    from hybridnet.cli.console import EXIT_CHECK_FAILED, progress_on_stderr
    from hybridnet.workflows.compare import compare, to_json
    from hybridnet.workflows.compare_document import comparison_document

    with progress_on_stderr() as progress:
        found = compare(
            args.source,
            args.bundle,
            a=args.a,
            b=args.b,
            views=args.views,
            tolerance=args.tolerance,
            transcode=args.transcode,
            command=args.typed,
            progress=progress,
        )
    show(args, comparison_document(found), to_json(found))
    return 0 if found.equal else EXIT_CHECK_FAILED
