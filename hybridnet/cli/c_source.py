"""`--c` of the commands that write a bundle: its spiking half as C beside it."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING

from hybridnet.cli import arguments

if TYPE_CHECKING:
    from hybridnet.deploy.bundle_parts import Bundle
    from hybridnet.report.document import Document
    from hybridnet.support.progress import Progress


def add_c(parser: argparse.ArgumentParser) -> None:
    """`--c`; `--overwrite`, which the command has, holds for it too."""
    parser.add_argument("--c", type=arguments.OUT_FOLDER, metavar="DIR",
                        help="also write the spiking half as C11 without dependencies, with a test of it; its names"
                             " begin with that of DIR")  # fmt: skip


def check_c(args: argparse.Namespace) -> None:
    """Refuse a folder that cannot be written, before any work.

    Raises:
        ConfigError: If it is the bundle's, or one is in the other.
        OutputExistsError: If something is there that is not to be replaced.
    """
    if args.c is None:
        return
    from hybridnet.deploy.c.folder import check_c_folder
    from hybridnet.errors import ConfigError

    c, bundle = args.c.resolve(), args.out.resolve()
    if c in (bundle, *bundle.parents) or bundle in c.parents:
        raise ConfigError("--c", str(args.c), f"a folder apart from the bundle's, {args.out}")
    check_c_folder(args.c, overwrite=args.overwrite)


def with_c(document: Document, args: argparse.Namespace, bundle: Bundle, progress: Progress) -> Document:
    """Write the C, if it is wanted, and tell its sizes at the end of what is told."""
    if args.c is None:
        return document
    from hybridnet.deploy.c.folder import size_section
    from hybridnet.workflows.c_source import export_c

    plan = export_c(bundle, args.c, overwrite=args.overwrite, progress=progress)
    return dataclasses.replace(document, sections=(*document.sections, size_section(args.c, plan)))
