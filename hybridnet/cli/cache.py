"""`hybridnet cache`."""

from __future__ import annotations

import argparse
import dataclasses

from hybridnet.cli import arguments
from hybridnet.config import DEFAULT_VIEWS

SHOWN = 5
"""Failures that are printed; the manifest lists all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "spec",
        metavar="SPEC",
        help="ucf101, hmdb51, kinetics, ssv2, folder, folder:block=N (N neighbouring numbers stay in one split),"
        " groups (of groups.csv, one is for test),"
        " motion, gestures, motion+gestures or people, made on demand, or one of these with :WIDTHxHEIGHT, or with"
        " :WIDTHxHEIGHT:N for N clips of each class to learn",
    )
    parser.add_argument("root", type=arguments.DATA_ROOT, metavar="ROOT", help="the data set's folder")
    parser.add_argument(
        "-o", "--out", type=arguments.OUT_FOLDER, metavar="DIR", required=True, help="where to build, or to continue"
    )
    parser.add_argument("--split", type=int, default=1, metavar="N", help="number of the split (default: 1)")
    parser.add_argument(
        "--config",
        type=arguments.CONFIG,
        default="base",
        metavar="NAME_OR_YAML",
        help="model whose preprocessing to apply (default: base)",
    )
    parser.add_argument("--crop", type=int, metavar="PX",
                        help="side of the views, a margin for random crops where it exceeds the model's (default: the"
                             " model's)")  # fmt: skip
    parser.add_argument(
        "--views", type=int, default=DEFAULT_VIEWS, metavar="N", help="most views of a clip (default: %(default)s)"
    )
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes (default: 2)")


def run(args: argparse.Namespace) -> int:
    """Build or continue, then say what is there and what is not."""
    from hybridnet.cli.console import progress_on_stderr, tell
    from hybridnet.configs import load_experiment
    from hybridnet.errors import ConfigError
    from hybridnet.video.cache_build import build_cache
    from hybridnet.video.datasets import load_dataset

    preprocess = load_experiment(args.config).model.preprocess
    if args.crop is not None:
        if args.crop < preprocess.crop:
            raise ConfigError("crop", args.crop, f"{preprocess.crop} or more, the side of the model's input")
        preprocess = dataclasses.replace(preprocess, crop=args.crop)
    dataset = load_dataset(args.spec, args.root, args.split)
    with progress_on_stderr() as progress:
        manifest = build_cache(dataset, args.out, preprocess, views=args.views, workers=args.workers, progress=progress)
    lines = [f"{dataset.name}: {len(dataset.classes)} classes, {preprocess.crop} px, T = {preprocess.steps}"]
    for split, count in manifest.plan.clips.items():
        views = sum(shard.views for shard in manifest.shards if shard.split == split)
        lines.append(f"  {split}: {count} clips, {views} views")
    corrupt = sum(clip.corrupt_views for shard in manifest.shards for clip in shard.clips)
    if corrupt:
        lines.append(f"Views with damaged frames, concealed by the decoder: {corrupt}")
    failed = [f"{clip.source}: {clip.failure}" for clip in manifest.failures]
    left_out = [f"{path}: {reason}" for path, reason in manifest.plan.left_out.items()]
    for title, entries in (("Clips that could not be read", failed), ("Files left out", left_out)):
        if entries:
            lines.append(f"{title}: {len(entries)}")
            lines += [f"  {entry}" for entry in entries[:SHOWN]]
            lines += ["  …"] if len(entries) > SHOWN else []
    size = sum(path.stat().st_size for path in args.out.rglob("*") if path.is_file())
    lines.append(f"Wrote {args.out} ({size / 1e6:.1f} MB); manifest.json lists every clip")
    tell(lines)
    return 0
