"""Run the benchmarks that docs/speed.md shows, and write what they print: `python benchmarks/tables.py [WORD …]`.

Each block of that page is titled by a command and holds what it printed. WORDs choose the commands that have one of
them. All take some twenty minutes, of a machine that has nothing else to do. RUNTIME_PYTHON is
that of benchmarks/runtime.py.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "speed.md"
BLOCK = re.compile(r'^```text title="(python benchmarks/[^\n]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def main() -> None:
    """Write the page after each command, so that an interruption loses one at most."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("words", nargs="*", metavar="WORD", help="default: all commands")
    words = parser.parse_args().words
    for command in (match[1] for match in BLOCK.finditer(PAGE.read_text(encoding="utf-8"))):
        if not words or any(word in command for word in words):
            sys.stderr.write(f"{command} …\n")
            write(command, printed(command))


def printed(command: str) -> str:
    """What a command writes to its standard output, without blank lines at either end.

    Raises:
        subprocess.CalledProcessError: If it fails.
    """
    words = shlex.split(os.path.expandvars(command))[1:]
    done = subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return "\n".join(line.rstrip() for line in done.stdout.strip("\n").splitlines())


def write(command: str, text: str) -> None:
    """Put what a command printed into its block."""
    page = PAGE.read_text(encoding="utf-8")
    for match in BLOCK.finditer(page):
        if match[1] == command:
            page = f"{page[: match.start(2)]}{text}\n{page[match.end(2) :]}"
            break
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
