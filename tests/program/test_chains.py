"""Graphs that are chains, those that are more, and chains that netx files can hold."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.chains import Program, fixed_graph_of, graph_of
from helpers.naive_program import random_streams
from helpers.small_graphs import population, program, synapse

from hybridnet.program.chains import chains_of, netx_chains, stock_populations
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram, Input, Synapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.program.transposed import TransposedGeometry


def changed(*synapses: Synapse, still: bool = False, **changes: Any) -> GraphProgram:
    """A chain of two, changed."""
    populations = population("a", **changes), population("b")
    return GraphProgram((Input("x", (2, 5, 4), still),), populations, (*synapses, synapse("a", "b")), 2)


CHAIN = synapse("x", "a")
TRANSPOSED = TransposedGeometry((2, 5, 4), 2, (1, 1))
MORE = {
    "a still input": changed(CHAIN, still=True),
    "a join": program("x>a", "a>b", "x>b"),
    "two readers": program("x>a", "a>b", "a>c"),
    "a cycle": program("x>a", "a>b", "b>>b"),
    "a delay": program("x>>a"),
    "no input": changed(),
    "leaks": changed(CHAIN, leak=np.array([0.5, 0.6])),
    "thresholds": changed(CHAIN, threshold=np.array([1, 2.0])),
    "another reset": changed(CHAIN, reset_amount=np.array(0.5)),
    "currents": changed(CHAIN, current_leak=np.array(0.5)),
    "an integrator": changed(CHAIN, threshold=None),
    "a bias per neuron": changed(CHAIN, bias=np.zeros((2, 5, 4))),
    "transposed": changed(replace(CHAIN, geometry=TRANSPOSED, weight=np.ones(TRANSPOSED.weight_shape))),
}


@pytest.mark.parametrize("more", MORE)
def test_more_than_chains(more: str) -> None:
    assert not chains_of(MORE[more])


def test_chains_are_called_as_their_populations_and_may_share_an_input() -> None:
    assert chains_of(program("x>mv.0", "mv.0>mv.1", "x>deep")) == {"mv": ("x", "mv.0", "mv.1"), "deep": ("x", "deep")}


def test_chains_of_one_name_are_called_as_their_first_populations() -> None:
    found = chains_of(program("x>a.0", "x>a.1", "a.1>a.2"))
    assert found == {"a.0": ("x", "a.0"), "a.1": ("x", "a.1", "a.2")}


def test_a_hard_reset_needs_no_amount() -> None:
    assert chains_of(changed(CHAIN, reset="hard", reset_amount=np.array(0.0)))


def chain(reset: str = "soft", **fields: Any) -> tuple[GraphProgram, FixedGraph]:
    """One layer, in both forms."""
    geometry = ConvGeometry((2, 5, 4), 3, (3, 2))
    pair = random_streams(np.random.default_rng(0), "s", [geometry], reset=reset, **fields)
    return graph_of(Program(pair[:1], 2)), fixed_graph_of(Program(pair[1:], 2))


def test_netx_holds_any_shift_of_a_soft_reset_and_the_whole_one_of_a_hard_reset() -> None:
    for reset, fields, held in (
        ("soft", {"input_shift": 2, "message_max": 1000}, True),
        ("hard", {}, True),
        ("hard", {"input_shift": 5}, False),
        ("hard", {"message_max": 1000}, False),
    ):
        one, fixed = chain(reset, **fields)
        assert stock_populations(one) == ({"s.0"} if reset == "hard" else set())
        assert netx_chains(one, fixed) == ({"s": ("s_input", "s.0")} if held else {}), (reset, fields)


def test_netx_holds_neither_wider_weights_nor_other_resets_nor_names_of_other_signs() -> None:
    one, fixed = chain()
    (p,), (g,) = fixed.populations, fixed.synapses
    wider = FixedGraph(fixed.inputs, (p,), (replace(g, weight_bits=10),), 2)
    less = FixedGraph(fixed.inputs, (replace(p, reset_amount=p.reset_amount - 1),), (g,), 2)
    assert not netx_chains(one, wider)
    assert not netx_chains(one, less)
    (node,), (sent,), (group,) = one.inputs, fixed.inputs, one.synapses
    spaced = GraphProgram((replace(node, name="a b"),), one.populations, (replace(group, source="a b"),), 2)
    own = FixedGraph((replace(sent, name="a b"),), (p,), (replace(g, source="a b"),), 2)
    assert chains_of(spaced)
    assert not netx_chains(spaced, own)
