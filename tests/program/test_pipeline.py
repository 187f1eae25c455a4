"""Lags and waits: the shorter path waits, and a cycle that is too fast slows the machine down."""

import time
from itertools import pairwise

from helpers.graph_equality import patient
from helpers.random_graphs import graphs
from helpers.small_graphs import program
from hypothesis import given, settings

from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.pipeline import pipeline


def test_a_chain_waits_for_nothing() -> None:
    found = pipeline(program("x>a", "a>b", "b>c"))
    assert (found.period, found.lags, found.waits) == (1, {"x": 0, "a": 1, "b": 2, "c": 3}, (0, 0, 0))
    assert found.depth == 3


def test_the_shorter_path_waits_at_a_join() -> None:
    assert pipeline(program("x>a", "a>b", "b>c", "x>c", "a>c")).waits == (0, 0, 0, 2, 1)


def test_a_delay_is_a_wait_of_its_own() -> None:
    assert pipeline(program("x>a", "x>>a")).waits == (0, 1)


def test_a_population_that_feeds_itself_is_in_time() -> None:
    found = pipeline(program("x>a", "a>>a"))
    assert (found.period, found.waits) == (1, (0, 0))


def test_a_cycle_of_two_with_one_delay_takes_two_steps() -> None:
    found = pipeline(program("x>a", "a>b", "b>>a", "x>>b"))
    assert (found.period, found.lags) == (2, {"x": 0, "a": 1, "b": 2})
    assert found.waits == (0, 0, 0, 3)


def test_a_cycle_of_hundreds_is_planned_at_once() -> None:
    names = [f"p{i:03}" for i in range(400)]
    began = time.process_time()
    found = pipeline(program(f"x>{names[0]}", *(f"{a}>{b}" for a, b in pairwise(names)), f"{names[-1]}>>{names[0]}"))
    assert found.period == 400
    assert time.process_time() - began < 10


@settings(patient, max_examples=100)
@given(graph=graphs())
def test_nothing_arrives_late(graph: FixedGraph) -> None:
    found = pipeline(graph)
    assert all(wait >= 0 for wait in found.waits)
    assert all(found.lags[node.name] == 0 for node in graph.inputs)
    assert found.period <= len(graph.populations)
