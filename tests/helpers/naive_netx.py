"""Stock netx's networks a second time: step by step and neuron by neuron, as Lava's processes do it."""

from typing import Any

import numpy as np

from hybridnet.deploy.netx.layers import Conv, CubaNeuron, ForeignNetwork, Layer

MAX_24 = 2**23


class Neurons:
    """Lava's LIF and LIFReset."""

    def __init__(self, neuron: CubaNeuron, shape: tuple[int, ...], interval: int | None, offset: int) -> None:
        column = (-1, *[1] * (len(shape) - 1))
        self.du, self.dv, self.vth = (
            p.astype(np.int64).reshape(column) for p in (neuron.current_decay, neuron.voltage_decay, neuron.threshold)
        )
        self.u, self.v = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        self.interval, self.offset, self.time = interval, offset, 0

    def step(self, a: Any, bias: Any) -> Any:
        self.time += 1
        if self.interval and self.time % self.interval == self.offset % self.interval:
            self.u, self.v = np.zeros_like(self.u), np.zeros_like(self.v)
        u = decayed(self.u, self.du) + a * 64
        in_32_bits(a * 64, u)
        self.u = np.where(u > MAX_24, u - 2 * MAX_24, np.where(u <= -MAX_24, u + 2 * MAX_24, u))
        v = decayed(self.v, self.dv) + self.u + bias * 64
        in_32_bits(v)
        v = np.clip(v, 1 - MAX_24, MAX_24 - 1)
        spikes = v > self.vth * 64
        self.v = np.where(spikes, 0, v)
        return spikes


def in_32_bits(*values: Any) -> None:
    """OverflowError beyond the integers that Lava computes with."""
    if any(np.min(each) < -(2**31) or np.max(each) >= 2**31 for each in values):
        raise OverflowError("beyond 32 bits")


def decayed(state: Any, decay: Any) -> Any:
    return np.sign(state) * (np.abs(state) * (4096 - decay) // 4096)


class Synapse:
    """Lava's Conv, Dense and DelayDense: what comes out was put in a step before, or earlier."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.later = [np.zeros(layer.output_shape, np.int64) for _ in range(64)]

    def step(self, x: Any) -> Any:
        now = self.later.pop(0)
        self.later.append(np.zeros_like(now))
        layer = self.layer
        if isinstance(layer, Conv):
            self.later[0] += (convolve(x.astype(np.int64), layer) + MAX_24) % (2 * MAX_24) - MAX_24
            return now
        delay = np.zeros(layer.weight.shape, int) if layer.delay is None else layer.delay
        for steps in np.unique(delay):
            weight = np.where(delay == steps, layer.weight, 0).astype(np.int64)
            self.later[steps] += (weight @ x.reshape(-1).astype(np.int64)) >> layer.shift
        return now


def convolve(x: Any, layer: Conv) -> Any:
    g = layer.geometry
    (top, left), out = g.padding, np.zeros(g.output_shape, np.int64)
    padded = np.pad(x, ((0, 0), (top, top), (left, left)))
    inputs, outputs = len(x) // g.groups, len(out) // g.groups
    for o, i, ky, kx in np.ndindex(layer.weight.shape):
        rows, columns = np.arange(out.shape[1]) * g.stride[0], np.arange(out.shape[2]) * g.stride[1]
        pixels = padded[o // outputs * inputs + i][np.ix_(rows + ky * g.dilation[0], columns + kx * g.dilation[1])]
        out[o] += int(layer.weight[o, i, ky, kx]) * pixels
    return out


def run(
    network: ForeignNetwork, frames: Any, *, reset_interval: int | None = None, reset_offset: int = 0
) -> list[dict[str, Any]]:
    """(T, C, H, W) or (T, features) to spikes, u and v of each layer after each step; OverflowError beyond 32 bits."""
    layers = list(network.layers)
    shapes = [layer.output_shape for layer in layers]
    neurons = [layer.neuron for layer in layers]
    if network.input_neuron:
        shapes, neurons = [network.input_shape, *shapes], [network.input_neuron.neuron, *neurons]
    populations = [
        Neurons(neuron, shape, reset_interval, reset_offset + 1 + place)
        for place, (neuron, shape) in enumerate(zip(neurons, shapes, strict=True))
    ]
    synapses = [Synapse(layer) for layer in layers]
    traces: list[dict[str, Any]] = [{"spikes": [], "u": [], "v": []} for _ in populations]
    for frame in frames:
        x, start = frame.reshape(network.input_shape), 0
        if network.input_neuron:
            x, start = populations[0].step(0, x.astype(np.int64)), 1
        sent = [x]
        for layer, synapse, population in zip(layers, synapses, populations[start:], strict=True):
            bias = layer.bias.astype(np.int64).reshape(-1, *[1] * (len(layer.output_shape) - 1))
            sent.append(population.step(synapse.step(sent[-1]), bias))
        for trace, population, spikes in zip(traces, populations, sent[1 - start :], strict=True):
            trace["spikes"].append(spikes)
            trace["u"].append(population.u)
            trace["v"].append(population.v)
    return [{key: np.array(values) for key, values in trace.items()} for trace in traces]
