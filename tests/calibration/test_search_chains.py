"""The search of chains: it beats the rule that it starts from, leaves head-room, and keeps to what the chip knows."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.chains import FloatProgram, Program, Stream, graph_of
from helpers.search_views import assert_losses_fall, fidelity, views_of
from helpers.small_model import random_layer

from hybridnet.calibration.fixed_point import quantise_graph
from hybridnet.calibration.limits import HEADROOM
from hybridnet.calibration.sequence import search_graph
from hybridnet.program.bridge import BridgeTensor
from hybridnet.program.fixed_graph import largest_weight
from hybridnet.program.graph import GraphProgram
from hybridnet.program.layers import INPUT_MAX, POTENTIAL_MAX, ConvGeometry, Reset
from hybridnet.simulators.emulator.graph import GraphEmulator

STEPS = 6


def chain(layers: int, reset: Reset = "soft", seed: int = 0) -> GraphProgram:
    random = np.random.default_rng(seed)
    shape, made = (2, 13, 11), []
    for place in range(layers):
        geometry = ConvGeometry(shape, 4, (3, 3), (1, 1), (1, 1), groups=2 if place else 1)
        made.append(random_layer(f"s.{place}", geometry, random, reset=reset, analog=place == 0))
        shape = geometry.output_shape
    program: FloatProgram = Program((Stream("s", "x", tuple(made)),), STEPS)
    return graph_of(program)


def read(program: GraphProgram) -> list[BridgeTensor]:
    """All layers are read out."""
    return [BridgeTensor(p.name, p.name, p.shape) for p in program.populations]


@pytest.mark.parametrize("layers", [1, 3])
def test_it_beats_the_maximum_on_views_it_never_saw(layers: int) -> None:
    program = chain(layers)
    seen, views = views_of(program, 6, 1)
    _, others = views_of(program, 6, 2)
    found = search_graph(program, seen, views, read(program))
    better, before = (fidelity(one, others).sqnr_db for one in (found.program, quantise_graph(program, seen)))
    assert better[0] > before[0] + 4
    assert all(new > old + 2 for new, old in zip(better, before, strict=True)), (better, before)
    assert_losses_fall(found)


def test_of_a_hard_reset_it_keeps_what_stock_lava_knows_and_gains_little() -> None:
    """Stock LIF leaves neither alignment nor finer messages; what weights alone gain does not carry far."""
    program = chain(2, "hard")
    seen, views = views_of(program, 16, 1)
    _, others = views_of(program, 6, 2)
    found = search_graph(program, seen, views, read(program))
    assert [g.shift for g in found.program.synapses] == [6, 6]
    assert found.program.inputs[0].message_max == 127
    plain = quantise_graph(program, seen)
    for measured, least in ((views, 0.0), (others, -1.0)):
        better, before = (fidelity(one, measured).sqnr_db for one in (found.program, plain))
        assert all(new > old + least for new, old in zip(better, before, strict=True)), (better, before)
    assert_losses_fall(found)


def test_every_register_holds_with_head_room() -> None:
    program = chain(3)
    seen, views = views_of(program, 6, 1)
    found = search_graph(program, seen, views, read(program)).program
    emulator = GraphEmulator(found, strict=True)
    largest = found.inputs[0].message_max
    for view in views:
        run = emulator.run(view.inputs, record_potentials=True)
        for potentials in run.potentials.values():
            assert np.abs(potentials).max() * HEADROOM < 1.1 * POTENTIAL_MAX
        assert np.abs(run.inputs["x"]).max() * HEADROOM <= largest + 2
    first = found.synapses[0]
    assert largest > 127
    assert first.shift < 6
    assert first.largest_sum(largest) <= INPUT_MAX
    assert all((g.weight % 2 == 0).all() for g in found.synapses)


def test_wider_weights_exist_on_paper_and_lose_less() -> None:
    program = chain(2)
    seen, views = views_of(program, 3, 1)
    losses = []
    for bits in (8, 10, 12):
        found = search_graph(program, seen, views, read(program), weight_bits=bits)
        weights = [g.weight for g in found.program.synapses]
        assert {g.weight_bits for g in found.program.synapses} == {bits}
        assert max(int(np.abs(w).max()) for w in weights) <= 2**bits
        assert bits == 8 or max(int(np.abs(w).max()) for w in weights) > largest_weight(bits - 1)
        losses.append(found.steps["s.0"][-1].loss)
    assert max(losses[1:]) < losses[0] / 3
