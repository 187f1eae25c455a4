"""The command line. Each command is one small module; this one parses, dispatches and reports errors.

Results go to stdout, progress and diagnostics to stderr. Exit codes: 0 done, 1 an error the user can correct (one
line, with what to do), 2 wrong usage, 3 a check failed (--fail-on, compare), 130 interrupted, 143 terminated.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from hybridnet.errors import HybridNetError
from hybridnet.support.linux import follow

COMMANDS = {
    "export": "turn a checkpoint into a bundle: Lava/netx for the spiking half, ONNX for the rest",
    "calibrate": "find a bundle's integers on clips, measure what is lost and where, and repair it",
    "simulate": "run a bundle on videos: prediction, energy and latency per partition",
    "compare": "find where two back-ends of the spiking half part first, and why",
    "report": "render run records, compare two, or price them again with another profile",
    "fit": "estimate whether the spiking half of a bundle fits a chip, and what would",
    "audit": "derive a published energy column again from its operation counts",
    "cache": "preprocess a data set once, for training",
    "train": "train a model and write its checkpoint",
    "evaluate": "measure accuracy, throughput and energy of a checkpoint or a bundle over a data set",
    "demo": "make a clip (or take one) and run the whole main job on it",
    "inspect": "tell how a model is split in two, or what a video consists of, and draw either",
    "transcode": "make copies of many videos that are read directly: MPEG-4, I + T P",
    "doctor": "tell what is installed, what works, and how to install the rest",
}
"""Each lives in hybridnet.cli.<command>: `add_arguments(parser)` and `run(args)`; `args.typed` is what was typed."""

EXIT_ERROR, EXIT_INTERRUPTED = 1, 130
EXIT_TERMINATED = {signal.SIGTERM: 143, signal.SIGHUP: 129}

OUTPUT_FILES = {"json": "json", "output": "", "nir": "", "tag": "", "saliency": "", "trajectory": ""}
"""Options that name a file to write, and of what kind it is; see `hybridnet.support.files.check_writable`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    typed = sys.argv[1:] if argv is None else list(argv)
    if "TORCHELASTIC_RUN_ID" in os.environ:  # a process of torchrun, with which all of them end
        follow(os.getppid())
    args = build_parser().parse_args(typed)
    args.typed = shlex.join(["hybridnet", *typed])
    with _terminated_as_interrupted(), _errors_in_one_line(debug=args.debug) as failed:
        _check_outputs(args)
        command = importlib.import_module(f"hybridnet.cli.{args.command}")
        code: int = command.run(args)
        sys.stdout.flush()
        return code
    return failed[0]


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; imports nothing heavy."""
    parser = argparse.ArgumentParser(
        prog="hybridnet",
        description="Deploy hybrid spiking/ANN video networks, and know what they cost.",
        epilog="`hybridnet COMMAND --help` explains a command.",
    )
    parser.add_argument("--version", action="version", version=f"hybridnet {importlib.metadata.version('hybridnet')}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        importlib.import_module(f"hybridnet.cli.{name}").add_arguments(sub)
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _check_outputs(args: argparse.Namespace) -> None:
    """Find out before the work that a file cannot be written."""
    from hybridnet.support.files import check_writable

    for option, kind in OUTPUT_FILES.items():
        path = getattr(args, option, None)
        if isinstance(path, Path) and str(path) != "-":
            check_writable(path, kind)


class _Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: ends a command as Ctrl-C does, with all that it began cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = EXIT_TERMINATED[signal.Signals(number)]


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Raise `_Terminated` on SIGTERM and SIGHUP; nothing in other threads, which get no signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        raise _Terminated(number)

    before = {sign: signal.getsignal(sign) for sign in EXIT_TERMINATED}
    for sign, handler in before.items():
        if handler is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(sign, end)
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


@contextlib.contextmanager
def _errors_in_one_line(*, debug: bool) -> Iterator[list[int]]:
    """Turn errors that a user can correct into one line on stderr; `failed[0]` is then the exit code."""
    failed = [EXIT_ERROR]
    try:
        yield failed
    except HybridNetError as error:
        if debug:
            raise
        sys.stderr.write(f"hybridnet: error: {' '.join(str(error).split())}\n")
    except KeyboardInterrupt as interrupt:
        failed[0] = interrupt.exit_code if isinstance(interrupt, _Terminated) else EXIT_INTERRUPTED
        word = "terminated" if isinstance(interrupt, _Terminated) else "interrupted"
        sys.stderr.write(f"hybridnet: {word}; nothing half-written was left\n")
    except BrokenPipeError:
        # The reader of stdout went away (`| head`). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if debug:
            raise
        sys.stderr.write(f"hybridnet: error: {error}. Check the path, its permissions and the free space\n")
