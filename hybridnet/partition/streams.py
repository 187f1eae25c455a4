"""Chains of spiking layers, their names, and the spiking program made from them."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from itertools import takewhile

import numpy as np
from torch import Tensor, nn

from hybridnet.partition.reading import Reading, SpikingLayer
from hybridnet.partition.synapse import folded
from hybridnet.program.layers import ConvLIFLayer, FloatArray, Stream

Chain = tuple[SpikingLayer, ...]

FILE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
"""What a stream and its layers may be called in a `.net` file."""


def chains(reading: Reading) -> list[Chain]:
    """Layers that feed each other, first to last, by order of their first layers."""
    readers = {layer.source.name: layer for layer in reading.layers.values() if layer.source.kind == "spikes"}
    found = []
    for first in reading.layers.values():
        if first.source.kind == "input":
            chain = [first]
            while chain[-1].path in readers:
                chain.append(readers[chain[-1].path])
            found.append(tuple(chain))
    return found


def stream_names(found: Sequence[Chain]) -> list[str]:
    """A short name for each chain: the last part of its module path where that tells them apart, else all of it."""
    paths = [_path(chain) for chain in found]
    last = [path.rpartition(".")[2] for path in paths]
    return [
        short if last.count(short) == 1 and short.isidentifier() else _identifier(path)
        for short, path in zip(last, paths, strict=True)
    ]


def layer_names(streams: Mapping[str, Chain]) -> dict[str, str]:
    """What each layer is called, by its path: as its module; in chains of stacks, and else where need be, by number."""
    taken = {chain[0].source.name for chain in streams.values()}
    names = {}
    for name, chain in streams.items():
        numbered = any(layer.stack for layer in chain)
        for index, layer in enumerate(chain):
            free = not numbered and FILE_NAME.fullmatch(layer.path) and layer.path not in taken
            names[layer.path] = layer.path if free else f"{name}.{index}"
            taken.add(names[layer.path])
    return names


def stream(
    name: str, chain: Chain, names: Mapping[str, str], modules: nn.Module, read_out: Collection[str]
) -> Stream[ConvLIFLayer]:
    """The part of the program that a chain becomes; `names` are those of its layers by path.

    `read_out` lists the names of layers whose u[T] crosses.
    """
    called = [(names[layer.path], layer) for layer in chain]
    layers = tuple(_layer(own, layer, modules, own in read_out) for own, layer in called)
    return Stream(name, chain[0].source.name, layers)


def _layer(name: str, layer: SpikingLayer, modules: nn.Module, read_out: bool) -> ConvLIFLayer:
    weight, bias = _weights(layer, modules)
    own = layer.native
    return ConvLIFLayer(
        name=name,
        geometry=layer.geometry,
        weight=_float64(weight),
        bias=_float64(bias),
        leak=own.leak.item() if own else layer.equation.leak,
        threshold=own.threshold.item() if own else layer.equation.threshold,
        reset=own.reset if own else layer.equation.reset,
        input_kind="analog" if layer.source.kind == "input" else "spike",
        read_out=read_out,
    )


def _weights(layer: SpikingLayer, modules: nn.Module) -> tuple[Tensor, Tensor]:
    if layer.native is not None:
        return layer.native.folded()
    norm = modules.get_submodule(layer.current.norm) if layer.current and layer.current.norm else None
    return folded(layer.synapse, layer.geometry, norm, layer.equation.gain)


def _path(chain: Chain) -> str:
    """The module that holds all layers of a chain, or else its first layer."""
    if len({layer.stack for layer in chain}) == 1 and chain[0].stack:
        return chain[0].stack
    owners = [layer.path.split(".")[:-1] for layer in chain]
    shared = [level[0] for level in takewhile(lambda names: len(set(names)) == 1, zip(*owners, strict=False))]
    return ".".join(shared) or chain[0].path


def _identifier(path: str) -> str:
    name = path.replace(".", "_")
    return name if name.isidentifier() else f"stack_{name}"


def _float64(tensor: Tensor) -> FloatArray:
    return np.asarray(tensor.detach().double().numpy())
