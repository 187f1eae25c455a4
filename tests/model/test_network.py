# mypy: disable-error-code="arg-type,union-attr,operator"
"""The blocks of the network: sizes, shapes, folding, and odd inputs."""

import dataclasses

import pytest
import torch
from small_model import SMALL

from hybridnet.config import ModelConfig, load_experiment
from hybridnet.model.embedding import PatchEmbedding, PositionalEncoding
from hybridnet.model.mixer import RRDB, TokenFolding
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.model.transformer import SelfAttention


def parameters(config: ModelConfig) -> int:
    with torch.device("meta"):
        return sum(p.numel() for p in HybridNet(config).parameters())


def test_sizes_keep_their_budgets() -> None:
    assert parameters(load_experiment("tiny").model) <= 1_000_000
    assert parameters(load_experiment("base").model) == pytest.approx(83.41e6, rel=0.01)


@pytest.mark.parametrize("overlap", [0, 2])
@pytest.mark.parametrize("crop", [32, 40])
def test_any_input_size_gives_logits(crop: int, overlap: int) -> None:
    preprocess = dataclasses.replace(SMALL.preprocess, crop=crop)
    config = dataclasses.replace(SMALL, preprocess=preprocess, patch_overlap=overlap)
    logits = HybridNet(config)(**example_inputs(config, batch=2))
    assert logits.shape == (2, 3)


def test_every_parameter_learns() -> None:
    torch.manual_seed(0)
    model = HybridNet(SMALL)
    inputs = {name: torch.randn_like(x) for name, x in example_inputs(SMALL, batch=2).items()}
    model(**inputs).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_all_three_modalities_matter() -> None:
    torch.manual_seed(0)
    model = HybridNet(SMALL).eval()
    inputs = {name: torch.randn_like(x) for name, x in example_inputs(SMALL).items()}
    logits = model(**inputs)
    for name, x in inputs.items():
        assert not torch.allclose(model(**(inputs | {name: torch.zeros_like(x)})), logits)


def test_token_folding_undoes_the_patch_order() -> None:
    embed = PatchEmbedding(1, 1, side=12, patch=4, overlap=0)
    torch.nn.init.constant_(embed.project.weight, 1 / 16)
    torch.nn.init.zeros_(embed.project.bias)
    maps = [torch.rand(2, 1, 12, 12) for _ in range(3)]
    folded = TokenFolding(modalities=3, side=3)(torch.cat([embed(m) for m in maps], dim=1))
    for original, back in zip(maps, folded, strict=True):
        torch.testing.assert_close(back, torch.nn.functional.avg_pool2d(original, 4))


def test_attention_equals_its_formula() -> None:
    torch.manual_seed(0)
    attention, x = SelfAttention(width=6, heads=2), torch.randn(1, 5, 6)
    weight, bias = attention.qkv.weight, attention.qkv.bias
    out = torch.zeros(1, 5, 6)
    for head in range(2):
        q, k, v = (
            x[0] @ weight[part * 6 + head * 3 : part * 6 + head * 3 + 3].T
            + bias[part * 6 + head * 3 : part * 6 + head * 3 + 3]
            for part in range(3)
        )
        out[0, :, head * 3 : head * 3 + 3] = torch.softmax(q @ k.T / 3**0.5, dim=-1) @ v
    torch.testing.assert_close(attention(x), attention.project(out))


def test_positions_tell_modalities_and_moments_apart() -> None:
    encoding = PositionalEncoding(cells=4, moments=(0, 1, 1), width=5)(torch.zeros(1, 12, 5))
    assert len({tuple(token.tolist()) for token in encoding[0].detach()}) == 12


def test_rrdb_equals_its_formula() -> None:
    torch.manual_seed(0)
    rrdb, x = RRDB(8, 4), torch.randn(1, 8, 5, 4)
    out = x
    for block in rrdb.blocks:
        maps = out
        for conv in block.grow:
            maps = torch.cat((maps, torch.nn.functional.leaky_relu(conv(maps), 0.2)), dim=1)
        out = out + 0.2 * block.join(maps)
    torch.testing.assert_close(rrdb(x), x + 0.2 * out)
