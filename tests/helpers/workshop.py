"""A folder with whatever the commands of the guides name, so that each can be run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt
from helpers.places import ROOT

from hybridnet.cli import main
from hybridnet.video.synthetic import make_clip
from hybridnet.workflows.simulate import shipped_checkpoint

VIDEOS = ("clip.mp4", "clip.avi", "a.mp4", "b.avi", "fight.mp4", "walk.mp4", "street.mp4", "recording.mkv")
NOT_RUN = "not run here"
"""What the remark behind a command says if it is not run: it needs hours, a camera, or data that are not here."""

OWN = {"fit.md": {"mine.yaml": "loihi1.yaml"}, "export.md": {"inputs.npz": "example.npz"}}
"""Names that stand for another file of the workshop on one page."""


def commands(page: Path) -> Iterator[str]:
    """The commands of a page that are in no block `console` and need nothing that is not here."""
    text = re.sub(r"^```console.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for command, remark in re.findall(r"^    hybridnet (.*?)(\s+#.*)?$", text, re.MULTILINE):
        if NOT_RUN not in remark:
            yield command


def make_workshop(folder: Path) -> None:
    """Fill an empty folder."""
    clip = make_clip(folder / "clip.avi", "zoom_in", 1, frames=60)
    for name in VIDEOS[:1] + VIDEOS[2:]:
        shutil.copy(clip, folder / name)
    for name, count in (("folder", 2), ("videos", 2), ("CLIPS", 12)):
        (folder / name).mkdir()
        for n in range(count):
            make_clip(folder / name / f"{n}.avi", ("pan_left", "shake")[n % 2], n, frames=30)
    for label in ("pan_left", "zoom_in"):
        (folder / "FOLDER" / label).mkdir(parents=True)
        for n in range(3):
            make_clip(folder / "FOLDER" / label / f"{n}.avi", label, n, frames=30)
    for name in ("ckpt.pt", "best.pt", "runs/edge-fights/best.pt"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(shipped_checkpoint("tiny-motion"), folder / name)
    assets = resources.files("hybridnet.assets") / "tiny-motion.bundle"
    for name in ("BUNDLE", "CKPT_OR_BUNDLE"):
        shutil.copytree(str(assets), folder / name)
    shutil.copy(folder / "BUNDLE" / "ann.onnx", folder / "model.onnx")
    shutil.copy(ROOT / "hybridnet/report/pricing/profiles/horowitz45.yaml", folder / "mine.yaml")
    shutil.copy(ROOT / "deploy/chip/profiles/loihi1.yaml", folder)
    shutil.copy(next((ROOT / "hybridnet/report/pricing/tables").glob("*.csv")), folder / "TABLE.csv")
    _foreign_model(folder)
    random = np.random.default_rng(0)
    for name in ("inputs.npz", "val.npz"):  # of the model that runs where none is named
        np.savez(folder / name, **_arrays(2, 48, random))  # type: ignore[arg-type]
    np.savez(folder / "rows.npz", **_arrays(6, 112, random))  # type: ignore[arg-type]
    np.save(folder / "classes.npy", np.arange(6) % 2)
    for name in ("run.json", "a.json", "b.json", "c.json"):
        assert main(["simulate", str(clip), "--json", str(folder / name)]) == 0


def _arrays(rows: int, side: int, random: np.random.Generator) -> dict[str, npt.NDArray[np.float32]]:
    """Inputs of a model with this side."""
    shapes = {"i_frame": (3,), "motion_vectors": (11, 2), "residuals": (11, 3)}
    return {name: random.normal(size=(rows, *shape, side, side)).astype(np.float32) for name, shape in shapes.items()}


def copy_workshop(workshop: Path, folder: Path, page: str) -> None:
    """A copy for the commands of one page."""
    shutil.copytree(workshop, folder, dirs_exist_ok=True)
    for name, source in OWN.get(page, {}).items():
        shutil.copy(folder / source, folder / name)


def _foreign_model(folder: Path) -> None:
    """`--model package.module:factory`, with weights, examples and labels."""
    (folder / "package").mkdir()
    shutil.copy(ROOT / "examples" / "by_hand.py", folder / "package" / "module.py")
    with (folder / "package" / "module.py").open("a", encoding="utf-8") as module:
        module.write("\nfactory = Residual\n")
    subprocess.run([sys.executable, ROOT / "examples" / "by_hand.py", folder], check=True)
    (folder / "Residual.pt").rename(folder / "weights.pt")
    (folder / "Residual.npz").rename(folder / "example.npz")
    (folder / "labels.txt").write_text("left\nright\nup\ndown\n", encoding="utf-8")
