"""`hybridnet doctor`."""

from __future__ import annotations

import argparse

from hybridnet.cli.formats import add_format, show


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_format(parser)


def run(args: argparse.Namespace) -> int:
    """Try everything; exit 1 if something fails that is not optional."""
    from hybridnet.workflows.doctor import doctor_document, examine, to_json

    found = examine()
    show(args, doctor_document(found), to_json(found))
    return 1 if found.failed else 0
