"""The worker as seen from outside: start it, wait for it, and see that nothing of it is left."""

from __future__ import annotations

import subprocess
import threading
from collections import deque
from pathlib import Path

from hybridnet.simulators.lava.failure import TRACE_LINES, USE_EMULATOR, Failure, failure_of_exit, read_failure
from hybridnet.support.processes import interpreter

START = "from pathlib import Path; from hybridnet.simulators.lava.worker import main; main(Path(sys.argv[3]))"

GRACE_S = 30.0
"""How long the worker's processes may take to end."""


def run_worker(folder: Path, timeout_s: float) -> None:
    """Run the worker to its end; whatever happens, none of its processes and no shared memory is left.

    Args:
        folder: Its request; see `hybridnet.simulators.lava.worker`.
        timeout_s: Seconds after which it is given up.

    Raises:
        BackendError: If it fails or takes too long; a `MissingBackendError` if it cannot import Lava.
    """
    worker = subprocess.Popen(  # noqa: S603 - our own module, with our own interpreter
        interpreter(START, str(folder)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # the terminal's signals are for the parent
    )
    output: deque[str] = deque(maxlen=TRACE_LINES)
    reader = threading.Thread(target=output.extend, args=(worker.stdout,), daemon=True)
    reader.start()
    in_time = True
    try:
        worker.wait(timeout_s)
    except subprocess.TimeoutExpired:
        in_time = False
    finally:
        _end(worker, reader)
    said = "".join(output)
    if not in_time:
        raise Failure(f"took more than {timeout_s:g} s", f"Use fewer views or more time. {USE_EMULATOR}", said).error()
    if worker.returncode:
        raise (read_failure(folder) or failure_of_exit("the worker", worker.returncode, said)).error()


def _end(worker: subprocess.Popen[str], reader: threading.Thread) -> None:
    """End what is left of the worker.

    Its processes end with it. All hold its output open, so that the end of the reader tells that all have ended.
    Python's tracker of shared memory, which is one of them, ends last: it removes what the others have left.
    """
    if worker.poll() == 0:
        reader.join(GRACE_S)
    worker.kill()
    worker.wait()
    reader.join(GRACE_S)
