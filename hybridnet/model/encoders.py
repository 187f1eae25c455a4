"""The transformer's variants: what each token may attend to.

`unified` is the paper's (`hybridnet.model.transformer`). It is compared with separate encoders and with cross
attention, whose form is our choice: a transformer of the same depth and width for each modality, with weights of its
own; with `cross`, every block also attends to the tokens of the other modalities, as a decoder does to its encoder's
(arXiv 1706.03762). Tokens (B, M·N, d) are modality-major.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybridnet.config import ModelConfig
from hybridnet.model.transformer import CrossAttention, SelfAttention, UnifiedTransformer


class CrossBlock(nn.Module):
    """x + attention(norm(x)), then x + cross(norm(x), norm(context)), then x + mlp(norm(x))."""

    def __init__(self, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.cross_norm, self.context_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.cross = CrossAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """(B, N, d) from x (B, N, d) and context (B, K, d)."""
        x = x + self.attention(self.attention_norm(x))
        x = x + self.cross(self.cross_norm(x), self.context_norm(context))
        return x + self.mlp(self.mlp_norm(x))


class SeparateTransformers(nn.Module):
    """A transformer for each modality; none sees another."""

    def __init__(self, modalities: int, width: int, depth: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(UnifiedTransformer(width, depth, heads, mlp_ratio) for _ in range(modalities))

    def forward(self, x: Tensor) -> Tensor:
        """(B, M·N, d) to (B, M·N, d)."""
        streams = x.unflatten(1, (len(self.encoders), -1))
        return torch.cat([encoder(streams[:, m]) for m, encoder in enumerate(self.encoders)], dim=1)


class CrossLayer(nn.Module):
    """A block for each modality, all of which ask the others what they held before this layer."""

    def __init__(self, modalities: int, width: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(CrossBlock(width, heads, mlp_ratio) for _ in range(modalities))

    def forward(self, streams: list[Tensor]) -> list[Tensor]:
        """M streams (B, N, d) from M streams (B, N, d)."""
        others = [torch.cat(streams[:m] + streams[m + 1 :], dim=1) for m in range(len(streams))]
        return [block(x, context) for block, x, context in zip(self.blocks, streams, others, strict=True)]


class CrossTransformers(nn.Module):
    """A transformer for each modality, joined by cross attention in every layer."""

    def __init__(self, modalities: int, width: int, depth: int, heads: int, mlp_ratio: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CrossLayer(modalities, width, heads, mlp_ratio) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(modalities))

    def forward(self, x: Tensor) -> Tensor:
        """(B, M·N, d) to (B, M·N, d)."""
        split = x.unflatten(1, (len(self.norms), -1))
        streams = [split[:, m] for m in range(len(self.norms))]
        for layer in self.layers:
            streams = layer(streams)
        return torch.cat([norm(stream) for norm, stream in zip(self.norms, streams, strict=True)], dim=1)


def build_encoder(config: ModelConfig) -> nn.Module:
    """The transformer that `config` chooses: (B, M·N, d) to (B, M·N, d)."""
    sizes = (config.width, config.depth, config.heads, config.mlp_ratio)
    if config.encoder == "unified":
        return UnifiedTransformer(*sizes)
    variant = SeparateTransformers if config.encoder == "separate" else CrossTransformers
    return variant(len(config.modalities), *sizes)
