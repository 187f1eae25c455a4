"""A graph program as a `.npz` file: plain arrays, of which those that are shared are stored once, and a JSON text."""

from __future__ import annotations

import dataclasses
import json
import operator
from pathlib import Path
from typing import Any

import numpy as np

from hybridnet.errors import BundleError, ModelError
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.graph import GraphProgram, Input, Population, Synapse
from hybridnet.support.arrays import Array, read_arrays, write_arrays
from hybridnet.support.plain import from_dict, read_json
from hybridnet.support.sealed import EXPORT_AGAIN, AnyFile
from hybridnet.support.text import said

AnyGraph = GraphProgram | FixedGraph

_FORMS: dict[str, tuple[Any, Any, Any, Any, str]] = {
    "float": (GraphProgram, Input, Population, Synapse, "float64"),
    "fixed": (FixedGraph, FixedInput, FixedPopulation, FixedSynapse, "int32"),
}

MAX_NODES, MAX_GROUPS = 1024, 4096
"""Inputs and populations; groups between them."""

MAX_STEPS, MAX_COMPUTED = 2**16, 2**18
"""Steps of a window, and steps times populations and groups; ONNX graphs of more would not be read either."""

MAX_WEIGHTS = 2**28
"""Most weights of all groups together; those that several share count for each."""

_ARRAYS = {"weight", "bias", "leak", "current_leak", "decay", "current_decay", "threshold", "reset_amount"}


def write_graph(path: Path, graph: AnyGraph) -> None:
    """Write a graph program, float or fixed point."""
    form = "fixed" if isinstance(graph, FixedGraph) else "float"
    dtype = _FORMS[form][-1]
    arrays: dict[str, Array] = {}
    names: dict[int, str] = {}

    def plain(node: Any) -> dict[str, Any]:
        fields = {field.name: getattr(node, field.name) for field in dataclasses.fields(node)}
        for name, value in fields.items():
            if name in _ARRAYS and value is not None:
                fields[name] = names.setdefault(id(value), str(len(names)))
                arrays[fields[name]] = np.asarray(value, dtype)
            elif dataclasses.is_dataclass(value) and not isinstance(value, type):
                fields[name] = dataclasses.asdict(value)
        return fields

    description = {
        "form": form,
        "steps": graph.steps,
        "inputs": [plain(node) for node in graph.inputs],
        "populations": [plain(node) for node in graph.populations],
        "synapses": [plain(node) for node in graph.synapses],
    }
    write_arrays(path, arrays | {"description": np.frombuffer(json.dumps(description).encode(), np.uint8)})


def read_graph(file: AnyFile) -> AnyGraph:
    """Read what `write_graph` wrote, without pickle.

    Raises:
        BundleError: If the file is damaged or foreign.
    """
    try:
        arrays = read_arrays(file)
        description = read_json(arrays.pop("description").tobytes())
        graph, *kinds, dtype = _FORMS[description["form"]]
        if wrong := sorted(name for name, values in arrays.items() if values.dtype != dtype):
            raise BundleError(f"its arrays {', '.join(wrong)} are not {dtype}", where=file, remedy=EXPORT_AGAIN)
        _check_size(description, arrays)
        parts = [description[part] for part in ("inputs", "populations", "synapses")]
        if set(arrays) - {node.get(name) for part in parts for node in part for name in _ARRAYS}:
            raise BundleError("holds arrays that none of its parts has", where=file, remedy=EXPORT_AGAIN)
        nodes = (tuple(_node(kind, f, arrays) for f in part) for kind, part in zip(kinds, parts, strict=True))
        found: AnyGraph = graph(*nodes, operator.index(description["steps"]))
    except ModelError as error:
        raise BundleError(error.what, where=file, remedy=EXPORT_AGAIN) from error
    except BundleError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        raise BundleError(f"is no graph program ({said(error)})", where=file, remedy=EXPORT_AGAIN) from error
    return found


def _check_size(description: dict[str, Any], arrays: dict[str, Array]) -> None:
    """Refuse what takes long to be read, or to run, before anything of it is built.

    Raises:
        ModelError: If it has more parts, steps or weights than any file of ours.
    """
    groups = description["synapses"]
    nodes, steps = len(description["inputs"]) + len(description["populations"]), operator.index(description["steps"])
    if not description["populations"] or not groups:
        raise ModelError("has no populations, or no groups, so that nothing of it runs on the chip")
    if nodes > MAX_NODES or len(groups) > MAX_GROUPS:
        raise ModelError(f"has {nodes} nodes and {len(groups)} groups, more than {MAX_NODES} and {MAX_GROUPS}")
    if steps > MAX_STEPS or steps * (nodes + len(groups)) > MAX_COMPUTED:
        raise ModelError(f"has {steps} steps of {nodes} nodes and {len(groups)} groups, too many")
    if any(operator.index(group["delay"]) > MAX_STEPS for group in groups):
        raise ModelError(f"has a delay of more than {MAX_STEPS} steps")
    if sum(arrays[group["weight"]].size for group in groups) > MAX_WEIGHTS:
        raise ModelError(f"has more than {MAX_WEIGHTS} weights")


def _node(kind: Any, fields: dict[str, Any], arrays: dict[str, Array]) -> Any:
    values = {name: arrays[v] if name in _ARRAYS and v is not None else v for name, v in fields.items()}
    return from_dict(kind, values)
