"""A simulator of the spiking program with one fault built in: what a wrong back-end would do, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from helpers import naive_program
from helpers.chains import (
    ConvLIFLayer,
    FixedConvLIF,
    FixedProgram,
    FloatProgram,
    Program,
    Stream,
)

from hybridnet.program.layers import POTENTIAL_MAX, ConvGeometry
from hybridnet.simulators.interface import SpikingResult

Array = Any

N, T = 3, 8
DEEP = [
    ConvGeometry((2, 7, 9), 4, (3, 3), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2),
    ConvGeometry((4, 4, 5), 4, (2, 3), padding=(0, 1)),
    ConvGeometry((4, 3, 5), 3, (1, 1)),
]
WIDE = [ConvGeometry((3, 5, 8), 2, (2, 3), stride=(1, 2), padding=(1, 0))]


@dataclass(frozen=True)
class Fault:
    """What one side does differently in one layer; the defaults are the program's step."""

    layer: str = ""
    decay: Callable[[Array], Array] = lambda product: np.sign(product) * (np.abs(product) // 4096)
    saturate: Callable[[Array], Array] = lambda v: np.clip(v, -POTENTIAL_MAX, POTENTIAL_MAX)
    spikes: Callable[[Array, float], Array] = lambda u, vth: u > vth
    reset: str = ""
    feed: Callable[[Array], Array] = lambda x: x
    show: Callable[[Array], Array] = lambda current: current
    change: Callable[[Any], Any] = lambda layer: layer


NONE = Fault()


def run(program: FixedProgram | FloatProgram, inputs: dict[str, Array], fault: Fault = NONE) -> SpikingResult:
    """A simulator of its own: plain convolution, then a loop over steps, with one fault built in."""
    spikes, potentials = {}, {}
    streams: Any = program.streams
    for stream in streams:
        x = inputs[stream.input_name]
        for layer in stream.layers:
            mine = fault if layer.name == fault.layer else NONE
            windows: list[tuple[Array, Array]] = []
            for frames in x:
                kept = (windows[-1][0][-1], windows[-1][1][-1]) if mine.reset == "kept" and windows else None
                windows.append(_window(layer, frames, mine, kept))
            potentials[layer.name] = np.stack([u for u, _ in windows])
            spikes[layer.name] = x = np.stack([o for _, o in windows])
    return SpikingResult(dict(inputs), spikes, {}, np.zeros(N), {}, {}, potentials)


def _window(layer: Any, frames: Array, fault: Fault, start: tuple[Array, Array] | None) -> tuple[Array, Array]:
    changed = fault.change(layer)
    fixed = isinstance(layer, FixedConvLIF)
    unit, vth = (64, changed.threshold * 64) if fixed else (1, changed.threshold)
    reset = fault.reset or layer.reset
    shape = layer.geometry.output_shape
    u = np.zeros(shape, np.int64 if fixed else np.float64) if start is None else start[0]
    o = np.zeros(shape, bool) if start is None else start[1]
    o_before = np.zeros(shape, bool)
    frames = fault.feed(frames)
    drives = np.stack([_drive(frame, changed, unit) for frame in frames])
    all_u, all_o = [], []
    for drive in fault.show(drives):
        kept, taken = u, vth * o
        if reset in ("hard", "none", "at once", "hard at once"):
            kept, taken = np.where(o & (reset == "hard"), 0, u), 0
        elif reset == "before the decay":
            kept, taken = u - vth * o, 0
        elif reset == "late":
            taken = vth * o_before
        decayed = fault.decay((4096 - changed.decay) * kept) if fixed else changed.leak * kept
        pre = decayed + drive - taken
        pre = fault.saturate(pre) if fixed else pre
        o_before, o = o, fault.spikes(pre, vth)
        u = pre - vth * o if reset == "at once" else np.where(o, 0, pre) if reset == "hard at once" else pre
        all_u.append(u)
        all_o.append(o)
    return np.stack(all_u), np.stack(all_o)


def _drive(frame: Array, layer: Any, unit: int) -> Array:
    shape = layer.geometry.output_shape
    sums = naive_program.conv(frame, layer.weight, layer.geometry)
    current = np.array(list(sums.values())).reshape(shape)  # in the order of (C, H, W)
    return (current + layer.bias[:, None, None]) * unit


def programs(reset: str = "soft", seed: int = 3) -> tuple[FloatProgram, FixedProgram]:
    """Two streams, three layers and one, with odd sizes; each called as its input."""
    rng = np.random.default_rng(seed)
    pairs = [random_pair(rng, name, g, reset=reset) for name, g in (("mv", DEEP), ("r", WIDE))]
    return Program(tuple(f for f, _ in pairs), T), Program(tuple(i for _, i in pairs), T)


def random_pair(
    rng: np.random.Generator, name: str, geometries: list[ConvGeometry], **fields: Any
) -> tuple[Stream[ConvLIFLayer], Stream[FixedConvLIF]]:
    """A stream called as its input, in float and in integers."""
    in_float, fixed = naive_program.random_streams(rng, name, geometries, **fields)
    return replace(in_float, input_name=name), replace(fixed, input_name=name)


def messages(program: FixedProgram, seed: int = 4) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    return {
        s.input_name: rng.integers(-127, 128, (N, T, *s.input_shape), dtype=np.int32)
        * (rng.random((N, T, *s.input_shape)) < 0.7)
        for s in program.streams
    }


def float_inputs(program: FloatProgram) -> dict[str, Array]:
    rng = np.random.default_rng(9)
    return {s.name: rng.normal(size=(N, T, *s.input_shape)) for s in program.streams}


def weight_changed(layer: Any) -> Any:
    weight = layer.weight.copy()
    weight[1, 0, 1, 2] += 6
    return replace(layer, weight=weight)


def weights_changed(layer: Any) -> Any:
    weight = layer.weight.copy()
    weight[:2] //= 2
    return replace(layer, weight=weight)


def nearest(product: Array) -> Array:
    return np.rint(product / 4096).astype(np.int64)


FAULTS = {
    "rounds to nearest": ("rounding", Fault(decay=nearest)),
    "rounds down": ("rounding", Fault(decay=lambda product: product >> 12)),
    "hard reset": ("reset semantics", Fault(reset="hard")),
    "no reset": ("reset semantics", Fault(reset="none")),
    "one step early": ("reset semantics", Fault(reset="at once")),
    "one step early, hard": ("reset semantics", Fault(reset="hard at once")),
    "one step late": ("reset semantics", Fault(reset="late")),
    "before the decay": ("reset semantics", Fault(reset="before the decay")),
    "state kept": ("reset semantics", Fault(reset="kept")),
    "kernel transposed": (
        "layout",
        Fault(change=lambda layer: replace(layer, weight=layer.weight.swapaxes(2, 3).reshape(layer.weight.shape))),
    ),
    "kernel flipped": ("layout", Fault(change=lambda layer: replace(layer, weight=layer.weight[:, :, ::-1, ::-1]))),
    "kernel mirrored": ("layout", Fault(change=lambda layer: replace(layer, weight=layer.weight[..., ::-1]))),
    "input H/W": ("layout", Fault(feed=lambda x: x.swapaxes(2, 3).reshape(x.shape))),
    "input channels": ("layout", Fault(feed=lambda x: x[:, ::-1])),
    "output mirrored": ("layout", Fault(show=lambda current: current[..., ::-1])),
    "output channels": ("layout", Fault(show=lambda current: np.roll(current, 1, axis=1))),
    "input late": ("timing", Fault(feed=lambda x: np.concatenate([0 * x[:1], x[:-1]]))),
    "one weight": ("weight difference", Fault(change=weight_changed)),
    "many weights": ("weight difference", Fault(change=weights_changed)),
    "bias": ("bias difference", Fault(change=lambda layer: replace(layer, bias=layer.bias + np.int32(3)))),
    "leak": ("leak difference", Fault(change=lambda layer: replace(layer, decay=layer.decay + 5))),
    "threshold": ("threshold difference", Fault(change=lambda layer: replace(layer, threshold=layer.threshold + 40))),
}
