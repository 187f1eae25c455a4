"""Faults between floats, and between integers and floats; what is rounding, a tie or quantisation, and what is not."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import naive_program
from helpers.chains import FixedProgram, Program, Stream
from helpers.faulty_program import FAULTS, Fault, N, T, float_inputs, messages, nearest, programs, run
from helpers.parted_runs import parted, side
from helpers.small_model import fixed_stream

from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.divergence.causes import classify
from hybridnet.simulators.divergence.find import Side, find
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.quantise import quantise_input

FLOAT_FAULTS = ["hard reset", "one step early", "one step early, hard", "before the decay", "state kept"]
FLOAT_FAULTS += ["kernel transposed", "kernel flipped", "input H/W", "output channels", "one weight", "many weights"]
FLOAT_CHANGES: dict[str, Callable[[Any], Any]] = {
    "leak difference": lambda layer: replace(layer, leak=layer.leak - 0.01),
    "threshold difference": lambda layer: replace(layer, threshold=layer.threshold * 1.05),
    "bias difference": lambda layer: replace(layer, bias=layer.bias + np.array([0.02] + [0.0] * (len(layer.bias) - 1))),
}


@pytest.mark.parametrize("layer", ["mv.0", "mv.1"])
@pytest.mark.parametrize("fault", [*FLOAT_FAULTS, *FLOAT_CHANGES])
def test_a_fault_between_floats(fault: str, layer: str) -> None:
    program = programs()[0]
    inputs = float_inputs(program)
    kind, change = FAULTS[fault] if fault in FAULTS else (fault, Fault(change=FLOAT_CHANGES[fault]))
    left, right = run(program, inputs), run(program, inputs, replace(change, layer=layer))
    firsts, causes = parted(program, left, right)
    assert firsts["mv"].place.layer == layer
    assert causes["mv"].kind == kind, causes["mv"]


def test_float_rounding_and_a_tie() -> None:
    """Float32 beside float64: within the default tolerance equal, to the bit not, and that is called rounding."""
    program = programs()[0]
    inputs = float_inputs(program)
    exact = run(program, inputs)
    single = replace(exact, potentials={k: v.astype(np.float32) for k, v in exact.potentials.items()})
    a, b = side("double", program, exact), side("single", program, single)
    assert all(stream.first is None for stream in find(a, b))
    first = find(a, b, 0.0)[0].first
    assert first is not None
    (cause,) = classify(a, b, first)
    assert cause.kind == "rounding"


def test_a_tie_between_floats() -> None:
    """One step; u is at the threshold on one side and one ulp above it on the other."""
    geometry = ConvGeometry((1, 3, 5), 1, (1, 1))
    layer = naive_program.random_streams(np.random.default_rng(0), "mv", [geometry])[0].layers[0]
    layer = replace(layer, bias=np.array([0.5]), threshold=0.5)
    program = Program((Stream("mv", "mv", (layer,)),), 1)
    sides = []
    for u in (np.float32(0.5), np.nextafter(np.float32(0.5), np.float32(1))):
        potentials = np.full((1, 1, 1, 3, 5), 0.5, np.float32)
        potentials[0, 0, 0, 1, 3] = u
        result = SpikingResult(
            {"mv": np.zeros((1, 1, 1, 3, 5), np.float32)},
            {"mv.0": potentials > 0.5},
            {},
            np.zeros(1),
            {},
            {},
            {"mv.0": potentials},
        )
        sides.append(side(f"u = {u!r}", program, result))
    a, b = sides
    (found,) = find(a, b)
    assert found.first is not None
    assert (found.first.place.y, found.first.place.x, found.first.a.o, found.first.b.o) == (1, 3, False, True)
    (cause,) = classify(a, b, found.first)
    assert (cause.kind, cause.side) == ("tie at threshold", "")


def quantised() -> tuple[FixedProgram, Side, Side]:
    """The same network in integers made from it, and in float; with the first as chains."""
    program = programs()[0]
    inputs = {name: values.clip(-1, 1) for name, values in float_inputs(program).items()}
    fixed: FixedProgram = Program(tuple(fixed_stream(stream, 12.0) for stream in program.streams), T)
    fed = {s.name: quantise_input(inputs[s.name], s.layers[0])[0] for s in fixed.streams}
    return fixed, side("fixed", fixed, run(fixed, fed)), side("float", program, run(program, inputs))


def test_fixed_point_beside_float() -> None:
    _, fixed, in_float = quantised()
    for a, b in ((fixed, in_float), (in_float, fixed)):
        found = find(a, b)
        spikes = [
            (window, step, layer)
            for window, step, layer in itertools.product(range(N), range(T), ("mv.0", "mv.1", "mv.2"))
            if (a.result.spikes[layer][window, step] != b.result.spikes[layer][window, step]).any()
        ]
        first = found[0].first
        assert first is not None
        assert (first.place.window, first.place.step, first.place.layer) == spikes[0]
        assert first.a.o != first.b.o
        assert sum(found[0].differing["mv input"]) == 0, "a message is the float it stands for"
        (cause,) = classify(a, b, first)
        assert (cause.kind, cause.side) == ("quantisation", "")
    assert all(stream.first is None for stream in find(fixed, fixed))


def test_a_fault_of_the_fixed_side_is_told_from_quantisation() -> None:
    program, fixed, in_float = quantised()
    wrong = side("wrong", program, run(program, dict(fixed.result.inputs), Fault("mv.0", reset="hard")))
    first = find(wrong, in_float)[0].first
    assert first is not None
    (cause,) = classify(wrong, in_float, first)
    assert (cause.kind, cause.side) == ("reset semantics", "wrong")


def test_a_tolerance() -> None:
    _, fixed, in_float = quantised()
    largest = find(fixed, in_float)[0].largest["mv.0"]
    assert largest > 0
    strict = find(fixed, in_float, 0.0)[0].first
    assert strict is not None
    assert strict.place.step == 0
    program = programs()[1]
    inputs = messages(program)
    left, right = run(program, inputs), run(program, inputs, Fault("mv.2", decay=nearest))
    loose = find(side("a", program, left), side("b", program, right), 2.0**24)[0]
    spikes_differ = (left.spikes["mv.2"] != right.spikes["mv.2"]).any()
    assert (loose.first is not None) == spikes_differ, "a spike that differs counts always"
