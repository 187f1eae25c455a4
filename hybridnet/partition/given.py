"""What spiking layers give and take, as values of the traced model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx

from hybridnet.model.stm import ReadOut
from hybridnet.partition.frames import WINDOWS, Count, Frames, NeuronState, Opaque, whole
from hybridnet.partition.neurons import Neuron
from hybridnet.partition.reading import SpikingLayer


def can_leave(value: Frames) -> bool:
    """Whether these frames cross the bridge: inputs are there already, spikes always do, potentials only u[T]."""
    return value.origin.kind in ("input", "current", "spikes") or value.step() == value.origin.steps - 1


def given_by(layer: SpikingLayer, read_out: ReadOut) -> Any:
    """What a SpikingStack returns for one of its read-outs."""
    steps = layer.source.steps
    if read_out.kind == "spike_count":
        return Count(layer.gives("spikes"), frozenset(range(steps)))
    numbers = whole(steps)
    if read_out.kind == "spikes":
        return Frames(layer.gives("spikes"), numbers)
    return Frames(layer.gives("potential"), numbers if read_out.kind == "potentials" else numbers[:, -1])


def as_returned(neuron: Neuron, given: Mapping[str, Any]) -> Any:
    """What a call of `neuron` returns, of what it could have `given`."""
    if isinstance(neuron.returns, tuple):
        return tuple(given[kind] for kind in neuron.returns)
    return given[neuron.returns]


def is_state(state: Any, layer: SpikingLayer, t: int) -> bool:
    """Whether `state` is what `layer` was left with after step t − 1, or rest before step 0."""
    if t == 0:
        return state is None or (isinstance(state, Tensor) and not state.any())
    if isinstance(state, NeuronState):
        return state.origin.name == layer.path and state.step == t - 1
    return (
        isinstance(state, Frames)
        and state.origin.kind in ("potential", "settled")
        and state.origin.name == layer.path
        and state.step() == t - 1
    )


def attribute(value: Any, name: str, node: fx.Node) -> Any:
    """What `value.name` is."""
    if isinstance(value, NeuronState):
        numbers = whole(value.origin.steps)[:, value.step]
        return Frames(value.origin, numbers, value.flat) if name == "v" else Opaque(node, spiking=True, timed=True)
    if isinstance(value, Frames) and name in ("shape", "ndim"):
        return value.shape if name == "shape" else len(value.shape)
    if isinstance(value, Frames) and name in ("device", "dtype"):
        return torch.device("cpu") if name == "device" else torch.float32
    if isinstance(value, tuple) and name in ("u", "o"):
        return value["uo".index(name)]
    return Opaque(node, isinstance(value, Opaque) and value.spiking)


def in_words(value: Any) -> str:
    """A value for an error message."""
    if not isinstance(value, Frames):
        return f"a {type(value).__name__}"
    what = {
        "input": "the input",
        "current": "the currents of",
        "potential": "potentials of",
        "settled": "potentials after the reset of",
        "spikes": "spikes of",
    }[value.origin.kind]
    return f"{what} {value.origin.name}, {'×'.join(str(n) for n in value.numbers.shape)} frames of {WINDOWS} windows"
