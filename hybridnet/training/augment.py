"""Random flips and crops of views, with the same geometry for the I-frame, motion vectors and residuals.

A window of side s is cut from the stored view, mirrored or not, and resized to the model's side S. Pictures and
residuals are resampled. Motion vectors are displacements in pixels, so they are also multiplied by S/s, and their
x-components change sign in a mirror.

Where the stored view has side S there is no margin: crops are then smaller than S and are enlarged, and what the
reader had cut off cannot come back. Views cached with a larger side (docs/training.md) have a margin, and windows reach
into it. Vectors that the reader clipped at ±1 are scaled like all others, as what they were is not stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridnet.config import AugmentConfig

Inputs = Mapping[str, Tensor]
"""The model's inputs: `i_frame` (B, 3, H, W), `motion_vectors` (B, T, 2, H, W) and `residuals` (B, T, 3, H, W)."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """What happens to each of B views; windows are in pixels of the stored view.

    Attributes:
        mirrored: (B,), bool.
        side: Side s of the window, (B,), float32, whole numbers.
        left: Its left edge, (B,), float32, whole numbers.
        top: Its top edge, (B,), float32, whole numbers.
    """

    mirrored: Tensor
    side: Tensor
    left: Tensor
    top: Tensor

    def __getitem__(self, index: slice | Tensor) -> Geometry:
        """That of some of the views."""
        return Geometry(self.mirrored[index], self.side[index], self.left[index], self.top[index])

    def to(self, device: torch.device) -> Geometry:
        """The same on another device."""
        return Geometry(*(x.to(device) for x in (self.mirrored, self.side, self.left, self.top)))


def draw(count: int, stored: int, side: int, config: AugmentConfig, generator: torch.Generator) -> Geometry:
    """Draw the geometry of `count` views.

    Args:
        count: B.
        stored: Side M of the stored views, at least `side`.
        side: S, that of the model.
        config: Probability of a flip, and the smallest window.
        generator: On the CPU; always advanced by 4·B numbers, whatever the config.
    """
    chance = torch.rand((4, count), generator=generator)
    smallest = max(1, round(config.smallest_crop * side))
    window = smallest + torch.floor(chance[1] * (stored - smallest + 1))
    room = stored - window + 1
    return Geometry(chance[0] < config.flip, window, torch.floor(chance[2] * room), torch.floor(chance[3] * room))


def transform(inputs: Inputs, geometry: Geometry, side: int) -> dict[str, Tensor]:
    """Cut windows, resize them to (side, side), and mirror some; see the module. Without margin or jitter, exact."""
    whole = inputs["i_frame"].shape[-1] == side and bool((geometry.side == side).all())
    return flipped(inputs if whole else windowed(inputs, geometry, side), geometry.mirrored)


def flipped(inputs: Inputs, mirrored: Tensor) -> dict[str, Tensor]:
    """Mirror the views where `mirrored` (B,) holds: left becomes right, and x-components change sign. Exact."""
    sign = torch.ones_like(inputs["motion_vectors"][:, :1, :, :1, :1])
    sign[mirrored, :, 0] = -1
    turned = {name: _where(mirrored, values.flip(-1), values) for name, values in inputs.items()}
    return turned | {"motion_vectors": turned["motion_vectors"] * sign}


def windowed(inputs: Inputs, geometry: Geometry, side: int) -> dict[str, Tensor]:
    """Cut square windows and resize them to (side, side), bilinear; motion vectors grow by side / window, up to ±1."""
    stored = inputs["i_frame"].shape[-1]
    shapes = {name: values.shape[1:-2] for name, values in inputs.items()}
    stacked = torch.cat([values.flatten(1, -3) for values in inputs.values()], dim=1)
    # From places of the output to places of the view, both −1 to 1 from edge to edge.
    scale = geometry.side / stored
    theta = torch.zeros(len(scale), 2, 3, dtype=stacked.dtype, device=stacked.device)
    theta[:, 0, 0] = theta[:, 1, 1] = scale
    theta[:, 0, 2] = 2 * geometry.left / stored + scale - 1
    theta[:, 1, 2] = 2 * geometry.top / stored + scale - 1
    grid = F.affine_grid(theta, [len(scale), 1, side, side], align_corners=False)
    resized = F.grid_sample(stacked, grid, "bilinear", "border", align_corners=False)
    parts = resized.split([shape.numel() for shape in shapes.values()], dim=1)
    cut = {name: part.unflatten(1, shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
    longer = (side / geometry.side)[:, None, None, None, None]
    return cut | {"motion_vectors": (cut["motion_vectors"] * longer).clamp(-1, 1)}


def centre(inputs: Inputs, side: int) -> dict[str, Tensor]:
    """The centre (…, side, side) of views of that side or a larger one."""
    first = (inputs["i_frame"].shape[-1] - side) // 2
    return {name: values[..., first : first + side, first : first + side] for name, values in inputs.items()}


def _where(mask: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(mask.view(-1, *(1,) * (one.dim() - 1)), one, other)
