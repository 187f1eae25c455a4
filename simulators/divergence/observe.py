"""What a run recorded of one layer or population, and what its program's synapses make of what came before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from hybridnet.partition.arithmetic.synapses import run_synapse
from hybridnet.program.fixed_graph import FixedSynapse
from hybridnet.program.graph import Synapse, label
from hybridnet.program.spiking import AnyGraph
from hybridnet.simulators.divergence.find import Place, Side
from hybridnet.simulators.divergence.lanes import AnyPopulation, neurons_of
from hybridnet.simulators.divergence.plain import Layer, layer_of
from hybridnet.simulators.divergence.step_check import Before, Observed
from hybridnet.simulators.interface import SpikingResult
from hybridnet.support.arrays import Array


@dataclass(frozen=True, eq=False, kw_only=True)
class ObservedLayer(Observed):
    """A population behind one convolution.

    Attributes:
        layer: What it should have computed.
        x: What came in, (T, C, H, W): messages, floats or spikes.
    """

    layer: Layer
    x: Array


@dataclass(frozen=True, eq=False)
class Arriving:
    """What one synapse group adds in one window, in the unit of u.

    Attributes:
        name: Name of the group.
        sums: As if it had no delay, (T, C, H, W).
        as_booleans: The same if all messages but 0 were 1; None of a group behind a population.
        tail: The last `delay` steps of the window before; None if there is none.
    """

    name: str
    delay: int
    sums: Array
    as_booleans: Array | None
    tail: Array | None

    def at(self, delay: int, before: Array | None = None) -> Array:
        """With a delay: the steps that it reaches back to are zero, or those that are given."""
        first = np.zeros_like(self.sums[:delay]) if before is None else before[: len(self.sums)]
        return np.concatenate([first, self.sums[: max(len(self.sums) - delay, 0)]])


@dataclass(frozen=True, eq=False, kw_only=True)
class ObservedPopulation(Observed):
    """A population that is more.

    Attributes:
        population: What it should have computed.
        groups: What arrives, by group.
        synapses: The groups themselves.
    """

    population: AnyPopulation
    groups: tuple[Arriving, ...]
    synapses: tuple[Synapse | FixedSynapse, ...]


def observe(side: Side, place: Place, window: int) -> ObservedLayer | ObservedPopulation:
    """What a side recorded at the layer of a place.

    Args:
        side: Who.
        place: Place of a difference in a layer.
        window: Its index in what the side recorded.
    """
    program, result = side.program, side.result
    layer = layer_of(program, place.layer)
    if layer is None:
        return _population(program, result, place.layer, window)
    name = place.layer
    x, u = _sent(program, result, layer.group.source)[window], result.potentials[name][window]
    return ObservedLayer(
        neurons=layer.neurons,
        current=layer.current(x),
        allowed=_allowed_of_layer(layer, x, u),
        u=u,
        o=result.spikes[name][window],
        before=_before(result, name, window, kept=False),
        layer=layer,
        x=x,
    )


def _allowed_of_layer(layer: Layer, x: Array, u: Array) -> float:
    """See `Observed.allowed`.

    The sum of n products is off by at most about n·ε·Σ|products|, in whatever order it is added (Higham, Accuracy and
    Stability of Numerical Algorithms, section 3.1); ε is the recorded type's.
    """
    if layer.fixed:
        return 0.0
    sizes = layer.convolved(np.abs(x), np.abs(layer.weight), np.abs(layer.bias))
    terms = layer.weight[0].size + 8
    return terms * float(np.finfo(u.dtype).eps) * (_largest(sizes) + _largest(u) + layer.threshold)


def _population(program: AnyGraph, result: SpikingResult, name: str, window: int) -> ObservedPopulation:
    population: AnyPopulation = next(p for p in program.populations if p.name == name)
    neurons, synapses = neurons_of(population), program.onto(name)
    fed = {node.name for node in program.inputs}
    groups = tuple(_arriving(g, _sent(program, result, g.source), window, g.source in fed) for g in synapses)
    zero = np.zeros((program.steps, *population.shape), np.int64 if neurons.fixed_point else np.float64)
    u = result.potentials[name][window]
    kept = neurons.current_kept is not None and name in result.currents
    observed = ObservedPopulation(
        neurons=neurons,
        current=sum((group.at(group.delay) for group in groups), zero),
        allowed=0.0,
        u=u,
        o=result.spikes[name][window],
        c=result.currents[name][window] if kept else None,
        before=_before(result, name, window, kept=kept),
        population=population,
        groups=groups,
        synapses=synapses,
    )
    if neurons.fixed_point:
        return observed
    allowed = _allowed(observed, [_sent(program, result, g.source)[window] for g in synapses])
    return ObservedPopulation(**{**vars(observed), "allowed": allowed})


def _sent(program: AnyGraph, result: SpikingResult, source: str) -> Array:
    """What a source sent in all windows, (N, T, C, H, W)."""
    if source not in result.inputs:
        return result.spikes[source]
    values = result.inputs[source]
    shape = next(node.shape for node in program.inputs if node.name == source)
    steps = values if values.ndim == 5 else values[:, None]
    return np.broadcast_to(steps, (len(values), program.steps, *shape))


def _arriving(g: Synapse | FixedSynapse, sent: Array, window: int, from_input: bool) -> Arriving:
    last = sent[window - 1, max(sent.shape[1] - g.delay, 0) :] if window and g.delay else None
    if last is not None and len(last) < g.delay:  # a delay longer than a window reaches back further still
        last = None
    return Arriving(
        name=label(g),
        delay=g.delay,
        sums=_spread(g, sent[window]),
        as_booleans=_spread(g, sent[window] != 0) if from_input else None,
        tail=None if last is None else _spread(g, last),
    )


def _spread(g: Synapse | FixedSynapse, x: Array, weight: Array | None = None) -> Array:
    """What a group makes of steps (T, C, H, W), in the unit of u; exact in integers."""
    weight = g.weight if weight is None else weight
    frames, w = (torch.from_numpy(np.array(v, np.float64, order="C")) for v in (x, weight))
    with torch.no_grad():
        sums = run_synapse(g.geometry, w, frames).numpy()
    return np.rint(sums).astype(np.int64) << g.shift if isinstance(g, FixedSynapse) else sums


def _allowed(observed: ObservedPopulation, sent: list[Array]) -> float:
    """The same bound for the sum of all groups, and of what is kept of a current step by step."""
    sizes, terms = 0.0, 8
    for g, x in zip(observed.synapses, sent, strict=True):
        sizes += _largest(_spread(g, np.abs(x), np.abs(g.weight)))
        terms += g.weight.size * g.geometry.groups // g.geometry.output_shape[0]
    n = observed.neurons
    numbers = [observed.u, n.bias, n.amount, n.threshold[np.isfinite(n.threshold)]]
    size = sizes + sum(map(_largest, numbers))
    eps = float(np.finfo(observed.u.dtype).eps)
    if n.current_kept is None:
        return terms * eps * size
    if observed.c is not None:
        return terms * eps * (size + _largest(observed.c))
    return terms * eps * (size + sizes * len(observed.u)) * len(observed.u)


def _before(result: SpikingResult, name: str, window: int, *, kept: bool) -> Before | None:
    if not window:
        return None
    last: Mapping[str, Array] = {
        "u": result.potentials[name][window - 1, -1],
        "o": result.spikes[name][window - 1, -1],
        **({"c": result.currents[name][window - 1, -1]} if kept else {}),
    }
    return Before(**last)


def _largest(values: Array) -> float:
    return float(np.nanmax(np.abs(values.astype(np.float64)), initial=0.0))
