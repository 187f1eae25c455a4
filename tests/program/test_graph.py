"""What a float graph program refuses, in the names of whoever wrote it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.small_graphs import population, synapse

from hybridnet.errors import ConfigError
from hybridnet.program.graph import GraphProgram, Input, in_order
from hybridnet.program.transposed import TransposedGeometry

X, A, B = Input("x", (2, 5, 4)), population("a"), population("b")
X_A, A_B = synapse("x", "a"), synapse("a", "b")


def test_a_chain_with_recurrence_and_a_skip() -> None:
    program = GraphProgram((X,), (A, B), (X_A, A_B, synapse("b", "a", 1), synapse("x", "b", 2)), 3)
    assert [s.source for s in program.onto("b")] == ["a", "x"]
    assert [s.target for s in program.behind("x")] == ["a", "b"]


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "no steps": (lambda: GraphProgram((X,), (A,), (X_A,), 0), "steps = 0"),
    "two of one name": (lambda: GraphProgram((X,), (A, population("x")), (X_A,), 1), "name = ['x']"),
    "unknown source": (lambda: GraphProgram((X,), (A,), (synapse("y", "a"),), 1), "y→a.source = 'y'"),
    "an input as target": (lambda: GraphProgram((X,), (A,), (synapse("a", "x"),), 1), "a→x.target = 'x'"),
    "another map than its source": (
        lambda: GraphProgram((X,), (A,), (synapse("x", "a", shape=(1, 5, 4)),), 1),
        "x→a: shape of x = (2, 5, 4)",
    ),
    "another map than its target": (
        lambda: GraphProgram((X,), (population("a", (2, 4, 5)),), (X_A,), 1),
        "x→a: shape of a = (2, 4, 5)",
    ),
    "a cycle without delay": (
        lambda: GraphProgram((X,), (A, B), (X_A, A_B, synapse("b", "a")), 1),
        "somewhere on the cycle",
    ),
    "itself without delay": (lambda: GraphProgram((X,), (A,), (X_A, synapse("a", "a")), 1), "cycle a → a"),
    "out of order": (lambda: GraphProgram((X,), (B, A), (X_A, A_B), 1), "populations = ['b', 'a']"),
    "leak beyond 1": (lambda: population("a", leak=np.array([0.5, 1.5])), "a.leak"),
    "current leak below 0": (lambda: population("a", current_leak=np.array(-0.1)), "a.current_leak"),
    "leak of three channels": (lambda: population("a", leak=np.full(3, 0.5)), "a.leak.shape = (3,)"),
    "no threshold": (lambda: population("a", threshold=np.array([1.0, 0.0])), "a.threshold"),
    "a NaN as bias": (lambda: population("a", bias=np.array([0, np.nan])), "a.bias"),
    "a bias of rows": (lambda: population("a", bias=np.zeros((5, 4))), "a.bias.shape = (5, 4)"),
    "negative delay": (lambda: synapse("x", "a", -1), "x→a.delay = -1"),
    "weights of another shape": (lambda: replace(X_A, weight=np.zeros((2, 2, 3))), "x→a.weight.shape"),
    "infinite weights": (lambda: replace(X_A, weight=np.full((2, 2, 3, 3), np.inf)), "x→a.weight"),
    "output padding as large as the stride": (
        lambda: TransposedGeometry((2, 5, 4), 2, (3, 3), (2, 2), output_padding=(2, 0)),
        "output_padding",
    ),
    "transposed groups": (lambda: TransposedGeometry((2, 5, 4), 3, (3, 3), groups=2), "groups = 2"),
    "nothing left of it": (lambda: TransposedGeometry((2, 1, 4), 2, (1, 1), padding=(1, 0)), "input_shape"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    make, said = REFUSED[case]
    with pytest.raises(ConfigError) as caught:
        make()
    assert said in str(caught.value)


def test_order_follows_delays_of_zero_alone() -> None:
    assert [p.name for p in in_order((B, A), (X_A, A_B, synapse("b", "a", 1)))] == ["a", "b"]


def test_an_integrator_has_no_threshold() -> None:
    assert population("a", threshold=None).threshold is None


@pytest.mark.parametrize(
    "geometry",
    [
        TransposedGeometry((2, 5, 4), 3, (3, 2), (2, 3), (1, 0), (1, 2), (2, 1)),
        TransposedGeometry((4, 1, 7), 2, (2, 5), (3, 1), (0, 2), groups=2),
    ],
)
def test_transposed_shapes_are_torch_s(geometry: TransposedGeometry) -> None:
    g = geometry
    layer = torch.nn.ConvTranspose2d(
        g.input_shape[0], g.out_channels, g.kernel, g.stride, g.padding, g.output_padding, g.groups, False, g.dilation
    )
    assert tuple(layer.weight.shape) == g.weight_shape
    assert layer(torch.zeros(1, *g.input_shape)).shape[1:] == g.output_shape
