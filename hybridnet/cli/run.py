"""`hybridnet-run` and `hybridnet-watch`, where there is no torch: `simulate` and `watch` with the bundle first."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from hybridnet.cli import arguments, carry_out, finish, simulate, watch
from hybridnet.support.ahead import leave
from hybridnet.support.installed import our_version


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line of `hybridnet-run` and return its exit code."""
    return carry_out("hybridnet-run", build_parser, argv)


def entry() -> NoReturn:
    """What `hybridnet-run` runs."""
    leave(main())


def main_watch(argv: Sequence[str] | None = None) -> int:
    """Run the command line of `hybridnet-watch` and return its exit code."""
    return carry_out("hybridnet-watch", build_watch_parser, argv)


def entry_watch() -> NoReturn:
    """What `hybridnet-watch` runs."""
    leave(main_watch())


def build_parser(typed: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of `hybridnet-run`, whatever was typed."""
    parser = _with_bundle("hybridnet-run", "simulate", "Run a bundle on videos or arrays: prediction, energy, latency.")
    parser.epilog = "`hybridnet-watch BUNDLE SOURCE` watches a camera, a stream, a pipe or a growing file."
    simulate.add_sources(parser)
    simulate.add_options(parser)
    return parser


def build_watch_parser(typed: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The parser of `hybridnet-watch`, whatever was typed."""
    parser = _with_bundle("hybridnet-watch", "watch", "Run a bundle on a live source: a line per GOP as it comes.")
    watch.add_source(parser)
    watch.add_options(parser)
    return parser


def _with_bundle(name: str, command: str, description: str) -> argparse.ArgumentParser:
    parser = arguments.Parser(prog=name, description=description)
    parser.add_argument("--version", action="version", version=f"{name} {our_version()}")
    parser.add_argument("bundle", type=arguments.BUNDLE, metavar="BUNDLE", help="what `hybridnet export` wrote")
    finish(parser)
    parser.set_defaults(command=command)
    return parser
