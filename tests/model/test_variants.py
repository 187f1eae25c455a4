# mypy: disable-error-code="arg-type"
"""Every variant trains; those that can leave for the chip do, the others are refused with the reason."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small_model import SMALL
from helpers.variants import DEPLOYABLE, REFUSED, VARIANTS, variant
from torch import Tensor

from hybridnet.calibration.fixed_point import quantise_graph
from hybridnet.calibration.observe import observe
from hybridnet.config import ModelConfig
from hybridnet.deploy.onnx.export import export_ann
from hybridnet.errors import ConfigError, PartitionError
from hybridnet.model.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.model.size import measure
from hybridnet.partition.splitter import partition
from hybridnet.program.bridge import fixed_encodings
from hybridnet.report.counting.onnx import count_graph
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.feed import Fed
from hybridnet.simulators.hybrid import run_hybrid
from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend
from hybridnet.simulators.torch.ann import TorchAnnBackend
from hybridnet.simulators.torch.graph_step import TorchGraph
from hybridnet.support.arrays import Array
from hybridnet.support.plain import from_dict, to_dict
from hybridnet.video import open_clip, prepare_view, stack_views
from hybridnet.workflows.export import export
from hybridnet.workflows.options import ExportOptions, WatchOptions
from hybridnet.workflows.simulate import simulate
from hybridnet.workflows.watch import Watcher

USED = {"i": "i_frame", "mv": "motion_vectors", "r": "residuals"}


def random_inputs(config: ModelConfig, batch: int = 2) -> dict[str, Tensor]:
    return {name: torch.randn_like(x).clamp(-1, 1) for name, x in example_inputs(config, batch).items()}


def seeded(name: str) -> tuple[ModelConfig, HybridNet, dict[str, Tensor]]:
    """A variant in evaluation mode with random weights, and two random views."""
    torch.manual_seed(0)
    config = VARIANTS[name]
    return config, HybridNet(config).eval(), random_inputs(config)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_parameter_of_every_variant_learns(name: str) -> None:
    torch.manual_seed(0)
    config = VARIANTS[name]
    model = HybridNet(config)
    loss = torch.nn.functional.cross_entropy(model(**random_inputs(config, 4)), torch.tensor([0, 1, 2, 0]))
    loss.backward()
    learned = {n: p.grad for n, p in model.named_parameters() if p.requires_grad}
    assert [n for n, grad in learned.items() if grad is None or not grad.isfinite().all() or not grad.any()] == []
    fixed = {n.rpartition(".")[2] for n, p in model.named_parameters() if not p.requires_grad}
    switches = {"leak_logit": config.stm.learn_leak, "log_threshold": config.stm.learn_threshold}
    assert fixed == {parameter for parameter, learns in switches.items() if not learns}


@pytest.mark.parametrize(
    "name", [name if name == "reference" else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS]
)
def test_a_few_steps_of_training_lower_the_loss_of_every_variant(name: str) -> None:
    torch.manual_seed(0)
    config = VARIANTS[name]
    model, inputs, label = HybridNet(config), random_inputs(config, 4), torch.tensor([0, 1, 2, 0])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    losses: list[float] = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(model(**inputs), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_looks_at_its_modalities_and_at_nothing_else(name: str) -> None:
    config, model, inputs = seeded(name)
    with torch.no_grad():
        logits = model(**inputs)
        for modality, argument in USED.items():
            without = model(**(inputs | {argument: torch.zeros_like(inputs[argument])}))
            assert torch.equal(without, logits) == (modality not in config.modalities)


@pytest.mark.parametrize("name", DEPLOYABLE)
def test_a_deployable_variant_is_cut_and_simulated(name: str) -> None:
    config, model, inputs = seeded(name)
    split = partition(model, inputs)
    with torch.no_grad():
        logits = model(**inputs)
    assert split.exact
    assert torch.equal(split.run(inputs), logits)
    assert {node.name for node in split.program.inputs} == {USED[m] for m in config.modalities if m != "i"}
    assert measure(config).neurons == sum(math.prod(p.shape) for p in split.program.populations)
    fixed = quantise_graph(split.program, observe(split, inputs))
    bridge = Bridge(split.bridge, fixed_encodings(split.bridge, fixed))
    ann = TorchAnnBackend(split.ann, split.ann_inputs)
    run = run_hybrid(Fed(arrays(inputs), None), GraphEmulator(fixed), bridge, ann, arrays(inputs))
    assert np.abs(run.logits - logits.numpy()).max() < 0.5 * np.abs(logits.numpy()).max()


def arrays(inputs: Mapping[str, Tensor]) -> dict[str, Array]:
    return {name: x.numpy() for name, x in inputs.items()}


OTHER_GRAPHS = ("cross", "class-token-no-mixer", "common-norm-hard")
"""Variants whose ANN half has operations that the reference's lacks, or two inputs from one layer's weights."""


@pytest.mark.parametrize(
    "name", [OTHER_GRAPHS[0], *(pytest.param(n, marks=pytest.mark.slow) for n in OTHER_GRAPHS[1:])]
)
def test_a_variants_ann_half_is_the_same_in_onnx(name: str, tmp_path: Path) -> None:
    config, model, inputs = seeded(name)
    split = partition(model, inputs)
    crossing = {tensor.name: torch.zeros(2, *tensor.shape) for tensor in split.bridge}
    export_ann(split, inputs | crossing, tmp_path / "ann.onnx")
    fixed = quantise_graph(split.program, observe(split, inputs))
    bridge = Bridge(split.bridge, fixed_encodings(split.bridge, fixed))
    ann = OnnxRuntimeBackend(tmp_path / "ann.onnx")
    run = run_hybrid(Fed(arrays(inputs), None), TorchGraph(split.program), bridge, ann, arrays(inputs))
    with torch.no_grad():
        np.testing.assert_allclose(run.logits, model(**inputs).numpy(), atol=1e-4)
    graph = count_graph(tmp_path / "ann.onnx")
    assert measure(config).ann_macs == sum(node.macs for node in graph.nodes)


@pytest.mark.parametrize(
    "name",
    [
        name if name == "mv" else pytest.param(name, marks=pytest.mark.slow)
        for name in (*DEPLOYABLE, "without-accumulation")
    ],
)
def test_a_deployable_variants_checkpoint_becomes_a_bundle_that_runs_on_video(
    name: str, clip: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    per_frame = dataclasses.replace(SMALL.preprocess, accumulate=False, motion_clip_px=8.0)
    config = DEPLOYABLE.get(name, variant(preprocess=per_frame))
    save_checkpoint(tmp_path / "model.pt", Checkpoint(HybridNet(config).eval(), ("a", "b", "c"), {}))
    bundle = export(tmp_path / "model.pt", tmp_path / "bundle", options=ExportOptions(calibrate=clip))
    assert bundle.parity.failed == ()
    assert bundle.preprocess == config.preprocess
    run = simulate(clip, bundle).run
    with open_clip(clip, config.preprocess) as opened, torch.no_grad():
        inputs = stack_views([prepare_view(view, config.preprocess) for view in opened]).tensors()
        logits = load_checkpoint(tmp_path / "model.pt").model(**inputs).numpy()
    assert np.abs(run.logits - logits).max() < 0.2 * np.abs(logits).max()
    watcher = Watcher(bundle, WatchOptions(policy="queue", idle_s=0.1))
    assert [row.label for row in watcher.watch(clip)] == ["abc"[n] for n in run.logits.argmax(axis=1)]


@pytest.mark.parametrize("name", REFUSED)
def test_a_variant_that_cannot_leave_is_refused_with_the_rule_that_says_why(name: str) -> None:
    rule, config = REFUSED[name]
    assert measure(config).ann_macs > 0
    with pytest.raises(PartitionError, match=f"rule {rule}:"):
        partition(HybridNet(config), example_inputs(config, batch=2))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variants_checkpoint_comes_back(name: str, tmp_path: Path) -> None:
    config, model, inputs = seeded(name)
    save_checkpoint(tmp_path / "model.pt", Checkpoint(model, ("a", "b", "c"), {}))
    again = load_checkpoint(tmp_path / "model.pt").model
    assert again.config == config == from_dict(ModelConfig, to_dict(config))
    with torch.no_grad():
        assert torch.equal(again(**inputs), model(**inputs))
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in model.parameters()]


@pytest.mark.parametrize("order", ["t-ls-gs", "ls-t-gs", "ls-gs-t"])
def test_spiking_layers_are_kept_out_of_mixed_precision(order: str) -> None:
    config = variant(order=order)
    model = HybridNet(config)
    seen: list[torch.dtype] = []
    for stack in model.stacks().values():
        stack.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].dtype))
        stack.forward = torch.autocast("cpu", enabled=False)(stack.forward)  # type: ignore[method-assign]
    with torch.autocast("cpu", torch.bfloat16):
        model(**random_inputs(config)).float().sum().backward()
    assert seen == [torch.float32] * 2


@pytest.mark.parametrize("order", ["ls-t-gs", "ls-gs-t"])
@pytest.mark.parametrize("crop", [32, 37, 40])
def test_other_orders_take_any_input_size_too(order: str, crop: int) -> None:
    config = variant(order=order)
    config = dataclasses.replace(config, preprocess=dataclasses.replace(config.preprocess, crop=crop))
    assert HybridNet(config)(**example_inputs(config, 2)).shape == (2, 3)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"modalities": ()}, "modalities"),
        ({"modalities": ("mv", "mv")}, "modalities"),
        ({"modalities": ("i",), "order": "ls-t-gs"}, "order"),
        ({"modalities": ("r",), "encoder": "cross"}, "encoder"),
        ({"pooling": "class_token", "mixer_width": 7}, "mixer_width"),
    ],
)
def test_switches_that_contradict_each_other_are_refused(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        variant(**changes)
