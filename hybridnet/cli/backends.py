"""Options that choose back-ends, made from what the registry says of them; listing them imports none."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from hybridnet.simulators.entry import Entry
from hybridnet.simulators.options import Settings
from hybridnet.simulators.registry import ANN_ENTRIES, DEFAULT_ANN, DEFAULT_SNN, SPIKING, all_options, requestable


def add_backends(parser: argparse.ArgumentParser, whose: str = "the") -> None:
    """`--snn` and `--ann`."""
    _add_half(parser, "--snn", f"{whose} spiking half", SPIKING, DEFAULT_SNN)
    _add_half(parser, "--ann", f"{whose} ANN half", ANN_ENTRIES, DEFAULT_ANN)


def _add_half(
    parser: argparse.ArgumentParser, flag: str, half: str, entries: Mapping[str, Entry[Any]], default: str
) -> None:
    each = "; ".join(f"{entry.name}: {entry.help}" for entry in entries.values())
    text = f"back-end of {half} (default: {default}); {each}"
    parser.add_argument(flag, default=default, choices=list(entries), help=text)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """One option for each thing that can be chosen about a back-end."""
    for name, option in all_options().items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=option.kind,
            choices=option.choices or None,
            metavar=None if option.choices else "N" if option.kind is int else "X",
            help=option.text,
        )


def settings_of(args: argparse.Namespace) -> Settings:
    """What was typed of them."""
    given = {name: getattr(args, name) for name in all_options()}
    return {name: value for name, value in given.items() if value is not None}


def add_parity(parser: argparse.ArgumentParser) -> None:
    """`--parity`, of back-ends that are compared on request alone."""
    parser.add_argument("--parity", choices=requestable(),
                        help="also compare the emulator with this back-end on one view; takes longer")  # fmt: skip
