"""Each fault put into one side is found where a plain search finds it, and called by its name; equal runs are equal."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers import naive_program
from helpers.faulty_program import FAULTS, Array, Fault, N, T, messages, nearest, programs, run, weight_changed
from helpers.small_model import fixed_stream
from hybridnet.simulators.emulator.backend import Emulator
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.errors import BackendError
from hybridnet.program.layers import (
    POTENTIAL_MAX,
    ConvGeometry,
    FixedProgram,
    FloatProgram,
    Program,
    Stream,
)
from hybridnet.simulators.divergence.causes import Cause, classify
from hybridnet.simulators.divergence.find import Divergence, Side, find, merged
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.quantise import quantise_input


def search(a: SpikingResult, b: SpikingResult, layers: list[str]) -> tuple[Any, ...] | None:
    """The first difference by looking at one number after another: window, step, layer, then the neuron."""
    for window, step, layer in itertools.product(range(N), range(T), layers):
        u, v, o, p = (r[layer][window, step] for r in (a.potentials, b.potentials, a.spikes, b.spikes))
        for neuron in np.ndindex(u.shape):
            if u[neuron] != v[neuron] or o[neuron] != p[neuron]:
                return (layer, window, step, *neuron)
    return None


def parted(program: Any, left: SpikingResult, right: SpikingResult) -> tuple[dict[str, Divergence], dict[str, Cause]]:
    """Per stream its first difference, held against the search, and the cause."""
    a, b = Side("left", program, left), Side("right", program, right)
    firsts, causes = {}, {}
    for stream, found in zip(program.streams, find(a, b, 0.0), strict=True):
        expected = search(left, right, [layer.name for layer in stream.layers])
        place = found.first.place if found.first else None
        assert expected == (place and (place.layer, *[getattr(place, k) for k in PLACE]))
        if found.first:
            firsts[stream.name] = found.first
            (causes[stream.name],) = classify(a, b, found.first)
    return firsts, causes


PLACE = ("window", "step", "channel", "y", "x")


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
        sides.append(Side(name, one, Emulator(one).run(inputs, record_potentials=True)))
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
    return Program((Stream("mv", "mv_input", (*made.layers, behind)),), T)


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


FLOAT_FAULTS = ["hard reset", "one step early", "one step early, hard", "before the decay", "state kept"]
FLOAT_FAULTS += ["kernel transposed", "kernel flipped", "input H/W", "output channels", "one weight", "many weights"]
FLOAT_CHANGES: dict[str, Callable[[Any], Any]] = {
    "leak difference": lambda layer: replace(layer, leak=layer.leak - 0.01),
    "threshold difference": lambda layer: replace(layer, threshold=layer.threshold * 1.05),
    "bias difference": lambda layer: replace(layer, bias=layer.bias + np.array([0.02] + [0.0] * (len(layer.bias) - 1))),
}


def float_inputs(program: FloatProgram) -> dict[str, Array]:
    rng = np.random.default_rng(9)
    return {s.name: rng.normal(size=(N, T, *s.input_shape)) for s in program.streams}


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
    a, b = Side("double", program, exact), Side("single", program, single)
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
    program = Program((Stream("mv", "mv_input", (layer,)),), 1)
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
        sides.append(Side(f"u = {u!r}", program, result))
    a, b = sides
    (found,) = find(a, b)
    assert found.first is not None
    assert (found.first.place.y, found.first.place.x, found.first.a.o, found.first.b.o) == (1, 3, False, True)
    (cause,) = classify(a, b, found.first)
    assert (cause.kind, cause.side) == ("tie at threshold", "")


def quantised() -> tuple[Side, Side]:
    """The same network in float and in integers made from it."""
    program = programs()[0]
    inputs = {name: values.clip(-1, 1) for name, values in float_inputs(program).items()}
    streams: Any = tuple(fixed_stream(stream, 12.0) for stream in program.streams)
    fixed: FixedProgram = Program(streams, T)
    fed = {s.name: quantise_input(inputs[s.name], s.layers[0])[0] for s in fixed.streams}
    return Side("fixed", fixed, run(fixed, fed)), Side("float", program, run(program, inputs))


def test_fixed_point_beside_float() -> None:
    fixed, in_float = quantised()
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
    fixed, in_float = quantised()
    program: Any = fixed.program
    wrong = Side("wrong", program, run(program, dict(fixed.result.inputs), Fault("mv.0", reset="hard")))
    first = find(wrong, in_float)[0].first
    assert first is not None
    (cause,) = classify(wrong, in_float, first)
    assert (cause.kind, cause.side) == ("reset semantics", "wrong")


def test_a_tolerance() -> None:
    fixed, in_float = quantised()
    largest = find(fixed, in_float)[0].largest["mv.0"]
    assert largest > 0
    strict = find(fixed, in_float, 0.0)[0].first
    assert strict is not None
    assert strict.place.step == 0
    program = programs()[1]
    inputs = messages(program)
    left, right = run(program, inputs), run(program, inputs, Fault("mv.2", decay=nearest))
    loose = find(Side("a", program, left), Side("b", program, right), 2.0**24)[0]
    spikes_differ = (left.spikes["mv.2"] != right.spikes["mv.2"]).any()
    assert (loose.first is not None) == spikes_differ, "a spike that differs counts always"


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
    a = Side("a", program, run(program, inputs, Fault("mv.1", decay=nearest)))
    b = Side("b", program, run(program, inputs, Fault("mv.1", decay=lambda product: product >> 12)))
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
    a, b = Side("a", program, run(program, inputs)), Side("b", program, run(program, other))
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


@functools.cache
def bits() -> tuple[Side, dict[str, Any]]:
    program, _, result = right_one()
    return Side("a", program, result), {name: u.shape for name, u in result.potentials.items()}


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_the_first_of_many_changes_is_found(data: st.DataObject) -> None:
    """Wherever potentials are changed, the first in the order of window, step, layer and neuron is named."""
    a, shapes = bits()
    layers = ["mv.0", "mv.1", "mv.2"]
    places = data.draw(
        st.lists(
            st.sampled_from(layers).flatmap(
                lambda name: st.tuples(st.just(name), *[st.integers(0, size - 1) for size in shapes[name]])
            ),
            min_size=1,
            max_size=5,
        )
    )
    potentials = {name: u.copy() for name, u in a.result.potentials.items()}
    for name, *at in places:
        potentials[name][tuple(at)] += 1 + abs(int(potentials[name][tuple(at)])) % 7
    first = find(a, Side("b", a.program, replace(a.result, potentials=potentials)))[0].first
    assert first is not None
    order = min((window, step, layers.index(name), c, y, x) for name, window, step, c, y, x in places)
    p = first.place
    assert (p.window, p.step, p.depth, p.channel, p.y, p.x) == order


def test_programs_that_differ() -> None:
    program = programs()[1]
    inputs = messages(program)
    layers = (weight_changed(program.streams[0].layers[0]), *program.streams[0].layers[1:])
    other = replace(program, streams=(replace(program.streams[0], layers=layers), program.streams[1]))
    a, b = Side("a", program, run(program, inputs)), Side("b", other, run(other, inputs))
    first = find(a, b)[0].first
    assert first is not None
    (cause,) = classify(a, b, first)
    assert cause.kind == "weight difference"
    assert "weight[1, 0, 1, 2]" in cause.statement


def test_equal_runs_are_equal_and_batches_add_up() -> None:
    program = programs()[1]
    inputs = messages(program)
    right = run(program, inputs, Fault("mv.1", reset="none"))
    a, b = Side("a", program, run(program, inputs)), Side("b", program, right)
    assert all(s.first is None and not any(map(any, s.differing.values())) for s in find(a, a))
    whole = find(a, b)
    parts = merged([find(_window_of(a, n), _window_of(b, n), first_window=n) for n in range(N)])
    assert parts == whole
    counts = [int((a.result.potentials["mv.1"] != right.potentials["mv.1"])[:, t].sum()) for t in range(T)]
    assert whole[0].differing["mv.1"] == counts
    assert whole[0].largest["mv.1"] == np.abs(a.result.potentials["mv.1"] - right.potentials["mv.1"]).max()


def _window_of(side: Side, n: int) -> Side:
    parts: Any = {
        field: {name: values[n : n + 1] for name, values in getattr(side.result, field).items()}
        for field in ("inputs", "spikes", "potentials")
    }
    return Side(side.name, side.program, replace(side.result, **parts))


def test_a_nan_is_a_difference() -> None:
    program = programs()[0]
    result = run(program, float_inputs(program))
    potentials = result.potentials["mv.0"].copy()
    potentials[1, 2, 3, 1, 1] = np.nan
    broken = replace(result, potentials={**result.potentials, "mv.0": potentials})
    a, b = Side("a", program, result), Side("b", program, broken)
    found = find(a, b)[0]
    assert found.first is not None
    assert found.first.place == replace(found.first.place, window=1, step=2, channel=3, y=1, x=1)
    assert np.isnan(found.largest["mv.0"])
    assert classify(a, b, found.first)[0].kind == "unexplained"


def test_records_of_another_shape_are_refused() -> None:
    program = programs()[1]
    result = run(program, messages(program))
    side = Side("mine", program, result)
    turned = {**result.potentials, "mv.0": result.potentials["mv.0"].swapaxes(3, 4)}
    with pytest.raises(BackendError, match=r"mv.0.u of other is .*transpose it to \(N, T, C, H, W\)"):
        find(side, Side("other", program, replace(result, potentials=turned)))
    less = {name: o for name, o in result.spikes.items() if name != "mv.2"}
    with pytest.raises(BackendError, match=r"other recorded no mv\.2\.o"):
        find(side, Side("other", program, replace(result, spikes=less)))
