"""What the network attends to, patch by patch, in each modality.

The evidence of a patch is its token times the gradient of a class's logit with respect to it, summed over channels,
where that is positive: to first order, what the logit owes to the token. Tokens are taken where the modalities still
are apart, as they leave the patch embeddings. It works for every variant of the model, with attention or not; the
paper's Figure 5 does not say how its maps were made, so this is our choice (as in Grad-CAM, arXiv 1610.02391).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hybridnet.model.embedding import grid_side
from hybridnet.model.network import HybridNet


@dataclass(frozen=True, eq=False)
class Saliency:
    """Evidence for one class.

    Attributes:
        label: Index of the class.
        score: Its softmax, the logits averaged over the views, 0 to 1.
        maps: By modality, (N, h, w) for N views; each view's maps sum to 1 over all modalities, or are all zero where
            nothing speaks for the class.
    """

    label: int
    score: float
    maps: Mapping[str, Tensor]

    def share(self, modality: str) -> float:
        """Part of the evidence that a modality gives, 0 to 1, over all views."""
        total = sum(float(maps.sum()) for maps in self.maps.values())
        return float(self.maps[modality].sum()) / total if total else 0.0


def saliency(model: HybridNet, inputs: Mapping[str, Tensor], label: int | None = None) -> Saliency:
    """Evidence for a class in the views of one clip.

    Args:
        model: In evaluation mode.
        inputs: The views: `i_frame` (N, 3, S, S), `motion_vectors` (N, T, 2, S, S), `residuals` (N, T, 3, S, S).
        label: The class; the predicted one if None.
    """
    tokens: dict[str, Tensor] = {}

    def watch(modality: str) -> object:
        def keep(module: nn.Module, args: object, output: Tensor) -> Tensor:
            tokens[modality] = output
            return output

        return keep

    modalities = model.config.modalities
    handles = [model.get_submodule(f"patch_{m}").register_forward_hook(watch(m)) for m in modalities]  # type: ignore[arg-type]
    try:
        with torch.enable_grad():
            logits = model(**inputs)
            mean = logits.mean(0)
            chosen = int(mean.argmax()) if label is None else label
            gradients = torch.autograd.grad(logits[:, chosen].sum(), [tokens[m] for m in modalities])
    finally:
        for handle in handles:
            handle.remove()
    views = len(logits)
    side = grid_side(model.config.preprocess.crop, model.config.patch)
    maps = {}
    for m, gradient in zip(modalities, gradients, strict=True):
        evidence = (tokens[m].detach() * gradient).sum(-1).clamp(min=0)
        # Where patches come before time there is a row of tokens for each step.
        maps[m] = evidence.unflatten(0, (views, -1)).sum(1).unflatten(1, (side, side))
    total = sum(found.sum((1, 2)) for found in maps.values())
    norm = torch.where(total > 0, total, 1)[:, None, None]
    return Saliency(chosen, float(mean.detach().softmax(0)[chosen]), {m: found / norm for m, found in maps.items()})
