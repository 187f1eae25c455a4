"""`hybridnet report`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hybridnet.report.data import RunRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("record", type=Path, metavar="RUN.json", help="written by `hybridnet simulate --json`")
    parser.add_argument("--format", default="text", choices=["text", "json"], help="default: text")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write here instead of stdout")
    parser.add_argument("--profile", metavar="NAME_OR_YAML", help="price the recorded counts again with this profile")


def run(args: argparse.Namespace) -> int:
    """Read the records, price them again if asked, render them."""
    from hybridnet.files import write_text
    from hybridnet.report.data import read_records, to_json
    from hybridnet.report.energy import load_profile
    from hybridnet.report.pricing import reprice

    records = read_records(args.record)
    if args.profile is not None:
        profile = load_profile(args.profile)
        records = [reprice(record, profile) for record in records]
    text = to_json(records) if args.format == "json" else as_text(records)
    if args.out is None:
        sys.stdout.write(text)
    else:
        write_text(args.out, text)
    return 0


def as_text(records: list[RunRecord]) -> str:
    """Each record in full: summary, layers, and the command that made it."""
    from hybridnet.report.render_text import render_layers, render_text

    return "\n".join(f"{render_text(r)}\n{render_layers(r)}\n\nMade by  {r.command}\n" for r in records)
