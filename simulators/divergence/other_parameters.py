"""What sets two programs apart where both runs follow their own."""

from __future__ import annotations

import numpy as np

from hybridnet.program.fixed_graph import FixedSynapse
from hybridnet.program.graph import Synapse, label
from hybridnet.simulators.divergence.hypotheses import CauseClass
from hybridnet.simulators.divergence.lanes import Neurons
from hybridnet.simulators.divergence.observe import ObservedLayer, ObservedPopulation
from hybridnet.simulators.divergence.plain import Layer

AnySynapse = Synapse | FixedSynapse
Difference = tuple[CauseClass, str]

NUMBERS = {
    "kept": (CauseClass.LEAK, "what is kept of u"),
    "current_kept": (CauseClass.LEAK, "what is kept of c"),
    "threshold": (CauseClass.THRESHOLD, "vth"),
    "amount": (CauseClass.RESET, "what a spike subtracts"),
    "bias": (CauseClass.BIAS, "the bias"),
}


def other_parameters(a: ObservedLayer | ObservedPopulation, b: ObservedLayer | ObservedPopulation) -> Difference | None:
    """The first difference between what the two should have computed, and its class; None if there is none."""
    if isinstance(a, ObservedLayer) and isinstance(b, ObservedLayer):
        return _of_layers(a.layer, b.layer)
    if isinstance(a, ObservedPopulation) and isinstance(b, ObservedPopulation):
        return _of_groups(a.synapses, b.synapses) or _of_neurons(a.neurons, b.neurons)
    return None


def _of_layers(a: Layer, b: Layer) -> Difference | None:
    for kind, name in ((CauseClass.WEIGHT, "weight"), (CauseClass.BIAS, "bias")):
        left, right = getattr(a, name), getattr(b, name)
        places = np.argwhere(left != right)
        if len(places):
            p = tuple(int(i) for i in places[0])
            return kind, f"{name}{list(p)} is {left[p]:.6g} and {right[p]:.6g}; {len(places)} such numbers differ"
    kinds = {"leak": CauseClass.LEAK, "threshold": CauseClass.THRESHOLD, "shift": CauseClass.WEIGHT}
    kinds |= {"largest_input": CauseClass.INPUT, "reset": CauseClass.RESET}
    for name, kind in kinds.items():
        if getattr(a, name) != getattr(b, name):
            return kind, f"{name.replace('_', ' ')} is {getattr(a, name)} and {getattr(b, name)}"
    return None


def _of_groups(a: tuple[AnySynapse, ...], b: tuple[AnySynapse, ...]) -> Difference | None:
    if [label(g) for g in a] != [label(g) for g in b]:
        return CauseClass.WEIGHT, f"its groups are {', '.join(map(label, a))} and {', '.join(map(label, b))}"
    for left, right in zip(a, b, strict=True):
        if left.delay != right.delay:
            return CauseClass.TIMING, f"the delay of {label(left)} is {left.delay} and {right.delay}"
        shifts = [g.shift if isinstance(g, FixedSynapse) else 0 for g in (left, right)]
        same = left.geometry == right.geometry and np.array_equal(left.weight, right.weight)
        if not same or shifts[0] != shifts[1]:
            return CauseClass.WEIGHT, f"the weights of {label(left)} are others"
    return None


def _of_neurons(a: Neurons, b: Neurons) -> Difference | None:
    for field, (kind, name) in NUMBERS.items():
        left, right = getattr(a, field), getattr(b, field)
        if (left is None) != (right is None) or (left is not None and not np.array_equal(left, right)):
            return kind, f"{name} is another"
    return (CauseClass.RESET, f"reset is {a.reset} and {b.reset}") if a.reset != b.reset else None
