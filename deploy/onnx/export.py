"""The ANN half as ONNX, batch dimension free."""

from __future__ import annotations

import ast
import contextlib
import io
import logging
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from hybridnet.deploy.layout import OPSET
from hybridnet.deploy.onnx.gelu import reorder_gelu
from hybridnet.deploy.onnx.obstacle import first_obstacle
from hybridnet.errors import ModelError
from hybridnet.partition.split import Split
from hybridnet.program.outputs import LOGITS
from hybridnet.support.foreign import foreign_code


def export_ann(
    split: Split,
    inputs: dict[str, Tensor],
    path: Path,
    *,
    outputs: tuple[str, ...] = (LOGITS,),
    opset: int = OPSET,
) -> None:
    """Write the ANN half to `path`, checked and with shapes inferred.

    Args:
        outputs: Names of what it returns, in order.
        inputs: One example tensor per ANN input by name; batch of at least 2, so that no dimension is taken for 1.

    Raises:
        ModelError: If torch or ONNX cannot express it.
    """
    taken = {name: inputs[name] for name in split.ann_inputs}
    export_module(split.ann, taken, path, what="ANN half", outputs=outputs, opset=opset)


def export_module(
    module: nn.Module,
    inputs: Mapping[str, Tensor],
    path: Path,
    *,
    what: str,
    outputs: tuple[str, ...],
    axes: Mapping[str, int] | None = None,
    opset: int = OPSET,
) -> None:
    """Write a module that takes `inputs`, in this order, to `path`, checked and with shapes inferred.

    Args:
        inputs: One example tensor each; batch of at least 2, so that no dimension is taken for 1.
        what: What the module is, for errors.
        axes: The axis of an input's examples, where it is not the first.

    Raises:
        ModelError: If torch or ONNX cannot express it.
    """
    remedy = "Use operations that torch.onnx.export(dynamo=True) knows, of any number of views"
    try:
        with foreign_code(ModelError, f"the {what} cannot be written as ONNX", where=what, remedy=remedy), _quiet():
            model = _exported(module, inputs, outputs, axes or {}, opset)
    except ModelError as error:
        with _quiet():
            obstacle = first_obstacle(module, inputs)
        if obstacle is None:
            raise
        raise ModelError(
            f"{obstacle.what}, which stays with the host ({what}), has no ONNX form",
            where=obstacle.path or "the model's forward",
            remedy="Use operations that torch.onnx.export(dynamo=True) knows",
        ) from error
    onnx.save(model, str(path))


def _exported(
    module: nn.Module, inputs: Mapping[str, Tensor], outputs: tuple[str, ...], axes: Mapping[str, int], opset: int
) -> onnx.ModelProto:
    batch = torch.export.Dim("batch", min=1)
    program = torch.onnx.export(
        module,
        tuple(inputs.values()),
        dynamo=True,
        opset_version=opset,
        input_names=list(inputs),
        output_names=list(outputs),
        dynamic_shapes=tuple({axes.get(name, 0): batch} for name in inputs),
        external_data=False,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    model = onnx.shape_inference.infer_shapes(program.model_proto, strict_mode=True, data_prop=True)
    _name_by_module(model)
    reorder_gelu(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _name_by_module(model: onnx.ModelProto) -> None:
    """Name each node after its module, as `transformer.blocks.0.mlp.0/MatMul`, and drop the exporter's metadata.

    Where modules were inlined, the module is that of a node's weight.

    The metadata holds stack traces of the machine that exported: paths that help nobody and change the checksum, as the
    producer's version does, which tells one build of torch from another.
    """
    used: Counter[str] = Counter()
    held = {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        scopes = {prop.key: prop.value for prop in node.metadata_props}.get("pkg.torch.onnx.name_scopes", "[]")
        owners = [name.rpartition(".")[0] for name in node.input if name in held]
        modules = [*filter(None, (*owners[::-1], *ast.literal_eval(scopes)[:-1]))]  # the last scope is the operator
        name = "/".join((*modules[-1:], node.op_type))
        used[name] += 1
        node.name = name if used[name] == 1 else f"{name}_{used[name]}"
        del node.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.metadata_props[:]
    model.producer_version = ""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints progress and its own tracebacks to stdout and stderr, and warns of its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        unseen = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(unseen), contextlib.redirect_stderr(unseen):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
