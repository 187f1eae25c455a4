"""`make wheels`: the wheel and the sdist of hybridnet, and the runtime, into a folder; each tried in an environment.

The wheel of hybridnet is built from its sdist, so that both hold what they need. Network access is that of pip.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from runtime_wheel import ROOT, build

NEEDED = (
    "hybridnet/assets/gestures.bundle/manifest.yaml",
    "hybridnet/assets/tiny-motion.bundle/manifest.yaml",
    "hybridnet/configs/tiny.yaml",
    "hybridnet/deploy/chip/profiles/loihi2.yaml",
    "hybridnet/py.typed",
    "hybridnet/report/pricing/profiles/horowitz45.yaml",
    "hybridnet/simulators/registry.py",
)
"""Some of what is data, or lies beside the package in the tree."""

APART = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

CLIP = """
import sys, av, numpy
from hybridnet.video.transcode import add_gop_stream
with av.open(sys.argv[1], "w") as out:
    stream = add_gop_stream(out, 170, 128, 12)
    for grey in range(24):
        out.mux(stream.encode(av.VideoFrame.from_ndarray(numpy.full((128, 170, 3), grey, "u1"), format="rgb24")))
    out.mux(stream.encode(None))
"""
"""Two GOPs, made where there is no torch."""

HEAVY = ("torch", "h5py", "safetensors")


def main(out: Path) -> None:
    """Build and try all three; raises at the first that fails."""
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hybridnet-wheels-") as name:
        folder = Path(name)
        tools = environment(folder / "tools", "build")
        run(tools, "-m", "build", "--outdir", str(out), str(ROOT))
        wheel, sdist = newest(out, "hybridnet-*.whl"), newest(out, "hybridnet-*.tar.gz")
        runtime = build(out)
        check_contents(wheel, sdist, runtime)
        try_runtime(environment(folder / "runtime", str(runtime)), wheel, folder)
        try_whole(environment(folder / "whole", str(wheel), "-c", str(ROOT / "constraints.txt")), folder)
    for path in (wheel, sdist, runtime):
        print(f"{path}  {path.stat().st_size / 1e6:.1f} MB")  # noqa: T201


def check_contents(wheel: Path, sdist: Path, runtime: Path) -> None:
    """The package, and nothing beside it but what tells of it."""
    held = zipfile.ZipFile(wheel).namelist()
    expect(set(NEEDED) <= set(held), f"{wheel.name} lacks {sorted(set(NEEDED) - set(held))}")
    for path, names in ((wheel, held), (runtime, zipfile.ZipFile(runtime).namelist())):
        foreign = [name for name in names if not name.startswith(("hybridnet/", f"{path.name.split('-')[0]}-"))]
        expect(not foreign, f"{path.name} holds {foreign[:3]}")
    with tarfile.open(sdist) as archive:
        links = [member.name for member in archive.getmembers() if member.issym() or member.islnk()]
    expect(not links, f"{sdist.name} holds links: {links[:3]}")


def try_runtime(python: Path, wheel: Path, folder: Path) -> None:
    """The runtime runs the bundle of the other wheel on samples and a growing file, without torch."""
    zipfile.ZipFile(wheel).extractall(folder / "content")  # noqa: S202 - our own wheel
    bundle = folder / "content" / "hybridnet" / "assets" / "tiny-motion.bundle"
    absent = f"import importlib.util as i; assert not any(map(i.find_spec, {HEAVY}))"
    run(python, "-c", absent)
    samples = (
        "import numpy, sys, yaml; inputs = yaml.safe_load(open(sys.argv[1]))['model']['inputs'];"
        " numpy.savez(sys.argv[2], **{n: numpy.ones((2, *s), 'f') / 3 for n, s in inputs.items()})"
    )
    run(python, "-c", samples, str(bundle / "manifest.yaml"), str(folder / "x.npz"))
    program = python.with_name("hybridnet-run")
    run(program, str(bundle), str(folder / "x.npz"), "--csv", str(folder / "x.csv"), cwd=folder)
    expect(len((folder / "x.csv").read_text().splitlines()) == 3, "hybridnet-run gave no line for each sample")
    run(python, "-c", CLIP, str(folder / "x.avi"))
    rows = run(python.with_name("hybridnet-watch"), str(bundle), str(folder / "x.avi"), "--idle-s", "0", "--json")
    expect('"summary"' in rows, "hybridnet-watch gave no summary")


def try_whole(python: Path, folder: Path) -> None:
    """The demo runs without Lava and says what installs it; so does the doctor."""
    hybridnet = python.with_name("hybridnet")
    for words in (["demo", "-o", str(folder / "demo")], ["doctor"]):
        said = " ".join(run(hybridnet, *words, cwd=folder).split())  # a screen breaks lines
        expect("pip install --no-deps --ignore-requires-python lava-nc" in said, f"{words[0]} does not tell of Lava")


def environment(folder: Path, *packages: str, python: Path = Path(sys.executable)) -> Path:
    """The Python of a fresh environment with some packages."""
    run(python, "-m", "venv", str(folder))
    python = folder / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    return python


def run(program: Path, *arguments: str, cwd: Path | None = None) -> str:
    """What it prints; nothing that it finds comes from this tree."""
    command = [str(program), *arguments]
    done = subprocess.run(command, env=APART, cwd=cwd, check=False, capture_output=True, text=True)  # noqa: S603
    expect(done.returncode == 0, f"{' '.join(command[:3])} ends with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def newest(folder: Path, pattern: str) -> Path:
    """The file that was written last."""
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime)


def expect(well: bool, otherwise: str) -> None:
    """End with what is wrong, if it is."""
    if not well:
        sys.exit(f"make wheels: {otherwise}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
