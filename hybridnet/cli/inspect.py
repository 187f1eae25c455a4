"""`hybridnet inspect`: a video, or a model: a checkpoint, weights with --model, or a bundle."""

from __future__ import annotations

import argparse
from pathlib import Path

from hybridnet.cli import arguments, inspect_model, inspect_video
from hybridnet.cli.formats import add_format
from hybridnet.support.kinds import Kind, kind_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "path", type=arguments.VIDEO_OR_MODEL, metavar="PATH", help="a video, a checkpoint or the folder of a bundle"
    )
    add_format(parser, json="the numbers")
    inspect_model.add_arguments(parser)
    inspect_video.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Look at the content, refuse options of the other kind, and go there."""
    from hybridnet.errors import ConfigError

    model = is_model(args.path)
    other, kind = (inspect_video, "a video") if model else (inspect_model, "a checkpoint or a bundle")
    for option in other.OPTIONS:
        if getattr(args, option) is not None:
            raise ConfigError(option, str(getattr(args, option)), f"with {kind}, which {args.path} is not")
    return (inspect_model if model else inspect_video).run(args)


def is_model(path: Path) -> bool:
    """Whether it is a folder or weights, if damaged by its name; everything else is left to the video reader."""
    kind = kind_of(path)
    return kind in arguments.INSPECTED.kinds or (kind is Kind.UNKNOWN and path.suffix in arguments.WEIGHTS_SUFFIXES)
