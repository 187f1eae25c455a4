"""`hybridnet inspect VIDEO --saliency` and `--trajectory`: clips as a trained network sees them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.config import DEFAULT_VIEWS

if TYPE_CHECKING:
    from hybridnet.model.checkpoint import Checkpoint
    from hybridnet.video import TranscodePolicy
    from hybridnet.video.gop import View

OPTIONS = ("saliency", "trajectory", "network", "label", "beside")
"""Options of videos alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("of a video as a network sees it")
    group.add_argument("--saliency", type=arguments.OUT_PICTURE, metavar="OUT.png",
                       help="draw what the network attends to in each modality")  # fmt: skip
    group.add_argument("--trajectory", type=arguments.OUT_PICTURE, metavar="OUT.png",
                       help="draw where it puts the frames: t-SNE in the RGB and in the compressed domain")  # fmt: skip
    group.add_argument(
        "--network", type=arguments.MODEL, metavar="CKPT_OR_BUNDLE", help="default: tiny-motion, which ships"
    )
    group.add_argument("--label", metavar="CLASS", help="with --saliency: evidence for it (default: the predicted one)")
    group.add_argument(
        "--beside", type=arguments.VIDEO, nargs="+", metavar="VIDEO", help="with --trajectory: more clips"
    )


def wanted(args: argparse.Namespace) -> bool:
    """Whether a picture of a network is asked for; refuse options that none of them takes.

    Raises:
        ConfigError: If an option has nothing to act on.
    """
    from hybridnet.errors import ConfigError

    if args.label is not None and args.saliency is None:
        raise ConfigError("label", args.label, "with --saliency")
    if args.beside is not None and args.trajectory is None:
        raise ConfigError("beside", str(args.beside[0]), "with --trajectory")
    asked = args.saliency is not None or args.trajectory is not None
    if args.network is not None and not asked:
        raise ConfigError("network", str(args.network), "with --saliency or --trajectory")
    return asked


def run(args: argparse.Namespace, transcode: TranscodePolicy) -> list[str]:
    """Draw what is asked for; lines that tell what was found."""
    checkpoint = _network(args.network)
    found = [] if args.saliency is None else [_saliency(args, checkpoint, transcode)]
    return found if args.trajectory is None else [*found, _trajectory(args, checkpoint, transcode)]


def _saliency(args: argparse.Namespace, checkpoint: Checkpoint, transcode: TranscodePolicy) -> str:
    from hybridnet.cli.console import progress_on_stderr, say
    from hybridnet.errors import ConfigError
    from hybridnet.explain.saliency import saliency
    from hybridnet.explain.saliency_plot import draw_saliency
    from hybridnet.report.numbers import share
    from hybridnet.support.figures import save_figure
    from hybridnet.video.frontend import read_clip

    labels = checkpoint.labels
    if args.label is not None and args.label not in labels:
        raise ConfigError("label", args.label, ", ".join(labels))
    label = None if args.label is None else labels.index(args.label)
    preprocess = checkpoint.model.config.preprocess
    with progress_on_stderr() as progress:
        clip = read_clip(args.path, preprocess, DEFAULT_VIEWS, transcode=transcode, progress=progress)
    found = saliency(checkpoint.model, clip.views.tensors(), label)
    which = "predicted" if label is None else "asked for"
    title = f"{args.path.name}:  evidence for {labels[found.label]} ({which}, {found.score:.0%})"
    save_figure(draw_saliency(clip.views.tensors(), found, title, accumulated=preprocess.accumulate), args.saliency)
    shares = ", ".join(f"{name} {share(found.share(name), 0)}" for name in found.maps)
    say(f"hybridnet: wrote {args.saliency}")
    return f"Evidence for {labels[found.label]} ({which}, {share(found.score)}): {shares}"


def _trajectory(args: argparse.Namespace, checkpoint: Checkpoint, transcode: TranscodePolicy) -> str:
    from hybridnet.cli.console import progress_on_stderr, say
    from hybridnet.explain.trajectory import trajectory
    from hybridnet.explain.trajectory_plot import draw_trajectory
    from hybridnet.support.figures import save_figure
    from hybridnet.video import open_clip

    preprocess = checkpoint.model.config.preprocess
    paths = [args.path, *(args.beside or ())]
    clips: list[list[View]] = []
    with progress_on_stderr() as progress:
        for path in paths:
            with open_clip(path, preprocess, transcode=transcode) as clip:
                clips.append(list(clip.sample(DEFAULT_VIEWS)))
            progress("reading", len(clips), len(paths))
    frames = trajectory(checkpoint.model, clips)
    title = f"{len(frames.clip)} P-frames of {len(paths)} clip{'s' * (len(paths) > 1)} in the features of"
    title += f" {args.network.name if args.network else 'tiny-motion'}"
    save_figure(draw_trajectory(frames, [path.name for path in paths], title), args.trajectory)
    say(f"hybridnet: wrote {args.trajectory}")
    return title


def _network(path: Path | None) -> Checkpoint:
    """The network of a checkpoint or of a bundle, or the one that ships and sees pictures too."""
    from hybridnet.deploy.bundle import read_bundle
    from hybridnet.model.checkpoint import load_checkpoint
    from hybridnet.workflows.simulate import shipped_checkpoint

    if path is None:
        return load_checkpoint(shipped_checkpoint("tiny-motion"))
    return load_checkpoint(read_bundle(path).checkpoint_path if path.is_dir() else path)
