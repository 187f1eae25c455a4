"""What the host computes of a split, as ONNX: the front and the ANN half, with the examples that these take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from hybridnet.deploy.layout import OPSET
from hybridnet.deploy.onnx.export import export_module
from hybridnet.errors import ModelError
from hybridnet.partition.split import Split
from hybridnet.program.outputs import LOGITS, OUTPUT, named_outputs

Tensors = Mapping[str, Tensor]


def export_front(split: Split, examples: Tensors, path: Path, opset: int = OPSET) -> None:
    """Write the front of a split that has one; see `hybridnet.deploy.onnx.export.export_module`."""
    taken = {name: _two_views(examples[name]) for name in split.front_inputs}
    assert split.front is not None  # noqa: S101
    export_module(split.front, taken, path, what="front", outputs=split.messages, opset=opset)


@torch.no_grad()
def output_names(split: Split, examples: Tensors, labels: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Run the example once: what does the model return, and do the labels fit?

    Raises:
        ModelError: If an output has no views, or there are labels and it is no (N, classes).
    """
    views = len(next(iter(examples.values())))
    outputs = named_outputs(split.run(examples), OUTPUT if labels is None else LOGITS)
    for name, tensor in outputs.items():
        if tensor.ndim == 0 or len(tensor) != views:
            remedy = "Return (N, …); torch.stack(steps, dim=1) puts time behind the views"
            raise ModelError(f"is {tuple(tensor.shape)} for {views} views", where=name, remedy=remedy)
        if tensor.dtype != torch.float32:
            raise ModelError(f"is {tensor.dtype}", where=name, remedy="Return float32 tensors")
    if labels is not None:
        shapes = {name: tuple(tensor.shape[1:]) for name, tensor in outputs.items()}
        if shapes != {LOGITS: (len(labels),)}:
            returned = ", ".join(f"{name} (N{''.join(f', {n}' for n in shape)})" for name, shape in shapes.items())
            remedy = f"Give {shapes[LOGITS][0]} labels" if len(shapes.get(LOGITS, ())) == 1 else "Leave --labels out"
            raise ModelError(
                f"{len(labels)} labels do not fit what the model returns, {returned}", where="labels", remedy=remedy
            )
    return tuple(outputs)


def ann_examples(split: Split, examples: Tensors) -> dict[str, Tensor]:
    """An example for the ANN half, of two views: a dimension of 1 would be taken for a constant."""
    own = {name: _two_views(tensor) for name, tensor in examples.items()}
    return own | {tensor.name: torch.zeros(2, *tensor.shape) for tensor in split.bridge}


def _two_views(tensor: Tensor) -> Tensor:
    return torch.cat((tensor[:1], tensor[-1:]))
