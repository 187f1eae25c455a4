"""What the nodes of a NIR file hold, checked: numbers, shapes, geometries, labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.netx.file import MAX_NEURONS
from hybridnet.errors import BundleError
from hybridnet.program.layers import ConvGeometry, Reset


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


def finite(values: Any, name: str) -> npt.NDArray[np.float64]:
    """Numbers as float64."""
    array = np.asarray(values, np.float64)
    if not np.isfinite(array).all():
        raise BundleError("is not finite", where=name)
    return array
