"""What the README tells users to type exists."""

import re

from helpers.places import ROOT

from hybridnet.cli import build_parser

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, *(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))]


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
    for page in PAGES:
        for name in re.findall(r"`((?:hybridnet|docs|examples|benchmarks|simulators|tests)/[\w./-]+)`", page):
            assert (ROOT / name).exists(), name
