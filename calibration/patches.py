"""What a population's potential is linear in: patches of what its synapse groups carry, as its leaks keep them.

Between two spikes u is linear in weights and bias, with any number of groups, delays and a synaptic current:

    u[t] = Σ_g w_g·z_g[t] + b·c[t] + resets,     z_g[t] = Σ_k h_k·x_g[t − d_g − k],     c[t] = Σ_k λ^k

where h is what both leaks make of one arrival: λ^k where no current is kept, Σ_j λ^(k−j)·λc^j where one is. A
transposed group is the convolution of its input with zeros between, by the kernel turned round; so all groups are rows
over patches.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from hybridnet.program.graph import Geometry, Population, Synapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.support.arrays import Array

Float = npt.NDArray[np.float64]

PATCHES_PER_FRAME = 2048
"""Most patches of one step, spread over the map."""

LEAKS_APART = 8
"""Channels whose leaks differ are taken together in so many sets at most, each by its mean."""


@dataclass(frozen=True, eq=False)
class Block:
    """Output channels that see the same patches through the same leaks.

    Attributes:
        channels: Their indices.
        parts: For each group, which of its groups of channels reaches them.
        leak: λ.
        current_leak: λc.
    """

    channels: npt.NDArray[np.int64]
    parts: tuple[int, ...]
    leak: float
    current_leak: float


def blocks_of(p: Population, groups: Sequence[Synapse]) -> list[Block]:
    """All output channels of a population, in as few blocks as patches and leaks allow."""
    channels = p.shape[0]
    leaks = np.stack([np.broadcast_to(values, (channels,)) for values in (p.leak, p.current_leak)], 1)
    sets = _sets(leaks)
    parts = np.array([[o // (channels // g.geometry.groups) for g in groups] for o in range(channels)], np.int64)
    keys = np.concatenate([sets[:, None], parts.reshape(channels, -1)], 1)
    found = []
    for key in np.unique(keys, axis=0):
        own = np.flatnonzero((keys == key).all(1))
        leak, current_leak = leaks[own].mean(0)
        found.append(Block(own, tuple(int(part) for part in key[1:]), float(leak), float(current_leak)))
    return found


def _sets(leaks: Float) -> npt.NDArray[np.int64]:
    """The set of each channel: by its leaks, LEAKS_APART neighbours in a row at most."""
    distinct, place = np.unique(leaks, axis=0, return_inverse=True)
    number = len(distinct)
    return np.asarray(place.reshape(-1) * min(number, LEAKS_APART) // number, np.int64)


def rows_of(geometry: Geometry, weight: Array) -> Array:
    """Weights as rows over patches, (C_out, P), P = C_in/groups·kh·kw."""
    if isinstance(geometry, ConvGeometry):
        return weight.reshape(len(weight), -1)
    turned = weight[:, :, ::-1, ::-1].reshape(geometry.groups, -1, *weight.shape[1:]).swapaxes(1, 2)
    return turned.reshape(geometry.out_channels, -1)


def weight_of(geometry: Geometry, rows: Array) -> Array:
    """The other way round."""
    if isinstance(geometry, ConvGeometry):
        return rows.reshape(geometry.weight_shape)
    across = geometry.out_channels // geometry.groups
    turned = rows.reshape(geometry.groups, across, -1, *geometry.kernel).swapaxes(1, 2)
    return np.ascontiguousarray(turned.reshape(geometry.weight_shape)[:, :, ::-1, ::-1])


def patches(
    blocks: Sequence[Block],
    groups: Sequence[Synapse],
    view: Mapping[str, Tensor],
    steps: int,
    wanted: set[int],
) -> Iterator[list[Float]]:
    """(z, c) of some steps: per step, for each block, (P + 1, patches).

    Args:
        blocks: Those of `blocks_of`.
        groups: Groups of the population.
        view: What each source sends, (T, C, H, W), or (C, H, W) of a still input.
        steps: T.
        wanted: Steps, from 0.
    """
    leaks = sorted({(block.leak, block.current_leak) for block in blocks})
    kept = {pair: [(torch.zeros(g.geometry.input_shape),) * 2 for g in groups] for pair in leaks}
    constant = dict.fromkeys(leaks, 0.0)
    for t in range(steps):
        arriving = [_sent(view[g.source], g, t) for g in groups]
        for leak, current_leak in leaks:
            pair = leak, current_leak
            currents = [current_leak * c + x for (c, _), x in zip(kept[pair], arriving, strict=True)]
            kept[pair] = [(c, leak * z + c) for c, (_, z) in zip(currents, kept[pair], strict=True)]
            constant[pair] = leak * constant[pair] + 1
        if t in wanted:
            columns = {
                pair: [_columns(g.geometry, z) for g, (_, z) in zip(groups, kept[pair], strict=True)] for pair in leaks
            }
            yield [_of_block(block, groups, columns, constant) for block in blocks]


def _sent(frames: Tensor, g: Synapse, t: int) -> Tensor:
    if t < g.delay:
        return torch.zeros(g.geometry.input_shape)
    return (frames if frames.ndim == 3 else frames[t - g.delay]).float()


def _columns(geometry: Geometry, z: Tensor) -> Tensor:
    """Patches of all input channels, (C·kh·kw, some positions)."""
    if isinstance(geometry, ConvGeometry):
        g = geometry
        columns = F.unfold(z[None], g.kernel, g.dilation, g.padding, g.stride)[0]
    else:
        columns = F.unfold(_spread(geometry, z)[None], geometry.kernel, geometry.dilation)[0]
    return columns[:, :: -(-columns.shape[1] // PATCHES_PER_FRAME)]


def _spread(geometry: Geometry, z: Tensor) -> Tensor:
    """The input of a transposed convolution with zeros between and around."""
    assert not isinstance(geometry, ConvGeometry)  # noqa: S101
    (sy, sx), channels = geometry.stride, len(z)
    wide = torch.zeros(channels, (z.shape[1] - 1) * sy + 1, (z.shape[2] - 1) * sx + 1)
    wide[:, ::sy, ::sx] = z
    top, left = (d * (k - 1) - p for d, k, p in zip(geometry.dilation, geometry.kernel, geometry.padding, strict=True))
    below, right = (edge + extra for edge, extra in zip((top, left), geometry.output_padding, strict=True))
    return F.pad(wide, (left, right, top, below))  # less than 0 cuts off


def _of_block(
    block: Block,
    groups: Sequence[Synapse],
    columns: Mapping[tuple[float, float], list[Tensor]],
    constant: Mapping[tuple[float, float], float],
) -> Float:
    pair = block.leak, block.current_leak
    own = [
        of_group.reshape(g.geometry.groups, -1, of_group.shape[1])[part]
        for g, part, of_group in zip(groups, block.parts, columns[pair], strict=True)
    ]
    one = torch.full((1, own[0].shape[1] if own else 1), constant[pair])
    return torch.cat([*own, one]).double().numpy()
