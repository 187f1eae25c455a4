"""Bundles, run records, energy profiles and checkpoints, each changed at random where its structure says something."""

from __future__ import annotations

import io
import json
import random
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import torch
import yaml
from helpers.spoiling import npy, npz_entries, sign, write_npz

from hybridnet.deploy.layout import ANN, GRAPH_FIXED, GRAPH_FLOAT, MANIFEST, ONNX_FIXED, ONNX_FLOAT, PARITY

ODD: tuple[object, ...] = (
    None, True, -1, 0, 1, 7, 2**31, 2**63, -(2**63), 10**18, 10**30, 0.5, -0.0, 1e-300, 1e300, float("nan"),
    float("inf"), "", "x", "mv.0", "logits", "x" * 5000, "../../x", "\0", "1:59:59", "0x10", "~", [], {}, [0, 0],
    [[[[]]]], {"a": {}}, [-1, -1, -1], list(range(1000)), [[]] * 50,
)  # fmt: skip


def changed(tree: Any, draw: random.Random) -> Any:
    """The tree with one to three of its parts replaced, removed, repeated, or swapped for another part of it."""
    tree = json.loads(json.dumps(tree))
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        places = [*_places(tree)]
        if not places:
            return draw.choice(ODD)
        holder, key = draw.choice(places)
        action = draw.randrange(6)
        if action == 0:
            del holder[key]
        elif action == 1 and isinstance(holder, list):
            holder.insert(key, holder[key])
        elif action == 2 and isinstance(holder, dict):
            holder[draw.choice(("surprise", "<<", ""))] = holder[key]
        elif action == 3:
            other, at = draw.choice(places)
            holder[key] = json.loads(json.dumps(other[at]))
        elif isinstance(holder[key], (int, float)) and action == 4:
            holder[key] = draw.choice((-holder[key], holder[key] + 1, holder[key] * 2, holder[key] * 10**6, 0))
        else:
            holder[key] = draw.choice(ODD)
    return tree


def _places(tree: Any) -> Any:
    for key in tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from _places(tree[key])


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Bytes flipped, cut, repeated or added."""
    data, place = bytearray(content), draw.randrange(max(len(content), 1))
    action = draw.randrange(4)
    if action == 0:
        for _ in range(draw.choice((1, 4, 64))):
            data[draw.randrange(len(data))] = draw.randrange(256)
    elif action == 1:
        del data[place:]
    elif action == 2:
        del data[place : place + draw.choice((1, 8, 4096))]
    else:
        data[place:place] = draw.randbytes(draw.choice((1, 8, 4096)))
    return bytes(data)


def change_onnx(path: Path, draw: random.Random) -> None:
    """Change nodes, weights and shapes of an ONNX graph."""
    model = onnx.load(str(path))
    graph = model.graph
    for _ in range(draw.choice((1, 1, 2, 4))):
        if not graph.node:
            break
        node, tensor = draw.choice(graph.node), draw.choice(graph.initializer or [onnx.TensorProto()])
        value = draw.choice([*graph.input, *graph.output])
        names = [name for n in graph.node for name in (*n.input, *n.output)]
        action = draw.randrange(9)
        if action == 0:
            node.op_type = draw.choice(
                ("Concat", "Expand", "Tile", "ConstantOfShape", "Gather", "Loop", "NonZero", "Range")
            )
        elif action == 1 and node.input:
            node.input[draw.randrange(len(node.input))] = draw.choice(names)
        elif action == 2:
            graph.node.remove(node)
        elif action == 3:
            graph.node.append(node)
        elif action == 4 and node.attribute:
            attribute = draw.choice(node.attribute)
            attribute.i = draw.choice((-1, 0, 2, 2**31, 2**62))
            attribute.ints[:] = [draw.choice((-1, 0, 1, 2, 2**20, 2**40)) for _ in attribute.ints]
        elif action == 5 and tensor.dims:
            tensor.dims[draw.randrange(len(tensor.dims))] = draw.choice((-1, 0, 1, 3, 2**20, 2**62))
        elif action == 6:
            tensor.raw_data = damaged(tensor.raw_data or b"1234", draw)
        elif action == 7:
            tensor.data_type = draw.randrange(1, 20)
        else:
            shape = value.type.tensor_type.shape.dim
            value.type.tensor_type.elem_type = draw.choice((1, 1, 7, 8, 10, 11))
            if shape:
                draw.choice(shape).dim_value = draw.choice((-1, 0, 1, 2, 40, 2**40))
    path.write_bytes(model.SerializeToString())


def _net(path: Path, draw: random.Random) -> None:
    with h5py.File(path, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        name, other = draw.choice(names), draw.choice(names)
        action = draw.randrange(5)
        if action == 0:
            del file[name]
        elif action == 1:
            file[f"{name}x"] = h5py.SoftLink(f"/{other}")
        elif action == 2:
            file[f"more{draw.randrange(9)}"] = np.zeros(4)
        elif isinstance(file[name], h5py.Dataset):
            dataset = file[name]
            kind, shape = dataset.dtype, dataset.shape
            del file[name]
            if action == 3 and kind.kind in "if":
                file[name] = np.full(shape, draw.choice((-1, 0, 1, 2**20, 2**31 - 1)), kind)
            else:
                file.create_dataset(name, (2**20,) * draw.randrange(1, 4), "f8", chunks=True)


def _program(path: Path, draw: random.Random) -> None:
    entries = npz_entries(path)
    name = draw.choice([*entries])
    if draw.random() < 0.7:
        name = "description.npy"
        tree = changed(json.loads(np.load(io.BytesIO(entries[name])).tobytes()), draw)
        entries[name] = npy(np.frombuffer(json.dumps(tree).encode(), np.uint8))
    elif draw.random() < 0.5:
        entries[name] = damaged(entries[name], draw)
    else:
        entries[draw.choice(("x.npy", name, "../x.npy"))] = entries.pop(name)
    write_npz(path, entries, packed=draw.random() < 0.2)


def make_bundle(seed: Path, place: Path, draw: random.Random) -> Path:
    """A bundle with one file changed, signed again more often than not."""
    folder = Path(shutil.copytree(seed / "bundle", place / "b"))
    name = draw.choice(
        (MANIFEST, MANIFEST, PARITY, GRAPH_FLOAT, GRAPH_FIXED, ANN, ANN, ANN, ONNX_FIXED, ONNX_FLOAT, "snn/mv.net")
    )
    path = folder / name
    if name != MANIFEST and draw.random() < 0.2:
        path.write_bytes(damaged(path.read_bytes(), draw))
    elif name == PARITY:
        path.write_text(json.dumps(changed(json.loads(path.read_text()), draw)))
    elif name in (GRAPH_FLOAT, GRAPH_FIXED):
        _program(path, draw)
    elif name.endswith(".onnx"):
        change_onnx(path, draw)
    elif name.endswith(".net"):
        _net(path, draw)
    if name != MANIFEST:
        sign(folder)
    elif draw.random() < 0.3:
        path.write_bytes(damaged(path.read_bytes(), draw))
    else:
        path.write_text(yaml.safe_dump(changed(yaml.safe_load(path.read_text()), draw), sort_keys=False))
    return folder


def make_record(seed: Path, place: Path, draw: random.Random) -> Path:
    """A run record with fields changed, or bytes."""
    content = (seed / "record.json").read_bytes()
    tree = changed(json.loads(content), draw)
    (place / "r.json").write_bytes(damaged(content, draw) if draw.random() < 0.2 else json.dumps(tree).encode())
    return place / "r.json"


def make_profile(seed: Path, place: Path, draw: random.Random) -> Path:
    """An energy profile with fields changed, or bytes."""
    content = draw.choice(sorted((seed / "profiles").iterdir())).read_bytes()
    tree = changed(yaml.safe_load(content), draw)
    (place / "p.yaml").write_bytes(damaged(content, draw) if draw.random() < 0.3 else yaml.safe_dump(tree).encode())
    return place / "p.yaml"


def make_checkpoint(seed: Path, place: Path, draw: random.Random) -> Path:
    """A checkpoint with its config, its tensors or its bytes changed."""
    path = place / "c.pt"
    content = torch.load(seed / "small.pt", weights_only=True)
    weights = content["state_dict"]
    name, action = draw.choice([*weights]), draw.randrange(6)
    if action == 0:
        path.write_bytes(damaged((seed / "small.pt").read_bytes(), draw))
        return path
    if action in (1, 2):
        content["config"] = changed(content["config"], draw)
    elif action == 3:
        plain = {key: value for key, value in content.items() if key != "state_dict"}
        content = {"state_dict": weights, **changed(plain, draw)} if draw.random() < 0.8 else changed(plain, draw)
    elif action == 4:
        weights[name] = (
            weights[name].flatten()[:1].expand(draw.choice(((3,), (2**20, 2**10), tuple(weights[name].shape) or (1,))))
        )
    else:
        weights[name] = draw.choice(
            (weights[name] * float("nan"), weights[name].double(), weights[name].to_sparse(), None)
        )
    torch.save(content, path)
    return path
