"""`hybridnet-run`: a bundle on clips, where there is no torch; `hybridnet simulate` with the bundle first."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from hybridnet.cli import arguments, carry_out, finish
from hybridnet.cli.simulate import add_options, add_sources
from hybridnet.support.ahead import leave
from hybridnet.support.installed import our_version

NAME = "hybridnet-run"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    return carry_out(NAME, build_parser, argv)


def entry() -> NoReturn:
    """What `hybridnet-run` runs."""
    leave(main())


def build_parser(typed: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Its parser, whatever was typed."""
    parser = arguments.Parser(
        prog=NAME, description="Run a bundle on videos or arrays: prediction, energy and latency."
    )
    parser.add_argument("--version", action="version", version=f"{NAME} {our_version()}")
    parser.add_argument("bundle", type=arguments.BUNDLE, metavar="BUNDLE", help="what `hybridnet export` wrote")
    add_sources(parser)
    add_options(parser)
    finish(parser)
    parser.set_defaults(command="simulate")
    return parser
