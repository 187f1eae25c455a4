"""Chains of spiking layers, their names, and the spiking program made from them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile

import numpy as np
from torch import Tensor, nn

from hybridnet.partition.reading import Reading, SpikingLayer
from hybridnet.partition.synapse import folded
from hybridnet.program.graph import Population, Synapse
from hybridnet.program.layers import FloatArray

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


def nodes_of(chain: Chain, names: Mapping[str, str], modules: nn.Module) -> tuple[list[Population], list[Synapse]]:
    """The populations and synapse groups that a chain becomes; `names` are those of its layers by path."""
    populations = [_population(names[layer.path], layer, modules) for layer in chain]
    sources = [chain[0].source.name, *(p.name for p in populations)]
    groups = [
        Synapse(source, p.name, layer.geometry, _float64(_weights(layer, modules)[0]))
        for source, p, layer in zip(sources, populations, chain, strict=False)
    ]
    return populations, groups


def _population(name: str, layer: SpikingLayer, modules: nn.Module) -> Population:
    own = layer.native
    threshold = np.array(own.threshold.item() if own else layer.equation.threshold)
    reset = own.reset if own else layer.equation.reset
    return Population(
        name=name,
        shape=layer.geometry.output_shape,
        leak=np.array(own.leak.item() if own else layer.equation.leak),
        current_leak=np.array(0.0),
        threshold=threshold,
        reset=reset,
        reset_amount=threshold if reset == "soft" else np.array(0.0),
        bias=_float64(_weights(layer, modules)[1]),
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
