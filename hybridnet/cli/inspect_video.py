"""`hybridnet inspect VIDEO`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hybridnet.cli import arguments, inspect_network
from hybridnet.cli.formats import show

if TYPE_CHECKING:
    from hybridnet.video import TranscodePolicy

OPTIONS = ("config", "transcode", "plot", "gop", *inspect_network.OPTIONS)
"""Options of videos alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("of a video")
    group.add_argument(
        "--config", type=arguments.CONFIG, metavar="NAME_OR_YAML", help="frame size, GOP and clip (default: tiny)"
    )
    group.add_argument("--transcode", choices=["auto", "never", "always"],
                       help="when to transcode; `always` admits every codec (default: auto)")  # fmt: skip
    group.add_argument(
        "--plot", type=arguments.OUT_PICTURE, metavar="OUT.png", help="draw one GOP as the reader delivers it"
    )
    group.add_argument("--gop", type=int, metavar="N", help="the GOP to draw, from 0 (default: the middle one)")
    inspect_network.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure the file, tell, and draw a GOP if asked."""
    from hybridnet.cli.console import say
    from hybridnet.configs import load_experiment
    from hybridnet.video.document import to_json, video_document
    from hybridnet.video.statistics import inspect

    preprocess = load_experiment(args.config or "tiny").model.preprocess
    transcode: TranscodePolicy = args.transcode or "auto"
    as_seen = inspect_network.wanted(args)
    inspection = inspect(args.path, preprocess, transcode=transcode)
    seen = inspect_network.run(args, transcode) if as_seen else []  # nothing is printed if a picture cannot be had
    if args.plot is not None:
        from hybridnet.video.plot import plot_gop
        from hybridnet.video.reader import open_clip

        with open_clip(args.path, preprocess, transcode=transcode) as clip:
            plot_gop(clip, clip.gop_count // 2 if args.gop is None else args.gop, args.plot)
    show(args, video_document(inspection, preprocess, seen), to_json(inspection))
    if args.plot is not None:
        say(f"hybridnet: wrote {args.plot}")
    return 0
