"""`hybridnet simulate`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("videos", nargs="+", metavar="VIDEO", help="MPEG-4 or H.264 files")
    parser.add_argument("--bundle", type=Path, metavar="DIR",
                        help="what to run (default: ./hybridnet-bundle, else the model that ships)")  # fmt: skip
    parser.add_argument("--snn", default="emulator", choices=["emulator", "lava", "torch"],
                        help="back-end of the spiking half (default: emulator)")  # fmt: skip
    parser.add_argument("--ann", default="onnxruntime", choices=["onnxruntime", "torch"],
                        help="back-end of the ANN half (default: onnxruntime)")  # fmt: skip
    parser.add_argument("--views", type=int, default=8, metavar="N", help="GOPs sampled per clip (default: 8)")
    parser.add_argument("--transcode", default="auto", choices=["auto", "never", "always"],
                        help="when to transcode a clip that is not I + T P (default: auto)")  # fmt: skip
    parser.add_argument("--top-k", type=int, default=5, metavar="K", help="classes listed (default: 5)")
    parser.add_argument(
        "--profile", default="horowitz45", metavar="NAME_OR_YAML", help="energy profile (default: horowitz45)"
    )
    parser.add_argument("--no-parity", dest="parity", action="store_false", help="do not compare with the float model")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the run record; - for stdout, instead of text")


def run(args: argparse.Namespace) -> int:
    """Simulate each video, print its report, write the records."""
    from hybridnet.cli.console import progress_on_stderr
    from hybridnet.files import write_text
    from hybridnet.report.data import to_json
    from hybridnet.report.render_text import render_text
    from hybridnet.simulation import Simulator

    simulator = Simulator(args.bundle, snn=args.snn, ann=args.ann)
    records = []
    for video in args.videos:
        with progress_on_stderr() as progress:
            result = simulator.run(
                video,
                views=args.views,
                transcode=args.transcode,
                profile=args.profile,
                top_k=args.top_k,
                parity=args.parity,
                command=args.typed,
                progress=progress,
            )
        records.append(result.record)
        if str(args.json) != "-":
            sys.stdout.write(render_text(result.record) + "\n")
    if str(args.json) == "-":
        sys.stdout.write(to_json(records))
    elif args.json is not None:
        write_text(args.json, to_json(records))
        sys.stdout.write(f"Wrote {args.json}\nNext: hybridnet report {args.json}\n")
    return 0
