"""The ANN half as ONNX: valid, shapes inferred, constants folded, any number of views, and torch's numbers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import OPSET
from hybridnet.deploy.onnx.export import export_ann
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import example_inputs
from hybridnet.partition.splitter import Partition, partition
from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend
from hybridnet.simulators.torch.ann import TorchAnnBackend

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def split(checkpoint_path: Path) -> Partition:
    model = load_checkpoint(checkpoint_path).model
    return partition(model, example_inputs(model.config))


def ann_inputs(bundle: Bundle, views: int) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(views)
    shapes = bundle.manifest.model.inputs | {t.name: t.shape for t in bundle.bridge}
    return {name: torch.randn((views, *shapes[name]), generator=random) for name in bundle.manifest.ann_inputs}


def intermediate(graph: onnx.GraphProto) -> Iterator[tuple[str, list[int | str]]]:
    """Every tensor that a node gives, with its shape."""
    shapes = {
        v.name: [d.dim_value if d.HasField("dim_value") else d.dim_param for d in v.type.tensor_type.shape.dim]
        for v in (*graph.value_info, *graph.output)
        if v.type.tensor_type.HasField("shape")
    }
    for node in graph.node:
        for name in node.output:
            assert name in shapes, f"{node.name} gives {name}, of unknown shape"
            yield name, shapes[name]


def test_the_written_file_is_valid_with_all_shapes_and_the_opset_it_states(bundle: Bundle) -> None:
    onnx.checker.check_model(str(bundle.ann_path), full_check=True)
    model = onnx.load(str(bundle.ann_path))
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert bundle.manifest.opset == OPSET
    names = [value.name for value in model.graph.input]
    assert tuple(names) == bundle.manifest.ann_inputs
    for name, shape in intermediate(model.graph):
        # At most one dimension is free: the views or, within attention, views times heads.
        known = [size for size in shape if isinstance(size, int)]
        assert len(known) >= len(shape) - 1, f"{name}: {shape}"
        assert min(known, default=1) > 0, f"{name}: {shape}"
    for value in (*model.graph.input, *model.graph.output):
        first = value.type.tensor_type.shape.dim[0]
        assert first.dim_param == "batch", value.name


def test_constants_are_folded(bundle: Bundle) -> None:
    """No node computes from constants alone, and nothing of training is left."""
    graph = onnx.load(str(bundle.ann_path)).graph
    fixed = {tensor.name for tensor in graph.initializer}
    for node in graph.node:
        assert node.op_type not in ("Constant", "Dropout", "BatchNormalization", "Identity"), node.name
        assert not node.input or not set(node.input) <= fixed, f"{node.name} could have been computed at export"


@pytest.mark.parametrize("views", [1, 2, 5])
def test_any_number_of_views_gives_torchs_logits(bundle: Bundle, split: Partition, views: int) -> None:
    inputs = {name: tensor.numpy() for name, tensor in ann_inputs(bundle, views).items()}
    got = OnnxRuntimeBackend(bundle.ann_path).run(inputs)["logits"]
    expected = TorchAnnBackend(split.ann, split.ann_inputs).run(inputs)["logits"]
    assert got.shape == (views, 3)
    assert np.abs(got - expected).max() <= TOLERANCE
    assert np.abs(expected).max() > 100 * TOLERANCE  # so that zeros would not pass


@pytest.mark.parametrize("opset", [20])
def test_another_opset_computes_the_same(bundle: Bundle, split: Partition, tmp_path: Path, opset: int) -> None:
    example = ann_inputs(bundle, 2)
    export_ann(split, example, tmp_path / "ann.onnx", opset=opset)
    assert [o.version for o in onnx.load(str(tmp_path / "ann.onnx")).opset_import] == [opset]
    inputs = {name: tensor.numpy() for name, tensor in ann_inputs(bundle, 3).items()}
    got, expected = (OnnxRuntimeBackend(p).run(inputs)["logits"] for p in (tmp_path / "ann.onnx", bundle.ann_path))
    assert np.abs(got - expected).max() <= TOLERANCE


def test_exporting_again_gives_the_same_bytes_and_leaves_the_module_alone(
    bundle: Bundle, split: Partition, tmp_path: Path
) -> None:
    """No time, no path and no trace of the machine in the file: its checksum is one of the model."""
    before = {name: tensor.clone() for name, tensor in split.ann.state_dict().items()}
    export_ann(split, ann_inputs(bundle, 2), tmp_path / "ann.onnx")
    content = (tmp_path / "ann.onnx").read_bytes()
    assert content == bundle.ann_path.read_bytes()
    assert b"site-packages" not in content
    assert b".py" not in content
    assert all(torch.equal(tensor, before[name]) for name, tensor in split.ann.state_dict().items())
    assert not split.ann.training


def test_nodes_are_named_after_modules(bundle: Bundle, split: Partition) -> None:
    modules = {name for name, _ in split.ann.named_modules()}
    nodes = [node.name for node in onnx.load(str(bundle.ann_path)).graph.node]
    assert len(set(nodes)) == len(nodes)
    convolutions = [name.rpartition("/")[0] for name in nodes if name.endswith("/Conv")]
    assert convolutions
    assert set(convolutions) <= modules
