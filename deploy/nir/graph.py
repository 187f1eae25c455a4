"""Streams of a spiking program from a NIR graph; conventions: `hybridnet.deploy.nir.file`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.netx.file import MAX_NEURONS, NAME
from hybridnet.errors import BundleError
from hybridnet.program.layers import ConvGeometry, ConvLIFLayer, Reset, Stream


def read_streams(nir: ModuleType, graph: Any, dt: float) -> tuple[Stream[ConvLIFLayer], ...]:
    """One stream per chain of a `nir.NIRGraph`.

    Args:
        nir: The package.
        graph: What it read.
        dt: Time step in seconds.

    Raises:
        BundleError: Of what a program has no words for. Also whatever NumPy raises on values that are no numbers.
    """
    streams = tuple(_read_stream(nir, chain, dt) for chain in _chains(nir, graph))
    names = [name for s in streams for name in (s.name, *(layer.name for layer in s.layers))]
    for name in (*names, *(stream.input_name for stream in streams)):
        if not NAME.fullmatch(name):
            raise BundleError("holds other signs than letters, digits, '_', '.' and '-'", where=f"name {name!r}")
    if len(set(names)) != len(names):
        raise BundleError(f"two streams or layers have one name: {', '.join(names)}")
    return streams


def _chains(nir: ModuleType, graph: Any) -> list[list[tuple[str, Any]]]:
    """The nodes from each Input to its Output."""
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    before = dict.fromkeys(graph.nodes, 0)
    for source, target in graph.edges:
        if source not in after or target not in after:
            raise BundleError("joins nodes that are not there", where=f"edge {source} → {target}")
        after[source].append(target)
        before[target] += 1
    chains, seen = [], 0
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.Input):
            continue
        chain = [(name, node)]
        while not isinstance(chain[-1][1], nir.Output):
            followers = after[chain[-1][0]]
            if len(followers) != 1 or before[followers[0]] != 1 or len(chain) > len(after):
                raise BundleError("is no link of a chain from an Input to an Output", where=chain[-1][0])
            chain.append((followers[0], graph.nodes[followers[0]]))
        chains.append(chain)
        seen += len(chain)
    if not chains or seen != len(after):
        raise BundleError(f"{len(after) - seen} nodes lie on no chain from an Input to an Output")
    return chains


def _read_stream(nir: ModuleType, chain: list[tuple[str, Any]], dt: float) -> Stream[ConvLIFLayer]:
    (source, first), *inner, _ = chain
    shape = _map_of(first.input_type["input"], source)
    stream = str(first.metadata.get("stream", source))
    if not inner or len(inner) % 2:
        raise BundleError("holds no pairs of a convolution and a neuron", where=f"the chain of {source}")
    layers: list[ConvLIFLayer] = []
    for place, ((conv_name, conv), (name, neuron)) in enumerate(zip(inner[::2], inner[1::2], strict=True)):
        if not isinstance(conv, nir.Conv2d):
            raise BundleError(f"is a {type(conv).__name__}; a program has Conv2d before its neurons", where=conv_name)
        if not isinstance(neuron, (nir.LIF, nir.IF)):
            raise BundleError(f"is a {type(neuron).__name__}; a program has LIF and IF neurons", where=name)
        label = neuron.metadata
        geometry = geometry_of(conv, shape, conv_name)
        if np.asarray(neuron.v_threshold).shape != geometry.output_shape:
            raise BundleError(f"has other neurons than its convolution, {geometry.output_shape}", where=name)
        leak, gain, offset = _discretise(nir, neuron, dt, name)
        layers.append(
            ConvLIFLayer(
                name=str(label.get("name", f"{stream}.{place}")),
                geometry=geometry,
                weight=finite(conv.weight, f"{conv_name}.weight") * gain,
                bias=finite(conv.bias, f"{conv_name}.bias") * gain + offset,
                leak=leak,
                threshold=_uniform(neuron.v_threshold, f"{name}.v_threshold"),
                reset=reset_of(label, name),
                input_kind="spike" if place else "analog",
                read_out=bool(label["read_out"]) if "read_out" in label else place == len(inner) // 2 - 1,
            )
        )
        shape = geometry.output_shape
    return Stream(stream, str(first.metadata.get("input_name", source)), tuple(layers))


def _discretise(nir: ModuleType, neuron: Any, dt: float, name: str) -> tuple[float, float, float]:
    """λ, what multiplies the current, and what is added to it; see the module's equations."""
    if neuron.v_reset is not None and _uniform(neuron.v_reset, f"{name}.v_reset") != 0:
        raise BundleError("resets to another value than 0", where=name)
    r = _uniform(neuron.r, f"{name}.r")
    if isinstance(neuron, nir.IF):
        return 1.0, rounded(dt * r), 0.0
    tau = _uniform(neuron.tau, f"{name}.tau")
    if not dt <= tau * (1 + 1e-12):
        raise BundleError(f"τ = {tau:g} is shorter than the time step of {dt:g}", where=name)
    return max(0.0, 1 - dt / tau), rounded(dt * r / tau), dt / tau * _uniform(neuron.v_leak, f"{name}.v_leak")


def rounded(gain: float) -> float:
    """1 where it would be 1 but for rounding, so that weights come back as they went."""
    return 1.0 if abs(gain - 1) < 1e-12 else gain


def reset_of(label: Mapping[str, Any], name: str, unsaid: Reset = "hard") -> Reset:
    """What a node is labelled with; NIR itself resets hard."""
    reset = label.get("reset", unsaid)
    if reset not in ("soft", "hard"):
        raise BundleError(f"has reset {reset!r}, which is neither soft nor hard", where=name)
    return reset


def geometry_of(conv: Any, shape: tuple[int, int, int], name: str) -> ConvGeometry:
    """The geometry of a Conv2d on a map (C, H, W)."""
    weight = np.asarray(conv.weight)
    if weight.ndim != 4:
        raise BundleError(f"has weights of shape {weight.shape}; (C_out, C_in/groups, kh, kw) is needed", where=name)
    kernel, dilation, stride = weight.shape[2:], pair(conv.dilation), pair(conv.stride)
    padding = conv.padding
    if isinstance(padding, str):
        spare = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        if padding == "same" and (stride != (1, 1) or any(s % 2 for s in spare)):
            raise BundleError("is padded unevenly", where=name)
        padding = [s // 2 for s in spare] if padding == "same" else 0
    size, edge = (kernel[0], kernel[1]), pair(padding)
    if min(*size, *stride, *dilation) < 1 or min(edge) < 0:
        raise BundleError(f"has kernel {size}, stride {stride}, dilation {dilation}, padding {edge}", where=name)
    geometry = ConvGeometry(shape, weight.shape[0], size, stride, edge, dilation, int(np.asarray(conv.groups)))
    if math.prod(geometry.output_shape) > MAX_NEURONS:
        raise BundleError(f"feeds more than {MAX_NEURONS} neurons", where=name)
    return geometry


def pair(value: Any) -> tuple[int, int]:
    """(vertical, horizontal), from one number or two."""
    vertical, horizontal = np.broadcast_to(np.asarray(value), (2,)).tolist()
    return int(vertical), int(horizontal)


def _map_of(value: Any, name: str) -> tuple[int, int, int]:
    shape = [int(size) for size in np.asarray(value).reshape(-1)]
    if len(shape) != 3 or min(shape) < 1:
        raise BundleError(f"is {shape}; one step of a stream is (C, H, W)", where=name)
    return shape[0], shape[1], shape[2]


def shape_of(value: Any, name: str) -> tuple[int, int, int]:
    """(C, H, W), or (F,) as so many channels of one position; norse writes a batch of 1 before either."""
    shape = [int(size) for size in np.asarray(value).reshape(-1)]
    if len(shape) in (2, 4) and shape[0] == 1:
        shape = shape[1:]
    return _map_of([*shape, 1, 1] if len(shape) == 1 else shape, name)


def _uniform(values: Any, name: str) -> float:
    """The one value that all neurons of a layer share."""
    array = finite(values, name)
    if array.size == 0 or (array != array.flat[0]).any():
        raise BundleError("is not one value for all neurons of the layer", where=name)
    return float(array.flat[0])


def finite(values: Any, name: str) -> npt.NDArray[np.float64]:
    """Numbers as float64."""
    array = np.asarray(values, np.float64)
    if not np.isfinite(array).all():
        raise BundleError("is not finite", where=name)
    return array
