# mypy: disable-error-code="union-attr"
"""How a model is split, told as rows and as one ONNX graph that computes what the model computes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers import manners
from helpers.foreign_model import EVENTS, STEPS, example, gestures, maps
from helpers.small_model import SMALL, small_checkpoint
from torch import Tensor, nn

import hybridnet
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.model.network import example_inputs
from hybridnet.workflows.inspect import RELAY, OpenedModule, open_model
from hybridnet.workflows.inspect_document import model_document
from hybridnet.workflows.options import ExportOptions


def random_inputs() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {name: torch.randn_like(tensor) for name, tensor in example_inputs(SMALL, batch=2).items()}


def test_every_parameter_and_every_crossing_bit_is_accounted_for(checkpoint_path: Path, bundle: Bundle) -> None:
    model = small_checkpoint().model
    for path in (checkpoint_path, bundle.path):
        report = open_model(path).report()
        assert sum(report.parameters.values()) == sum(p.numel() for p in model.parameters())
        assert report.parameters["snn"] == sum(
            p.numel() for stack in model.stacks().values() for p in stack.parameters()
        )
        elements = 2 * (4 + 6) * 20 * 20
        assert report.crossing == (elements * 3, elements * 4)
        assert [row.name for row in report.rows if row.half == "snn"] == [
            f"stm.{stream}.layers.{n}" for stream in ("mv", "r") for n in (0, 1)
        ]


def test_spikes_and_counts_take_few_bits() -> None:
    report = OpenedModule(gestures(), example(), "g").report()
    sizes = {row.name: (row.bytes_fixed, row.bytes_float) for row in report.rows if row.half == "bridge"}
    assert sizes == {"eyes_0_u": (420, 560), "eyes_0_count": (53, 53), "eyes_1_spikes": (38, 38)}
    assert report.rows[0].shape == (STEPS, *EVENTS)


@pytest.mark.parametrize(
    ("model", "inputs"), [(small_checkpoint().model, random_inputs()), (gestures(), example()), (maps(), example())]
)
def test_the_tagged_graph_computes_what_the_model_computes(
    model: nn.Module, inputs: dict[str, Tensor], tmp_path: Path
) -> None:
    OpenedModule(model, inputs, "m").tag(tmp_path / "whole.onnx")
    expected = model(**inputs)
    assert_same(tmp_path / "whole.onnx", inputs, expected if isinstance(expected, dict) else {"output": expected})


def assert_same(file: Path, inputs: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    graph = onnx.load(str(file)).graph
    assert {node.name.partition("/")[0] for node in graph.node} == {"snn", "bridge", "ann"}
    assert len({node.name for node in graph.node}) == len(graph.node)
    session = onnxruntime.InferenceSession(str(file))
    got = session.run(list(expected), {name: tensor.numpy() for name, tensor in inputs.items()})
    for values, tensor in zip(got, expected.values(), strict=True):
        assert np.abs(values - tensor.detach().numpy()).max() < 1e-5


def test_a_foreign_bundle_is_told_by_its_files(tmp_path: Path) -> None:
    labels = ("a", "b", "c")
    bundle = hybridnet.export(gestures(), example(), tmp_path / "b", ExportOptions(labels=labels))
    opened = open_model(bundle.path)
    report = opened.report()
    assert [row.half for row in report.rows[:7]] == ["input", "input", "snn", "bridge", "bridge", "snn", "bridge"]
    assert report.parameters["ann"] == sum(p.numel() for m in (gestures().map, gestures().head) for p in m.parameters())
    opened.tag(tmp_path / "whole.onnx")
    assert_same(tmp_path / "whole.onnx", example(), {"logits": gestures()(**example())})


class Stepped(nn.Module):
    """Read by what it computes: a neuron by hand, a pooling and a dense layer behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(2, 3, 3), nn.Linear(3, 5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 2, H, W) to (B, 5)."""
        v = total = torch.zeros(())
        for step in x.unbind(1):
            v = 0.8 * v + self.conv(step)
            spikes = (v > 0.1).float()
            v = v - 0.1 * spikes
            total = total + spikes
        return self.fc(nn.functional.adaptive_max_pool2d(total, 2).amax((2, 3)))


def test_operations_of_the_host_have_shapes_and_all_parameters_are_counted() -> None:
    report = OpenedModule(Stepped().eval(), {"x": torch.randn(2, 4, 2, 6, 7)}, "s").report()
    assert report.parameters == {"snn": 2 * 3 * 9 + 3, "ann": 3 * 5 + 5}
    shapes = {row.kind: row.shape for row in report.rows if row.half == "ann"}
    assert (shapes["adaptive_max_pool2d"], shapes["amax"], shapes["addmm"]) == (None, (3,), (5,))
    assert all(row.shape for row in report.rows if row.kind not in ("adaptive_max_pool2d", "sym_size.int", "Linear"))


def test_layers_are_called_as_the_user_calls_them() -> None:
    neuron = pytest.importorskip("spikingjelly.activation_based.neuron", exc_type=ImportError)

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.c1, self.c2, self.n1, self.n2 = (
                nn.Conv2d(2, 3, 3),
                nn.Conv2d(3, 3, 3),
                neuron.IFNode(),
                neuron.IFNode(),
            )

        def forward(self, x: Tensor) -> Tensor:
            """(B, 4, 2, H, W) to (B, 3, …)."""
            return sum(self.n2(self.c2(self.n1(self.c1(x[:, t])))) for t in range(4))

    report = OpenedModule(Own().eval(), {"x": torch.randn(2, 4, 2, 6, 7)}, "o").report()
    assert report.placement.placed == ("n1", "n2")
    assert [(r.name, r.parameters) for r in report.rows if r.half == "snn"] == [("n1", 57), ("n2", 84)]


def test_a_bundle_and_its_model_name_and_count_the_host_before_the_chip_alike(export: Any) -> None:
    """Modules keep their names, a state at rest is no parameter, and what the chip takes stands first."""
    model, bundle = export(manners.PoolBeforeNeuron)
    whole = OpenedModule(model, model.inputs(2), "m").report()
    read = open_model(bundle.path).report()
    assert whole.parameters == read.parameters
    assert whole.parameters["front"] == sum(p.numel() for m in (model.conv1, model.conv2) for p in m.parameters())
    assert [row.name for row in whole.rows if row.half == "front" and row.layer] == ["conv1", "conv2"]
    assert [row.name for row in read.rows if row.half == "front" and row.layer] == ["conv1/Conv", "conv2/Conv"]
    for report in (whole, read):
        rows = model_document(report).sections[-1].table.rows
        assert [row[0] for row in rows] == ["input", "snn", "snn", "bridge", *["host before the chip"] * 2]


def test_relays_are_no_layers(export: Any) -> None:
    model, bundle = export(manners.Pools)
    for opened in (OpenedModule(model, model.inputs(2), "m"), open_model(bundle.path)):
        report = opened.report()
        assert [row.parameters for row in report.rows if row.kind == RELAY] == [0]
        (facts, *_) = model_document(report).sections
        assert any("4 layers + 1 relay that pools or joins spikes" in row[1] for row in facts.table.rows)
