"""What a command prints: results on stdout, progress and diagnostics on stderr, all of it as text and not as commands.

While a command runs, whatever else writes to stdout, a library or a user's module, writes to stderr.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TextIO

from hybridnet.support.files import write_text
from hybridnet.support.progress import Progress, silent
from hybridnet.support.text import lines_of, visible

EXIT_CHECK_FAILED = 3
"""Exit code of a command whose work is done, and of which a requested check failed."""

STDIN, STDOUT, STDERR = 0, 1, 2

_results: TextIO | None = None
"""Where results go while a command runs."""


class StdoutError(Exception):
    """Results cannot be written to stdout; the cause is an `OSError`."""


def put(text: str) -> None:
    """Write a result to stdout: text that is to be read as it is, such as JSON, or that a renderer made.

    Raises:
        StdoutError: If it cannot be written.
    """
    _write(_results or sys.stdout, text)


def tell(lines: Iterable[str]) -> None:
    """Write lines to stdout; what they tell of files and exceptions is shown as text.

    Raises:
        StdoutError: If they cannot be written.
    """
    put(lines_of(lines))


def say(line: str) -> None:
    """One line of diagnostics; if stderr cannot be written, there is nobody to tell."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(visible(line) + "\n")
        sys.stderr.flush()


def write_out(text: str, out: Path | None, *, words: bool = False) -> None:
    """A result: into a file, or on stdout; `words` are for people, and have colours on a terminal."""
    if out is not None:
        write_text(out, text)
    else:
        put(coloured(text) if words and has_colours(_results or sys.stdout) else text)


def has_colours(stream: TextIO) -> bool:
    """Whether it is a terminal, and nobody asked for no colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def coloured(text: str) -> str:
    """A text with its bars in colour and its rules dim."""
    return re.sub("─+", "\x1b[2m\\g<0>\x1b[0m", re.sub("█+", "\x1b[36m\\g<0>\x1b[0m", text))


@contextlib.contextmanager
def results_apart() -> Iterator[None]:
    """Keep stdout for results while the block runs; for all else it is stderr, in child processes too."""
    global _results
    if _results is not None:  # a command that runs another
        yield
        return
    stdout = sys.stdout
    _results, restore = _split(stdout)
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout, _results = stdout, None
        restore()


@contextlib.contextmanager
def progress_on_stderr() -> Iterator[Progress]:
    """A `Progress` that draws on stderr while the block runs: bars on a terminal, a line per stage elsewhere."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    description = TextColumn("{task.description}", markup=False)
    left = (TextColumn("·"), TimeRemainingColumn(), TextColumn("left"))
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), *left)
    drawn = Console(stderr=True)
    with Bars(*columns, console=drawn, transient=True, redirect_stdout=False, speed_estimate_period=math.inf) as bars:
        tasks: dict[str, TaskID] = {}

        def draw(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(visible(what), total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield draw


@contextlib.contextmanager
def progress_beside(*, lines_shown: bool) -> Iterator[Progress]:
    """As `progress_on_stderr`; on a terminal that shows lines of results as they come these are the progress."""
    if lines_shown and (_results or sys.stdout).isatty():
        yield silent
        return
    with progress_on_stderr() as progress:
        yield progress


@contextlib.contextmanager
def lines_out(out: Path | None) -> Iterator[Callable[[str], None]]:
    """What writes lines of results as they come: into a file, which holds what there is at any moment, or on stdout."""
    if out is None:
        yield put
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("w", encoding="utf-8") as file:

        def write(text: str) -> None:
            file.write(text)
            file.flush()

        yield write


def open_closed_streams() -> None:
    """Give each standard stream that was closed before Python began (`>&-`) a place, which no other file then gets.

    What is then written to stdout fails as it does on a full disk; what is written to stderr is lost.
    """
    for number in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if number == STDERR else os.O_RDONLY)  # takes the lowest free number
    for name, number in (("stdout", STDOUT), ("stderr", STDERR)):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w", closefd=False, errors="backslashreplace"))  # noqa: SIM115


def flush_stdout() -> None:
    """Write what waits for stdout, or drop it: Python would complain again when it ends.

    Raises:
        StdoutError: If it cannot be written.
    """
    try:
        _write(sys.stdout, "")
    except StdoutError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        raise StdoutError from error


def _split(stdout: TextIO) -> tuple[TextIO, Callable[[], None]]:
    """Where results go from now on, and what undoes it; the stdout of the operating system becomes stderr."""
    try:
        is_real = stdout.fileno() == STDOUT
    except (OSError, ValueError):  # an object that a program put in its place
        is_real = False
    if not is_real:
        return stdout, lambda: None
    results = open(os.dup(STDOUT), "w", encoding=stdout.encoding, errors="backslashreplace")  # noqa: PTH123, SIM115
    os.dup2(STDERR, STDOUT)

    def restore() -> None:
        os.dup2(results.fileno(), STDOUT)
        with contextlib.suppress(OSError):  # told already
            results.close()

    return results, restore


def _lines() -> Progress:
    started: set[str] = set()

    def write(what: str, done: int, total: int) -> None:
        if what not in started:
            started.add(what)
            say(f"hybridnet: {what} …")

    return write
