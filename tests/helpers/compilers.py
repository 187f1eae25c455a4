"""C compilers on this machine, and what they make of a folder that `export --c` wrote."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hybridnet.simulators.c.compiler import COMPILERS

STRICT = ("-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wshadow", "-Wcomment", "-pedantic")

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="there is no C compiler")


def clang() -> list[str]:
    """A second compiler; skips where there is neither clang nor the package ziglang, which holds one."""
    if found := shutil.which("clang"):
        return [found]
    if importlib.util.find_spec("ziglang") is None:
        pytest.skip("there is neither clang nor ziglang")
    return [sys.executable, "-m", "ziglang", "cc"]


def make(folder: Path, *what: str) -> str:
    """What `make` says; fails with it if it fails."""
    return ran(["make", "-C", str(folder), *what])


def ran(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sections(compiled: Path) -> dict[str, int]:
    """Bytes of each section of an object file, as `size` tells."""
    lines = (line.split() for line in ran(["size", "-A", str(compiled)]).splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 3 and words[1].isdigit()}
