"""Every block against the second implementation in `naive_model`, in float64."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from helpers import naive_model as naive
from helpers.naive_model import array, each
from helpers.small_model import SMALL
from helpers.variants import variant
from torch import Tensor, nn

from hybridnet.config import STMConfig
from hybridnet.model.common import NarrowedConvLIF, build_common
from hybridnet.model.convlstm import ConvLSTM, ConvLSTMLayer
from hybridnet.model.embedding import PatchEmbedding, PositionalEncoding
from hybridnet.model.encoders import CrossTransformers, SeparateTransformers
from hybridnet.model.mixer import RRDB, ConvFolding, ConvFusion, DenseBlock, TokenFolding
from hybridnet.model.network import HybridNet
from hybridnet.model.pooling import Average, ClassToken
from hybridnet.model.stm import build_stm
from hybridnet.model.temporal import LastStep
from hybridnet.model.transformer import Block, CrossAttention, SelfAttention, UnifiedTransformer


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def shaken(module: nn.Module) -> Any:
    """In float64, with random numbers where it starts from zeros and ones, such as norms and biases."""
    for parameter in module.double().parameters():
        nn.init.normal_(parameter, std=0.5)
    return module.eval()


def assert_equal(ours: Tensor, expected: naive.Array) -> None:
    np.testing.assert_allclose(array(ours), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("heads", [1, 2, 3])
def test_self_attention(heads: int) -> None:
    layer, x = shaken(SelfAttention(6, heads)), random(2, 5, 6)
    assert_equal(layer(x), each(naive.self_attention, array(x), layer=layer))


@pytest.mark.parametrize("heads", [1, 2])
def test_cross_attention(heads: int) -> None:
    layer, x, context = shaken(CrossAttention(6, heads)), random(2, 5, 6), random(2, 3, 6)
    assert_equal(layer(x, context), each(naive.cross_attention, array(x), array(context), layer=layer))


def test_transformer_block_and_transformer() -> None:
    layer, x = shaken(Block(6, 2, 3)), random(2, 4, 6)
    assert_equal(layer(x), each(naive.block, array(x), layer=layer))
    layer = shaken(UnifiedTransformer(6, 2, 3, 2))
    assert_equal(layer(x), each(naive.transformer, array(x), layer=layer))


def test_separate_transformers_see_one_modality_each() -> None:
    layer, x = shaken(SeparateTransformers(3, 6, 2, 2, 2)), random(2, 3 * 4, 6)
    expected = [
        each(naive.transformer, part, layer=encoder)
        for part, encoder in zip(np.split(array(x), 3, axis=1), layer.encoders, strict=True)
    ]
    assert_equal(layer(x), np.concatenate(expected, axis=1))


def test_cross_transformers_ask_the_other_modalities() -> None:
    layer, x = shaken(CrossTransformers(3, 6, 2, 2, 2)), random(1, 3 * 4, 6)
    i, mv, r = np.split(array(x)[0], 3)
    for blocks in (each_layer.blocks for each_layer in layer.layers):
        i, mv, r = (
            naive.cross_block(i, np.concatenate((mv, r)), blocks[0]),
            naive.cross_block(mv, np.concatenate((i, r)), blocks[1]),
            naive.cross_block(r, np.concatenate((i, mv)), blocks[2]),
        )
    streams = [naive.layer_norm(x, norm) for x, norm in zip((i, mv, r), layer.norms, strict=True)]
    assert_equal(layer(x)[0], np.concatenate(streams))


@pytest.mark.parametrize(("side", "patch", "overlap"), [(12, 4, 0), (13, 4, 1), (10, 4, 2), (3, 4, 0)])
def test_patch_embedding_covers_any_size(side: int, patch: int, overlap: int) -> None:
    layer, x = shaken(PatchEmbedding(2, 3, side, patch, overlap)), random(2, 2, side, side)
    assert_equal(layer(x), each(naive.patches, array(x), layer=layer, patch=patch, overlap=overlap))


def test_positions_are_place_plus_moment_plus_modality() -> None:
    layer, tokens = shaken(PositionalEncoding(4, (0, 1, 1), 5)), random(2, 12, 5)
    out = layer(tokens)
    for modality, moment in enumerate((0, 1, 1)):
        for cell in range(4):
            n = 4 * modality + cell
            added = layer.space[0, 0, cell] + layer.time[0, moment, 0] + layer.modality[0, modality, 0]
            assert_equal(out[:, n], array(tokens)[:, n] + array(added))


def test_token_folding_puts_each_token_in_its_cell() -> None:
    tokens = random(2, 3 * 4, 5)
    maps = TokenFolding(modalities=3, side=2)(tokens)
    for modality, row, column in np.ndindex(3, 2, 2):
        assert_equal(maps[modality][:, :, row, column], array(tokens)[:, 4 * modality + 2 * row + column])


def test_conv_folding() -> None:
    layer, x = shaken(ConvFolding(3)), random(2, 3, 4, 4)
    assert_equal(layer(x), array(x) + naive.gelu(each(naive.conv, array(x), layer=layer.conv)))


@pytest.mark.parametrize("side", [8, 7, 10])
def test_conv_fusion(side: int) -> None:
    cells = -(-side // 4)
    layer = shaken(ConvFusion(2 * 3, 2 * 2, 5, low_side=side, low_patch=4))
    folded, low = (random(1, 3, cells, cells), random(1, 3, cells, cells)), (random(1, 2, side, side),) * 2
    mixed = naive.gelu(naive.conv(np.concatenate([array(x)[0] for x in low]), layer.low_mix))
    skip = naive.pool(mixed, 4, (4 * cells - side) // 2, cells)
    expected = naive.conv(np.concatenate([*(array(x)[0] for x in folded), skip]), layer.fuse)
    assert_equal(layer(folded, low)[0], expected)


def test_conv_fusion_without_low_level_maps_mixes_the_folded_ones() -> None:
    layer, folded = shaken(ConvFusion(2 * 3, 0, 5, low_side=2, low_patch=1)), (random(1, 3, 2, 2), random(1, 3, 2, 2))
    expected = naive.conv(np.concatenate([array(x)[0] for x in folded]), layer.fuse)
    assert_equal(layer(folded, ())[0], expected)
    assert [name for name, _ in layer.named_parameters()] == ["fuse.weight", "fuse.bias"]


def test_dense_block_and_rrdb() -> None:
    layer, x = shaken(DenseBlock(4, 2)), random(1, 4, 3, 3)
    assert_equal(layer(x), each(naive.dense_block, array(x), layer=layer))
    layer = shaken(RRDB(4, 2))
    inner = array(x)[0]
    for dense in layer.blocks:
        inner = naive.dense_block(inner, dense)
    assert_equal(layer(x)[0], array(x)[0] + 0.2 * inner)


def test_pooling() -> None:
    x = random(2, 6, 3, 3)
    cells = array(x).reshape(2, 6, 9).transpose(0, 2, 1)
    assert_equal(Average()(x), cells.mean(axis=1))
    layer = shaken(ClassToken(6, 2))
    token = array(layer.token)[0]
    for view in range(2):
        answer = naive.cross_attention(token, naive.layer_norm(cells[view], layer.norm), layer.attention)
        assert_equal(layer(x)[view], (token + answer)[0])


@pytest.mark.parametrize("stride", [1, 2])
def test_conv_lstm(stride: int) -> None:
    layer, x = shaken(ConvLSTMLayer(2, 3, 3, stride)), random(2, 4, 2, 5, 5)
    assert_equal(layer(x), each(naive.conv_lstm, array(x), layer=layer))


def test_conv_lstm_hands_on_the_last_hidden_maps_of_its_first_and_last_layer() -> None:
    stack = shaken(ConvLSTM(STMConfig(channels=(3, 2, 4), strides=(2, 1, 1)), 2))
    x = random(1, 3, 2, 6, 6)
    hidden, read = array(x)[0], []
    for layer in stack.layers:
        hidden = naive.conv_lstm(hidden, layer)
        read.append(hidden[-1])
    for ours, expected in zip(stack(x), (read[0], read[-1]), strict=True):
        assert_equal(ours[0], expected)


def test_without_temporal_encoder_the_last_step_goes_on() -> None:
    x = random(2, 3, 2, 5, 5)
    (last,) = LastStep()(x)
    assert torch.equal(last, x[:, 2])


@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_common_stack_is_one_stack_on_motion_vectors_padded_with_zeros(batch_norm: bool) -> None:
    config = STMConfig(kind="common", channels=(4, 3), strides=(2, 1), batch_norm=batch_norm, threshold=0.2)
    stacks = build_common(config, {"mv": 2, "r": 3}, side=7)
    for stack in stacks.values():
        stack.double().eval()
    x = 2 * random(2, 4, 2, 7, 7)
    padded = torch.cat((x, torch.zeros_like(x[:, :, :1])), dim=2)
    for ours, same in zip(stacks["mv"].trace(x), stacks["r"].trace(padded), strict=True):
        assert torch.equal(ours.u, same.u)
        assert torch.equal(ours.o, same.o)
    narrow, whole = stacks["mv"].layers[0], stacks["r"].layers[0]
    assert isinstance(narrow, NarrowedConvLIF)
    assert narrow.folded()[0].shape == narrow.geometry.weight_shape == (4, 2, 3, 3)
    assert torch.equal(narrow.folded()[0], whole.folded()[0][:, :2])
    assert torch.equal(narrow.folded()[1], whole.folded()[1])
    shared = nn.ModuleDict(stacks)
    assert sum(p.numel() for p in shared.parameters()) == sum(p.numel() for p in build_stm(config, 3, 7).parameters())


def test_without_a_mixer_the_classifier_reads_the_mean_token() -> None:
    model = shaken(HybridNet(dataclasses.replace(SMALL, mixer=False)))
    tokens: list[Tensor] = []
    model.transformer.register_forward_hook(lambda *call: tokens.append(call[2]))
    logits = model(random(1, 3, 40, 40), random(1, 3, 2, 40, 40), random(1, 3, 3, 40, 40))
    mean = array(tokens[0]).mean(axis=1)
    assert_equal(logits, naive.linear(naive.layer_norm(mean, model.head[0]), model.head[2]))


@pytest.mark.parametrize("order", ["t-ls-gs", "ls-t-gs", "ls-gs-t"])
def test_the_whole_network_in_every_order(order: str) -> None:
    preprocess = dataclasses.replace(SMALL.preprocess, crop=21, steps=3)
    config = variant(order=order, preprocess=preprocess, patch=8, depth=2)
    model = HybridNet(config).double().eval()
    for name, parameter in model.named_parameters():
        if not name.startswith("stm."):
            nn.init.normal_(parameter, std=0.3)
    x = [random(2, *shape) for shape in ((3, 21, 21), (3, 2, 21, 21), (3, 3, 21, 21))]
    spikes: list[Tensor] = []
    for stack in model.stacks().values():
        stack.layers[0].register_forward_hook(lambda *call: spikes.append(call[2].o))
    assert_equal(model(*x), each(naive.hybrid_net, *(array(part) for part in x), model=model))
    assert all(0 < o.mean() < 1 for o in spikes)
