"""Many clips of `hybridnet simulate`: a line each as it comes, then what all of them come to."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hybridnet.cli.arguments import STDOUT
from hybridnet.cli.console import lines_out, progress_beside, say, write_out
from hybridnet.cli.endings import EXIT_ERROR
from hybridnet.cli.formats import format_of
from hybridnet.cli.results import checks, write_report
from hybridnet.report.numbers import plural
from hybridnet.report.record.lines import summarise_lines
from hybridnet.report.render.formats import FILES, drawn
from hybridnet.report.render.lines import CsvLines, JsonLines, TextLines, lines_document
from hybridnet.workflows.many import files_of, simulate_many, workers_for

if TYPE_CHECKING:
    from hybridnet.deploy.bundle_parts import Bundle
    from hybridnet.report.record.data import RunRecord
    from hybridnet.report.record.lines import Line
    from hybridnet.report.render.lines import LineForm
    from hybridnet.support.progress import Progress
    from hybridnet.workflows.options import SimulateOptions


def run_many(args: argparse.Namespace, options: SimulateOptions, bundle: Bundle) -> int:
    """Run each file; exit 1 if any failed, once all have been run."""
    files, others = files_of(args.sources, arrays=bundle.manifest.model.preprocess is None)
    if others:
        say(f"hybridnet: left out by their endings: {plural(len(others), 'file')} in the folders, such as {others[0]}")
    compared = options.parity and (args.report is not None or args.fail_on == "parity")
    workers = workers_for(len(files), args.workers)
    options = dataclasses.replace(options, parity=compared, pictures=False)
    text = TextLines([str(file) for file in files], bundle.manifest.labels or ())
    lines: list[Line] = []
    records: list[RunRecord] = []
    with _outputs(args, text) as outputs, _progress(args) as progress:
        started = time.perf_counter()
        for form, write in outputs:
            write(form.head)
        for number, done in enumerate(simulate_many(files, bundle.path, options, workers), 1):
            lines += done.lines
            for form, write in outputs:
                write("".join(map(form.line, done.lines)))
            if done.record is not None and (args.report is not None or args.fail_on is not None):
                records.append(done.record)
            progress("clips", number, len(files))
        summary = summarise_lines(lines, workers, time.perf_counter() - started, _profiles(options))
        for form, write in outputs:
            write(form.end(summary))
    if (kind := format_of(args)) in ("markdown", "html"):
        write_out(drawn([lines_document(lines, summary)], kind), args.shown)
    if args.report is not None and records:
        write_report(args.report, records)
        say(f"hybridnet: wrote {args.report}")
        say(f"Next: hybridnet report {shlex.quote(str(args.report / FILES['json']))} --index pages")
    if summary.failed:
        say(f"hybridnet: {summary.failed} of {summary.clips} clips failed; their lines tell why")
        return EXIT_ERROR
    return checks(args, records)


@contextlib.contextmanager
def _outputs(args: argparse.Namespace, text: TextLines) -> Iterator[list[tuple[LineForm, Callable[[str], None]]]]:
    """Where lines go as they come, and in what form."""
    forms: dict[str, LineForm] = {"text": text, "csv": CsvLines(), "json": JsonLines()}
    wanted: list[tuple[str, Path | None]] = [(format_of(args), args.shown)]
    wanted += [
        (kind, file) for kind in ("csv", "json") if (file := getattr(args, kind)) is not None and str(file) != STDOUT
    ]
    with contextlib.ExitStack() as stack:
        yield [(forms[kind], stack.enter_context(lines_out(file))) for kind, file in wanted if kind in forms]


def _progress(args: argparse.Namespace) -> contextlib.AbstractContextManager[Progress]:
    return progress_beside(lines_shown=args.shown is None and format_of(args) not in ("markdown", "html"))


def _profiles(options: SimulateOptions) -> str:
    ann = "" if options.ann_profile is None else f" and, of the ANN half, {options.ann_profile}"
    return f"{options.profile}{ann}"
