"""`hybridnet audit`."""

from __future__ import annotations

import argparse
from pathlib import Path

from hybridnet.cli import arguments
from hybridnet.cli.formats import add_format, show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("table", nargs="?", default="das-biswas-2025-table1", metavar="TABLE.csv",
                        type=arguments.TABLE,
                        help="columns method, ann_tflops, spike_gops, energy_j"
                             " (default: Table 1 of arXiv 2503.13724, which ships)")  # fmt: skip
    parser.add_argument("--profile", type=arguments.PROFILE, default="horowitz45", metavar="NAME_OR_YAML",
                        help="prices (default: horowitz45)")  # fmt: skip
    add_format(parser)
    parser.add_argument("--fail-on", choices=["audit"], help="exit 3 if a row does not reproduce")


def run(args: argparse.Namespace) -> int:
    """Derive the table again and print what does not come out."""
    from hybridnet.cli.console import EXIT_CHECK_FAILED
    from hybridnet.report.pricing.audit import audit, read_table
    from hybridnet.report.pricing.audit_document import audit_document, to_json
    from hybridnet.report.pricing.profile import load_profile

    profile = load_profile(args.profile)
    verdicts = audit(read_table(args.table), profile)
    name = Path(args.table).stem
    show(args, audit_document(name, verdicts, profile), to_json(name, verdicts, profile))
    failed = args.fail_on == "audit" and not all(v.reproduces for v in verdicts)
    return EXIT_CHECK_FAILED if failed else 0
