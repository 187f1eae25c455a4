"""The blocks of the model once more: index by index in float64, from their equations, with no layer of torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

Array = npt.NDArray[np.float64]


def array(tensor: Tensor) -> Array:
    """Its values as float64."""
    return tensor.detach().double().numpy()


def conv(x: Array, layer: nn.Conv2d) -> Array:
    """Correlate (C, H, W) with the kernel, one output element at a time; zeros around the map."""
    weight, stride, pad = array(layer.weight), int(layer.stride[0]), int(layer.padding[0])
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    side = weight.shape[-1]
    height, width = ((n + 2 * pad - side) // stride + 1 for n in x.shape[1:])
    out = np.empty((len(weight), height, width))
    for c in range(len(weight)):
        for i in range(height):
            for j in range(width):
                patch = padded[:, i * stride : i * stride + side, j * stride : j * stride + side]
                out[c, i, j] = (patch * weight[c]).sum() + (0 if layer.bias is None else layer.bias[c].item())
    return out


def linear(x: Array, layer: nn.Linear) -> Array:
    """x·Wᵀ + b, for x (N, in)."""
    return x @ array(layer.weight).T + array(layer.bias)


def layer_norm(x: Array, layer: nn.LayerNorm) -> Array:
    """Each token of x (N, d) to mean 0 and variance 1, then gain and offset."""
    centred = x - x.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + layer.eps)
    return scaled * array(layer.weight) + array(layer.bias)


def gelu(x: Array) -> Array:
    """x·Φ(x)."""
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def leaky_relu(x: Array) -> Array:
    """x, or 0.2·x where negative."""
    return np.where(x > 0, x, 0.2 * x)


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^−x)."""
    return 1 / (1 + np.exp(-x))


def attend(query: Array, key: Array, value: Array, heads: int) -> Array:
    """softmax(q·kᵀ / √d_head)·v per head, one query at a time; (N, d), (K, d), (K, d) to (N, d)."""
    size = query.shape[1] // heads
    out = np.zeros_like(query)
    for head in range(heads):
        part = slice(head * size, (head + 1) * size)
        for n in range(len(query)):
            scores = [math.exp(sum(query[n, part] * k) / math.sqrt(size)) for k in key[:, part]]
            out[n, part] = sum(s / sum(scores) * v for s, v in zip(scores, value[:, part], strict=True))
    return out


def self_attention(x: Array, layer: Any) -> Array:
    """For (N, d)."""
    query, key, value = np.split(linear(x, layer.qkv), 3, axis=1)
    return linear(attend(query, key, value, layer.heads), layer.project)


def cross_attention(x: Array, context: Array, layer: Any) -> Array:
    """From x (N, d) to context (K, d)."""
    key, value = np.split(linear(context, layer.key_value), 2, axis=1)
    return linear(attend(linear(x, layer.query), key, value, layer.heads), layer.project)


def mlp(x: Array, layer: Any) -> Array:
    """Two linear layers with GELU between."""
    return linear(gelu(linear(x, layer[0])), layer[2])


def block(x: Array, layer: Any) -> Array:
    """A pre-norm transformer block."""
    x = x + self_attention(layer_norm(x, layer.attention_norm), layer.attention)
    return x + mlp(layer_norm(x, layer.mlp_norm), layer.mlp)


def cross_block(x: Array, context: Array, layer: Any) -> Array:
    """A block that asks a context between attention and mlp."""
    x = x + self_attention(layer_norm(x, layer.attention_norm), layer.attention)
    x = x + cross_attention(layer_norm(x, layer.cross_norm), layer_norm(context, layer.context_norm), layer.cross)
    return x + mlp(layer_norm(x, layer.mlp_norm), layer.mlp)


def transformer(x: Array, layer: Any) -> Array:
    """Blocks in a row and a norm."""
    for each in layer.blocks:
        x = block(x, each)
    return layer_norm(x, layer.norm)


def pool(x: Array, side: int, before: int, cells: int) -> Array:
    """Means of (C, H, W) over a grid of `cells`² patches of side `side`, the first of which starts at −`before`.

    What lies outside the map counts as zero.
    """
    out = np.zeros((len(x), cells, cells))
    for i in range(cells):
        for j in range(cells):
            rows = [n for n in range(i * side - before, (i + 1) * side - before) if 0 <= n < x.shape[1]]
            columns = [n for n in range(j * side - before, (j + 1) * side - before) if 0 <= n < x.shape[2]]
            out[:, i, j] = x[:, rows][:, :, columns].sum(axis=(1, 2)) / side**2
    return out


def dense_block(x: Array, layer: Any) -> Array:
    """Figure 4 of arXiv 1809.00219."""
    maps = [x]
    for each in layer.grow:
        maps.append(leaky_relu(conv(np.concatenate(maps), each)))
    return x + 0.2 * conv(np.concatenate(maps), layer.join)


def conv_lstm(frames: Array, layer: Any) -> Array:
    """h of every step for frames (T, C, H, W); i, f, g, o."""
    hidden: list[Array] = []
    cell: Array | float = 0.0
    for frame in frames:
        gates = conv(frame, layer.input)
        if hidden:
            gates = gates + conv(hidden[-1], layer.recurrent)
        i, f, g, o = np.split(gates, 4)
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        hidden.append(sigmoid(o) * np.tanh(cell))
    return np.stack(hidden)


def patches(x: Array, layer: Any, patch: int, overlap: int) -> Array:
    """Tokens (N, d), row by row, of a map (C, S, S); zeros around it, half of what the grid lacks on either side."""
    side, weight, bias = x.shape[1], array(layer.project.weight), array(layer.project.bias)
    cells = -(-side // patch)
    start = -((cells * patch - side) // 2) - overlap
    tokens = []
    for row in range(cells):
        for column in range(cells):
            token = bias.copy()
            for i in range(patch + 2 * overlap):
                for j in range(patch + 2 * overlap):
                    y, z = row * patch + start + i, column * patch + start + j
                    if 0 <= y < side and 0 <= z < side:
                        token += weight[:, :, i, j] @ x[:, y, z]
            tokens.append(token)
    return np.stack(tokens)


def spiking_stack(frames: Array, stack: Any) -> tuple[Array, Array]:
    """u[T] of the first and of the last layer, soft reset, for frames (T, C, H, W)."""
    potentials = []
    for layer in stack.layers:
        leak, threshold = sigmoid(array(layer.leak_logit)), np.exp(array(layer.log_threshold))
        u, o, spikes = np.zeros(1), np.zeros(1), []
        for frame in frames:
            u = conv(frame, layer.conv) + leak * u - threshold * o
            o = (u > threshold).astype(np.float64)
            spikes.append(o)
        frames = np.stack(spikes)
        potentials.append(u)
    return potentials[0], potentials[-1]


def hybrid_net(i_frame: Array, motion_vectors: Array, residuals: Array, model: Any) -> Array:
    """Logits of one view: (3, S, S), (T, 2, S, S), (T, 3, S, S); the reference model in any order."""
    c = model.config
    side, steps = -(-c.preprocess.crop // c.patch), len(motion_vectors)

    def local(x: Array, layer: Any, stride: int = 1) -> Array:
        return patches(x, layer, c.patch // stride, c.patch_overlap // stride)

    def attend_all(i: Array, mv: Array, r: Array) -> list[Array]:
        position = model.position
        tokens = [
            x + array(position.space)[0, 0] + array(position.time)[0, moment] + array(position.modality)[0, m]
            for m, (x, moment) in enumerate(((i, 0), (mv, 1), (r, 1)))
        ]
        return [grid(x) for x in np.split(transformer(np.concatenate(tokens), model.transformer), 3)]

    def grid(tokens: Array) -> Array:
        return tokens.T.reshape(-1, side, side)

    def flat(maps: Array) -> Array:
        return maps.reshape(len(maps), -1).T

    i = local(i_frame, model.patch_i)
    if c.order == "t-ls-gs":
        low_mv, mv = spiking_stack(motion_vectors, model.stm["mv"])
        low_r, r = spiking_stack(residuals, model.stm["r"])
        stride = math.prod(c.stm.strides)
        maps = attend_all(i, local(mv, model.patch_mv, stride), local(r, model.patch_r, stride))
    else:
        mv_tokens = [local(frame, model.patch_mv) for frame in motion_vectors]
        r_tokens = [local(frame, model.patch_r) for frame in residuals]
    if c.order == "ls-t-gs":
        low_mv, mv = spiking_stack(np.stack([grid(x) for x in mv_tokens]), model.stm["mv"])
        low_r, r = spiking_stack(np.stack([grid(x) for x in r_tokens]), model.stm["r"])
        maps = attend_all(i, flat(mv), flat(r))
    if c.order == "ls-gs-t":
        seen = [attend_all(i, mv_tokens[t], r_tokens[t]) for t in range(steps)]
        low_mv, mv = spiking_stack(np.stack([maps[1] for maps in seen]), model.stm["mv"])
        low_r, r = spiking_stack(np.stack([maps[2] for maps in seen]), model.stm["r"])
        maps = [np.mean([maps[0] for maps in seen], axis=0), mv, r]
    folded = [x + gelu(conv(x, layer.conv)) for x, layer in zip(maps, model.conv_folding, strict=True)]
    low = gelu(conv(np.concatenate((low_mv, low_r)), model.conv_fusion.low_mix))
    cell = c.patch // c.stm.strides[0] if c.order == "t-ls-gs" else 1
    skip = pool(low, cell, (side * cell - low.shape[1]) // 2, side)
    mixed = conv(np.concatenate((*folded, skip)), model.conv_fusion.fuse)
    for rrdb in model.rrdb:
        inner = mixed
        for dense in rrdb.blocks:
            inner = dense_block(inner, dense)
        mixed = mixed + 0.2 * inner
    return linear(layer_norm(mixed.mean(axis=(1, 2))[None], model.head[0]), model.head[2])[0]


def each(function: Callable[..., Array], *batches: Sequence[Array] | Array, **arguments: Any) -> Array:
    """A function of one view over a batch."""
    return np.stack([function(*views, **arguments) for views in zip(*batches, strict=True)])
