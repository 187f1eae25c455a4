"""`hybridnet report`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.cli.formats import add_format

if TYPE_CHECKING:
    from hybridnet.report.record.data import RunRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("records", nargs="+", type=arguments.RECORDS, metavar="RUN.json",
                        help="written by `hybridnet simulate --json`; two are compared, any number with --index;"
                             " with --plot, evaluation.json of several `hybridnet evaluate`")  # fmt: skip
    add_format(parser)
    parser.add_argument("--profile", type=arguments.PROFILE, metavar="NAME_OR_YAML",
                        help="price the recorded counts again with this profile")  # fmt: skip
    parser.add_argument("--ann-profile", type=arguments.PROFILE, metavar="NAME_OR_YAML",
                        help="with --profile: another one for the ANN half; the report says so")  # fmt: skip
    parser.add_argument("--index", type=arguments.OUT_FOLDER, metavar="DIR",
                        help="write a page per run into this folder, and index.html, which links them")  # fmt: skip
    parser.add_argument("--plot", action="store_true", help="accuracy against energy of evaluations, as SVG")


def run(args: argparse.Namespace) -> int:
    """Read the records, price them again if asked, render them."""
    from hybridnet.cli.console import write_out
    from hybridnet.cli.results import as_text
    from hybridnet.errors import ConfigError
    from hybridnet.report.render.formats import rendered

    if args.ann_profile is not None and args.profile is None:
        raise ConfigError("ann-profile", args.ann_profile, "with --profile, which prices the rest")
    if args.plot:
        write_out(_plot(args), args.shown)
        return 0
    if args.index is None and len(args.records) > 2:
        raise ConfigError("records", len(args.records), "one, or two to compare; any number with --index or --plot")
    groups = [_read(path, args) for path in args.records]
    if args.index is not None:
        _write_index([record for group in groups for record in group], args)
        return 0
    if len(groups) == 2:
        text = _compared(groups, args)
    elif args.format == "text":
        text = "\n".join(as_text(record, full=args.full) for record in groups[0])
    else:
        text = rendered(groups[0], args.format)
    write_out(text, args.shown, words=args.format == "text")
    return 0


def _read(path: Path, args: argparse.Namespace) -> list[RunRecord]:
    from hybridnet.report.pricing.price import load_prices, reprice
    from hybridnet.report.record.file import read_records

    records = read_records(path)
    if args.profile is None:
        return records
    prices = load_prices(args.profile, args.ann_profile)
    return [reprice(record, prices, args.typed) for record in records]


def _compared(groups: list[list[RunRecord]], args: argparse.Namespace) -> str:
    from hybridnet.errors import RecordError
    from hybridnet.report.render.changes import compare, compare_document, to_json
    from hybridnet.report.render.fitted import fitted
    from hybridnet.report.render.formats import drawn

    for path, group in zip(args.records, groups, strict=True):
        if len(group) != 1:
            raise RecordError(f"holds {len(group)} runs", where=path, remedy="Compare records of one run each")
    (one,), (other,) = groups
    changes = compare(one, other)
    document = compare_document(one, other, changes)
    if args.format == "json":
        return to_json(changes)
    return drawn([fitted(document) if args.format == "text" and not args.full else document], args.format)


def _write_index(records: list[RunRecord], args: argparse.Namespace) -> None:
    """The pages, if none of them would replace what is not ours."""
    from hybridnet.cli.console import say
    from hybridnet.errors import ConfigError, OutputExistsError
    from hybridnet.report.render.html import GENERATOR
    from hybridnet.report.render.index import INDEX, MAX_RUNS, index_pages
    from hybridnet.support.files import check_writable, head_of, write_text

    if args.format != "text" or args.shown is not None:
        raise ConfigError("index", str(args.index), "without --format and -o: it is a folder of HTML pages")
    if len(records) > MAX_RUNS:
        raise ConfigError("records", len(records), f"up to {MAX_RUNS} runs in one index")
    pages = {args.index / name: text for name, text in index_pages(records).items()}
    for path in pages:
        check_writable(path)
        if path.exists() and f'content="{GENERATOR}"'.encode() not in head_of(path):
            raise OutputExistsError(path, "is no page of ours, and is not replaced", "Choose another folder")
    for path, text in pages.items():
        write_text(path, text)
    say(f"hybridnet: wrote {args.index / INDEX} and {len(records)} pages")


def _plot(args: argparse.Namespace) -> str:
    from hybridnet.errors import ConfigError
    from hybridnet.report.record.evaluation import read_evaluations
    from hybridnet.report.render.accuracy import accuracy_plot

    if args.format != "text" or args.profile is not None or args.index is not None:
        raise ConfigError("plot", True, "without --format, --profile and --index: it is an SVG of what was evaluated")
    return accuracy_plot([point for path in args.records for point in read_evaluations(path)])
