"""Workshops: nothing of one is left, at whatever line an interrupt comes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

INTERRUPTED = """
import os, sys
from hybridnet.support import workshop
from hybridnet.support.files import temporary_folder

class Lines:
    def __init__(self, last):
        self.left = last
    def __call__(self, frame, event, argument):
        if frame.f_code.co_filename != workshop.__file__:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self

def child(last):
    sys.settrace(Lines(last))
    try:
        with temporary_folder() as folder:
            (folder / "a").write_text("a")
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        sys.settrace(None)
    sys.exit(0)

last = code = 1
while code:
    if (forked := os.fork()) == 0:
        child(last)
    code = os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])
    left = os.listdir(sys.argv[1])
    assert code in (0, 130) and not left, (last, code, left)
    last += 1
print(last)
"""


def test_an_interrupt_at_any_line_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path)],
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
