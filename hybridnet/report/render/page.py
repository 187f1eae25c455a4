"""A run as a page: answers and pictures first, then every section of the report, each folded away."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from hybridnet.report.document import Document, Section
from hybridnet.report.record.data import RunRecord
from hybridnet.report.render.sections import run_document
from hybridnet.report.render.sections_pictures import answers, changes, network, seen, spiked

NO_PICTURES = "The record has no pictures of a view: those of several clips have none. Simulate one clip for them."


def page_document(record: RunRecord) -> Document:
    """All that a record says, in the order of a page."""
    report, pictures = run_document(record), record.pictures
    headline, *rest = report.sections
    views = (
        (Section("What it saw", lines=(NO_PICTURES,)),)
        if pictures is None
        else (seen(record, pictures), spiked(record, pictures))
    )
    words = dataclasses.replace(headline, title="In words")
    whole = tuple(dataclasses.replace(part, folded=True) for part in (words, *rest))
    opened = Section("All numbers", lines=("Each part says whether it is counted, measured or modelled.",))
    title = f"{record.model.name} on {Path(record.source).name}"
    return Document(title, (answers(record), changes(record), *views, network(record), opened, *whole))
