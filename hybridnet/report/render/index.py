"""Many runs as pages that one index links: each with its picture, its answers and its energy beside the others'."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hybridnet.report.document import Image, Stack, Stacks
from hybridnet.report.numbers import energy_cell, markup, plural
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.pictures import SheetKind
from hybridnet.report.render.html import page, render_html
from hybridnet.report.render.page import page_document
from hybridnet.report.render.pictures import pictured
from hybridnet.report.render.raster import coloured
from hybridnet.report.render.sections_pictures import SEEN, answers
from hybridnet.report.render.svg_run import image

INDEX = "index.html"

MAX_RUNS, COMPARED = 500, 24
"""Runs of an index, and those whose energies stand beside each other."""

THUMB, PICTURED = 48, 150
"""The longer side of a run's picture, and of how many runs there is one: an index is no larger than a page."""


def index_pages(records: Sequence[RunRecord]) -> dict[str, str]:
    """The index and a page per run, by file name.

    Args:
        records: Up to MAX_RUNS.
    """
    names = [page_name(number, record) for number, record in enumerate(records, 1)]
    pages = {name: render_html([page_document(one)]) for name, one in zip(names, records, strict=True)}
    return {INDEX: _index(records, names)} | pages


def page_name(number: int, record: RunRecord) -> str:
    """A file name that says what ran, of letters that every system takes."""
    said = re.sub(r"[^a-z0-9]+", "-", f"{record.model.name}-{Path(record.source).stem}".lower()).strip("-")
    return f"{number:03d}-{said[:60].strip('-')}.html"


def _index(records: Sequence[RunRecord], names: Sequence[str]) -> str:
    title = f"hybridnet: {plural(len(records), 'run')}"
    cards = "\n".join(
        _card(record, name, with_picture=n < PICTURED)
        for n, (record, name) in enumerate(zip(records, names, strict=True))
    )
    left_out = f"<p>The first {PICTURED} have a picture.</p>" if len(records) > PICTURED else ""
    return page(
        title, f'<h1>{title}</h1>\n{pictured(energies(records))}\n{left_out}<div class="runs">\n{cards}\n</div>'
    )


def energies(records: Sequence[RunRecord]) -> Stacks:
    """The energy of each run, the dearest first."""
    profiles = ", ".join(dict.fromkeys(record.profile.name for record in records))
    dearest = sorted(records, key=lambda record: -record.totals.energy_pj.reference)[:COMPARED]
    some = f"the {COMPARED} most expensive of {len(records)} runs" if len(records) > COMPARED else "each run"
    bars = tuple(
        Stack(_title(one), (one.totals.energy_pj.reference,), energy_cell(one.totals.energy_pj)) for one in dearest
    )
    return Stacks(f"energy of {some}, modelled with {profiles}", (), bars)


def _card(record: RunRecord, name: str, *, with_picture: bool) -> str:
    thumb = _thumb(record) if with_picture else ""
    tiles = "".join(map(pictured, answers(record).pictures))
    made = f"{record.created}, bundle {record.model.bundle}"
    return (
        f'<article class="run">{thumb}<div><h2><a href="{name}">{markup(_title(record))}</a></h2>{tiles}'
        f"<p><small>{markup(made)}</small></p></div></article>"
    )


def _thumb(record: RunRecord) -> str:
    """What the run saw, small; empty if its record has no picture of it."""
    sheets = () if record.pictures is None else record.pictures.of_kind(*SEEN)
    if not sheets:
        return ""
    colours = coloured(sheets[0])[0]
    every = -(-max(colours.shape[:2]) // THUMB)
    pixels = np.rint(255 * colours[::every, ::every]).astype(np.uint8)
    height, width = pixels.shape[:2]
    one = Image(sheets[0].name, height, width, pixels.tobytes())
    kind = "one" if sheets[0].kind is SheetKind.FRAME else ""
    return f'<div class="thumb {kind}">{image(one, f"{sheets[0].what} of {Path(record.source).name}")}</div>'


def _title(record: RunRecord) -> str:
    return f"{record.model.name} on {Path(record.source).name}"
