"""Runs Lava in a process of its own, which `hybridnet.simulators.lava.supervise` starts with a FOLDER.

A graph program's folder is described in `hybridnet.simulators.lava.graph_session`. Another FOLDER holds, written by
`LavaBackend` and removed by it:

    request.json                {"network": options of `Network`, "record_potentials": bool,
                                 "nets": [name of chain 0's .net here, …]}
    <s>.net                     what chain s runs
    <s>.input.npy               (N, T, C, H, W) of chain s: int32 messages in fixed point, else float
    <s>.<l>.spikes.npy          written here: bool (N, T, C, H, W) of layer l
    <s>.<l>.readout.npy         u[T], (N, C, H, W)
    <s>.<l>.potentials.npy      if asked for: u of every step, (N, T, C, H, W)
    report.json                 written last: [{"latency_ms": [per view], "overflows": [per layer]} per chain]
    failure.json                written instead if something failed: a `Failure`

A process apart, because Lava forks once per Lava process, sets the start method to `fork` for its whole interpreter,
and hangs when one of its processes fails. Progress goes to stderr.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import traceback
from functools import partial
from pathlib import Path
from typing import NoReturn

from hybridnet.simulators.lava.compat import LAVA
from hybridnet.simulators.lava.failure import Failure, failure_of
from hybridnet.support.linux import follow
from hybridnet.support.optional import importing

_giving_up = threading.Lock()


def main(folder: Path) -> None:
    """Run a request; a failure to import Lava is one like any other."""
    _end_forks_with_this_process()
    _keep_sockets_in(folder)
    try:
        with importing(LAVA):
            from hybridnet.simulators.lava.graph_session import run_graph_request
            from hybridnet.simulators.lava.session import run_request

        run = run_graph_request if (folder / "graph.npz").exists() else run_request
        run(folder, partial(give_up, folder))
    except BaseException as error:  # also KeyboardInterrupt: leaving Lava's processes behind would make the exit hang
        give_up(folder, failure_of(error, traceback.format_exc()))


def _keep_sockets_in(folder: Path) -> None:
    """The folders of Lava's managers go with the request's, however their processes end.

    A short path, as the name of a socket has 107 characters at the most.
    """
    os.chdir(folder)
    multiprocessing.current_process()._config["tempdir"] = "."  # type: ignore[attr-defined]


def give_up(folder: Path, failure: Failure) -> NoReturn:
    """Tell why, end Lava's processes, and exit without waiting for them, for they may hang."""
    with _giving_up:  # who comes second, from another thread, never gets in: the process ends first
        try:
            failure.write(folder)
            for child in multiprocessing.active_children():
                child.terminate()
        finally:
            os._exit(1)


def _end_forks_with_this_process() -> None:
    """Lava's processes wait for each other for ever; once all are gone, Python's tracker removes shared memory."""
    parents: list[int] = []
    os.register_at_fork(before=lambda: parents.append(os.getpid()), after_in_child=lambda: follow(parents[-1]))
