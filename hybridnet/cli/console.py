"""Progress on stderr: bars on a terminal, a line per stage elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from hybridnet.support.files import write_text
from hybridnet.support.progress import Progress

EXIT_CHECK_FAILED = 3
"""Exit code of a command whose work is done, and of which a requested check failed."""


@contextlib.contextmanager
def progress_on_stderr() -> Iterator[Progress]:
    """A `Progress` that draws on stderr while the block runs."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def draw(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield draw


def write_out(text: str, out: Path | None) -> None:
    """A result: into a file, or on stdout."""
    if out is None:
        sys.stdout.write(text)
    else:
        write_text(out, text)


def say(line: str) -> None:
    """One line of diagnostics."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _lines() -> Progress:
    started: set[str] = set()

    def write(what: str, done: int, total: int) -> None:
        if what not in started:
            started.add(what)
            say(f"hybridnet: {what} …")

    return write
