# mypy: disable-error-code="arg-type,union-attr,operator"
"""The network as a whole: sizes, odd inputs, and that what was trained before still means the same."""

import dataclasses
import math

import pytest
from helpers.places import ROOT
from helpers.small_model import SMALL

from hybridnet.configs import load_experiment
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.model.size import measure, size_table
from hybridnet.report.counting.onnx import count_graph
from hybridnet.workflows.simulate import shipped_checkpoint

CHIP_NEURONS = 128 * 8192
"""Those of a Loihi 2: cores and neurons per core, nominal."""


def test_sizes_keep_their_budgets() -> None:
    tiny, edge, base, large = (measure(load_experiment(name).model) for name in ("tiny", "edge", "base", "large"))
    assert tiny.parameters <= 1_000_000
    assert edge.neurons <= CHIP_NEURONS / 4
    assert base.parameters == pytest.approx(83.41e6, rel=0.01)
    assert 0.150e12 <= 8 * base.ann_macs <= 0.160e12
    assert large.parameters > 2 * base.parameters


def test_a_size_is_that_of_the_built_and_exported_model(bundle: Bundle) -> None:
    size = measure(SMALL)
    assert size.parameters == sum(p.numel() for p in HybridNet(SMALL).parameters())
    assert size.neurons == sum(math.prod(p.shape) for p in bundle.program.populations)
    graph = count_graph(bundle.ann_path)
    assert size.ann_macs == sum(node.macs for node in graph.nodes)


def test_the_documented_sizes_are_the_sizes() -> None:
    page = ROOT / "docs" / "model.md"
    assert size_table() in page.read_text(encoding="utf-8"), "run `make docs`"


def test_the_shipped_checkpoint_is_the_reference_model_with_its_names() -> None:
    model = load_checkpoint(shipped_checkpoint("tiny-motion")).model
    assert model.config == dataclasses.replace(load_experiment("tiny").model, num_classes=10)
    names = {name.split(".")[0] for name in model.state_dict()}
    assert names == {
        *("stm", "patch_i", "patch_mv", "patch_r", "position", "transformer"),
        *("conv_folding", "conv_fusion", "rrdb", "head"),
    }


@pytest.mark.parametrize("overlap", [0, 2])
@pytest.mark.parametrize("crop", [32, 40])
def test_any_input_size_gives_logits(crop: int, overlap: int) -> None:
    preprocess = dataclasses.replace(SMALL.preprocess, crop=crop)
    config = dataclasses.replace(SMALL, preprocess=preprocess, patch_overlap=overlap)
    logits = HybridNet(config)(**example_inputs(config, batch=2))
    assert logits.shape == (2, 3)
