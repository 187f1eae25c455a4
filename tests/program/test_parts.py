"""Parts of a graph: what is connected, by whatever path, stays together."""

from helpers.small_graphs import program

from hybridnet.program.parts import parts


def test_parts_by_the_order_of_their_populations() -> None:
    graph = program("x>b", "a>c", "c>>a", "x>d", "e>>e")
    found = [[p.name for p in one.populations] for one in parts(graph)]
    assert found == [["a", "c"], ["b", "d"], ["e"]]
    assert [[node.name for node in one.inputs] for one in parts(graph)] == [[], ["x"], []]
    assert [len(one.synapses) for one in parts(graph)] == [2, 2, 1]


def test_a_whole_is_one_part() -> None:
    assert len(parts(program("x>a", "x>b", "a>c", "b>c"))) == 1
