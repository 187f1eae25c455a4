"""What a model returns, as a record has it: names and shapes, and of a few numbers which is the largest."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 10_000
"""Numbers of an output of which the largest is told; more are a map rather than scores."""


@dataclass(frozen=True)
class OutputRow:
    """What the model returns under one name.

    Attributes:
        shape: Without the views.
        largest: Where the only output is K numbers a view, K from 2 to MOST, the index of the largest: of each sample,
            or one, of the mean over the views of a clip. None where several are the largest. Empty of any other output.
    """

    name: str
    shape: tuple[int, ...]
    largest: tuple[int | None, ...]
