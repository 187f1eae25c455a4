"""Following data through operations that move it: what is said of a value is what it holds."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hybridnet.partition.frames import WINDOWS, Frames
from hybridnet.partition.reader import read
from hybridnet.partition.tracing import trace

STEPS, FRAME = 3, (2, 4, 4)
"""Square frames: that height and width changed places does not show in a shape."""

Move = Callable[[Tensor], Tensor]
MOVES: dict[str, Move] = {
    "transpose": lambda x: x.transpose(0, 1),
    "swap height and width": lambda x: x.transpose(-1, -2),
    "flatten leading": lambda x: x.flatten(0, 1),
    "flatten frame": lambda x: x.flatten(-3),
    "view": lambda x: x.reshape(-1, *FRAME),
    "first": lambda x: x[0],
    "last but one": lambda x: x[..., :] if x.ndim < 4 else x[:, -1],
    "every other": lambda x: x[::2],
    "a channel less": lambda x: x[..., :-1, :, :],
    "stack": lambda x: torch.stack([x, x], 1),
    "cat": lambda x: torch.cat([x, x], 0),
    "unbind": lambda x: torch.stack(list(reversed(x.unbind(0)))),
    "unsqueeze": lambda x: x.unsqueeze(0),
    "unflatten": lambda x: x.unflatten(0, (1, -1)),
    "halves": lambda x: x.chunk(2, 0)[0],
}


class Moving(nn.Module):
    def __init__(self, moves: list[str]) -> None:
        super().__init__()
        self.moves = moves

    def forward(self, x: Tensor) -> Tensor:
        for name in self.moves:
            x = MOVES[name](x)
        return x


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(sorted(MOVES)), min_size=1, max_size=5))
def test_frames_are_where_the_reader_says(moves: list[str]) -> None:
    x = torch.randn(WINDOWS, STEPS, *FRAME)
    model = Moving(moves)
    try:
        expected = model(x)
    except (RuntimeError, IndexError):
        return  # torch does not allow this sequence
    graph = trace(model, {"x": x})
    value = read(graph, {"x": x}).values[next(iter(reversed(graph.graph.nodes))).args[0]]
    if isinstance(value, Frames):
        held = x.flatten(0, 1)[value.numbers]
        assert torch.equal(expected, held.flatten(-3) if value.flat else held)


@pytest.mark.parametrize(
    ("moves", "followed"),
    [
        (["transpose", "flatten leading", "view", "unflatten"], True),
        (["unbind", "every other", "stack", "first"], True),
        (["flatten frame", "transpose", "cat"], True),
        (["swap height and width"], False),
        (["swap height and width", "stack", "swap height and width"], False),
        (["a channel less"], False),
    ],
)
def test_what_is_followed_and_what_is_not(moves: list[str], followed: bool) -> None:
    x = torch.randn(WINDOWS, STEPS, *FRAME)
    graph = trace(Moving(moves), {"x": x})
    last = next(iter(reversed(graph.graph.nodes))).args[0]
    assert isinstance(read(graph, {"x": x}).values[last], Frames) == followed
