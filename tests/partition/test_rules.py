"""Every placement rule refuses what breaks it, with its id, its text, the node and the remedy."""

import sys
from collections.abc import Callable

import pytest
import torch
from helpers.broken_models import INPUT, Good, Layers, Unrolled, geometry, snn
from helpers.broken_rules import BROKEN, X
from helpers.places import ROOT
from torch import Tensor, nn

from hybridnet.errors import PartitionError
from hybridnet.model.neuron import ConvLIF
from hybridnet.model.stm import ReadOut, SpikingStack
from hybridnet.partition.arithmetic.bounds import BOUNDS
from hybridnet.partition.rules import RULES
from hybridnet.partition.splitter import partition

sys.path.insert(0, str(ROOT / "docs"))

from rule_examples import EXAMPLES, told

PAGE = ROOT / "docs" / "placement-rules.md"


@pytest.mark.parametrize(("identifier", "build", "inputs"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_each_rule_refuses_with_id_text_and_remedy(
    identifier: str, build: Callable[[], nn.Module], inputs: dict[str, Tensor]
) -> None:
    rule = next(rule for rule in RULES if rule.id == identifier)
    with pytest.raises(PartitionError, match="R1") as error:
        partition(build(), inputs)
    assert rule.text.rstrip(".") in str(error.value)
    assert rule.remedy in str(error.value)
    assert error.value.where


def test_every_rule_has_a_model_that_breaks_it() -> None:
    assert {rule.id for rule in RULES} == {identifier for identifier, _, _ in BROKEN}
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    "model",
    [
        Good(),
        Unrolled(),
        Layers(nn.Dropout(0.5)),
        Unrolled(nn.Conv2d(2, 3, 3, padding="same", dilation=2)),
        Unrolled(nn.Sequential(nn.Conv2d(2, 3, (3, 1), padding="valid"), nn.BatchNorm2d(3))),
        Unrolled(neuron=snn.Leaky(torch.full((3, 1, 1), 0.9), threshold=0.5)),
    ],
    ids=lambda model: type(model).__name__,
)
def test_their_neighbours_that_keep_the_rules_are_accepted(model: nn.Module) -> None:
    assert torch.allclose(partition(model, X).run(X), model.eval()(INPUT), atol=1e-6)


def test_the_node_and_the_layer_are_named() -> None:
    with pytest.raises(PartitionError, match=r"second reads the result of between") as error:
        partition(Layers(nn.MaxPool2d(3, 1, 1)), X)
    assert error.value.where == "between"


def test_recurrence_behind_the_spiking_half_is_the_ann_halfs_own() -> None:
    class Recurrent(Good):
        def __init__(self) -> None:
            super().__init__()
            self.spiking = SpikingStack([ConvLIF(geometry(2, 3))], [ReadOut(0, "spikes")])
            self.memory = nn.GRU(90, 4, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return self.memory(self.spiking(x)[0].flatten(2))[0][:, -1]

    model = Recurrent().eval()
    assert torch.equal(partition(model, X).run(X), model(INPUT))


def test_other_arguments_than_the_example_inputs_are_refused() -> None:
    with pytest.raises(PartitionError, match="takes x; the example inputs are y"):
        partition(Good(), {"y": INPUT})


def test_the_documented_rules_are_the_rules() -> None:
    text = PAGE.read_text(encoding="utf-8")
    said = [(rule.id, rule.text, rule.remedy) for rule in RULES]
    said += [(bound.id, bound.says.partition("{")[0], bound.remedy) for bound in BOUNDS]
    for identifier, *texts in said:
        section = text.partition(f"### {identifier}\n")[2].partition("###")[0]
        assert all(each[1:] in section for each in texts), "run `make docs`"
    assert len({bound.id for bound in BOUNDS}) == len(BOUNDS) > 30


@pytest.mark.parametrize("identifier", sorted(bound.id for bound in BOUNDS))
def test_each_rule_has_an_example_that_breaks_it(identifier: str) -> None:
    """As the page shows it; `told` fails if an export names another rule."""
    shown = f"```python\n{EXAMPLES[identifier]}\n```\n\n```text\n{told(identifier)}\n```\n"
    assert shown in PAGE.read_text(encoding="utf-8"), "run `make docs`"
