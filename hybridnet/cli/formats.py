"""`--format`, `-o` and `--json`: what a command found, in the format and at the place that was asked for."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.report.document import FORMATS

if TYPE_CHECKING:
    from hybridnet.report.document import Document


def add_format(parser: argparse.ArgumentParser, *, out: bool = True, json: str = "") -> None:
    """Declare where and how results are shown.

    Args:
        parser: The command's.
        out: Whether `-o` is the file of the results; else it is the command's own.
        json: What `--json FILE` writes; empty of a command without it.
    """
    parser.add_argument("--full", action="store_true", help="as text, all there is and not one screen of 24 lines")
    parser.add_argument("--format", default="text", choices=FORMATS, help="how results are shown (default: text)")
    if out:
        parser.add_argument("-o", "--out", dest="shown", type=arguments.OUT_TEXT, metavar="FILE",
                            help="write here instead of stdout")  # fmt: skip
    if json:
        parser.add_argument("--json", type=arguments.OUT_JSON, metavar="FILE",
                            help=f"write {json} as JSON too; - for stdout, instead of --format")  # fmt: skip


def format_of(args: argparse.Namespace) -> str:
    """The format that results are shown in."""
    return "json" if str(getattr(args, "json", None)) == arguments.STDOUT else str(args.format)


def show(args: argparse.Namespace, document: Document, as_json: str) -> None:
    """Show a report, or the record that it tells of; write the record too if `--json FILE` asks for it."""
    from hybridnet.cli.console import write_out
    from hybridnet.report.render.fitted import fitted
    from hybridnet.report.render.formats import drawn

    kind = format_of(args)
    shown = fitted(document) if kind == "text" and not args.full else document
    write_out(as_json if kind == "json" else drawn([shown], kind), getattr(args, "shown", None), words=kind == "text")
    write_json(args, as_json)


def write_json(args: argparse.Namespace, as_json: str) -> bool:
    """Write the record if `--json FILE` asks for it; returns whether it does."""
    from hybridnet.cli.console import say
    from hybridnet.support.files import write_text

    file = getattr(args, "json", None)
    if file is None or str(file) == arguments.STDOUT:
        return False
    write_text(file, as_json)
    say(f"hybridnet: wrote {file}")
    return True
