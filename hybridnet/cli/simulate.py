"""`hybridnet simulate`; `hybridnet.cli.run` shares its options and what it shows."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.cli.backends import add_backends, add_settings, settings_of
from hybridnet.cli.formats import add_format, format_of, write_json
from hybridnet.cli.options import Adder, chosen
from hybridnet.config import DEFAULT_VIEWS
from hybridnet.workflows.options import SimulateOptions

if TYPE_CHECKING:
    from hybridnet.deploy.bundle_parts import Bundle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_sources(parser)
    parser.add_argument("--bundle", type=arguments.BUNDLE, metavar="DIR",
                        help="what to run (default: ./hybridnet-bundle, else the model that ships)")  # fmt: skip
    add_options(parser)


def add_sources(parser: argparse.ArgumentParser) -> None:
    """Declare what is run."""
    parser.add_argument("sources", nargs="+", type=arguments.SOURCES, metavar="SOURCE",
                        help="videos, folders of them, or .npz files of the model's inputs by name, (N, …), whose"
                             " rows are samples; of several files, or of a folder, a line each")  # fmt: skip


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare how it is run and shown."""
    add_backends(parser)
    parser.set_defaults(snn=None)  # a runtime without torch takes another one for some bundles
    add_settings(parser)
    option = Adder(parser, SimulateOptions)
    option("--views", f"GOPs sampled per clip (default: {DEFAULT_VIEWS})", type=int, metavar="N")
    option("--transcode", "when to transcode a clip that is not I + T P", choices=["auto", "never", "always"])
    option("--top-k", "classes listed", type=int, metavar="K")
    option("--profile", "energy profile", type=arguments.PROFILE, metavar="NAME_OR_YAML")
    option("--ann-profile", "another profile for the ANN half; the report says so",
           type=arguments.PROFILE, metavar="NAME_OR_YAML")  # fmt: skip
    option("--chip", "whose time and fit are estimated", type=arguments.CHIP, metavar="NAME_OR_YAML")
    option("--no-parity", "do not compare with the float program; several clips are compared only for --report and"
           " --fail-on parity", dest="parity", action="store_false")  # fmt: skip
    option("--measure", "also measure joules of both halves on this host, of one source, by RAPL and NVML",
           action="store_true")  # fmt: skip
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes for several clips (default: as cores allow, if each has eight clips or more)",
    )
    add_format(parser, json="the run record, or of several clips a line each as it comes,")
    parser.add_argument(
        "--csv",
        type=arguments.OUT_TEXT,
        metavar="FILE",
        help="write a row per clip or sample, of several clips as each is done: file, class, score, ms, energy, error",
    )
    parser.add_argument(
        "--report",
        type=arguments.OUT_FOLDER,
        metavar="DIR",
        help="write record.json, report.txt, .md, .csv and .html into this folder",
    )
    parser.add_argument("--output", type=arguments.OUT_ARRAYS, metavar="FILE.npz",
                        help="write what the model returns for each view, of one video or .npz file")  # fmt: skip
    parser.add_argument("--fail-on", choices=["fit", "parity"],
                        help="exit 3 if the class differs from that of the float program, or if the spiking half is too"
                             " large for one chip by our estimate")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Simulate one source and print its report, or many and print a line each; write the records."""
    from hybridnet.cli.many import run_many
    from hybridnet.cli.results import check_report
    from hybridnet.errors import ConfigError
    from hybridnet.workflows.simulate import load

    options = dataclasses.replace(chosen(SimulateOptions, args), settings=settings_of(args))
    bundle = load(args.bundle)
    if args.fail_on == "parity":
        _check_parity(options, bundle)
    if args.report is not None:
        check_report(args.report)
    if len(args.sources) == 1 and not args.sources[0].is_dir():
        return _run_one(args, options, bundle)
    if args.output is not None:
        raise ConfigError("output", str(args.output), "with one video or .npz file at a time")
    if args.measure:
        raise ConfigError("measure", True, "with one video or .npz file at a time: several run beside each other")
    return run_many(args, options, bundle)


def _run_one(args: argparse.Namespace, options: SimulateOptions, bundle: Bundle) -> int:
    """The report of one video, or of one set of samples."""
    from hybridnet.cli.console import progress_on_stderr, say, write_out
    from hybridnet.cli.results import as_text, checks, write_report
    from hybridnet.report.record.file import to_json
    from hybridnet.report.record.lines import lines_of
    from hybridnet.report.render.formats import rendered
    from hybridnet.report.render.lines import CsvLines
    from hybridnet.support.arrays import write_arrays
    from hybridnet.support.files import write_text
    from hybridnet.workflows.simulate import Simulator

    with progress_on_stderr() as progress, _default_told(args, bundle):
        result = Simulator(bundle, options).run(args.sources[0], progress=progress)
    record, kind = result.record, format_of(args)
    text = as_text(record, full=args.full) if kind == "text" else rendered([record], kind)
    write_out(text, args.shown, words=kind == "text")
    if args.output is not None:
        write_arrays(args.output, result.run.outputs)
        say(f"hybridnet: wrote {args.output}")
    if args.csv is not None:
        form = CsvLines()
        write_text(args.csv, form.head + "".join(map(form.line, lines_of(record))))
        say(f"hybridnet: wrote {args.csv}")
    if args.report is not None:
        write_report(args.report, [record])
        say(f"hybridnet: wrote {args.report}")
    if write_json(args, to_json([record])):
        say(f"Next: hybridnet report {args.json}")
    return checks(args, [record])


@contextlib.contextmanager
def _default_told(args: argparse.Namespace, bundle: Bundle) -> Iterator[None]:
    """Say beside what does not fit a model that nobody chose it."""
    from hybridnet.errors import ModelError
    from hybridnet.workflows.simulate import shipped_bundle_path

    try:
        yield
    except ModelError as error:
        if args.bundle is not None:
            raise
        shipped = bundle.path == shipped_bundle_path()
        ran = f"the model that ships, {bundle.manifest.model.name}," if shipped else f"./{bundle.path}"
        default = f"No --bundle was given, so {ran} was run; give --bundle DIR"
        raise ModelError(error.what, where=error.where, remedy=f"{default}. {error.remedy}") from error


def _check_parity(options: SimulateOptions, bundle: Bundle) -> None:
    from hybridnet.errors import ConfigError
    from hybridnet.simulators.registry import spiking_entry

    in_float = options.snn is not None and not spiking_entry(options.snn).fixed_point
    if not options.parity or in_float or bundle.manifest.labels is None:
        raise ConfigError("fail-on", "parity", "runs, of a bundle with labels, that are compared with float")
