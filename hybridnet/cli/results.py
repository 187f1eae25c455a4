"""What `hybridnet simulate` does with records: check them, show one in short, write a report of all."""

from __future__ import annotations

import argparse
from pathlib import Path

from hybridnet.cli.console import EXIT_CHECK_FAILED, say
from hybridnet.errors import OutputExistsError
from hybridnet.report.record.data import SCHEMA, RunRecord
from hybridnet.report.render.formats import FILES, rendered
from hybridnet.report.render.screen import screen_document
from hybridnet.report.render.sections import run_document
from hybridnet.report.render.text import render_document
from hybridnet.support.files import check_writable, head_of, write_text


def checks(args: argparse.Namespace, records: list[RunRecord]) -> int:
    """What `--fail-on` asks of records: 0, or the exit code with a line on what failed."""
    if args.fail_on == "parity":
        different = [r.source for r in records if r.parity is None or not r.parity.top1_agrees]
        if different:
            say(f"hybridnet: parity failed: another class than the float program on {', '.join(different)}")
            return EXIT_CHECK_FAILED
    if args.fail_on == "fit" and any(r.fit is None or r.fit.broken for r in records):
        say("hybridnet: fit failed: `hybridnet fit` tells what is too large, and what would fit")
        return EXIT_CHECK_FAILED
    return 0


def as_text(record: RunRecord, *, full: bool) -> str:
    """A run on one screen, or all of its report."""
    return render_document(run_document(record)) + "\n" if full else render_document(screen_document(record))


def check_report(folder: Path) -> None:
    """Refuse a folder with files of a report's names, unless its record tells that they are of a report."""
    check_writable(folder / FILES["json"])
    if SCHEMA.split("/")[0].encode() not in head_of(folder / FILES["json"]):
        for name in FILES.values():
            if (folder / name).exists():
                raise OutputExistsError(folder / name, "is of no report, and is not replaced", "Choose another folder")


def write_report(folder: Path, records: list[RunRecord]) -> None:
    """Write the records and their reports in every format into a folder."""
    for kind, name in FILES.items():
        write_text(folder / name, rendered(records, kind))
