"""Reports and run records in any format."""

from __future__ import annotations

from collections.abc import Sequence

from hybridnet.report.document import Document
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.file import to_json
from hybridnet.report.render.csv import render_csv, render_tables
from hybridnet.report.render.html import render_html
from hybridnet.report.render.markdown import render_markdown
from hybridnet.report.render.page import page_document
from hybridnet.report.render.sections import run_document
from hybridnet.report.render.text import render_document

FILES = {
    "json": "record.json",
    "text": "report.txt",
    "markdown": "report.md",
    "csv": "report.csv",
    "html": "report.html",
}
"""What `hybridnet simulate --report` calls a run's report in each format."""


def drawn(documents: Sequence[Document], kind: str) -> str:
    """Documents in any of `hybridnet.report.document.FORMATS` but json, which is for the record that they tell of."""
    if kind == "html":
        return render_html(documents)
    if kind == "csv":
        return render_tables(documents)
    render = {"text": render_document, "markdown": render_markdown}[kind]
    return "\n".join(render(document) for document in documents)


def rendered(records: Sequence[RunRecord], kind: str) -> str:
    """Run records in any format: json is the records, csv a line per layer; the page of one begins with pictures."""
    if kind == "json":
        return to_json(list(records))
    if kind == "csv":
        return render_csv(records)
    if kind == "html" and len(records) == 1:
        return drawn([page_document(records[0])], kind)
    return drawn([run_document(record) for record in records], kind)
