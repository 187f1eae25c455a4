"""The command line. Each command is one small module; this one parses and dispatches, `endings` tells of errors.

Results go to stdout, progress, diagnostics and whatever a library or a user's module prints to stderr. Exit codes: 0
done, 1 an error the user can correct (one line, with what to do), 2 wrong usage, 3 a check failed (--fail-on, compare),
70 an error that nobody foresaw (one line; --debug shows the traceback), 129 hung up, 130 interrupted, 141 the reader of
stdout went away, 143 terminated.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from hybridnet.cli.arguments import Parser, check_paths
from hybridnet.cli.console import StdoutError, flush_stdout, open_closed_streams, results_apart
from hybridnet.cli.endings import end, signals_as_interrupts
from hybridnet.support.ahead import leave
from hybridnet.support.installed import our_version
from hybridnet.support.linux import follow

COMMANDS = {
    "export": "turn a checkpoint into a bundle: Lava/netx for the spiking half, ONNX for the rest",
    "calibrate": "find a bundle's integers on clips, measure what is lost and where, and repair it",
    "simulate": "run a bundle on videos: prediction, energy and latency per partition",
    "watch": "watch a camera, a stream, a pipe or a growing file: a line per GOP as soon as it is there",
    "compare": "find where two back-ends of the spiking half part first, and why",
    "report": "render run records, compare two, or price them again with another profile",
    "fit": "estimate whether the spiking half of a bundle fits a chip, and what would",
    "count": "count the operations of any ANN in ONNX, and price them as a run's",
    "audit": "recompute a paper's energy column from its operation counts",
    "cache": "preprocess a data set once, for training",
    "train": "train a model and write its checkpoint",
    "evaluate": "measure accuracy, throughput and energy of a checkpoint or a bundle over a data set",
    "demo": "make a clip (or take one) and run the whole main job on it",
    "inspect": "tell how a model is split in two, or what a video consists of, and draw either",
    "transcode": "re-encode many videos so that their motion vectors can be read",
    "doctor": "tell what is installed, what works, and how to install the rest",
}
"""Each lives in hybridnet.cli.<command>: `add_arguments(parser)` and `run(args)`; `args.typed` is what was typed."""

OUTPUT_FILES = {
    "json": "json",
    "record": "json",
    "csv": "text",
    **dict.fromkeys(("shown", "output", "nir", "tag", "saliency", "trajectory", "sana_fe"), ""),
}
"""Options that name a file to write, and of what kind it is; see `hybridnet.support.files.check_writable`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return carry_out("hybridnet", build_parser, argv)


def entry() -> NoReturn:
    """What `hybridnet` runs."""
    leave(main())


def carry_out(
    program: str, build: Callable[[Sequence[str]], argparse.ArgumentParser], argv: Sequence[str] | None
) -> int:
    """Run a program of ours and return its exit code.

    Args:
        program: Its name.
        build: Makes its parser, of what was typed; that sets `command` and `parser`.
        argv: What was typed; the arguments of this process if None.
    """
    typed = sys.argv[1:] if argv is None else list(argv)
    if "TORCHELASTIC_RUN_ID" in os.environ:  # a process of torchrun, with which all of them end
        follow(os.getppid())
    open_closed_streams()
    try:
        try:
            args = build(typed).parse_args(typed)
        finally:
            flush_stdout()  # of --help and --version, which end here
    except StdoutError as error:
        return end(error)
    args.typed = shlex.join([program, *typed])
    try:
        with results_apart(), signals_as_interrupts():
            check_paths(args.parser, args)
            _check_outputs(args)
            code: int = importlib.import_module(f"hybridnet.cli.{args.command}").run(args)
        return code
    except BaseException as error:
        if args.debug and not isinstance(error, KeyboardInterrupt | StdoutError):
            raise
        return end(error)


def build_parser(typed: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser of all commands; those that are not among the words `typed` have no arguments yet.

    Imports nothing heavy.
    """
    parser = Parser(
        prog="hybridnet",
        description="Deploy hybrid spiking/ANN video networks, and know what they cost.",
        epilog="`hybridnet COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"hybridnet {our_version()}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name in typed:
            importlib.import_module(f"hybridnet.cli.{name}").add_arguments(sub)
        finish(sub)
    return parser


def finish(parser: argparse.ArgumentParser) -> None:
    """Declare what every command has."""
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.set_defaults(parser=parser)


def _check_outputs(args: argparse.Namespace) -> None:
    """Find out before the work that a file cannot be written."""
    from hybridnet.support.files import check_writable

    for option, kind in OUTPUT_FILES.items():
        path = getattr(args, option, None)
        if isinstance(path, Path) and str(path) != "-":
            check_writable(path, kind)
