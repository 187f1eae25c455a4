"""The spiking program in ONNX Runtime: unrolled against Scan, and beside the emulator and torch.

    python benchmarks/onnx_program.py [--size 112] [--threads 2] [--repeats 7]

Two streams of two layers of 8 channels, T = 11, random integers. One view at a time, best of several repeats, all
variants in turn within each repeat, since other work on the machine disturbs them alike.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from hybridnet.simulators.emulator.backend import Emulator
from hybridnet.simulators.onnxruntime.spiking import OnnxSpikingBackend
from hybridnet.simulators.torch.float_step import TorchBackend
from onnx import TensorProto, helper

from hybridnet.deploy.onnx import program as unrolled
from hybridnet.deploy.onnx.graph import OnnxGraph
from hybridnet.program.layers import (
    DECAY_ONE,
    MESSAGE_MAX,
    POTENTIAL_MAX,
    POTENTIAL_SHIFT,
    ConvGeometry,
    ConvLIFLayer,
    FixedConvLIF,
    FixedProgram,
    FloatProgram,
    Program,
    Stream,
)
from hybridnet.simulators.onnxruntime.session import open_session
from hybridnet.simulators.options import Runtime

STEPS, CHANNELS = 11, 8


def programs(size: int, random: np.random.Generator) -> tuple[FloatProgram, FixedProgram]:
    """A float and a fixed-point program of the same shapes."""
    floats, integers = [], []
    for name, channels in (("mv", 2), ("r", 3)):
        shapes = ((channels, size, size), (CHANNELS, size, size))
        geometries = [ConvGeometry(shape, CHANNELS, (3, 3), padding=(1, 1)) for shape in shapes]
        float_layers, integer_layers = [], []
        for place, geometry in enumerate(geometries):
            shared: dict[str, Any] = {
                "name": f"{name}.{place}",
                "geometry": geometry,
                "reset": "soft",
                "input_kind": "spike" if place else "analog",
                "read_out": True,
            }
            weight = random.integers(-64, 64, geometry.weight_shape, dtype=np.int32) * 2
            bias = np.zeros(CHANNELS, np.int32)
            threshold = 300 if place else 9000
            scales: dict[str, Any] = {"weight_scale": 1.0, "input_scale": 1.0 if place else 40.0}
            integer_layers.append(
                FixedConvLIF(**shared, **scales, weight=weight, bias=bias, decay=819, threshold=threshold)
            )
            float_layers.append(
                ConvLIFLayer(
                    **shared,
                    weight=weight / 100.0,
                    bias=bias / 100.0,
                    leak=0.8,
                    threshold=threshold / (100 if place else 4e3),
                )
            )
        floats.append(Stream(name, f"{name}_input", tuple(float_layers)))
        integers.append(Stream(name, f"{name}_input", tuple(integer_layers)))
    return Program(tuple(floats), STEPS), Program(tuple(integers), STEPS)


def write_scan(path: Path, program: FixedProgram) -> None:
    """The same graph with one Scan per layer in place of the unrolled steps; soft reset."""
    graph = OnnxGraph()
    for stream in program.streams:
        graph.declare_input(stream.input_name, (program.steps, *stream.input_shape))
        first = stream.layers[0]
        x = unrolled._add_messages(graph, stream.name, stream.input_name, first, (STEPS, *stream.input_shape))
        for place, layer in enumerate(stream.layers):
            shape = layer.geometry.output_shape
            drive = unrolled._drive(graph, layer, x, 1 if place else MESSAGE_MAX)
            windows = graph("Reshape", f"{layer.name}.windows", drive, graph.constant(np.array([-1, STEPS, *shape])))
            zero = graph(
                "Mul",
                "",
                graph("Gather", "", windows, graph.constant(np.int64(0)), axis=1),
                graph.constant(np.int32(0)),
            )
            _, x, potentials, wrong = (f"{layer.name}.{n}" for n in ("last", "spikes", "potentials", "saturated"))
            graph._nodes.append(
                helper.make_node(
                    "Scan",
                    [zero, windows],
                    [f"{layer.name}.last", x, potentials, wrong],
                    body=_body(layer),
                    num_scan_inputs=1,
                    scan_input_axes=[1],
                    scan_output_axes=[1, 1, 1],
                )
            )
            graph.declare_output(graph.count(f"{layer.name}.overflows", wrong), TensorProto.INT64, ())
            graph.declare_output(x, TensorProto.BOOL, (STEPS, *shape))
            graph.declare_output(potentials, TensorProto.INT32, (STEPS, *shape))
    model = graph.model({})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _body(layer: FixedConvLIF) -> onnx.GraphProto:
    """One step: v before, drive → v, o, v, saturated."""
    body, shape = OnnxGraph(), layer.geometry.output_shape
    threshold, zero = body.constant(np.int32(layer.threshold << POTENTIAL_SHIFT)), body.constant(np.int32(0))
    keep = body.constant(np.float64((DECAY_ONE - layer.decay) / DECAY_ONE))
    product = body("Mul", "product", body.cast("wide", "before", TensorProto.DOUBLE), keep)
    total = body("Add", "sum", body.cast("decayed", product, TensorProto.INT32), "drive")
    total = body(
        "Sub", "total", total, body("Where", "reset", body("Greater", "fired", "before", threshold), threshold, zero)
    )
    v = body("Clip", "v", total, *(body.constant(np.int32(s * POTENTIAL_MAX)) for s in (-1, 1)))
    o = body("Greater", "o", v, threshold)
    wrong = body("Not", "wrong", body("Equal", "exact", v, total))
    again = body("Identity", "again", v)
    values = [helper.make_tensor_value_info(n, TensorProto.INT32, ["N", *shape]) for n in ("before", "drive", v, again)]
    flags = [helper.make_tensor_value_info(n, TensorProto.BOOL, ["N", *shape]) for n in (o, wrong)]
    outputs = [values[2], flags[0], values[3], flags[1]]
    return helper.make_graph(body._nodes, "step", values[:2], outputs, [*body._constants.values()])


def main() -> None:
    """Print one line per variant."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=112)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    random, runtime = np.random.default_rng(0), Runtime(threads=args.threads)
    in_float, fixed = programs(args.size, random)
    x = {s.input_name: random.normal(size=(1, STEPS, *s.input_shape)).astype(np.float32) for s in fixed.streams}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.onnx" for name in ("unrolled", "scan", "float")}
        unrolled.write_onnx_program(paths["unrolled"], fixed)
        unrolled.write_onnx_program(paths["float"], in_float)
        write_scan(paths["scan"], fixed)
        sessions = {name: open_session(path, runtime) for name, path in paths.items()}
        same = [f"{layer.name}.{what}" for layer in fixed.layers() for what in ("spikes", "potentials", "overflows")]
        for one, other in zip(*(sessions[name].run(same, x) for name in ("unrolled", "scan")), strict=True):
            assert np.array_equal(one, other)  # noqa: S101
        emulator, model = Emulator(fixed), TorchBackend(in_float)
        backends = (
            OnnxSpikingBackend(paths["unrolled"], fixed, runtime),
            OnnxSpikingBackend(paths["float"], in_float, runtime),
        )
        variants: dict[str, Callable[[], float]] = {
            "ORT fixed, Scan": lambda: _timed(lambda: sessions["scan"].run(None, x)),
            "ORT fixed, unrolled": lambda: _timed(lambda: sessions["unrolled"].run(None, x)),
            "back-end onnxruntime": lambda: float(backends[0].run(x).latency_ms[0]),
            "back-end onnxruntime-float": lambda: float(backends[1].run(x).latency_ms[0]),
            "back-end emulator": lambda: float(emulator.run(x).latency_ms[0]),
            "back-end torch": lambda: float(model.run(x).latency_ms[0]),
        }
        times: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(args.repeats + 1):
            for name, run in variants.items():
                times[name].append(run())
        print(f"{args.size}×{args.size}, {args.threads} threads, best of {args.repeats}")
        for name, found in times.items():
            print(f"  {name:28} {min(found[1:]):8.1f} ms per view")
        print("  " + ", ".join(f"{name} {path.stat().st_size / 1e3:.0f} kB" for name, path in paths.items()))


def _timed(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return (time.perf_counter() - started) * 1e3


if __name__ == "__main__":
    main()
