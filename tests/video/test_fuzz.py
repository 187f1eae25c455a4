"""A sample of the fuzz run; `make fuzz` is the whole."""

import subprocess
import sys
from pathlib import Path

FUZZ = Path(__file__).with_name("fuzz.py")


def test_damaged_files_end_in_views_or_in_a_clean_error(tmp_path: Path) -> None:
    command = [sys.executable, str(FUZZ), "--files", "100", "--seed", "3", "--keep", str(tmp_path / "kept")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "kept").exists()
    assert "'views': " in done.stdout
    assert "'refused': " in done.stdout


def test_a_worker_that_dies_hangs_or_raises_is_seen(tmp_path: Path) -> None:
    """The harness itself: each of the three is a break, and the file that caused it is kept."""
    script = f"""
import os, sys, time
sys.path.insert(0, {str(FUZZ.parent)!r})
import fuzz

def read(path):
    number = int(path.name[:5])
    if number == 1:
        os.abort()
    if number == 2:
        time.sleep(60)
    if number == 3:
        fuzz.tempfile.mkstemp()
    return fuzz.Ending(fuzz.VIEWS, "0 views")

fuzz.read = read
fuzz.SECONDS_PER_FILE = 2.0
if __name__ == "__main__":
    sys.argv = ["fuzz", "--files", "6", "--workers", "1", "--keep", "kept"]
    sys.exit(fuzz.main())
"""
    program = tmp_path / "program.py"
    program.write_text(script)
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert sorted(path.name[:5] for path in (tmp_path / "kept").iterdir()) == ["00001", "00002", "00003"]
    for words in ("died with exit code -6", "did not end within 2 s", "left temporary files behind"):
        assert words in done.stdout
