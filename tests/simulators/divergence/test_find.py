"""The first difference of two runs, wherever it is; equal runs, batches, and records that are refused."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.faulty_program import Fault, N, T, float_inputs, messages, programs, run
from helpers.parted_runs import side
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.errors import BackendError
from hybridnet.simulators.divergence.causes import classify
from hybridnet.simulators.divergence.find import Side, find, merged


@functools.cache
def bits() -> tuple[Side, dict[str, Any]]:
    program = programs()[1]
    result = run(program, messages(program))
    return side("a", program, result), {name: u.shape for name, u in result.potentials.items()}


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
    first = find(a, side("b", a.program, replace(a.result, potentials=potentials)))[0].first
    assert first is not None
    order = min((window, step, layers.index(name), c, y, x) for name, window, step, c, y, x in places)
    p = first.place
    assert (p.window, p.step, p.depth, p.channel, p.y, p.x) == order


def test_equal_runs_are_equal_and_batches_add_up() -> None:
    program = programs()[1]
    inputs = messages(program)
    right = run(program, inputs, Fault("mv.1", reset="none"))
    a, b = side("a", program, run(program, inputs)), side("b", program, right)
    assert all(s.first is None and not any(map(any, s.differing.values())) for s in find(a, a))
    whole = find(a, b)
    parts = merged([find(_window_of(a, n), _window_of(b, n), first_window=n) for n in range(N)])
    assert parts == whole
    counts = [int((a.result.potentials["mv.1"] != right.potentials["mv.1"])[:, t].sum()) for t in range(T)]
    assert whole[0].differing["mv.1"] == counts
    assert whole[0].largest["mv.1"] == np.abs(a.result.potentials["mv.1"] - right.potentials["mv.1"]).max()


def _window_of(whole: Side, n: int) -> Side:
    parts: Any = {
        field: {name: values[n : n + 1] for name, values in getattr(whole.result, field).items()}
        for field in ("inputs", "spikes", "potentials")
    }
    return replace(whole, result=replace(whole.result, **parts))


def test_a_nan_is_a_difference() -> None:
    program = programs()[0]
    result = run(program, float_inputs(program))
    potentials = result.potentials["mv.0"].copy()
    potentials[1, 2, 3, 1, 1] = np.nan
    broken = replace(result, potentials={**result.potentials, "mv.0": potentials})
    a, b = side("a", program, result), side("b", program, broken)
    found = find(a, b)[0]
    assert found.first is not None
    assert found.first.place == replace(found.first.place, window=1, step=2, channel=3, y=1, x=1)
    assert np.isnan(found.largest["mv.0"])
    assert classify(a, b, found.first)[0].kind == "unexplained"


def test_records_of_another_shape_are_refused() -> None:
    program = programs()[1]
    result = run(program, messages(program))
    mine = side("mine", program, result)
    turned = {**result.potentials, "mv.0": result.potentials["mv.0"].swapaxes(3, 4)}
    with pytest.raises(BackendError, match=r"mv.0.u of other is .*transpose it to \(N, T, C, H, W\)"):
        find(mine, side("other", program, replace(result, potentials=turned)))
    less = {name: o for name, o in result.spikes.items() if name != "mv.2"}
    with pytest.raises(BackendError, match=r"other recorded no mv\.2\.o"):
        find(mine, side("other", program, replace(result, spikes=less)))
