"""The compiled convolution against stock Lava's, 224×224, 3×3: python benchmarks/lava_conv.py.

First the function alone, ms per step, the best of many; then Lava's whole network with one layer, ms per window of T
steps, the best of several windows: what is left there is what the rest of Lava costs. Ratios of one run on one machine.
"""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from lava.proc.conv.utils import conv as stock
from networks import chain, in_integers

from hybridnet.deploy.netx.file import write_net
from hybridnet.simulators.lava.backend import LavaBackend
from hybridnet.simulators.lava.convolution import convolve
from hybridnet.simulators.lava.options import CONV_MODELS
from hybridnet.support.arrays import Array

SIZE, STEPS, WINDOWS, REPEATS = 224, 11, 4, 12
CASES = ((2, 8, 1), (2, 8, 2), (8, 8, 1), (8, 8, 2))


def main() -> None:
    """Print one row per shape and arithmetic."""
    print(f"{platform.machine()}, Python {platform.python_version()}, {SIZE}×{SIZE}, 3×3, padding 1; dense input\n")
    print(f"{'channels':>9} {'stride':>6} {'type':>8} {'stock ms':>9} {'fast ms':>8} {'ratio':>7}")
    for channels, out_channels, stride in CASES:
        for dtype in (np.int32, np.float64):
            slow, fast = time_functions(channels, out_channels, stride, dtype)
            row = f"{f'{channels}→{out_channels}':>9} {stride:6} {np.dtype(dtype).name:>8}"
            print(f"{row} {slow:9.2f} {fast:8.2f} {slow / fast:6.1f}×")
    print(f"\nA network of one such layer in Lava, fixed point, ms per window of {STEPS} steps\n")
    print(f"{'channels':>9} {'stride':>6} {'stock ms':>9} {'fast ms':>8} {'ratio':>7}")
    for channels, out_channels, stride in CASES:
        times = time_networks(channels, out_channels, stride)
        row = f"{f'{channels}→{out_channels}':>9} {stride:6}"
        print(f"{row} {times['stock']:9.1f} {times['fast']:8.1f} {times['stock'] / times['fast']:6.1f}×")


def time_functions(channels: int, out_channels: int, stride: int, dtype: type) -> tuple[float, float]:
    """Best ms of the stock function and of ours, whose results are equal."""
    rng = np.random.default_rng(0)
    x: Array = rng.integers(-127, 128, (SIZE, SIZE, channels)).astype(dtype)
    weight: Array = rng.integers(-128, 128, (out_channels, 3, 3, channels)).astype(dtype)
    strides, padding, dilation = (stride, stride), (1, 1), (1, 1)
    wanted = stock(x, weight, (3, 3), strides, padding, dilation, 1)
    assert np.array_equal(convolve(x, weight, strides, padding, dilation, 1), wanted)  # noqa: S101
    slow, fast = np.inf, np.inf
    for _ in range(REPEATS):  # by turns, so that what else the machine does meets both
        slow = min(slow, milliseconds(lambda: stock(x, weight, (3, 3), strides, padding, dilation, 1)))
        fast = min(fast, *(milliseconds(lambda: convolve(x, weight, strides, padding, dilation, 1)) for _ in range(5)))
    return slow, fast


def milliseconds(function: Callable[[], object]) -> float:
    """The time of one call."""
    started = time.perf_counter()
    function()
    return (time.perf_counter() - started) * 1e3


def time_networks(channels: int, out_channels: int, stride: int) -> dict[str, float]:
    """Least ms per window of Lava's network with one layer, by model of convolution."""
    program = chain((channels, SIZE, SIZE), (out_channels,), (stride,), STEPS)
    inputs = {"x": np.random.default_rng(1).normal(size=(WINDOWS, STEPS, channels, SIZE, SIZE)).astype(np.float32)}
    with tempfile.TemporaryDirectory() as folder:
        net = Path(folder) / "s.net"
        write_net(net, "s", program, in_integers(program))
        return {conv: float(LavaBackend({"s": net}, conv=conv).run(inputs).latency_ms.min()) for conv in CONV_MODELS}


if __name__ == "__main__":
    main()
