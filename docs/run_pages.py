"""Run what pages show: python docs/run_pages.py [PAGE …] writes anew what has changed; --check only says so.

A block "```console" holds commands behind "$ ", each with what it prints; "…" stands for lines that are left out. The
commands of a page run one after the other in a folder of its own, which has the repository's `examples`. A block
"```python title="FILE"" is that file. What was recorded stays where nothing but times differ.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = tuple(
    path
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if re.search(r"^```(console|python title)", path.read_text(encoding="utf-8"), re.MULTILINE)
)
BEFORE = {"README.md": "hybridnet demo"}
"""What a page asks for in words before its blocks."""

BLOCK = re.compile(r'^```(console|python title="([^"\n]+)")\n(.*?)^```$', re.MULTILINE | re.DOTALL)
LEFT_OUT = "…"
NUMBER = r"[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
QUANTITY = re.compile(rf"({NUMBER}) ?(?:[pnµmkMGT]?[JBW]\b|%|dB|bit)|_pj\": ({NUMBER})")
"""A number that runs of one model on one input have in common; others may be times."""

COLUMNS, LIMIT_S = 100, 600


class ChangedError(Exception):
    """A command no longer prints what its page shows."""


def run_page(path: Path) -> str:
    """The text of a page with what its commands print now.

    Raises:
        ChangedError: If lines that are shown are no longer printed, whatever their numbers.
    """
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "examples").symlink_to(ROOT / "examples")
        if path.name in BEFORE:
            _printed(BEFORE[path.name], Path(folder))

        def anew(block: re.Match[str]) -> str:
            kind, file, body = block.groups()
            lines = (
                (ROOT / file).read_text(encoding="utf-8").splitlines()
                if file
                else [line for part in _commands(body) for line in _run(path.name, *part, Path(folder))]
            )
            return "\n".join((f"```{kind}", *lines, "```"))

        return BLOCK.sub(anew, path.read_text(encoding="utf-8"))


def _commands(body: str) -> Iterator[tuple[str, list[str]]]:
    """The commands of a block, and the lines below each."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, *shown = part.rstrip().split("\n")
        while command.endswith("\\") or (shown and shown[0].startswith("> ")):
            command += "\n" + shown.pop(0)
        yield command, shown


def _run(page: str, command: str, shown: list[str], folder: Path) -> list[str]:
    printed = _printed(command, folder)
    parts: list[list[str]] = [[]]
    for line in shown or printed:
        if line == LEFT_OUT:
            parts.append([])
        else:
            parts[-1].append(line)
    at, lines = 0, [f"$ {command}"]
    for number, part in enumerate(parts):
        begin, end = _found(part, printed, at, last=number == len(parts) - 1)
        if begin < 0 or (number == 0 and begin > 0):
            wanted, there = "\n".join(part), "\n".join(printed)
            raise ChangedError(f"{page}: $ {command}\nshows\n{wanted}\nand prints\n{there}")
        now = printed[begin:end]
        lines += [LEFT_OUT] * (number > 0) + (part if _quantities(part) == _quantities(now) else now)
        at = end
    return lines


def _found(part: list[str], printed: list[str], at: int, *, last: bool) -> tuple[int, int]:
    """Where lines of the same words are among those from `at` on, however they are broken; (-1, -1) if nowhere."""
    wanted = _words(part)
    for begin in range(at, len(printed) + 1):
        if part and part[0] and not "".join(printed[begin : begin + 1]):
            continue
        for end in range(begin, len(printed) + 1):
            if _words(printed[begin:end]) == wanted and (not last or not part or end == len(printed)):
                return (len(printed), len(printed)) if last and not part else (begin, end)
            if len(_words(printed[begin:end])) > len(wanted):
                break
    return -1, -1


def _words(lines: list[str]) -> list[str]:
    """Words without numbers, bars and units."""
    text = re.sub(r"[█▏▎▍▌▋▊▉─]+", " ", " ".join(lines))
    text = re.sub(rf"{NUMBER}( [pnµmkMGT]?[JBWs]\b)?", "#", text)
    return text.split()


def _quantities(lines: list[str]) -> list[str]:
    return [match.group() for match in QUANTITY.finditer(" ".join(lines))]


def _printed(command: str, folder: Path) -> list[str]:
    """What a command prints, and the error in which it ends."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": str(COLUMNS), "NO_COLOR": "1"}
    done = subprocess.run(
        ["bash", "-c", re.sub(r"^> ", "", command, flags=re.MULTILINE)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    errors = [line for line in done.stderr.splitlines() if "error: " in line]
    lines = [line.rstrip() for line in (done.stdout.rstrip().splitlines() + errors)]
    return [line.replace(str(ROOT), LEFT_OUT).replace(str(folder), LEFT_OUT) for line in lines]


def main() -> None:
    """Run pages."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE", help="default: all that show commands")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page has changed")
    args = parser.parse_args()
    changed = False
    for page in args.pages or PAGES:
        sys.stderr.write(f"running what {page.name} shows …\n")
        text = run_page(page)
        if text != page.read_text(encoding="utf-8"):
            changed = True
            if not args.check:
                page.write_text(text, encoding="utf-8")
            sys.stderr.write(f"{page.name} {'has changed' if args.check else 'was written'}\n")
    sys.exit(1 if changed and args.check else 0)


if __name__ == "__main__":
    main()
