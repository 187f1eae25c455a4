"""`hybridnet watch`; `hybridnet.cli.run` shares its options and what it shows."""

from __future__ import annotations

import argparse
import dataclasses
import shlex
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.cli.backends import add_settings, settings_of
from hybridnet.cli.options import Adder, chosen
from hybridnet.simulators.registry import ANN_ENTRIES, SPIKING
from hybridnet.workflows.options import WatchOptions

if TYPE_CHECKING:
    from hybridnet.workflows.watch import Watcher


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_source(parser)
    parser.add_argument("--bundle", type=arguments.BUNDLE, metavar="DIR",
                        help="what to run (default: ./hybridnet-bundle, else the model that ships)")  # fmt: skip
    add_options(parser)


def add_source(parser: argparse.ArgumentParser) -> None:
    """Declare what is watched."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a file that grows, - for stdin, an address (rtsp://…, http://…), or a camera such as /dev/video0"
        " with --input-format v4l2",
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare how it is run and shown."""
    option = Adder(parser, WatchOptions)
    fixed = [entry.name for entry in SPIKING.values() if entry.fixed_point]
    option("--snn", "back-end of the spiking half, run when a GOP is complete; by default each step is computed as its"
           " frame comes", choices=fixed)  # fmt: skip
    option("--ann", "back-end of the ANN half", choices=list(ANN_ENTRIES))
    option("--profile", "energy profile, by name or path", type=arguments.PROFILE, metavar="NAME_OR_YAML")
    option("--smooth", "average scores over so many GOPs", type=int, metavar="N")
    option("--policy", "when the machine is too slow: drop waiting GOPs but the newest, or run all of them, later and"
           " later", choices=["drop", "queue"])  # fmt: skip
    option("--transcode", "encode frames anew as they come: where the source's GOPs do not fit, never, or always",
           choices=["auto", "never", "always"])  # fmt: skip
    option("--input-format", "FFmpeg's name of the source's format, of a camera v4l2, avfoundation or dshow",
           metavar="NAME")  # fmt: skip
    option("--idle-s", "seconds without growth after which a file has ended", type=float, metavar="S")
    option("--limit-s", "seconds without a frame after which a source is taken for lost", type=float, metavar="S")
    parser.add_argument("--no-reconnect", dest="reconnect", action="store_false",
                        help="end when an address or a camera is lost")  # fmt: skip
    option("--on-class", "with --exec: run a command when the class becomes NAME", metavar="NAME")
    option("--exec", "the command, run without a shell; HYBRIDNET_CLASS, HYBRIDNET_SCORE and HYBRIDNET_GOP are in its"
           " environment", dest="exec_command", metavar="CMD")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="a line of JSON per GOP, and one for the summary")
    parser.add_argument("--record", type=arguments.OUT_TEXT, metavar="FILE",
                        help="write the record of the last GOP and of the session, for `hybridnet report`")  # fmt: skip
    add_settings(parser)


def run(args: argparse.Namespace) -> int:
    """Print a line per GOP until the source ends, and a summary at whatever end."""
    from hybridnet.cli.console import put, say
    from hybridnet.report.render.text import render_document
    from hybridnet.video.live_source import check_source
    from hybridnet.workflows.session import STDIN
    from hybridnet.workflows.watch import Watcher
    from hybridnet.workflows.watch_text import json_of, line_of, summary_document, summary_json

    options = dataclasses.replace(
        chosen(WatchOptions, args), settings=settings_of(args), keep_last=args.record is not None
    )
    if args.source != STDIN:
        check_source(args.source, options.input_format)
    say("hybridnet: loading the bundle and compiled loops; the first run compiles them, for seconds …")
    watcher = Watcher(args.bundle, options, say=lambda text: say(f"hybridnet: {text}"))
    say(f"hybridnet: watching {args.source}; Ctrl-C ends it")
    try:
        for row in watcher.watch(args.source):
            put((json_of(row) if args.json else line_of(row)) + "\n")
    finally:
        summary = watcher.summary
        if summary.frames or summary.gops:
            put(summary_json(summary) + "\n" if args.json else "\n" + render_document(summary_document(summary)))
        if args.record is not None:
            _write_record(args, watcher)
    return 0


def _write_record(args: argparse.Namespace, watcher: Watcher) -> None:
    from hybridnet.cli.console import say
    from hybridnet.report.record.file import to_json
    from hybridnet.support.files import write_text
    from hybridnet.workflows.session import without_secrets

    record = watcher.record(shlex.join(map(without_secrets, shlex.split(args.typed))))
    if record is None:
        say(f"hybridnet: no GOP had a result, so {args.record} was not written")
        return
    write_text(args.record, to_json([record]))
    say(f"hybridnet: wrote {args.record}")
    record_file, page = (shlex.quote(str(path)) for path in (args.record, args.record.with_suffix(".html")))
    say(f"Next: hybridnet report {record_file} --format html -o {page}")
