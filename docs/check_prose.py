"""The prose of the project, checked: python docs/check_prose.py, which `make lint` runs.

Prose is what pages say outside code, and what docstrings, comments and messages say. It is spelt right (codespell), no
sentence of it begins with "Of", and pages keep proselint's rules but those that .proselintrc.json switches off.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = re.compile(
    r"^(```|~~~).*?^\1|^(?: {4}|\t)[^\n]*$|^\|[^\n]*$|<!--.*?-->|`[^`\n]+`|\]\([^)]*\)", re.MULTILINE | re.DOTALL
)
"""What of a page is no prose: blocks of code, tables, comments, names in backquotes, addresses of links."""

OF = re.compile(r"(?:^[ \t]*|[.:;!?]\s+|[-*|]\s+|\*\*\s*)Of\s", re.MULTILINE)


def of_page(text: str) -> str:
    """Prose of a page, on the lines on which it is."""
    return CODE.sub(
        lambda code: re.sub(r"[^\n]", "x" if code[0].startswith("`") and "\n" not in code[0] else " ", code[0]), text
    )


def of_module(text: str) -> str:
    """Prose of Python: strings and comments, on the lines on which they are."""
    lines = [""] * (text.count("\n") + 2)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            lines[token.start[0] - 1] = token.string.lstrip("# ")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            for number, line in enumerate(node.value.split("\n"), node.lineno - 1):
                lines[min(number, len(lines) - 1)] += f" {line}"
    return "\n".join(lines)


def files() -> Iterator[Path]:
    """Pages and modules under version control, and new ones."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    yield from (ROOT / name for name in listed.stdout.split() if (ROOT / name).is_file())


def begins_with_of(prose: str) -> Iterator[int]:
    """Lines on which a sentence begins with "Of"."""
    yield from (prose.count("\n", 0, found.end() - 1) + 1 for found in OF.finditer(prose))


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    spelling = [sys.executable, "-m", "codespell_lib", "--toml", str(ROOT / "pyproject.toml"), *map(str, files())]
    found = subprocess.run(spelling, cwd=ROOT, check=False).returncode
    with tempfile.TemporaryDirectory() as folder:
        for path in files():
            text = path.read_text(encoding="utf-8")
            prose = of_page(text) if path.suffix == ".md" else of_module(text)
            for line in begins_with_of(prose):
                print(f'{path.relative_to(ROOT)}:{line}: a sentence begins with "Of"')
                found = 1
            if path.suffix == ".md":
                copy = Path(folder) / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_text(prose, encoding="utf-8")
        pages = sorted(str(page.relative_to(folder)) for page in Path(folder).rglob("*.md"))
        config = str(ROOT / ".proselintrc.json")
        found |= subprocess.run(
            [sys.executable, "-m", "proselint", "check", "--config", config, *pages], cwd=folder, check=False
        ).returncode
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
