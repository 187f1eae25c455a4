"""What a fixed-point graph program refuses, and the bound on its sums."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hybridnet.errors import ConfigError
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.program.transposed import TransposedGeometry

SHAPE = (2, 3, 5)


def population(**changes: Any) -> FixedPopulation:
    values: dict[str, Any] = {
        "decay": np.array(407),
        "current_decay": np.array(4096),
        "threshold": np.array(64),
        "reset": "soft",
        "reset_amount": np.array(64),
        "bias": np.zeros(2, np.int32),
        "scale": 64.0,
    }
    return FixedPopulation("a", SHAPE, **{**values, **changes})


def synapse(weight: int = 2, **changes: Any) -> FixedSynapse:
    geometry = ConvGeometry(SHAPE, 2, (3, 3), padding=(1, 1))
    return FixedSynapse("x", "a", geometry, np.full(geometry.weight_shape, weight, np.int32), **changes)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "decay beyond 1": (lambda: population(decay=np.array([0, 4097])), "a.decay = '0..4097'"),
    "fractions": (lambda: population(current_decay=np.array(0.5)), "a.current_decay.dtype"),
    "threshold of 18 bits": (lambda: population(threshold=np.array(2**17)), "a.threshold"),
    "threshold 0": (lambda: population(threshold=np.array(0)), "a.threshold"),
    "reset of 18 bits": (lambda: population(reset_amount=np.array(-(2**17))), "a.reset_amount"),
    "bias of 14 bits": (lambda: population(bias=np.array([0, 4096])), "a.bias"),
    "no scale": (lambda: population(scale=0.0), "a.scale = 0.0"),
    "weight of 9 bits": (lambda: synapse(256), "x→a.weight"),
    "shift of 7 bits": (lambda: synapse(shift=7), "x→a.shift"),
    "message of 17 bits": (lambda: FixedInput("x", SHAPE, message_max=2**15), "x.message_max"),
    "endless scale": (lambda: FixedInput("x", SHAPE, input_scale=float("inf")), "x.input_scale"),
    "sums beyond 24 bits": (
        lambda: FixedGraph((FixedInput("x", SHAPE, message_max=2**15 - 1),), (population(),), (synapse(20),), 1),
        "x.message_max = 32767",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, said = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        make()
    assert said in str(caught.value)


def test_the_bound_is_reached_by_the_largest_channel() -> None:
    geometry = ConvGeometry((4, 1, 2), 2, (1, 2), groups=2)
    weight = np.arange(-8, 8, 2, dtype=np.int32).reshape(geometry.weight_shape)
    assert FixedSynapse("x", "a", geometry, weight).largest_sum(3) == 3 * (8 + 6 + 4 + 2)


def test_the_bound_of_a_transposed_group_adds_over_its_inputs() -> None:
    geometry = TransposedGeometry((4, 1, 1), 4, (1, 2), groups=2)
    weight = np.zeros(geometry.weight_shape, np.int32)
    weight[2:, 1] = [[[2, -4]], [[6, 8]]]
    assert FixedSynapse("x", "a", geometry, weight).largest_sum(10) == 10 * 20


def test_current_is_kept_where_one_channel_keeps_it() -> None:
    assert not population().keeps_current
    assert population(current_decay=np.array([4096, 4095])).keeps_current
