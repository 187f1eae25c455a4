"""Time per view of every back-end on `tiny-motion` and one made clip, in one run: python benchmarks/main_job.py.

Ratios of one run on one machine; absolute times are this machine's.
"""

from __future__ import annotations

import platform
import statistics
import tempfile
from pathlib import Path

from hybridnet.video.synthetic import make_clip
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import load, shipped_bundle_path, simulate

REPEATS = 5
RUNS = (("emulator", "onnxruntime"), ("torch", "torch"), ("lava", "onnxruntime"))


def main() -> None:
    """Print the median over repeats of the p50 per view of each partition."""
    bundle = load(shipped_bundle_path("tiny-motion"))
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {REPEATS} repeats\n")
    print(f"{'partition':10} {'back-end':12} {'p50 ms/view':>12}   {'min – max of repeats':>22}")
    p50: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(Path(folder) / "clip.avi", "zoom_in", 4_000_000, frames=96)
        for snn, ann in RUNS:
            repeats = [
                simulate(clip, bundle, SimulateOptions(snn=snn, ann=ann, parity=False)).record for _ in range(REPEATS)
            ]
            for rows in zip(*(record.partitions for record in repeats), strict=True):
                key = f"{rows[0].name} {rows[0].backend}"
                if key in p50:
                    continue
                times = [row.latency_ms.p50 for row in rows if row.latency_ms is not None]
                p50[key] = statistics.median(times)
                span = f"{min(times):.2f} – {max(times):.2f}"
                print(f"{rows[0].name:10} {rows[0].backend:12} {p50[key]:12.2f}   {span:>22}")
    print(f"\nemulator against stock Lava, start-up of Lava excluded: {p50['snn lava'] / p50['snn emulator']:.1f}×")
    print(f"emulator against the float step in torch: {p50['snn torch'] / p50['snn emulator']:.2f}×")
    print(f"ANN half, ONNX Runtime against torch eager: {p50['ann torch'] / p50['ann onnxruntime']:.2f}×")


if __name__ == "__main__":
    main()
