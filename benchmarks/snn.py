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
from networks import chain, in_integers

from hybridnet.deploy.onnx.float_graph import write_float_graph
from hybridnet.deploy.onnx.graph_program import write_onnx_graph
from hybridnet.errors import HybridNetError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram, Population, Synapse
from hybridnet.program.layers import THRESHOLD_MAX
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingBackend, SpikingResult
from hybridnet.simulators.onnxruntime.graph import OnnxGraph
from hybridnet.simulators.options import Runtime
from hybridnet.simulators.torch.graph_step import TorchGraph
from hybridnet.support.arrays import Array

STEPS = 11
SIZE = 224
CHANNELS = (8, 8)
IN_CHANNELS = {"motion vectors": 2, "residuals": 3}
STRIDES = {"base": (1, 1), "tiny": (2, 1)}
"""Channels of the two layers, in the shipped configs. Paddings keep the size."""

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
                program = chain((in_channels, SIZE, SIZE), CHANNELS, strides, STEPS)
                if not asked.floor:
                    compare(program)
                print_rates(program)
        if not asked.floor:
            print_growth()


def make_input(program: GraphProgram, views: int = VIEWS) -> dict[str, Array]:
    """Normal numbers, (N, T, C, H, W)."""
    x = np.random.default_rng(1).normal(0, 0.3, (views, program.steps, *program.inputs[0].shape))
    return {"x": np.clip(x, -1, 1).astype(np.float32)}


def compare(program: GraphProgram) -> None:
    """All back-ends on one chain."""
    fixed, x = in_integers(program), make_input(program)
    emulator = emulator_of(fixed)
    expected = emulator.run(x)
    rates = ", ".join(f"{spikes.mean():.1%}" for spikes in expected.spikes.values())
    runs: Runs[str] = {
        "emulator": times_of(emulator, x),
        FLOOR: lambda: floor(program, x["x"], torch.channels_last),
        "bare float convolutions, channels-first": lambda: floor(program, x["x"], torch.contiguous_format),
        "snnTorch, convolutions batched over time": lambda: snntorch_ms(program, x["x"]),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, build in backends(program, fixed, Path(folder)).items():
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


def backends(program: GraphProgram, fixed: FixedGraph, folder: Path) -> dict[str, Callable[[], SpikingBackend]]:
    """How to build each of our other back-ends."""
    runtime = Runtime(threads=torch.get_num_threads())

    def integers() -> SpikingBackend:
        write_onnx_graph(folder / "fixed.onnx", fixed)
        return OnnxGraph(folder / "fixed.onnx", fixed, runtime)

    def in_float() -> SpikingBackend:
        write_float_graph(folder / "float.onnx", program)
        return OnnxGraph(folder / "float.onnx", program, runtime)

    def lava(conv: Any) -> SpikingBackend:
        from hybridnet.deploy.netx.file import write_net
        from hybridnet.simulators.lava.backend import LavaBackend

        write_net(folder / "s.net", "s", program, fixed)
        return LavaBackend({"s": folder / "s.net"}, conv=conv)

    return {
        "torch float step": lambda: TorchGraph(program),
        "ONNX Runtime, unrolled, integers": integers,
        "ONNX Runtime, unrolled, float": in_float,
        "Lava, fast convolution": lambda: lava("fast"),
        "Lava, stock convolution": lambda: lava("stock"),
    }


def emulator_of(fixed: FixedGraph) -> GraphEmulator:
    """The emulator as a bundle runs it."""
    return GraphEmulator(fixed, currents=False, threads=torch.get_num_threads())


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
def floor(program: GraphProgram, x: Array, layout: torch.memory_format) -> float:
    """Time in ms of nothing but the convolutions of one view, float32, in a memory format that is already right."""
    frames = torch.from_numpy(x[0]).contiguous(memory_format=layout)
    spent = 0.0
    for g, p in zip(program.synapses, program.populations, strict=True):
        weight, bias = parameters(g, p, layout)
        for _ in range(2):  # once to warm up
            started = time.perf_counter()
            current = F.conv2d(frames, weight, bias, g.geometry.stride, g.geometry.padding)
            elapsed = time.perf_counter() - started
        frames = (current > threshold_of(p)).float().contiguous(memory_format=layout)
        spent += elapsed
    return spent * 1e3


@torch.no_grad()
def snntorch_ms(program: GraphProgram, x: Array) -> float:
    """Time in ms of one view in snnTorch: kinder than its usual loop, for the convolutions take all steps at once."""
    import snntorch

    neurons = [
        snntorch.Leaky(beta=float(p.leak), threshold=threshold_of(p), reset_mechanism="subtract", reset_delay=True)
        for p in program.populations
    ]
    layers = [*zip(program.synapses, program.populations, strict=True)]
    weights = [parameters(g, p, torch.channels_last) for g, p in layers]
    started = time.perf_counter()
    frames = torch.from_numpy(x[0])
    for (g, _), neuron, (weight, bias) in zip(layers, neurons, weights, strict=True):
        frames = frames.contiguous(memory_format=torch.channels_last)
        currents = F.conv2d(frames, weight, bias, g.geometry.stride, g.geometry.padding)
        membrane = torch.zeros_like(currents[0])
        spikes = []
        for current in currents:
            spike, membrane = neuron(current, membrane)
            spikes.append(spike)
        frames = torch.stack(spikes)
    return (time.perf_counter() - started) * 1e3


def parameters(g: Synapse, p: Population, layout: torch.memory_format) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias in float32."""
    return torch.from_numpy(g.weight).float().contiguous(memory_format=layout), torch.from_numpy(p.bias).float()


def threshold_of(p: Population) -> float:
    """The one of all its neurons."""
    return float("inf") if p.threshold is None else float(p.threshold)


def print_rates(program: GraphProgram) -> None:
    """The emulator at three rates of spikes into the second layer, beside the convolutions, which know no rate."""
    x = make_input(program)
    at = {rate: emulator_of(with_rate(in_integers(program), rate, x)) for rate in RATES}
    runs: Runs[str] = {f"{rate:.0%}": times_of(emulator, x) for rate, emulator in at.items()}
    ms = by_turns({**runs, FLOOR: lambda: floor(program, x["x"], torch.channels_last)})
    cells = ", ".join(f"{ms[rate]:.2f} ms, {ms[rate] / ms[FLOOR]:.2f}× at {rate} of spikes" for rate in runs)
    print(f"  emulator: {cells}; {FLOOR}: {ms[FLOOR]:.2f} ms (target: {TARGET_SPARSE}× up to 5%)\n")


def with_rate(fixed: FixedGraph, rate: float, x: Mapping[str, Array]) -> FixedGraph:
    """The first layer's threshold such that this share of its neurons spikes at a step, by bisection."""
    first, *rest = fixed.populations
    low, high = 1, THRESHOLD_MAX
    while high - low > low // 100 + 1:
        middle = (low + high) // 2
        threshold = np.array(middle, np.int32)
        populations = (replace(first, threshold=threshold, reset_amount=threshold), *rest)
        fixed = FixedGraph(fixed.inputs, populations, fixed.synapses, fixed.steps)
        too_many = emulator_of(fixed).run(x).spikes["s.0"].mean() > rate
        low, high = (middle, high) if too_many else (low, middle)
    return fixed


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


def one_view(size: int, steps: int, channels: int) -> tuple[GraphEmulator, dict[str, Array]]:
    """An emulator, and a view for it to run."""
    program = chain((2, size, size), (channels, 8), (1, 1), steps)
    return emulator_of(in_integers(program)), make_input(program, 1)


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
