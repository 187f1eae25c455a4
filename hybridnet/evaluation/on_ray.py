"""Workers on a Ray cluster: that of RAY_ADDRESS, or one that is started on this machine.

Every machine of the cluster needs hybridnet, and the model and the data at the same paths.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from hybridnet.errors import ConfigError, MissingBackendError
from hybridnet.evaluation.clips import Clip
from hybridnet.evaluation.results import ClipResult
from hybridnet.evaluation.spread import ClipRunner
from hybridnet.support.processes import DeadWorkerError


class RayWorker:
    """An actor with one CPU of the cluster."""

    def __init__(self, work: ClipRunner) -> None:
        import ray

        self._actor: Any = ray.remote(num_cpus=1)(_Actor).remote(work)

    def submit(self, clip: Clip) -> Future[ClipResult]:
        """See `hybridnet.support.processes.Worker`."""
        import ray

        outcome: Future[ClipResult] = Future()

        def tell(done: Future[ClipResult]) -> None:
            error = done.exception()
            if isinstance(error, (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError)):
                outcome.set_exception(DeadWorkerError(-signal.SIGKILL))
            elif error is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(done.result())

        self._actor.run.remote(clip).future().add_done_callback(tell)
        return outcome

    def close(self) -> None:
        """See `hybridnet.support.processes.Worker`."""
        import ray

        ray.kill(self._actor)


class _Actor:
    """What runs in the cluster."""

    def __init__(self, work: ClipRunner) -> None:
        self._work = work

    def run(self, clip: Clip) -> ClipResult:
        return self._work(clip)


@contextmanager
def cluster(workers: int) -> Iterator[None]:
    """Join the cluster for the time of the block.

    Args:
        workers: How many there will be, one CPU each.

    Raises:
        MissingBackendError: If Ray is not installed.
        ConfigError: If the cluster has fewer CPUs than workers.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    try:
        import ray
    except ImportError as error:
        remedy = "Install it with: pip install 'hybridnet[ray]', or leave out --engine ray"
        raise MissingBackendError("ray is not installed, which spreads clips over a cluster", remedy=remedy) from error
    joined = bool(os.environ.get("RAY_ADDRESS"))
    options: dict[str, Any] = {} if joined else {"num_cpus": workers, "include_dashboard": False}
    ray.init(log_to_driver=False, **options)
    try:
        cpus = int(ray.cluster_resources().get("CPU", 0))
        if cpus < workers:
            raise ConfigError("workers", workers, f"at most {cpus}, the CPUs of the cluster")
        yield
    finally:
        ray.shutdown()
