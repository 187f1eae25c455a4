"""Workers on a Ray cluster: that of RAY_ADDRESS, or one that is started on this machine.

Every machine of the cluster needs hybridnet, and the model and the data at the same paths.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from hybridnet.errors import ConfigError, MissingBackendError
from hybridnet.evaluation.clips import Clip
from hybridnet.evaluation.results import ClipResult
from hybridnet.evaluation.runners import RunnerSpec, load_runner, run_clip


class _Actor:
    """What runs in the cluster."""

    def __init__(self, spec: RunnerSpec, views: int) -> None:
        self._runner, self._views = load_runner(spec), views

    def run(self, clip: Clip) -> ClipResult:
        return run_clip(self._runner, clip, self._views)


class RayWorker:
    """An actor with one CPU of the cluster."""

    def __init__(self, spec: RunnerSpec, views: int) -> None:
        import ray

        self._actor: Any = ray.remote(num_cpus=1)(_Actor).remote(spec, views)

    def submit(self, clip: Clip) -> Future[ClipResult]:
        """See `hybridnet.evaluation.spread.Worker`."""
        return self._actor.run.remote(clip).future()

    def close(self) -> None:
        """See `hybridnet.evaluation.spread.Worker`."""
        import ray

        ray.kill(self._actor)


@contextmanager
def cluster(workers: int) -> Iterator[tuple[type[Exception], ...]]:
    """Join the cluster; yields what tells that a worker died.

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
        yield (ray.exceptions.RayActorError, ray.exceptions.WorkerCrashedError)
    finally:
        ray.shutdown()
