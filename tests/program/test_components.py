"""Which populations must be stepped together, and in which order the rest can be run."""

from helpers.small_graphs import program

from hybridnet.program.components import components, is_cycle


def test_a_chain_is_a_level_each() -> None:
    assert components(program("x>a", "a>b", "b>>c")) == [[("a",)], [("b",)], [("c",)]]


def test_a_join_lies_behind_its_longest_path() -> None:
    assert components(program("x>a", "a>b", "x>c", "b>d", "c>d")) == [[("a",), ("c",)], [("b",)], [("d",)]]


def test_cycles_are_one_component_wherever_they_lie() -> None:
    found = components(program("x>a", "a>b", "b>c", "c>>b", "c>d", "d>>d"))
    assert found == [[("a",)], [("b", "c")], [("d",)]]
    assert [is_cycle(c, program("b>c", "c>>b", "d>>d").synapses) for c in (("a",), ("b", "c"), ("d",))] == [
        False,
        True,
        True,
    ]


def test_a_delay_may_point_back_in_the_order() -> None:
    assert components(program("x>b", "b>>a")) == [[("b",)], [("a",)]]
