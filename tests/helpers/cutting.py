# mypy: disable-error-code="no-untyped-call,no-untyped-def"
"""Models cut in halves, and the halves beside the model and as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from helpers import manners
from helpers.manner import Manner, louder
from torch import Tensor, fx, nn

from hybridnet.deploy.onnx.export import export_module
from hybridnet.partition.arithmetic.halves import Halves, cut
from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.tape import leaves

NEEDED = {
    manners.Pools: "spikingjelly.activation_based", manners.Residual: "spikingjelly.activation_based",
    manners.PoolBeforeNeuron: "snntorch", manners.StillImage: "snntorch", manners.Cuba: "snntorch",
    manners.HostChipHost: "snntorch", manners.SharedWeights: "snntorch",
}  # fmt: skip


def made(kind: type[Manner], size: tuple[int, int] | None = None, steps: int | None = None) -> Manner:
    if kind in NEEDED:
        pytest.importorskip(NEEDED[kind], exc_type=ImportError)
    torch.manual_seed(0)
    model = kind(size, steps)
    if kind is manners.Pools:
        louder(model, 2.0)
    return model


def cut_model(model: Any, inputs: dict[str, Tensor]) -> Halves:
    return cut(read(model, inputs), model, inputs)


def layers(module: fx.GraphModule) -> int:
    named = ("aten.convolution.default", "aten.addmm.default", "aten.mm.default", "aten.bmm.default")
    return sum(str(node.target) in named or node.op == "call_module" for node in module.graph.nodes)


def views_first(halves: Halves, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    axis = halves.reading.lifted.batch_axis
    return {name: x.movedim(axis, 0).contiguous() for name, x in inputs.items()}


def assert_same(halves: Halves, model: nn.Module, inputs: dict[str, Tensor]) -> None:
    with torch.no_grad():
        whole = leaves(model(**inputs))
    parts = leaves(halves.run(views_first(halves, inputs)))
    assert len(whole) == len(parts)
    assert [a for a in whole if not isinstance(a, Tensor)] == [b for b in parts if not isinstance(b, Tensor)]
    tensors = [(a, b) for a, b in zip(whole, parts, strict=True) if isinstance(a, Tensor)]
    for a, b in tensors:
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        torch.testing.assert_close(b, a, rtol=1e-5, atol=1e-5)
    assert any(bool(a.any()) for a, _ in tensors)


def check_onnx(module: fx.GraphModule, feed: Any, axes: dict[str, int], path: Path) -> None:
    """`feed(batch)` gives its inputs by name."""
    example = feed(2)
    count = len(leaves(module(*example.values())))
    export_module(module, example, path, what="half", outputs=tuple(f"out{i}" for i in range(count)), axes=axes)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in (1, 3):
        given = feed(batch)
        with torch.no_grad():
            expected = leaves(module(*given.values()))
        found = session.run(None, {name: x.numpy() for name, x in given.items()})
        for a, b in zip(expected, found, strict=True):
            np.testing.assert_allclose(b, a.numpy(), rtol=1e-4, atol=1e-4)


def feed_of(halves: Halves, model: Manner, names: tuple[str, ...]) -> Any:
    def feed(batch: int) -> dict[str, Tensor]:
        inputs = views_first(halves, model.inputs(batch))
        values = {**inputs, **halves.crossed(inputs)}
        return {name: values[name] for name in names}

    return feed
