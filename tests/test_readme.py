"""What the README tells users to type exists."""

import re
import subprocess

from helpers.places import ROOT

from hybridnet.cli import build_parser

README, CONTRIBUTING = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))
PAGES = [README, CONTRIBUTING, *(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))]


def test_every_command_parses() -> None:
    commands = [
        m for page in PAGES for m in re.findall(r"^(?:\$ |    )hybridnet (.*?)(?:\s+#.*)?$", page, re.MULTILINE)
    ]
    assert len(commands) >= 4
    for command in commands:
        build_parser().parse_args(command.split())


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {t for page in PAGES for group in re.findall(r"`?make ((?:[a-z-]+ ?)+)", page) for t in group.split()}
    known = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert {"demo", "test", "lint", "typecheck", "bench", "assets", "setup", "docs"} <= targets & known


def test_every_named_file_exists() -> None:
    """Every path in backquotes that begins with a folder or file of the repository, of whatever folder."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    tops = "|".join(sorted({re.escape(name.partition("/")[0]) for name in listed}))
    named = {name for page in PAGES for name in re.findall(rf"`((?:{tops})(?:/[\w./-]*)?)`", page)}
    assert {name.partition("/")[0] for name in named} >= {"hybridnet", "docs", "tests", "deploy", "simulators"}
    for name in named:
        assert (ROOT / name).exists(), name
