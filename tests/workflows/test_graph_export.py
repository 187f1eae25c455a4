# mypy: disable-error-code="no-untyped-call,no-untyped-def,union-attr"
"""Models whose spiking half is more than chains, or stands behind a front: exported, read back, run and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import manners
from helpers.cutting import made
from helpers.manner import Manner, fire
from helpers.own_neurons import FunctionIF, PerChannel, PLIFDetector
from helpers.skips import Skips
from torch import Tensor, nn

import hybridnet
from hybridnet.cli import main
from hybridnet.deploy.layout import FRONT
from hybridnet.deploy.nir.file import read_nir, write_nir
from hybridnet.errors import BackendError, PartitionError
from hybridnet.report.counting.graph import count_graph
from hybridnet.report.record.file import read_records, to_json
from hybridnet.simulators.feed import Feed
from hybridnet.simulators.torch.graph_step import TorchGraph
from hybridnet.workflows.options import ExportOptions, SimulateOptions
from hybridnet.workflows.simulate import Simulator, simulate

USUAL = (manners.Residual, manners.Cuba, manners.PoolBeforeNeuron)
OTHERS = (
    FunctionIF, PLIFDetector, manners.Pools, manners.StillImage, manners.SpikingUNet, manners.SharedWeights,
    PerChannel, manners.HostChipHost, manners.NormFirst,
)  # fmt: skip
KINDS = [*USUAL, *(pytest.param(kind, marks=pytest.mark.slow) for kind in OTHERS)]
MORE_THAN_CHAINS = (
    manners.Residual, manners.Cuba, manners.StillImage, manners.SpikingUNet, PerChannel, manners.SharedWeights,
)  # fmt: skip
FRONTS = (manners.PoolBeforeNeuron, manners.HostChipHost)


def arrays(inputs: dict[str, Tensor]) -> dict[str, Any]:
    return {name: x.numpy() for name, x in inputs.items()}


def returned(model: nn.Module, inputs: dict[str, Tensor]) -> Any:
    with torch.no_grad():
        return model(**inputs).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_every_check_of_an_export_holds(kind: type[Manner], export: Any) -> None:
    _, bundle = export(kind)
    assert bool(bundle.manifest.streams) == (kind not in MORE_THAN_CHAINS)
    assert (FRONT in bundle.manifest.files) == (kind in FRONTS)
    checks = {check.name: check for check in bundle.parity.checks}
    assert not bundle.parity.failed
    assert checks["emulator_loop"].value == checks["emulator_onnxruntime"].value == 0
    assert checks["program_ties"].value == 0
    assert {row.layer for row in bundle.parity.layers} >= set(bundle.manifest.placement.placed)


@pytest.mark.parametrize("kind", KINDS)
def test_in_float_a_bundle_returns_what_the_model_returns(kind: type[Manner], export: Any) -> None:
    model, bundle = export(kind)
    for views in (1, 4):
        inputs = model.inputs(views)
        run = simulate(arrays(inputs), bundle, SimulateOptions(snn="torch")).run
        (found,) = run.outputs.values()
        np.testing.assert_allclose(found, returned(model, inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_emulator_and_onnx_runtime_give_the_same_bits_and_counts(kind: type[Manner], export: Any) -> None:
    model, bundle = export(kind)
    inputs = arrays(model.inputs(2))
    one, other = (simulate(inputs, bundle, SimulateOptions(snn=name)) for name in ("emulator", "onnxruntime"))
    for name, spikes in one.run.spiking.spikes.items():
        assert np.array_equal(spikes, other.run.spiking.spikes[name])
    for name, values in one.run.crossing.values.items():
        assert np.array_equal(values, other.run.crossing.values[name])
    assert [row.ops for row in one.record.layers] == [row.ops for row in other.record.layers]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*USUAL, *OTHERS])
def test_lava_gives_the_emulators_bits(kind: type[Manner], export: Any) -> None:
    pytest.importorskip("lava")
    model, bundle = export(kind)
    inputs = arrays(model.inputs(2))
    one, other = (simulate(inputs, bundle, SimulateOptions(snn=name, parity=False)) for name in ("emulator", "lava"))
    assert any(spikes.any() for spikes in one.run.spiking.spikes.values())
    for name, spikes in one.run.spiking.spikes.items():
        assert np.array_equal(spikes, other.run.spiking.spikes[name])
    assert all(np.array_equal(v, other.run.crossing.values[name]) for name, v in one.run.crossing.values.items())


def test_the_record_counts_every_group_and_is_read_back(export: Any, tmp_path: Path) -> None:
    model, bundle = export(manners.Residual)
    done = simulate(arrays(model.inputs(2)), bundle)
    counted = count_graph(bundle.fixed, done.run.spiking.inputs, done.run.spiking.spikes)
    rows = [row for row in done.record.layers if row.partition == "snn" and row.input != "time"]
    assert sum(row.ops.acs for row in rows) == counted.total.acs > 0
    assert sum(row.ops.macs for row in rows) == counted.total.macs > 0
    assert sum(row.ops.neuron_updates for row in rows) == counted.total.neuron_updates
    assert all(row.ops.dense_macs == 2 * bundle.program.steps * row.synapses for row in rows), "no group is late"
    (tmp_path / "run.json").write_text(to_json([done.record]))
    assert read_records(tmp_path / "run.json") == [done.record]


def test_a_front_is_a_partition_with_its_own_time_macs_and_energy(export: Any, tmp_path: Path) -> None:
    model, bundle = export(manners.PoolBeforeNeuron)
    record = simulate(arrays(model.inputs(2)), bundle).record
    assert [row.name for row in record.partitions] == ["frontend", "front", "snn", "bridge", "ann"]
    front = record.partition("front")
    assert front.ops.macs > 0
    assert len(front.latency_ms.views) == 2
    assert front.energy_pj.reference > 0
    (tmp_path / "run.json").write_text(to_json([record]))
    assert read_records(tmp_path / "run.json") == [record]


def test_shared_weights_are_stored_once(export: Any) -> None:
    _, bundle = export(manners.SharedWeights)
    left, right = bundle.program.synapses
    assert left.weight is right.weight


class Ordered(nn.Module):
    """A recurrent layer whose input has its axes in another order: time first, or last."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order = order
        torch.manual_seed(1)
        self.conv, self.fc = nn.Conv2d(2, 4, 3, 2, 1), nn.Linear(4 * 4 * 3, 2)
        self.back = nn.Conv2d(4, 4, 3, 1, 1, bias=False)

    def forward(self, events: Tensor) -> Tensor:
        steps = events.unbind(0) if self.order == "time first" else events.unbind(-1)
        potential = spikes = count = torch.zeros(1)
        for x in steps:
            current = self.conv(x) + (self.back(spikes) if spikes.ndim > 1 else 0)
            potential = 0.8 * potential * (1 - spikes) + current
            spikes = fire(potential - 0.3)
            count = count + spikes
        return self.fc(count.flatten(1))

    def inputs(self, views: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """As the model takes them, and as a bundle does: views first."""
        x = torch.poisson(torch.full((views, 5, 2, 8, 6), 1.0))
        taken = x.transpose(0, 1) if self.order == "time first" else x.permute(0, 2, 3, 4, 1)
        given = x if self.order == "time first" else taken
        return {"events": taken.contiguous()}, {"events": given.contiguous().numpy()}


@pytest.mark.parametrize("order", ["time first", "time last"])
def test_whatever_the_order_of_axes_a_bundle_takes_views_first(order: str, tmp_path: Path) -> None:
    model = Ordered(order).eval()
    bundle = hybridnet.export(model, model.inputs(2)[0], tmp_path / "b")
    assert bundle.manifest.feeds == {"events": 0 if order == "time first" else 3}
    assert any(g.delay == 1 and g.source == g.target for g in bundle.program.synapses)
    taken, given = model.inputs(3)
    run = simulate(given, bundle, SimulateOptions(snn="torch")).run
    np.testing.assert_allclose(run.outputs["output"], returned(model, taken), rtol=1e-4, atol=1e-4)


def test_strict_refuses_what_cannot_be_placed_whole(tmp_path: Path) -> None:
    model = made(manners.PoolBeforeNeuron)
    with pytest.raises(PartitionError, match=r"Placed 2 of 3 spiking layers.*lif1 stays on the host.*--strict"):
        hybridnet.export(model, model.inputs(2), tmp_path / "b", ExportOptions(strict=True))
    assert not (tmp_path / "b").exists()


def test_a_layer_may_be_kept_on_the_host(tmp_path: Path) -> None:
    model = made(manners.NormFirst)
    bundle = hybridnet.export(model, model.inputs(2), tmp_path / "b", ExportOptions(keep_on_host=["lif2"]))
    (kept,) = bundle.manifest.placement.staying
    assert bundle.manifest.placement.placed == ("lif1",)
    assert (kept.name, kept.rule, kept.reason) == ("lif2", "R232", "it is kept there, as 'lif2' asks")
    inputs = model.inputs(2)
    run = simulate(arrays(inputs), bundle, SimulateOptions(snn="torch")).run
    np.testing.assert_allclose(run.outputs["output"], returned(model, inputs), rtol=1e-4, atol=1e-4)


def test_a_model_of_which_nothing_can_be_placed_is_refused_with_the_nearest_obstacle(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten())
    with pytest.raises(PartitionError, match="nothing in it compares a potential with a threshold"):
        hybridnet.export(model, {"input": torch.rand(2, 2, 6, 5)}, tmp_path / "b")


def test_a_graph_runs_on_video_and_classifies_many_clips(clip: Path, tmp_path: Path) -> None:
    model = Skips().eval()
    labels = ("left", "right", "still")
    bundle = hybridnet.export(
        model, model.example_inputs(), tmp_path / "b", ExportOptions(labels=labels, calibrate=clip)
    )
    simulator = Simulator(bundle, SimulateOptions(views=2))
    record = simulator.run(clip).record
    assert record.prediction is not None
    (classified,) = simulator.classify([clip])
    assert labels[classified.index] == record.prediction.top_k[0].label


@pytest.mark.parametrize("kind", [manners.Residual, manners.Cuba])
def test_a_graph_is_written_as_nir_and_read_back(kind: type[Manner], export: Any, tmp_path: Path) -> None:
    pytest.importorskip("nir")
    model, bundle = export(kind)
    program = bundle.program
    (file,) = write_nir(tmp_path / "p.nir", program, {tensor.layer for tensor in bundle.bridge})
    inputs = Feed(bundle)(arrays(model.inputs(2))).inputs
    one, other = (
        TorchGraph(each, torch.float64).run(inputs, record_potentials=True) for each in (program, read_nir(file))
    )
    for name in one.potentials.keys() & other.potentials.keys():
        np.testing.assert_allclose(one.potentials[name], other.potentials[name], atol=1e-9)
    assert one.potentials.keys() - other.potentials.keys() <= {"always"}


def test_what_nir_cannot_say_is_one_line_behind_the_export(
    checkpoint_path: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    export: Any,
) -> None:
    pytest.importorskip("nir")
    _, bundle = export(manners.SpikingUNet)
    monkeypatch.setattr("hybridnet.cli.export._export_checkpoint", lambda *_: bundle)
    code = main(["export", str(checkpoint_path), "-o", str(tmp_path / "b"), "--nir", str(tmp_path / "p.nir")])
    assert code == 1
    assert "is a transposed convolution, which NIR has not" in capsys.readouterr().err
    assert not (tmp_path / "p.nir").exists()


@pytest.mark.slow
def test_a_front_that_gives_infinity_is_an_error(export: Any) -> None:
    model, bundle = export(manners.HostChipHost)
    huge = {name: np.full_like(x, 3e38) for name, x in arrays(model.inputs(1)).items()}
    with pytest.raises(BackendError, match="NaN or infinity"):
        simulate(huge, bundle)
