"""Each fault put into one side is found where a plain search finds it, and called by its name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import naive_program
from helpers.chains import FixedProgram, Program, Stream, fixed_graph_of
from helpers.faulty_program import FAULTS, Array, Fault, N, T, messages, nearest, programs, run, weight_changed
from helpers.parted_runs import parted, side

from hybridnet.program.layers import POTENTIAL_MAX, ConvGeometry
from hybridnet.simulators.divergence.causes import classify
from hybridnet.simulators.divergence.find import find
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingResult


@functools.cache
def right_one() -> tuple[FixedProgram, dict[str, Array], SpikingResult]:
    program = programs()[1]
    inputs = messages(program)
    return program, inputs, run(program, inputs)


@pytest.mark.parametrize("layer", ["mv.0", "mv.1", "r.0"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_and_named(fault: str, layer: str) -> None:
    kind, change = FAULTS[fault]
    program, inputs, left = right_one()
    right = run(program, inputs, replace(change, layer=layer))
    firsts, causes = parted(program, left, right)
    stream = layer.split(".")[0]
    assert list(firsts) == [stream], "the other stream is equal"
    assert firsts[stream].place.layer == layer
    assert causes[stream].kind == kind, causes[stream]
    assert causes[stream].side == "right"


def test_a_kernel_is_known_at_every_input_shift() -> None:
    """A finer shift puts the bias at another place beside the sum; both sides are the emulator's."""
    program = programs()[1]
    first, *others = program.streams[0].layers
    flipped = first.weight[:, :, ::-1, ::-1]
    sides = []
    for name, weight in (("left", first.weight), ("right", flipped)):
        changed = (replace(first, input_shift=2, weight=weight), *others)
        one = replace(program, streams=(replace(program.streams[0], layers=changed), program.streams[1]))
        inputs = {s.input_name: messages(one)[s.name] / s.layers[0].input_scale for s in one.streams}
        sides.append(side(name, one, GraphEmulator(fixed_graph_of(one)).run(inputs, record_potentials=True)))
    left, right = sides[0], replace(sides[1], program=sides[0].program)
    found = find(left, right)[0].first
    assert found is not None
    (cause,) = classify(left, right, found)
    assert (cause.kind, cause.side) == ("layout", "right")
    assert "kernel flipped in both directions" in cause.statement


@pytest.mark.parametrize("layer", ["mv.0", "mv.2"])
def test_a_hard_layer_that_resets_softly(layer: str) -> None:
    program = programs("hard")[1]
    inputs = messages(program)
    left, right = run(program, inputs, Fault(layer, reset="soft")), run(program, inputs)
    _, causes = parted(program, left, right)
    assert causes["mv"].kind == "reset semantics"
    assert causes["mv"].statement.startswith("resets softly")
    assert causes["mv"].side == "left", "it is the left side that departs"


def one_pixel(**fields: Any) -> FixedProgram:
    """A layer of two channels behind 1×1 weights, and one behind it, so that potentials can be set to the unit."""
    rng = np.random.default_rng(0)
    first, second = ConvGeometry((1, 3, 5), 2, (1, 1)), ConvGeometry((2, 3, 5), 2, (2, 1))
    settings: Any = {
        "weight": np.array([2, -2], np.int32).reshape(first.weight_shape),
        "bias": np.zeros(2, np.int32),
        "decay": 0,
        "threshold": 100,
        **fields,
    }
    made = naive_program.random_streams(rng, "mv", [first], **settings)[1]
    behind = naive_program.random_streams(rng, "mv", [first, second])[1].layers[1]
    behind = replace(behind, geometry=second)
    return Program((Stream("mv", "mv", (*made.layers, behind)),), T)


def test_a_tie_at_threshold() -> None:
    program = one_pixel()
    inputs = {"mv": np.full((N, T, 1, 3, 5), 10, np.int32)}  # 20 a step: exactly at 100 in the fifth
    left, right = run(program, inputs), run(program, inputs, Fault("mv.0", spikes=lambda u, vth: u >= vth))
    firsts, causes = parted(program, left, right)
    assert (firsts["mv"].place.step, firsts["mv"].place.channel) == (4, 0)
    assert firsts["mv"].a.u == firsts["mv"].b.u == 6400
    assert (firsts["mv"].a.distance, firsts["mv"].a.o, firsts["mv"].b.o) == (0, False, True)
    assert causes["mv"].kind == "tie at threshold"
    assert "u = vth exactly in 15 of 15 departing neurons" in causes["mv"].evidence


WRAPS: dict[str, Callable[[Array], Array]] = {
    "wraps around": lambda v: (v + 2**23) % 2**24 - 2**23,
    "does not saturate": lambda v: v,
    "saturates at −2²³,": lambda v: np.clip(v, -(2**23), POTENTIAL_MAX),
}


@pytest.mark.parametrize("how", WRAPS)
def test_saturation(how: str) -> None:
    heavy = np.array([254, -256], np.int32).reshape(2, 1, 1, 1)
    program = one_pixel(weight=heavy, bias=np.array([4095, -4095], np.int32), threshold=2**17 - 1, decay=1)
    inputs = {"mv": np.full((N, T, 1, 3, 5), 127, np.int32)}
    left, right = run(program, inputs), run(program, inputs, Fault("mv.0", saturate=WRAPS[how]))
    firsts, causes = parted(program, left, right)
    assert abs(firsts["mv"].a.u) == POTENTIAL_MAX
    assert causes["mv"].kind == "saturation"
    assert causes["mv"].statement.startswith(how)


def test_what_nothing_explains_is_unexplained() -> None:
    """A flipped bit, noise, and a change that one neuron alone shows."""
    program = programs()[1]
    inputs = messages(program)
    left = run(program, inputs)
    flipped = left.potentials["mv.1"].copy()
    flipped[1, 3, 2, 1, 4] ^= 4
    noisy = left.potentials["mv.1"] + np.random.default_rng(1).integers(-3, 4, left.potentials["mv.1"].shape)
    for potentials, step in ((flipped, (1, 3)), (noisy, (0, 0))):
        right = replace(left, potentials={**left.potentials, "mv.1": potentials})
        firsts, causes = parted(program, left, right)
        assert (firsts["mv"].place.window, firsts["mv"].place.step) == step
        assert causes["mv"].kind == "unexplained", causes["mv"]


def test_causes_that_the_record_cannot_tell_apart() -> None:
    """Under a constant input one more of a weight is as good as ten more of the bias."""
    program = one_pixel()
    inputs = {"mv": np.full((N, T, 1, 3, 5), 10, np.int32)}
    more = Fault("mv.0", change=lambda layer: replace(layer, weight=layer.weight + np.int32(1)))
    _, causes = parted(program, run(program, inputs), run(program, inputs, more))
    assert causes["mv"].kind == "unexplained"
    assert "bias difference or weight difference" in causes["mv"].statement


def test_weights_that_saw_the_same_are_both_possible() -> None:
    program, _, _ = right_one()
    inputs = messages(program)
    inputs["r"] = np.repeat(inputs["r"][:, :, :1], 3, axis=2)  # three channels alike
    fault = Fault("r.0", change=weight_changed)
    _, causes = parted(program, run(program, inputs), run(program, inputs, fault))
    assert causes["r"].kind == "weight difference"
    assert "another weight" in causes["r"].statement


def test_a_second_cause_is_not_passed_over() -> None:
    """The first cause is named; that it does not explain the rest of the window is said."""
    program = programs()[1]
    inputs = messages(program)
    left, right = (
        run(program, inputs),
        run(program, inputs, replace(FAULTS["kernel flipped"][1], layer="mv.0", decay=nearest)),
    )
    _, causes = parted(program, left, right)
    assert causes["mv"].kind == "layout"
    assert any("have another cause" in sentence for sentence in causes["mv"].evidence)


def test_both_sides_may_depart() -> None:
    program = programs()[1]
    inputs = messages(program)
    a = side("a", program, run(program, inputs, Fault("mv.1", decay=nearest)))
    b = side("b", program, run(program, inputs, Fault("mv.1", decay=lambda product: product >> 12)))
    first = find(a, b)[0].first
    assert first is not None
    causes = classify(a, b, first)
    assert [(c.kind, c.side) for c in causes] == [("rounding", "a"), ("rounding", "b")]
    assert causes[0].statement != causes[1].statement


@pytest.mark.parametrize(
    ("how", "kind"),
    [
        (lambda x: x[:, :, :, ::-1], "layout"),
        (lambda x: x.swapaxes(3, 4).reshape(x.shape), "layout"),
        (lambda x: np.concatenate([0 * x[:, :1], x[:, :-1]], axis=1), "timing"),
        (lambda x: np.where(x == x.max(), x - 1, x), "input difference"),
    ],
)
def test_an_input_that_differs(how: Callable[[Array], Array], kind: str) -> None:
    program = programs()[1]
    inputs = messages(program)
    other = {**inputs, "r": how(inputs["r"])}
    a, b = side("a", program, run(program, inputs)), side("b", program, run(program, other))
    mv, r = find(a, b)
    assert mv.first is None
    assert r.first is not None
    assert (r.first.place.layer, r.first.place.depth, r.first.a.o) == ("r input", -1, None)
    assert classify(a, b, r.first)[0].kind == kind


@pytest.mark.parametrize(("steps", "how"), [(1, "late"), (-1, "early")])
def test_a_record_read_at_the_wrong_step(steps: int, how: str) -> None:
    """As of a pipeline whose layers run a step behind each other: every layer is shifted."""
    program, _, left = right_one()
    shifted: Any = {
        field: {name: np.roll(values, steps, axis=1) for name, values in getattr(left, field).items()}
        for field in ("potentials", "spikes")
    }
    _, causes = parted(program, left, replace(left, **shifted))
    assert [(c.kind, c.statement) for c in causes.values()] == [("timing", f"records every step one step {how}")] * 2


def test_programs_that_differ() -> None:
    program = programs()[1]
    inputs = messages(program)
    layers = (weight_changed(program.streams[0].layers[0]), *program.streams[0].layers[1:])
    other = replace(program, streams=(replace(program.streams[0], layers=layers), program.streams[1]))
    a, b = side("a", program, run(program, inputs)), side("b", other, run(other, inputs))
    first = find(a, b)[0].first
    assert first is not None
    (cause,) = classify(a, b, first)
    assert cause.kind == "weight difference"
    assert "weight[1, 0, 1, 2]" in cause.statement
