# mypy: disable-error-code="no-untyped-call,no-untyped-def"
"""Numbers and constants that grow with the batch, and those that may not."""

from __future__ import annotations

import pytest
import torch
from helpers.cutting import cut_model, made
from helpers.manner import Manner, OwnPLIF
from torch import Tensor, nn

from hybridnet.errors import ModelError, PartitionError
from hybridnet.partition.arithmetic.batches import Size, free
from hybridnet.partition.arithmetic.tape import Const, Ref


class OneBatch(Manner):
    """A model that takes two examples and no more."""

    def build(self):
        self.conv, self.lif = nn.Conv2d(2, 4, 3, 2, 1), OwnPLIF()

    def forward(self, events):
        x = events.reshape(2 * self.steps, 2, *self.size)
        return self.lif(3 * self.conv(x).unflatten(0, (2, self.steps)).transpose(0, 1)).mean((0, 3, 4))


def test_a_model_of_one_batch_is_refused() -> None:
    model = made(OneBatch)
    inputs = model.inputs(2)
    with pytest.raises(ModelError, match=r"OneBatch: .*shape"):
        cut_model(model, inputs)


def constant(value: Tensor) -> Const:
    return Const(value, f"{value.tolist()}")


@pytest.mark.parametrize(
    ("few", "more", "found"),
    [
        (8, 12, Size(4)),
        ([2, -1, 5], [3, -1, 5], [Size(1), -1, 5]),
        ({"a": (Ref(1), 0.5)}, {"a": (Ref(1), 0.5)}, {"a": (Ref(1), 0.5)}),
    ],
)
def test_numbers_that_grow_with_the_batch(few: object, more: object, found: object) -> None:
    assert free(few, more, "net") == found


def test_a_constant_that_is_the_same_for_each_example() -> None:
    spread = free(constant(torch.tensor([[5.0], [5.0]])), constant(torch.full((3, 1), 5.0)), "net")
    assert spread.shape == (Size(1), 1)
    assert spread.value.value.tolist() == [[5.0]]


@pytest.mark.parametrize(
    ("few", "more"),
    [
        (4, 9),
        (1, 2),
        (0.5, 1 / 3),
        (constant(torch.tensor([0.0, 1.0])), constant(torch.tensor([0.0, 1.0, 2.0]))),
        (constant(torch.zeros(2, 4)), constant(torch.ones(3, 4))),
        (constant(torch.zeros(4)), constant(torch.ones(4))),
    ],
)
def test_what_changes_with_the_batch_in_another_way_is_refused(few: object, more: object) -> None:
    with pytest.raises(PartitionError, match="net: what it computes for one view depends on how many there are"):
        free(few, more, "net")
