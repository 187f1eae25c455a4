# mypy: disable-error-code="override"
"""The cut: exact, and refused with a reason where a rule is broken."""

from pathlib import Path

import pytest
import torch
from small_model import SMALL
from torch import Tensor, nn

from hybridnet.errors import PartitionError
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.model.neuron import ConvLIF
from hybridnet.model.stm import SpikingStack
from hybridnet.partition.program import ConvGeometry
from hybridnet.partition.rules import RULES, Rule, rule_table
from hybridnet.partition.splitter import partition


def stack(channels: int = 2, height: int = 6, width: int = 5) -> SpikingStack:
    first = ConvGeometry((channels, height, width), 3, (3, 3), padding=(1, 1))
    second = ConvGeometry((3, height, width), 2, (3, 3), padding=(1, 1))
    return SpikingStack([ConvLIF(first), ConvLIF(second)], read_out=(0, 1))


class Good(nn.Module):
    """A foreign hybrid: one stack, a linear head, a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.front = stack()
        self.head = nn.Linear(2 * 6 * 5, 4)

    def forward(self, x: Tensor) -> Tensor:
        u = self.front(x)
        return self.head(u[-1].flatten(1)) + u[0].mean()


INPUT = torch.randn(2, 4, 2, 6, 5)


def test_cut_model_equals_the_whole_one_to_the_last_bit() -> None:
    torch.manual_seed(0)
    model = HybridNet(SMALL).eval()
    inputs = {name: torch.randn_like(x) for name, x in example_inputs(SMALL, batch=2).items()}
    split = partition(model, inputs)
    assert torch.equal(split.run(inputs), model(**inputs))
    assert split.ann_inputs == ("i_frame", "mv_0_u", "mv_1_u", "r_0_u", "r_1_u")
    assert [layer.input_kind for layer in split.program.layers()] == ["analog", "spike"] * 2
    assert split.program.steps == 3


def test_foreign_hybrid_is_accepted() -> None:
    model = Good().eval()
    split = partition(model, {"x": INPUT})
    assert torch.equal(split.run({"x": INPUT}), model(INPUT))
    assert split.ann_inputs == ("front_0_u", "front_1_u")


class NoStack(Good):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(x[:, -1].flatten(1)[:, :60])


class AnnFirst(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x * 2)


class TakesAll(Good):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(self.front(x), dim=1)


class Twice(Good):
    def forward(self, x: Tensor) -> Tensor:
        return self.front(x)[1] + self.front(x)[1]


class TwoLengths(Good):
    def __init__(self) -> None:
        super().__init__()
        self.other = stack()

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.front(x)[1] + self.other(y)[1]


BROKEN: dict[str, tuple[nn.Module, dict[str, Tensor]]] = {
    "R101": (NoStack(), {"x": INPUT}),
    "R102": (AnnFirst(), {"x": INPUT}),
    "R103": (Good(), {"x": INPUT.transpose(3, 4)}),
    "R104": (TwoLengths(), {"x": INPUT, "y": INPUT[:, :2]}),
    "R105": (TakesAll(), {"x": INPUT}),
    "R106": (Twice(), {"x": INPUT}),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_each_rule_refuses_with_id_text_and_remedy(rule: Rule) -> None:
    model, inputs = BROKEN[rule.id]
    with pytest.raises(PartitionError, match=rule.id) as error:
        partition(model, inputs)
    assert rule.text in str(error.value)
    assert rule.remedy in str(error.value)


class DataDependent(Good):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x if x.sum() > 0 else -x)


def test_control_flow_on_data_is_refused() -> None:
    with pytest.raises(PartitionError, match=r"cannot be traced by torch\.fx"):
        partition(DataDependent(), {"x": INPUT})


def test_the_documented_rules_are_the_rules() -> None:
    page = Path(__file__).parents[2] / "docs" / "placement-rules.md"
    assert rule_table() in page.read_text(encoding="utf-8"), "run `make docs`"
