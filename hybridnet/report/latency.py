"""Host times as percentiles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hybridnet.report.data import Latency


def summarise(latency_ms: npt.NDArray[np.float64], once_ms: float = 0.0) -> Latency:
    """Percentiles of host times per view, (N,) in ms, and their total with `once_ms`, what is spent once per clip."""
    p50, p90, p99 = (float(p) for p in np.percentile(latency_ms, (50, 90, 99)))
    return Latency(p50, p90, p99, float(latency_ms.sum()) + once_ms)
