"""For mkdocs: README, CHANGELOG and CONTRIBUTING of the repository's root are pages of the site, each kept once."""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the three pages, with links as they are seen from docs/."""
    for name, page in PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=re.sub(r"(?<=\]\()([^)#]+)", _from_docs, text)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """Let pages of docs/ link to the three."""
    return re.sub(r"(?<=\]\()\.\./([A-Z]+\.md)", lambda link: PAGES[link[1]], markdown)


def _from_docs(link: re.Match[str]) -> str:
    return PAGES.get(link[1], link[1].removeprefix("docs/"))
