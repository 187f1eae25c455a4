"""`hybridnet simulate`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.cli.backends import add_backends, add_settings, settings_of
from hybridnet.cli.formats import add_format, format_of, write_json
from hybridnet.cli.options import Adder, chosen
from hybridnet.config import DEFAULT_VIEWS
from hybridnet.workflows.options import SimulateOptions

if TYPE_CHECKING:
    from hybridnet.report.record.data import RunRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("sources", nargs="+", type=arguments.VIDEO_OR_ARRAYS, metavar="VIDEO_OR_NPZ",
                        help="MPEG-4 or H.264 files, or .npz files of the model's inputs by name, (N, …)")  # fmt: skip
    parser.add_argument("--bundle", type=arguments.BUNDLE, metavar="DIR",
                        help="what to run (default: ./hybridnet-bundle, else the model that ships)")  # fmt: skip
    add_backends(parser)
    add_settings(parser)
    option = Adder(parser, SimulateOptions)
    option("--views", f"GOPs sampled per clip (default: {DEFAULT_VIEWS})", type=int, metavar="N")
    option("--transcode", "when to transcode a clip that is not I + T P", choices=["auto", "never", "always"])
    option("--top-k", "classes listed", type=int, metavar="K")
    option("--profile", "energy profile", type=arguments.PROFILE, metavar="NAME_OR_YAML")
    option("--ann-profile", "another profile for the ANN half; the report says so",
           type=arguments.PROFILE, metavar="NAME_OR_YAML")  # fmt: skip
    option("--chip", "whose time and fit are estimated", type=arguments.CHIP, metavar="NAME_OR_YAML")
    option("--no-parity", "do not compare with the float model", dest="parity", action="store_false")
    add_format(parser, json="the run records")
    parser.add_argument(
        "--report",
        type=arguments.OUT_FOLDER,
        metavar="DIR",
        help="write record.json, report.txt, .md, .csv and .html into this folder",
    )
    parser.add_argument(
        "--output", type=arguments.OUT_ARRAYS, metavar="FILE.npz", help="write what the model returns for each view"
    )
    parser.add_argument("--fail-on", choices=["fit", "parity"],
                        help="exit 3 if the class differs from that of the float model, or if the spiking half is too"
                             " large for one chip by our estimate")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Simulate each source, print its report, write the records."""
    from hybridnet.cli.console import EXIT_CHECK_FAILED, progress_on_stderr, put, say, write_out
    from hybridnet.errors import ConfigError
    from hybridnet.report.record.file import to_json
    from hybridnet.report.render.formats import rendered
    from hybridnet.support.arrays import write_arrays
    from hybridnet.workflows.simulate import Simulator

    simulator = Simulator(args.bundle, dataclasses.replace(chosen(SimulateOptions, args), settings=settings_of(args)))
    kind, records = format_of(args), []
    at_once = kind == "text" and args.shown is None
    if args.output is not None and len(args.sources) > 1:
        raise ConfigError("output", str(args.output), "with one video or .npz file at a time")
    if args.fail_on == "parity" and (
        not args.parity or simulator.is_reference or simulator.bundle.manifest.labels is None
    ):
        raise ConfigError("fail-on", "parity", "runs, of a bundle with labels, that are compared with float")
    if args.report is not None:
        _check_report(args.report)
    for source in args.sources:
        with progress_on_stderr() as progress:
            result = simulator.run(source, progress=progress)
        records.append(result.record)
        if at_once:
            put(brief(result.record))
        if args.output is not None:
            write_arrays(args.output, result.run.outputs)
            say(f"hybridnet: wrote {args.output}")
    if args.report is not None:
        write_report(args.report, records)
        say(f"hybridnet: wrote {args.report}")
    if not at_once:
        write_out("".join(map(brief, records)) if kind == "text" else rendered(records, kind), args.shown)
    if write_json(args, to_json(records)):
        say(f"Next: hybridnet report {args.json}")
    if args.fail_on == "parity":
        different = [r.source for r in records if r.parity is None or not r.parity.top1_agrees]
        if different:
            say(f"hybridnet: parity failed: another class than the float model on {', '.join(different)}")
            return EXIT_CHECK_FAILED
    if args.fail_on == "fit" and any(r.fit is None or r.fit.broken for r in records):
        say("hybridnet: fit failed: `hybridnet fit` tells what is too large, and what would fit")
        return EXIT_CHECK_FAILED
    return 0


def brief(record: RunRecord) -> str:
    """The short form of a run's report, as text."""
    from hybridnet.report.render.sections import brief_document
    from hybridnet.report.render.text import render_document

    return render_document(brief_document(record)) + "\n"


def _check_report(folder: Path) -> None:
    """Refuse a folder with files of a report's names, unless its record tells that they are of a report."""
    from hybridnet.errors import OutputExistsError
    from hybridnet.report.record.data import SCHEMA
    from hybridnet.report.render.formats import FILES
    from hybridnet.support.files import check_writable, head_of

    check_writable(folder / FILES["json"])
    if SCHEMA.split("/")[0].encode() not in head_of(folder / FILES["json"]):
        for name in FILES.values():
            if (folder / name).exists():
                raise OutputExistsError(folder / name, "is of no report, and is not replaced", "Choose another folder")


def write_report(folder: Path, records: list[RunRecord]) -> None:
    """Write the records and their reports in every format into a folder."""
    from hybridnet.report.render.formats import FILES, rendered
    from hybridnet.support.files import write_text

    for kind, name in FILES.items():
        write_text(folder / name, rendered(records, kind))
