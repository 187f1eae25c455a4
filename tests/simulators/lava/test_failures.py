"""Whatever fails around Lava ends in one clear error; no process, no shared memory and no folder is left behind."""

import itertools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import naive_program
from helpers.chains import write_chain
from helpers.needs import needs_lava

from hybridnet.errors import BackendError, MissingBackendError
from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.lava.backend import LavaBackend
from hybridnet.simulators.lava.compat import lava_is_installed
from hybridnet.simulators.lava.failure import USE_EMULATOR
from hybridnet.support.files import temporary_folder

POINT = ConvGeometry((2, 3, 4), 2, (1, 1))
ZEROS = {"point_input": np.zeros((1, 2, *POINT.input_shape), np.float32)}


@pytest.fixture
def point(tmp_path: Path) -> Path:
    """A stream of one small layer, two steps."""
    path = tmp_path / "point.net"
    write_chain(path, *naive_program.random_streams(np.random.default_rng(0), "point", [POINT]), 2)
    return path


def run(point: Path, timeout_s: float = 60) -> None:
    LavaBackend({"point": point}, conv="stock", timeout_s=timeout_s).run(ZEROS)


@needs_lava
@pytest.mark.parametrize(
    ("given", "message"),
    [({}, "missing"), ({"point_input": np.zeros((1, 3, *POINT.input_shape), np.float32)}, "shape")],
)
def test_a_wrong_input_is_refused(point: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(BackendError, match=message):
        LavaBackend({"point": point}).run(given)


@pytest.mark.parametrize("package", ["lava.magma", "lava.lib.dl"], ids=["lava-nc", "lava-dl"])
def test_a_missing_lava_tells_how_to_install_it(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else find_spec("os"))
    assert not lava_is_installed()
    with pytest.raises(MissingBackendError, match=r"--ignore-requires-python lava-nc==0\.10\.0"):
        LavaBackend({})


def living(group: int) -> list[str]:
    """Command lines of the processes of a group, those that have ended but were not yet collected left out."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = stat.read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == group and state != "Z":
                found.append(stat.with_name("cmdline").read_text())
        except OSError:
            continue  # ended while we looked
    return found


def living_after_a_moment(group: int) -> list[str]:
    """A process closes its files, which is what the backend waits for, a moment before it has ended."""
    deadline = time.monotonic() + 30
    while living(group) and time.monotonic() < deadline:
        time.sleep(0.05)
    return living(group)


class Sabotage:
    """Runs code in the worker before anything else, and sees what the worker leaves behind."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.groups = folder, list[int]()
        self.prefix = f"/{os.urandom(4).hex()}_"  # of 14 characters that a name may have
        popen = subprocess.Popen

        def spy(*arguments: Any, **options: Any) -> subprocess.Popen[str]:
            process = popen(*arguments, **options)
            self.groups.append(process.pid)
            return process

        monkeypatch.setattr(subprocess, "Popen", spy)
        monkeypatch.setenv("PYTHONPATH", str(folder))
        monkeypatch.setenv("TMPDIR", str(folder))
        monkeypatch.setattr(tempfile, "tempdir", str(folder))

    def code(self, code: str) -> None:
        """Run `code` at the start of the worker."""
        (self.folder / "sitecustomize.py").write_text(
            "import multiprocessing.shared_memory, os, sys, time\n"
            f"multiprocessing.shared_memory._SHM_NAME_PREFIX = {self.prefix!r}\n" + code,
            encoding="utf-8",
        )

    def conv(self, body: str) -> None:
        """Make every convolution of stock Lava run `body`."""
        self.code(
            "import scipy.signal\n"
            "def convolve2d(*arguments, **options):\n"
            f"    {body}\n"
            "scipy.signal.convolve2d = convolve2d\n"
        )

    def left_behind(self) -> list[Any]:
        processes = list(itertools.chain.from_iterable(map(living_after_a_moment, self.groups)))
        memory = Path("/dev/shm").glob(f"{self.prefix[1:]}*")  # noqa: S108
        with temporary_folder():  # removes what a process left that was killed
            pass
        folders = self.folder.glob("hybridnet-*")
        return [*processes, *memory, *folders]


@pytest.fixture
def sabotage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sabotage]:
    sabotaged = Sabotage(tmp_path, monkeypatch)
    yield sabotaged
    assert sabotaged.groups, "the worker was not started"
    assert not sabotaged.left_behind()


def slow(*values: str) -> Any:
    """A case of the slow tests: each starts a worker, three to four seconds."""
    return pytest.param(*values, marks=pytest.mark.slow)


@needs_lava
def test_an_exception_is_one_line_and_its_traceback_a_note(point: Path, sabotage: Sabotage) -> None:
    sabotage.conv("raise ArithmeticError('seeded')")
    with pytest.raises(BackendError) as caught:
        run(point)
    assert str(caught.value) == f"lava: ArithmeticError: seeded. {USE_EMULATOR}"
    (note,) = caught.value.__notes__
    assert "in convolve2d" in note
    assert note.endswith("ArithmeticError: seeded")
    assert len(note.splitlines()) < 15


@needs_lava
@pytest.mark.parametrize(
    ("body", "message", "remedy"),
    [
        ("os.kill(os.getpid(), 9)", "^lava: a process of Lava was ended by SIGKILL. ", "memory ran out"),
        ("os.kill(os.getppid(), 9)", "^lava: the worker was ended by SIGKILL. ", "memory ran out"),
        slow("os.kill(os.getpid(), 7)", "^lava: a process of Lava was ended by SIGBUS: shared memory", "--shm-size"),
        slow("os._exit(3)", "^lava: a process of Lava ended with exit code 3. ", "emulator"),
    ],
    ids=["a process is killed", "the worker is killed", "a bus error", "a process exits"],
)
def test_a_failure_while_it_runs_is_one_clear_error(
    point: Path, sabotage: Sabotage, body: str, message: str, remedy: str
) -> None:
    sabotage.conv(body)
    with pytest.raises(BackendError, match=message) as caught:
        run(point)
    assert remedy in str(caught.value)
    assert "\n" not in str(caught.value)


FAILS_TO_START = {
    "a process dies before it is built": (
        "import multiprocessing.process as p\nrun = p.BaseProcess.run\n"
        "def die(self):\n    os.kill(os.getpid(), 9) if type(self).__name__ == 'SystemProcess' else run(self)\n"
        "p.BaseProcess.run = die\n",
        "a process of Lava was ended by SIGKILL",
    ),
    "shared memory is refused": (
        "def refuse(*arguments, **options):\n    raise OSError(28, 'No space left on device')\n"
        "multiprocessing.shared_memory._posixshmem.shm_open = refuse\n",
        r"No space left on device\)\. Free space in /dev/shm .*--shm-size",
    ),
    "processes are refused": (
        "import multiprocessing.popen_fork as p\n"
        "def refuse(self, process):\n    raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
        "p.Popen._launch = refuse\n",
        "the system refuses shared memory or processes .*Resource temporarily unavailable",
    ),
    "shared memory would not do": (
        "statvfs = os.statvfs\nos.statvfs = lambda path: type('', (), {'f_bavail': 2, 'f_frsize': 512})\n",
        r"needs [\d,]{4,} bytes of shared memory, and /dev/shm has 1,024 free. Free space",
    ),
}


@needs_lava
@pytest.mark.parametrize(
    "name", [name if name == "shared memory would not do" else slow(name) for name in FAILS_TO_START]
)
def test_a_failure_to_start_is_one_clear_error(point: Path, sabotage: Sabotage, name: str) -> None:
    code, message = FAILS_TO_START[name]
    sabotage.code(code)
    with pytest.raises(BackendError, match=message):
        run(point)


@needs_lava
@pytest.mark.parametrize("library", ["scipy", "networkx"], ids=["at import", "later"])
def test_a_library_that_lava_needs_and_that_is_missing_is_named(point: Path, sabotage: Sabotage, library: str) -> None:
    sabotage.code(f"sys.modules[{library!r}] = None\n")
    with pytest.raises(MissingBackendError, match=rf"{library}\S* is missing\. Install it with: pip install"):
        run(point)


@needs_lava
def test_a_hanging_worker_is_ended(point: Path, sabotage: Sabotage) -> None:
    sabotage.conv("print('hangs', flush=True), time.sleep(100)")
    with pytest.raises(BackendError, match=r"took more than 8 s\. Use fewer views or more time"):
        run(point, timeout_s=8)


@needs_lava
def test_an_interrupt_ends_the_worker(point: Path, sabotage: Sabotage) -> None:
    sabotage.conv("time.sleep(100)")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(6)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(point)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


KILLED = """
import os, subprocess, sys, threading
from pathlib import Path
import numpy as np
from hybridnet.simulators.lava.backend import LavaBackend

popen = subprocess.Popen
def spy(*arguments, **options):
    process = popen(*arguments, **options)
    print(process.pid, flush=True)
    return process
subprocess.Popen = spy
backend = LavaBackend({"point": Path(sys.argv[1])}, conv="stock")
backend.run({"point_input": np.zeros((1, 2, 2, 3, 4), np.float32)})
"""


@pytest.mark.slow
@needs_lava
def test_a_worker_that_nobody_waits_for_any_more_ends(point: Path, sabotage: Sabotage) -> None:
    sabotage.conv(f"open({str(sabotage.folder / 'runs')!r}, 'w').close(), time.sleep(100)")
    process = subprocess.Popen([sys.executable, "-c", KILLED, point], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    worker = int(process.stdout.readline())
    sabotage.groups[:] = [worker]
    deadline = time.monotonic() + 30
    while not (sabotage.folder / "runs").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    process.stdout.close()
    time.sleep(1)
    assert not living_after_a_moment(worker)
