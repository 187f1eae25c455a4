# mypy: disable-error-code="arg-type,index"
"""Each link of the parity chain notices what it is there to notice."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from helpers.foreign_model import example, gestures
from helpers.needs import needs_lava
from onnx import numpy_helper
from torch import nn

import hybridnet
from hybridnet.calibration.fidelity import FidelityMeter
from hybridnet.calibration.views import Calibration
from hybridnet.deploy.bundle import checksums, read_bundle, write_manifest
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import ONNX_FIXED
from hybridnet.deploy.onnx.graph_program import write_onnx_graph
from hybridnet.errors import BundleError, ModelError, PartitionError
from hybridnet.model.neuron import ConvLIF
from hybridnet.partition.splitter import Partition, partition
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.spiking import scales_of
from hybridnet.simulators.emulator.graph_loop import State, graph_messages, run_graph
from hybridnet.support.statistics import spike_agreement, sqnr_db
from hybridnet.support.views import Views
from hybridnet.workflows.options import ExportOptions
from hybridnet.workflows.parity import FLOAT64_TOLERANCE, measure_parity


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    labels = ("a", "b", "c")
    return hybridnet.export(
        gestures(), example(), tmp_path_factory.mktemp("parity") / "b", ExportOptions(labels=labels)
    )


CALIBRATION = Calibration(Views.of_tensors(example()), "a test")


def measure(bundle: Bundle, **changed: Any) -> Any:
    given: dict[str, Any] = {
        "model": gestures(),
        "split": partition(gestures(), example()),
        "parts": bundle,
        "calibration": CALIBRATION,
    }
    return measure_parity(**(given | changed))


def copied(bundle: Bundle, folder: Path) -> Bundle:
    """The same in another folder, where files can be changed."""
    return dataclasses.replace(bundle, path=Path(shutil.copytree(bundle.path, folder)))


def resealed(bundle: Bundle) -> Bundle:
    """The bundle with the checksums of what its files hold now."""
    return dataclasses.replace(bundle, manifest=dataclasses.replace(bundle.manifest, files=checksums(bundle.path)))


def test_an_honest_export_passes(exported: Bundle) -> None:
    report = measure(exported)
    assert report.failed == ()
    assert report == exported.parity.__class__(**{**vars(exported.parity), "source": "a test"})
    assert report.check("program_potentials").value <= FLOAT64_TOLERANCE


def test_another_model_is_noticed_at_the_cut(exported: Bundle) -> None:
    other = gestures()
    nn.init.constant_(other.head.bias, 1.0)
    with pytest.raises(PartitionError, match="differs from the whole one"):
        measure(exported, model=other)


def test_a_changed_graph_is_noticed(exported: Bundle, tmp_path: Path) -> None:
    model = onnx.load(str(exported.ann_path))
    (bias,) = (t for t in model.graph.initializer if t.name == "head.bias")
    bias.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(bias) + np.float32(0.01), "head.bias"))
    changed = copied(exported, tmp_path / "b")
    onnx.save(model, str(changed.ann_path))
    report = measure(resealed(changed))
    assert report.failed == ("ann_onnxruntime",)
    assert report.check("ann_onnxruntime").value == pytest.approx(0.01, rel=1e-3)


def altered(split: Partition, **fields: object) -> Partition:
    """The split with its first population changed in the program alone."""
    first, *others = split.program.populations
    program = dataclasses.replace(split.program, populations=(dataclasses.replace(first, **fields), *others))
    return dataclasses.replace(split, program=program)


def test_a_changed_program_is_noticed(exported: Bundle) -> None:
    split = partition(gestures(), example())
    leak = split.program.populations[0].leak
    assert measure(exported, split=altered(split, leak=leak + 1e-6)).failed[0] == "program_potentials"
    assert set(measure(exported, split=altered(split, threshold=np.array(0.1))).failed) == {
        "program_potentials",
        "program_spikes",
    }


def test_a_wrong_emulator_is_noticed(exported: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    def off_by_one(graph: FixedGraph, messages: Any) -> dict[str, State]:
        states = run_graph(graph, messages)
        return {name: dataclasses.replace(s, v=s.v + (s.v == s.v.max())) for name, s in states.items()}

    monkeypatch.setattr("hybridnet.workflows.bits.run_graph", off_by_one)
    assert measure(exported).failed == ("emulator_loop",)


def test_a_changed_spiking_graph_is_noticed(exported: Bundle, tmp_path: Path) -> None:
    first, *others = exported.fixed.populations
    changed = dataclasses.replace(first, decay=first.decay + 1)
    copy = copied(exported, tmp_path / "b")
    write_onnx_graph(copy.path / ONNX_FIXED, dataclasses.replace(exported.fixed, populations=(changed, *others)))
    assert measure(resealed(copy)).failed == ("emulator_onnxruntime",)


@needs_lava
def test_lava_is_compared_when_asked(exported: Bundle) -> None:
    check = measure(exported, requested="lava").check("emulator_lava")
    assert (check.value, check.ok, check.views) == (0, True, 1)


def test_what_is_not_finite_is_refused(exported: Bundle) -> None:
    with torch.no_grad():
        broken = gestures()
        broken.head.weight.fill_(3e38)  # finite, and so no rule's business; its sums are not
    with pytest.raises(ModelError, match="not finite"):
        measure(exported, model=broken, split=partition(broken, example()))


def test_layers_are_compared_alone_and_in_their_chain(exported: Bundle) -> None:
    """Against the same numbers by another way: the integer loop on the float run's spikes, or on its own."""
    split = partition(gestures(), example())
    meter = FidelityMeter(exported.fixed)
    view = CALIBRATION.views[1].tensors()
    states = split.trace(view)
    meter.add(states, {name: tensor.numpy() for name, tensor in view.items()})
    graph, (node,) = exported.fixed, exported.fixed.inputs
    chain = run_graph(graph, {"events": graph_messages(view["events"][0].numpy(), node)})
    spikes = dataclasses.replace(node, shape=graph.populations[0].shape, input_scale=1.0)
    (group,) = (dataclasses.replace(g, source="events") for g in graph.onto("eyes.1"))
    second = FixedGraph((spikes,), graph.populations[1:], (group,), graph.steps)
    alone = run_graph(second, {"events": states["eyes.0"].o[0].long().numpy()})
    for row, runs in zip(meter.rows(), ((chain, chain), (alone, chain)), strict=True):
        state = states[row.layer]
        scale = scales_of(graph)[row.layer]
        for fidelity, run in zip((row.teacher_forced, row.end_to_end), runs, strict=True):
            v, o = run[row.layer].v, run[row.layer].o
            reference = state.o[0].bool().numpy()
            assert fidelity.sqnr_db == pytest.approx(sqnr_db(v[-1] / scale, state.u[0, -1].numpy()))
            assert fidelity.spike_agreement == pytest.approx(spike_agreement(o, reference))
            assert fidelity.rate_change == pytest.approx(o.mean() - reference.mean())
    assert meter.rows()[0].spike_rate > 0.05


def test_batch_norm_is_folded_exactly_enough(tmp_path: Path) -> None:
    torch.manual_seed(5)
    model = gestures()
    model.eyes.layers[0] = ConvLIF(model.eyes.layers[0].geometry, threshold=0.3, batch_norm=True)
    norm = model.eyes.layers[0].norm
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.uniform_(norm.bias, -0.2, 0.2)
    nn.init.uniform_(norm.running_mean, -0.1, 0.1)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    bundle = hybridnet.export(model, example(), tmp_path / "b")
    assert bundle.parity.failed == ()
    assert 0 < (bundle.parity.check("program_potentials").value or 0) <= FLOAT64_TOLERANCE


def test_a_damaged_report_is_refused(exported: Bundle, tmp_path: Path) -> None:

    copy = Path(shutil.copytree(exported.path, tmp_path / "copy"))
    for content in ("{", "[]", '{"views": 3}'):
        (copy / "parity.json").write_text(content)
        write_manifest(copy, dataclasses.replace(exported.manifest, files=checksums(copy)))
        with pytest.raises(BundleError, match=r"parity\.json"):
            read_bundle(copy)
