"""`hybridnet demo`: the whole main job on one clip: export the shipped model, simulate it twice, show both equal.

Without Lava it simulates once, says so, and ends well.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from hybridnet.cli import arguments

CLIP_GESTURE, CLIP_SEED, CLIP_SIZE = "circlecc", 4_000_000, (208, 160)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("video", nargs="?", type=arguments.VIDEO, metavar="VIDEO", help="a clip (default: one is made)")
    parser.add_argument(
        "-o",
        "--out",
        type=arguments.OUT_FOLDER,
        default=Path("demo"),
        metavar="DIR",
        help="where to write (default: demo)",
    )


def run(args: argparse.Namespace) -> int:
    """Type what a user would type, showing each command; exit 1 if Lava and the emulator differ in a single number."""
    from hybridnet.cli.console import say, tell
    from hybridnet.configs import load_experiment
    from hybridnet.report.record.file import read_records
    from hybridnet.simulators.lava.compat import lava_is_installed, missing_lava
    from hybridnet.video import open_clip
    from hybridnet.video.synthetic import make_clip
    from hybridnet.workflows.simulate import shipped_checkpoint

    if args.video is not None:
        with open_clip(args.video, load_experiment("gesture").model.preprocess):
            pass  # refused before any work
    args.out.mkdir(parents=True, exist_ok=True)
    video = args.video or args.out / "clip.avi"
    if not video.exists() and args.video is None:
        say(f"hybridnet: making {video}: a hand that draws {CLIP_GESTURE} in the air, a circle counter-clockwise")
        width, height = CLIP_SIZE
        make_clip(video, CLIP_GESTURE, CLIP_SEED, width=width, height=height)
    say("hybridnet: the model that ships names ten gestures of a hand and ten motions of the camera")
    bundle = str(args.out / "bundle")
    names = ("emulator", "lava") if lava_is_installed() else ("emulator",)
    records = {name: args.out / f"{name}.json" for name in names}
    code = _typed(["export", str(shipped_checkpoint()), "-o", bundle, "--overwrite"])
    for name, record in records.items():
        code = code or _typed(["simulate", str(video), "--bundle", bundle, "--snn", name, "--json", str(record)])
    if code:
        return code
    if "lava" not in records:
        without = missing_lava("the same clip on it, with the same numbers, was left out")
        tell([str(without), f"Next: hybridnet report {records['emulator']}   (every layer)"])
        return 0
    emulator, lava = (read_records(record)[0] for record in records.values())
    same = emulator.prediction == lava.prediction and [r.ops for r in emulator.layers] == [r.ops for r in lava.layers]
    verdict = "are identical" if same else "DIFFER"
    tell(
        [
            f"Emulator and Lava: logits, spikes and operation counts {verdict}.",
            f"Next: hybridnet report {records['emulator']}   (every layer)",
        ]
    )
    return 0 if same else 1


def _typed(command: list[str]) -> int:
    from hybridnet.cli import main
    from hybridnet.cli.console import tell

    tell([f"$ hybridnet {shlex.join(command)}"])
    code = main(command)
    tell([""])
    return code
