"""The spiking half on every back-end and two peers, in one run: python benchmarks/snn.py, about 5 minutes on 2 cores.

One stream at a time, 224×224, two 3×3 layers of 8 channels, T = 11, same weights for all. All that compute in integers
must give the same bits before they are timed. Times are the least of several repeats, in ms per view; trust the ratios.
--floor leaves out the peers and the growth: a minute.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from measuring import Name, Runs, beside, conditions, least, parser

from hybridnet.calibration.fixed_point import quantise_layer
from hybridnet.errors import HybridNetError
from hybridnet.program.layers import THRESHOLD_MAX, ConvGeometry, ConvLIFLayer, FixedConvLIF, Program, Stream
from hybridnet.simulators.emulator.backend import Emulator
from hybridnet.simulators.interface import SpikingBackend, SpikingResult
from hybridnet.simulators.torch.float_step import TorchBackend
from hybridnet.support.arrays import Array

STEPS = 11
SIZE = 224
CHANNELS = (8, 8)
IN_CHANNELS = {"motion vectors": 2, "residuals": 3}
STRIDES = {"base": (1, 1), "tiny": (2, 1)}
"""Of the two layers, in the shipped configs. Paddings keep the size."""

VIEWS = 2
ROUNDS = 4
REPEATS = 6
"""Per round; of Lava two in all."""
RATES = (0.01, 0.05, 0.20)
TARGET_LAVA, TARGET_FLOOR, TARGET_SPARSE = 200, 1.0, 0.8
FLOOR = "bare float convolutions, channels-last"


def main() -> None:
    """Print all measurements that are asked for."""
    options = parser(__doc__)
    options.add_argument("--floor", action="store_true", help="the emulator against bare convolutions alone")
    options.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of every back-end but Lava")
    asked = options.parse_args()
    torch.set_num_threads(asked.threads)
    print(conditions(load=asked.load))
    print(f"torch {torch.__version__}, {asked.threads} threads for every back-end; Lava, whose start-up is left out,")
    print("on all cores with one operating-system process per Lava process\n")
    with beside(load=asked.load):
        for config, strides in STRIDES.items():
            for name, in_channels in IN_CHANNELS.items():
                print(f"{name}: {in_channels}→8→8, {SIZE}×{SIZE}, strides {strides} as in config {config}, T = {STEPS}")
                stream = make_stream(in_channels, CHANNELS, strides, (SIZE, SIZE))
                if not asked.floor:
                    compare(stream)
                print_rates(stream)
        if not asked.floor:
            print_growth()


def make_stream(
    in_channels: int, channels: tuple[int, ...], strides: tuple[int, ...], size: tuple[int, int]
) -> Stream[ConvLIFLayer]:
    """Random 3×3 layers."""
    random = np.random.default_rng(0)
    shape = (in_channels, *size)
    layers = []
    for index, (out_channels, stride) in enumerate(zip(channels, strides, strict=True)):
        geometry = ConvGeometry(shape, out_channels, (3, 3), (stride, stride), (1, 1))
        layers.append(
            ConvLIFLayer(
                name=f"s.{index}",
                geometry=geometry,
                weight=random.normal(0, 0.3, geometry.weight_shape),
                bias=random.normal(0, 0.01, out_channels),
                leak=0.8,
                threshold=1.0,
                reset="soft",
                input_kind="spike" if index else "analog",
                read_out=True,
            )
        )
        shape = geometry.output_shape
    return Stream("s", "x", tuple(layers))


def in_integers(stream: Stream[ConvLIFLayer]) -> Stream[FixedConvLIF]:
    """The same layers on the chip, for inputs in [−1, 1] and potentials in [−8, 8]."""
    scales = {"analog": 127.0, "spike": 1.0}
    return Stream("s", "x", tuple(quantise_layer(layer, scales[layer.input_kind], 8.0) for layer in stream.layers))


def make_input(stream: Stream[ConvLIFLayer], views: int = VIEWS, steps: int = STEPS) -> dict[str, Array]:
    """Normal numbers, (N, T, C, H, W)."""
    x = np.random.default_rng(1).normal(0, 0.3, (views, steps, *stream.input_shape))
    return {"x": np.clip(x, -1, 1).astype(np.float32)}


def compare(stream: Stream[ConvLIFLayer]) -> None:
    """All back-ends on one stream."""
    fixed, x = in_integers(stream), make_input(stream)
    emulator = Emulator(Program((fixed,), STEPS))
    expected = emulator.run(x)
    rates = ", ".join(f"{spikes.mean():.1%}" for spikes in expected.spikes.values())
    runs: Runs[str] = {
        "emulator": times_of(emulator, x),
        FLOOR: lambda: floor(stream, x["x"], torch.channels_last),
        "bare float convolutions, channels-first": lambda: floor(stream, x["x"], torch.contiguous_format),
        "snnTorch, convolutions batched over time": lambda: snntorch_ms(stream, x["x"]),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, build in backends(stream, fixed, Path(folder)).items():
            try:
                backend = build()
                if backend.fixed_point:
                    check(backend.run(x), expected)
                runs[name] = times_of(backend, x)
            except (ImportError, HybridNetError) as error:
                print(f"  {name} skipped: {str(error).splitlines()[0]}")
        ms = by_turns(runs)
    for name, time_ms in ms.items():
        print(f"  {name:42} {time_ms:10.2f} ms/view {time_ms / ms['emulator']:9.2f}× the emulator")
    print(f"  emulator: {ms['emulator'] / ms[FLOOR]:.2f}× the time of bare convolutions (target: {TARGET_FLOOR});")
    print(f"  target against stock Lava: {TARGET_LAVA}×; spikes per neuron and step: {rates}\n")


def backends(
    stream: Stream[ConvLIFLayer], fixed: Stream[FixedConvLIF], folder: Path
) -> dict[str, Callable[[], SpikingBackend]]:
    """How to build each of our other back-ends."""

    def onnx(program: Any) -> SpikingBackend:
        from hybridnet.deploy.onnx.program import write_onnx_program
        from hybridnet.simulators.onnxruntime.spiking import OnnxSpikingBackend
        from hybridnet.simulators.options import Runtime

        write_onnx_program(folder / "program.onnx", program)
        return OnnxSpikingBackend(folder / "program.onnx", program, Runtime(threads=torch.get_num_threads()))

    def lava(conv: Any) -> SpikingBackend:
        from hybridnet.deploy.netx.file import write_net
        from hybridnet.simulators.lava.backend import LavaBackend

        write_net(folder / "s.net", stream, fixed, STEPS)
        return LavaBackend({"s": folder / "s.net"}, conv=conv)

    return {
        "torch float step": lambda: TorchBackend(Program((stream,), STEPS)),
        "ONNX Runtime, unrolled, integers": lambda: onnx(Program((fixed,), STEPS)),
        "ONNX Runtime, unrolled, float": lambda: onnx(Program((stream,), STEPS)),
        "Lava, fast convolution": lambda: lava("fast"),
        "Lava, stock convolution": lambda: lava("stock"),
    }


def check(got: SpikingResult, expected: SpikingResult) -> None:
    """The same bits, or no times."""
    for mine, theirs in ((got.readouts, expected.readouts), (got.spikes, expected.spikes)):
        for name, values in theirs.items():
            if not np.array_equal(mine[name], values):
                sys.exit(f"{name} differs from the emulator's")


def times_of(backend: SpikingBackend, x: Mapping[str, Array]) -> Callable[[], Array]:
    """Something that runs and gives its times in ms, (N,)."""
    return lambda: backend.run(x).latency_ms


def by_turns(runs: Runs[Name]) -> dict[Name, float]:
    """The least time of any view in several repeats, in ms; of Lava's in two."""

    def repeats(name: Name, round_: int) -> int:
        slow = str(name).startswith("Lava")
        return 0 if slow and round_ else 2 if slow else REPEATS

    return least(runs, ROUNDS, repeats)


@torch.no_grad()
def floor(stream: Stream[ConvLIFLayer], x: Array, layout: torch.memory_format) -> float:
    """Time in ms of nothing but the convolutions of one view, float32, in a memory format that is already right."""
    frames = torch.from_numpy(x[0]).contiguous(memory_format=layout)
    spent = 0.0
    for layer in stream.layers:
        weight, bias, g = *parameters(layer, layout), layer.geometry
        for _ in range(2):  # once to warm up
            started = time.perf_counter()
            current = F.conv2d(frames, weight, bias, g.stride, g.padding)
            elapsed = time.perf_counter() - started
        frames = (current > layer.threshold).float().contiguous(memory_format=layout)
        spent += elapsed
    return spent * 1e3


@torch.no_grad()
def snntorch_ms(stream: Stream[ConvLIFLayer], x: Array) -> float:
    """Time in ms of one view in snnTorch: kinder than its usual loop, for the convolutions take all steps at once."""
    import snntorch

    neurons = [
        snntorch.Leaky(beta=layer.leak, threshold=layer.threshold, reset_mechanism="subtract", reset_delay=True)
        for layer in stream.layers
    ]
    weights = [parameters(layer, torch.channels_last) for layer in stream.layers]
    started = time.perf_counter()
    frames = torch.from_numpy(x[0])
    for layer, neuron, (weight, bias) in zip(stream.layers, neurons, weights, strict=True):
        frames = frames.contiguous(memory_format=torch.channels_last)
        currents = F.conv2d(frames, weight, bias, layer.geometry.stride, layer.geometry.padding)
        membrane = torch.zeros_like(currents[0])
        spikes = []
        for current in currents:
            spike, membrane = neuron(current, membrane)
            spikes.append(spike)
        frames = torch.stack(spikes)
    return (time.perf_counter() - started) * 1e3


def parameters(layer: ConvLIFLayer, layout: torch.memory_format) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias in float32."""
    return torch.from_numpy(layer.weight).float().contiguous(memory_format=layout), torch.from_numpy(layer.bias).float()


def print_rates(stream: Stream[ConvLIFLayer]) -> None:
    """The emulator at three rates of spikes into the second layer, beside the convolutions, which know no rate."""
    x = make_input(stream)
    runs: Runs[str] = {f"{rate:.0%}": times_of(Emulator(with_rate(in_integers(stream), rate, x)), x) for rate in RATES}
    ms = by_turns({**runs, FLOOR: lambda: floor(stream, x["x"], torch.channels_last)})
    cells = ", ".join(f"{ms[rate]:.2f} ms, {ms[rate] / ms[FLOOR]:.2f}× at {rate} of spikes" for rate in runs)
    print(f"  emulator: {cells}; {FLOOR}: {ms[FLOOR]:.2f} ms (target: {TARGET_SPARSE}× up to 5%)\n")


def with_rate(stream: Stream[FixedConvLIF], rate: float, x: Mapping[str, Array]) -> Program[FixedConvLIF]:
    """The first layer's threshold such that this share of its neurons spikes at a step, by bisection."""
    first, *rest = stream.layers
    low, high = 1, THRESHOLD_MAX
    while high - low > low // 100 + 1:
        middle = (low + high) // 2
        program = Program((Stream("s", "x", (replace(first, threshold=middle), *rest)),), STEPS)
        too_many = Emulator(program).run(x).spikes["s.0"].mean() > rate
        low, high = (middle, high) if too_many else (low, middle)
    return program


def print_growth() -> None:
    """Time and memory of the emulator as pixels, steps and channels grow."""
    print("\nEmulator, 2→C→8, strides (1, 1): growth against the line above")
    print(f"  {'':28} {'ms/view':>8} {'ratio':>6}   {'result MiB':>10} {'all MiB':>8} {'ratio':>6}")
    for title, points in {
        "pixels": [(size, STEPS, 8) for size in (112, 224, 448, 896)],
        "steps": [(SIZE, steps, 8) for steps in (11, 22, 44, 88)],
        "channels": [(SIZE, STEPS, channels) for channels in (8, 16, 32, 64)],
    }.items():
        ms = by_turns({point: times_of(*one_view(*point)) for point in points})
        rows = []
        for point in points:
            with multiprocessing.get_context("spawn").Pool(1) as fresh:  # where no memory lies ready for use
                rows.append((ms[point], *fresh.apply(measure_memory, point)))
        for point, row, before in zip(points, rows, [None, *rows], strict=False):
            ratios = (f"{row[0] / before[0]:.2f}", f"{row[2] / before[2]:.2f}") if before else ("", "")
            label = f"{title}: {point[0]}×{point[0]}, T {point[1]}, C {point[2]}"
            print(f"  {label:28} {row[0]:8.2f} {ratios[0]:>6}   {row[1]:10.1f} {row[2]:8.1f} {ratios[1]:>6}")


def one_view(size: int, steps: int, channels: int) -> tuple[Emulator, dict[str, Array]]:
    """An emulator, and a view for it to run."""
    stream = make_stream(2, (channels, 8), (1, 1), (size, size))
    return Emulator(Program((in_integers(stream),), steps)), make_input(stream, 1, steps)


def measure_memory(size: int, steps: int, channels: int) -> tuple[float, float]:
    """MiB of a view's result, and MiB by which this process grows in the first run, the result's included."""
    times_of(*one_view(16, steps, channels))()  # brings in the memory of torch and of the compiled loops
    emulator, x = one_view(size, steps, channels)
    Path("/proc/self/clear_refs").write_text("5")  # forgets the highest mark
    before = memory("VmRSS")
    result = emulator.run(x)
    peak = memory("VmHWM") - before
    kept = [array.nbytes for arrays in (result.inputs, result.spikes, result.readouts) for array in arrays.values()]
    return sum(kept) / 2**20, peak


def memory(mark: str) -> float:
    """A line of this process's status, in MiB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines[mark].split()[0]) / 1024


if __name__ == "__main__":
    main()
