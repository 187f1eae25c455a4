"""What README and pages say is there: commands, files, links, and what commands print."""

import re
import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from helpers.places import ROOT
from helpers.workshop import commands, copy_workshop, make_workshop

from hybridnet import errors
from hybridnet.cli import build_parser, main
from hybridnet.deploy.chip.fit import RULES
from hybridnet.partition.arithmetic.bounds import BOUNDS
from hybridnet.partition.rules import RULES as PLACEMENT_RULES

sys.path.insert(0, str(ROOT / "docs"))

import run_pages
from make_glossary import glossary_page

README, CONTRIBUTING = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md"))
GUIDES = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, CONTRIBUTING, *(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))]


def test_every_command_parses() -> None:
    commands = [
        m for page in PAGES for m in re.findall(r"^(?:\$ |    )hybridnet (.*?)(?:\s+#.*)?$", page, re.MULTILINE)
    ]
    assert len(commands) >= 4
    commands.remove("export clip.avi --lables x")  # docs/errors.md shows what wrong usage is answered with
    for command in commands:
        build_parser().parse_args(shlex.split(re.split(r" [|>] ", command)[0]))


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


def slug(heading: str) -> str:
    """The anchor of a heading, as Python-Markdown makes it."""
    plain = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", plain).strip().lower())


def headings(page: Path) -> set[str]:
    """The anchors of a page."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


def test_every_link_leads_somewhere() -> None:
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")):
        text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for link in re.findall(r"\]\(((?!https?:)[^)\s]+)\)", text):
            name, _, anchor = link.partition("#")
            target = page.parent / name if name else page
            assert target.exists(), f"{page.name}: {link}"
            assert not anchor or anchor in headings(target), f"{page.name}: {link}"


def test_every_error_and_rule_has_a_meaning_an_example_and_what_to_do() -> None:
    classes = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    for page, wanted in {
        "errors.md": classes - {"HybridNetError"},
        "fit-rules.md": {(rule.__doc__ or "").partition(":")[0] for rule in RULES},
        "placement-rules.md": {bound.id for bound in BOUNDS} | {rule.id for rule in PLACEMENT_RULES},
    }.items():
        parts = re.split(r"^##+ (.*)\n", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.MULTILINE)
        sections = dict(zip(parts[1::2], parts[2::2], strict=True))
        for name in wanted:
            assert re.search(
                r"\A\n\w.*?\n```\w+\n.+?^```\n.*?\n\*\*What to do\.\*\* \w", sections[name], re.M | re.S
            ), name


def test_the_glossary_is_the_codes() -> None:
    assert (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8") == glossary_page(), "run `make docs`"


@pytest.mark.slow
@pytest.mark.parametrize("page", run_pages.PAGES, ids=lambda page: page.name)
def test_pages_show_what_their_commands_print(page: Path) -> None:
    assert run_pages.run_page(page) == page.read_text(encoding="utf-8"), "run `make docs`"


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workshop")
    make_workshop(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in GUIDES if any(commands(page))], ids=lambda page: page.name)
def test_the_commands_of_the_guides_run(
    page: Path, workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_workshop(workshop, tmp_path, page.name)
    monkeypatch.chdir(tmp_path)
    for command in commands(page):
        assert main(shlex.split(command)) in (0, 3), command
