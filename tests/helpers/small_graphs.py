"""Populations and groups of a graph program in float, small and alike."""

from __future__ import annotations

from typing import Any

import numpy as np

from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.program.layers import ConvGeometry


def population(name: str, shape: tuple[int, int, int] = (2, 5, 4), **changes: Any) -> Population:
    values: dict[str, Any] = {
        "leak": np.array(0.5),
        "current_leak": np.array(0.0),
        "threshold": np.array(1.0),
        "reset": "soft",
        "reset_amount": np.array(1.0),
        "bias": np.zeros(shape[0]),
    }
    return Population(name, shape, **{**values, **changes})


def synapse(source: str, target: str, delay: int = 0, shape: tuple[int, int, int] = (2, 5, 4)) -> Synapse:
    geometry = ConvGeometry(shape, 2, (3, 3), padding=(1, 1))
    return Synapse(source, target, geometry, np.zeros(geometry.weight_shape), delay)


def program(*edges: str) -> GraphProgram:
    """Edges such as `a>b` without delay and `b>>a` with one."""
    synapses = [_synapse(edge) for edge in edges]
    names = sorted({end for g in synapses for end in (g.source, g.target)} - {"x"})
    return GraphProgram((Input("x", (2, 5, 4)),), tuple(population(name) for name in names), tuple(synapses), 2)


def _synapse(edge: str) -> Synapse:
    source, target = edge.replace(">>", ">").split(">")
    return synapse(source, target, int(">>" in edge))
