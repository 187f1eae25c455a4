"""What is mistyped is told before torch is imported; and the demo where Lava is not."""

import subprocess
import sys
from pathlib import Path

import pytest
from helpers.places import ROOT

from hybridnet.cli import main

MISTYPED = {
    "simulate missing.mp4": "does not exist",
    "simulate CLIP --profile nowhere": "no such energy profile",
    "simulate CLIP --chip nowhere": "chip = 'nowhere'",
    "export CLIP": "is a video",
    "export missing.pt --model nowhere_at_all:make": "does not exist",
    "train --config nowhere": "config = 'nowhere'",
    "train --recipe nowhere": "recipe = 'nowhere'",
    "evaluate missing.pt --data motion": "does not exist",
}


def test_what_is_mistyped_is_told_before_torch_is_imported(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(b"PK\x03\x04")
    cases = {**MISTYPED, "export w.pt --model nowhere_at_all:make": "there is no module nowhere_at_all"}
    code = (
        "import sys; from hybridnet.cli import main\n"
        f"for words in {[*cases]!r}: print(main([w.replace('CLIP', sys.argv[1]) for w in words.split()]))\n"
        "print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(clip)]
    done = subprocess.run(
        command, env={"PYTHONPATH": str(ROOT)}, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == [*["1"] * len(cases), "False"]
    for line, said in zip(done.stderr.splitlines(), cases.values(), strict=True):
        assert said in line


@pytest.mark.slow
def test_the_demo_without_lava_does_its_half_and_says_so(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hybridnet.simulators.lava.compat.lava_is_installed", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert main(["demo", str(clip), "-o", "demo"]) == 0
    printed = capsys.readouterr().out
    assert "Lava is not installed" in printed
    assert "pip install" in printed
    assert (tmp_path / "demo" / "emulator.json").exists()
    assert not (tmp_path / "demo" / "lava.json").exists()
