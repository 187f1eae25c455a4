"""Bundles of graphs and of fronts, changed where their structure says something: nodes, groups, maps, feeds."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from helpers.changed_files import ODD, change_onnx, changed, damaged
from helpers.spoiling import npy, npz_entries, sign, write_npz

from hybridnet.deploy.graph_file import read_graph
from hybridnet.deploy.layout import ANN, FRONT, GRAPH_FIXED, GRAPH_FLOAT, MANIFEST, ONNX_FIXED, ONNX_FLOAT, PARITY
from hybridnet.errors import HybridNetError
from hybridnet.program.bridge import BridgeTensor, fixed_encodings
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram
from hybridnet.program.spiking import SpikingHalf
from hybridnet.simulators.files import write_onnx, write_onnx_float

Tree = dict[str, Any]
Arrays = dict[str, np.ndarray[Any, Any]]

COUNTS = (-1, 0, 1, 2, 3, 5, 17, 1000, 10**6, 10**9, 2**40, 2**62, 1.5, "3", None, True)
NAMES = (
    "",
    " ",
    "\n",
    "a\nb",
    "x" * 5000,
    "a",
    "b",
    "back",
    "events",
    "image",
    "a.spikes",
    "..",
    "\0",
    "\u202e",
    "’" * 99,
)
PARAMETERS = ("leak", "current_leak", "decay", "current_decay", "threshold", "reset_amount", "bias", "weight")
NUMBERS = (0, 1, -1, 2, 255, 4096, 2**17 - 1, 2**31 - 1, -(2**31), 1e-300, 1e300, float("nan"), float("inf"), 0.5)
SMALL_STEPS, SMALL_PARTS, SMALL_MAP = 8, 30, 10_000
"""Of graphs whose ONNX graphs are written anew, which takes time."""


def _steps(tree: Tree, _: Arrays, draw: random.Random) -> None:
    tree["steps"] = draw.choice(COUNTS)


def _shape(tree: Tree, _: Arrays, draw: random.Random) -> None:
    node = draw.choice([*tree["inputs"], *tree["populations"]])
    place = draw.randrange(3)
    action = draw.randrange(3)
    if action == 0:
        node["shape"][place] = draw.choice(COUNTS)
    elif action == 1:
        node["shape"] = node["shape"][:place] + draw.choice(([], [1, 1, 1]))
    else:
        node["shape"][place] = draw.choice((0, 10**9))
        tree["synapses"] = [g for g in tree["synapses"] if node["name"] not in (g["source"], g["target"])]


def _name(tree: Tree, _: Arrays, draw: random.Random) -> None:
    nodes = [*tree["inputs"], *tree["populations"]]
    node = draw.choice(nodes)
    old, new = node["name"], draw.choice((*NAMES, nodes[0]["name"]))
    node["name"] = new
    if draw.random() < 0.8:
        for group in tree["synapses"]:
            group |= {end: new for end in ("source", "target") if group[end] == old}


def _geometry(tree: Tree, arrays: Arrays, draw: random.Random) -> None:
    group = draw.choice(tree["synapses"])
    geometry = group["geometry"]
    key = draw.choice([*geometry])
    if isinstance(geometry[key], list) and draw.random() < 0.8:
        geometry[key][draw.randrange(len(geometry[key]))] = draw.choice(COUNTS)
    else:
        geometry[key] = draw.choice(COUNTS)
    if draw.random() < 0.3:  # a kernel as large as its map, which stays as large
        size = 2 * draw.choice((10, 1000, 10**6)) + 1
        geometry |= {"kernel": [size, 1], "padding": [size // 2, 0], "stride": [1, 1]}
        shape = (geometry["out_channels"], 1, size, 1)
        if size < 10**5 and draw.random() < 0.7 and isinstance(geometry["groups"], int):
            geometry["groups"] = geometry["input_shape"][0]
            arrays[group["weight"]] = np.zeros(shape, arrays[group["weight"]].dtype)


def _group(tree: Tree, _: Arrays, draw: random.Random) -> None:
    groups, nodes = tree["synapses"], [*tree["inputs"], *tree["populations"]]
    group = draw.choice(groups)
    action = draw.randrange(6)
    if action == 0:
        groups.remove(group)
    elif action == 1:
        group[draw.choice(("source", "target"))] = draw.choice(nodes)["name"]
    elif action == 2:
        group["delay"] = draw.choice(COUNTS)
    elif action == 3:
        groups += [dict(group)] * draw.choice((1, 3, 1000, 10**5))
    elif action == 4:
        groups.append(group | {"source": group["target"], "target": group["source"], "delay": draw.choice((0, 1, 2))})
    else:
        group["delay"] = draw.choice((1, 2, 3, 4))


def _populations(tree: Tree, _: Arrays, draw: random.Random) -> None:
    populations = tree["populations"]
    one = draw.choice(populations)
    action = draw.randrange(6)
    if action == 0:
        populations.remove(one)
        tree["synapses"] = [g for g in tree["synapses"] if one["name"] not in (g["source"], g["target"])]
    elif action == 1:
        count = draw.choice((1, 5, 1000, 10**5))
        populations += [one | {"name": f"{one['name']}{i}"} for i in range(count)]
        if draw.random() < 0.5:  # one behind the other
            back = next((g for g in tree["synapses"] if g["source"] == g["target"] == one["name"]), None)
            names = [one["name"], *(f"{one['name']}{i}" for i in range(count))]
            if back is not None:
                delay = draw.choice((0, 1))
                tree["synapses"] += [
                    back | {"source": a, "target": b, "delay": delay} for a, b in itertools.pairwise(names)
                ]
    elif action == 2:
        draw.shuffle(populations)
    elif action == 3:
        one["reset"] = draw.choice(("soft", "hard", "none", None))
    elif action == 4:
        one["threshold"] = draw.choice((None, one["leak"] if "leak" in one else one["decay"]))
    else:
        tree["populations"] = []
        tree["synapses"] = draw.choice(([], tree["synapses"]))


def _inputs(tree: Tree, _: Arrays, draw: random.Random) -> None:
    one = draw.choice(tree["inputs"])
    action = draw.randrange(3)
    if action == 0:
        one["still"] = not one["still"]
    elif action == 1:
        tree["inputs"].append(one | {"name": draw.choice(NAMES)})
    else:
        tree["inputs"].remove(one)


def _array(tree: Tree, arrays: Arrays, draw: random.Random) -> None:
    node = draw.choice([*tree["populations"], *tree["synapses"]])
    key = draw.choice([key for key in PARAMETERS if key in node])
    name = node[key] if node[key] is not None else draw.choice([*arrays])
    action = draw.randrange(6)
    if action == 0:
        node[key] = draw.choice((*arrays, "99", None, 3, [], "description"))
    elif action == 1:
        arrays.pop(name, None)
    elif action == 2 and name in arrays:
        arrays[name] = arrays[name].astype(draw.choice((np.float32, np.int64, np.bool_, np.uint8, np.float16)))
    elif name in arrays:
        values = arrays[name].copy()
        with contextlib.suppress(OverflowError, ValueError), np.errstate(invalid="ignore", over="ignore"):
            if action == 3:
                values = np.full_like(values, draw.choice(NUMBERS))
            elif action == 4 and values.size:
                values.reshape(-1)[draw.randrange(values.size)] = draw.choice(NUMBERS)
            else:
                values = draw.choice((values[..., None], values[:0], values.reshape(-1), values.T, -values))
        arrays[name] = values


def _numbers(tree: Tree, _: Arrays, draw: random.Random) -> None:
    """What the chip's integers alone have."""
    fields = ("shift", "weight_bits", "message_max", "input_scale", "scale")
    nodes = [n for part in ("inputs", "populations", "synapses") for n in tree[part] if {*fields} & {*n}]
    if nodes:
        node = draw.choice(nodes)
        node[draw.choice([f for f in fields if f in node])] = draw.choice((*COUNTS, *NUMBERS[:11], 1e-30, 1e30, 10**10))


ACTIONS: tuple[Callable[[Tree, Arrays, random.Random], None], ...] = (
    _steps, _shape, _name, _geometry, _geometry, _group, _group, _group, _populations, _populations, _inputs, _array,
    _array, _array, _numbers,
)  # fmt: skip


def _opened(path: Path) -> tuple[Tree, Arrays]:
    arrays = {name.removesuffix(".npy"): np.load(io.BytesIO(entry)) for name, entry in npz_entries(path).items()}
    return json.loads(arrays.pop("description").tobytes()), arrays


def _write(path: Path, tree: Any, arrays: Arrays) -> None:
    entries = {f"{name}.npy": npy(values) for name, values in arrays.items()}
    text = json.dumps(tree).encode()
    write_npz(path, entries | {"description.npy": npy(np.frombuffer(text, np.uint8))}, packed=len(text) > 2**24)


def _programs(folder: Path, draw: random.Random) -> None:
    """The same changes of one form or of both; of both, often with ONNX graphs and a manifest that fit them."""
    number, times = draw.random(), draw.choice((1, 1, 1, 2))
    action = [draw.choice(ACTIONS) for _ in range(times)]
    forms = draw.choice(((GRAPH_FLOAT, GRAPH_FIXED), (GRAPH_FLOAT, GRAPH_FIXED), (GRAPH_FLOAT,), (GRAPH_FIXED,)))
    for form in forms:
        tree, arrays = _opened(folder / form)
        again = random.Random(number)  # noqa: S311 - a seed, no secret
        for one in action:
            with contextlib.suppress(IndexError, KeyError, TypeError, AttributeError):  # what it changes is gone
                one(tree, arrays, again)
        _write(folder / form, changed(tree, draw) if draw.random() < 0.1 else tree, arrays)
    if draw.random() < 0.8:
        _fit(folder)


def _fit(folder: Path) -> None:
    """Write what follows from both programs, if they can be read and are small."""
    try:
        program, fixed = read_graph(folder / GRAPH_FLOAT), read_graph(folder / GRAPH_FIXED)
    except HybridNetError:
        return
    if not isinstance(program, GraphProgram) or not isinstance(fixed, FixedGraph):
        return
    shapes = [*(n.shape for n in program.inputs), *(p.shape for p in program.populations)]
    many = len(shapes) + len(program.synapses) > SMALL_PARTS
    if many or program.steps > SMALL_STEPS or any(not 0 < np.prod(s, dtype=float) < SMALL_MAP for s in shapes):
        return
    with contextlib.suppress(Exception), np.errstate(all="ignore"):  # what cannot be written is read as it was
        write_onnx(folder, SpikingHalf(program, fixed))
        write_onnx_float(folder, SpikingHalf(program, fixed))
    manifest = yaml.safe_load((folder / MANIFEST).read_text())
    maps = {p.name: p.shape for p in program.populations}
    for entry in manifest["bridge"]:
        with contextlib.suppress(Exception):
            frames = [program.steps] if entry["kind"] in ("spikes", "potentials") else []
            entry["shape"] = [*frames, *maps[entry["layer"]]]
            tensor = BridgeTensor(entry["name"], entry["layer"], tuple(entry["shape"]), entry["kind"])
            entry |= dataclasses.asdict(fixed_encodings((tensor,), fixed)[entry["name"]])
    (folder / MANIFEST).write_text(yaml.safe_dump(manifest, sort_keys=False))


def _manifest(path: Path, draw: random.Random) -> None:
    tree = yaml.safe_load(path.read_text())
    part = draw.choice(("feeds", "feeds", "placement", "bridge", "model", "ann_inputs", "all", "all"))
    feeds = tree["feeds"]
    if part == "all":
        tree = changed(tree, draw)
    elif part != "feeds" or draw.random() < 0.3:
        tree[part] = changed(tree[part], draw)
    elif feeds and draw.random() < 0.6:
        feeds[draw.choice([*feeds])] = draw.choice((None, -1, 0, 1, 2, 3, 4, 10**18, 0.5, "0", True, []))
    elif feeds and draw.random() < 0.5:
        feeds[draw.choice((*NAMES[5:10], *tree["model"]["inputs"]))] = feeds.pop(draw.choice([*feeds]))
    else:
        feeds[draw.choice((*NAMES, *tree["model"]["inputs"], "front.front.2"))] = draw.choice((*ODD[:6], None, 0, 1))
    path.write_text(yaml.safe_dump(tree, sort_keys=False))


def make_graph(seed: Path, place: Path, draw: random.Random) -> Path:
    """A bundle of a graph, of a front or of both, with something changed, signed again more often than not."""
    folder = Path(shutil.copytree(draw.choice(sorted((seed / "graphs").iterdir())), place / "b"))
    names = [GRAPH_FLOAT] * 10 + [MANIFEST] * 4 + [PARITY, ANN, ANN, ONNX_FIXED, ONNX_FLOAT, FRONT, FRONT, FRONT]
    name = draw.choice([name for name in names if (folder / name).exists()])
    path = folder / name
    if name != MANIFEST and draw.random() < 0.1:
        path.write_bytes(damaged(path.read_bytes(), draw))
    elif name == MANIFEST:
        _manifest(path, draw)
    elif name == PARITY:
        path.write_text(json.dumps(changed(json.loads(path.read_text()), draw)))
    elif name.endswith(".onnx"):
        change_onnx(path, draw)
    else:
        _programs(folder, draw)
    if name != MANIFEST:
        sign(folder)
    return folder
