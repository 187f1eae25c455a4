"""Fine-tuning in integers: the forward is the emulator's in every bit, and gradients pass."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.made_views import made_views
from helpers.small_model import SMALL, small_checkpoint

from hybridnet.calibration.fixed_point import quantise_graph
from hybridnet.calibration.observe import observe
from hybridnet.config import Experiment, TrainingConfig
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import ConfigError, TrainingError
from hybridnet.model.checkpoint import Checkpoint, save_checkpoint
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.partition.splitter import partition
from hybridnet.program.bridge import fixed_encodings
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.layers import INPUT_MAX
from hybridnet.program.requantise import requantise
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.support.arrays import write_arrays
from hybridnet.support.sealed import sha256_file
from hybridnet.training.qat import compute_in_integers, scales_sha256
from hybridnet.training.run import run_training
from hybridnet.training.sources import Splits
from hybridnet.workflows.calibrate import calibrate
from hybridnet.workflows.export import export_checkpoint
from hybridnet.workflows.options import CalibrateOptions, TrainOptions
from hybridnet.workflows.train import starting_point


def inputs(seed: int, views: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return {name: torch.randn_like(x) for name, x in example_inputs(SMALL, batch=views).items()}


def aligned(program: FixedGraph, shift: int, finer: int) -> FixedGraph:
    """Messages so many times finer, their sums shifted by less, and weights in the scale that they had."""
    read = {node.name for node in program.inputs}
    before = {g.target: g.shift for g in program.synapses if g.source in read}
    return FixedGraph(
        tuple(
            dataclasses.replace(node, message_max=127 * finer, input_scale=node.input_scale * finer)
            for node in program.inputs
        ),
        tuple(
            dataclasses.replace(p, scale=p.scale * finer * 2.0 ** (shift - before[p.name])) if p.name in before else p
            for p in program.populations
        ),
        tuple(dataclasses.replace(g, shift=shift) if g.source in read else g for g in program.synapses),
        program.steps,
    )


@pytest.mark.parametrize(("shift", "finer"), [(6, 1), (3, 4)])
def test_the_forward_is_the_emulators_bit_for_bit(shift: int, finer: int) -> None:
    model = small_checkpoint().model
    x = inputs(0)
    split = partition(model, x)
    scales = aligned(quantise_graph(split.program, observe(split, x)), shift, finer)
    with torch.no_grad():  # as if training had moved them: other weights, some beyond the range of the scales
        for stack in split.stacks:
            for layer in stack.module.layers:
                layer.conv.weight.mul_(1.1).add_(torch.randn_like(layer.conv.weight) * 0.01)
                layer.log_threshold.add_(0.05)
                layer.leak_logit.sub_(0.1)
    moved = requantise(partition(model, x).program, scales)
    run = GraphEmulator(moved).run({name: v.numpy() for name, v in x.items()}, record_potentials=True)
    compute_in_integers(model, scales)
    states = split.trace(x)
    assert [*states] == [p.name for p in moved.populations]
    for p in moved.populations:
        state, v = states[p.name], run.potentials[p.name]
        assert np.array_equal(state.o.numpy() > 0, run.spikes[p.name])
        assert np.array_equal(state.u.numpy(), (v / p.scale).astype(np.float32))
    bridge = Bridge(split.bridge, fixed_encodings(split.bridge, moved))
    crossed = bridge.cross(run.readouts, run.spikes, fixed_point=True).values
    fed = {name: torch.from_numpy(values) for name, values in crossed.items()} | x
    with torch.no_grad():
        assert torch.equal(model(**x), split.ann(*(fed[name] for name in split.ann_inputs)))


def test_gradients_reach_every_parameter() -> None:
    model = small_checkpoint().model
    x = inputs(1)
    split = partition(model, x)
    compute_in_integers(model, quantise_graph(split.program, observe(split, x)))
    model.train()
    model(**x).square().sum().backward()
    for stack in split.stacks:
        for layer in stack.module.layers:
            for parameter in (layer.conv.weight, layer.leak_logit, layer.log_threshold):
                assert parameter.grad is not None
                assert parameter.grad.isfinite().all()
                assert parameter.grad.abs().sum() > 0


def test_scales_of_another_model_are_refused() -> None:
    model = small_checkpoint().model
    x = inputs(1)
    split = partition(model, x)
    fixed = quantise_graph(split.program, observe(split, x))
    with pytest.raises(ConfigError, match="scales"):
        compute_in_integers(model, fixed.part(("motion_vectors", "mv.0", "mv.1")))
    with pytest.raises(ConfigError, match="scales"):
        requantise(split.program, fixed.part(("motion_vectors", "mv.0", "mv.1")))


def test_scales_of_another_reset_are_refused() -> None:
    split = partition(small_checkpoint().model, inputs(1))
    fixed = quantise_graph(split.program, observe(split, inputs(1)))
    hard = HybridNet(dataclasses.replace(SMALL, stm=dataclasses.replace(SMALL.stm, reset="hard")))
    with pytest.raises(ConfigError, match=r"soft reset.*hard reset, the model's"):
        compute_in_integers(hard, fixed)


def test_weights_that_grow_beyond_24_bits_stop_the_training() -> None:
    model = small_checkpoint().model
    split = partition(model, inputs(0))
    fixed = quantise_graph(split.program, observe(split, inputs(0)))
    widest = max(fixed.synapses, key=lambda g: g.largest_sum(fixed.largest_input(g)))
    finer = INPUT_MAX // widest.largest_sum(127)
    assert finer > 8
    compute_in_integers(model, aligned(fixed, 1, finer))
    model(**inputs(1))
    name, index = widest.target.split(".")
    with torch.no_grad():
        layer = model.stacks()[name].layers[int(index)]
        layer.conv.weight.mul_(1.05 * INPUT_MAX / widest.largest_sum(127 * finer))
    with pytest.raises(TrainingError, match=rf"{widest.target}: a sum of synaptic input may reach .* 24 bits"):
        model(**inputs(1))


@pytest.mark.slow
def test_what_was_fine_tuned_is_what_a_bundle_in_the_same_scales_runs(tmp_path: Path) -> None:
    checkpoint = small_checkpoint()
    bundle = export_checkpoint_of(checkpoint, tmp_path)
    tuned = tmp_path / "tuned.pt"
    compute_in_integers(checkpoint.model, bundle.fixed)
    optimizer = torch.optim.SGD(checkpoint.model.parameters(), 1e-3)
    for seed in range(2):
        optimizer.zero_grad()
        checkpoint.model.train()(**inputs(seed)).square().mean().backward()
        optimizer.step()
    save_checkpoint(tuned, checkpoint)
    arrays = {name: np.concatenate([inputs(n)[name].numpy() for n in range(4)]) for name in inputs(0)}
    write_arrays(tmp_path / "x.npz", arrays)
    done = calibrate(tuned, tmp_path / "b", CalibrateOptions(clips=tmp_path / "x.npz", scales=bundle.path)).bundle
    x = inputs(9)
    run = GraphEmulator(done.fixed).run({name: v.numpy() for name, v in x.items()})
    split = partition(checkpoint.model, x)
    for name, state in split.trace(x).items():
        assert np.array_equal(state.o.numpy() > 0, run.spikes[name])
    with pytest.raises(ConfigError, match="qat, bundle"):
        TrainOptions(qat="fixed-point")
    with pytest.raises(ConfigError, match="init"):
        TrainOptions(qat="fixed-point", bundle=bundle.path, init=tuned)


def test_a_run_fine_tunes_a_bundle_and_says_in_which_scales(tmp_path: Path) -> None:
    checkpoint = small_checkpoint()
    bundle = export_checkpoint_of(checkpoint, tmp_path)
    init, scales = starting_point(TrainOptions(qat="fixed-point", bundle=bundle.path))
    views = made_views(SMALL, 8)
    splits = Splits("made", checkpoint.labels, views, views, None, "made")
    recipe = TrainingConfig(epochs=1, batch_size=4, learning_rate=1e-4, eps=1e-8, warmup_epochs=0)
    record = run_training(Experiment(SMALL, recipe), tmp_path / "run", splits, init=init, scales=scales)
    assert record.arithmetic == f"fixed point in scales {scales_sha256(bundle.fixed)}"
    assert record.init == sha256_file(bundle.checkpoint_path)
    with pytest.raises(ConfigError, match="arithmetic"):
        run_training(Experiment(SMALL, recipe), tmp_path / "run", splits, init=init, resume=True)


def export_checkpoint_of(checkpoint: Checkpoint, folder: Path) -> Bundle:
    save_checkpoint(folder / "small.pt", checkpoint)
    return export_checkpoint(folder / "small.pt", folder / "bundle")
