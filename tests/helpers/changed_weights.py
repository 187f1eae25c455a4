"""Files of weights of strangers' models in every form that is read, changed where their structure says something."""

from __future__ import annotations

import io
import json
import pickle
import random
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from helpers.changed_files import ODD, changed, damaged
from helpers.spoiling import npz_entries
from helpers.wrapped import HOLDERS, PREFIXES, prefixed
from safetensors.torch import save_file
from torch import Tensor, nn

SHAPES: tuple[list[int], ...] = ([], [0], [1], [2**40], [2**62, 2], [-1], [2**31, 2**31], [3, 3], [0, 2**62])


class Own(nn.Module):
    """A shared weight, a norm with buffers, a module in a module."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
        self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Any:
        return self.last(self.first(self.norm(self.conv(x)).mean((2, 3))))


def save_weights(folder: Path) -> None:
    """The weights of a model as safetensors, and as an archive of torch.export."""
    torch.manual_seed(1)
    model = Own().eval()
    save_file({name: tensor.clone() for name, tensor in model.state_dict().items()}, folder / "w.safetensors")
    with warnings.catch_warnings(action="ignore"):
        torch.export.save(torch.export.export(model, (torch.zeros(2, 2, 4, 4),)), folder / "w.pt2")


def _safetensors(content: bytes, draw: random.Random) -> bytes:
    length = int.from_bytes(content[:8], "little")
    header, numbers = json.loads(content[8 : 8 + length]), content[8 + length :]
    entry = header[draw.choice([*header])]
    action = draw.randrange(6)
    if action == 0:
        entry["shape"] = draw.choice(SHAPES)
    elif action == 1:
        entry["data_offsets"] = [draw.choice((0, 4, -1, 2**62, *entry["data_offsets"])) for _ in range(2)]
    elif action == 2:
        entry["dtype"] = draw.choice(("F64", "F16", "BF16", "I32", "BOOL", "F8_E4M3", "C64", "U9", "", None))
    elif action == 3:
        header["__metadata__"] = draw.choice(ODD)
    elif action == 4:
        header[draw.choice((*PREFIXES, "x\n", "module.conv.weight"))] = dict(entry)
    else:
        header = changed(header, draw)
    text = json.dumps(header).encode()
    if draw.random() < 0.3:
        numbers = damaged(numbers, draw)
    size = len(text) if draw.random() < 0.9 else draw.choice((0, 1, 2**24, 2**31, 2**63, 2**64 - 1))
    return size.to_bytes(8, "little") + text + numbers


def _exported(path: Path, draw: random.Random) -> bytes:
    entries = npz_entries(path)
    name = next(n for n in entries if n.endswith("weights_config.json"))
    action = draw.randrange(4)
    if action < 2:
        tree = json.loads(entries[name])
        one = draw.choice([*tree["config"].values()])
        key = draw.choice(("sizes", "strides", "storage_offset", "dtype", "layout", "path_name", "use_pickle"))
        if key in ("sizes", "strides"):
            one["tensor_meta"][key] = [{"as_int": n} for n in draw.choice(SHAPES)]
        elif key in ("path_name", "use_pickle"):
            one[key] = draw.choice(ODD)
        else:
            one["tensor_meta"][key] = draw.choice((*ODD, {"as_int": draw.choice((-1, 1, 2**62))}))
        entries[name] = json.dumps(tree if draw.random() < 0.6 else changed(tree, draw)).encode()
    elif action == 2:
        one_name = draw.choice([*entries])
        entries[one_name] = damaged(entries[one_name] or b"0", draw)
    else:
        entries[draw.choice(("x", f"{name}x", "../x", "w/data/weights/x.pt"))] = entries.pop(draw.choice([*entries]))
    return _zipped(entries, draw)


def _zipped(entries: dict[str, bytes], draw: random.Random) -> bytes:
    file = io.BytesIO()
    packing = zipfile.ZIP_DEFLATED if draw.random() < 0.05 else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


class _Calls:
    def __reduce__(self) -> tuple[object, tuple[int]]:
        return bytearray, (2**33,)


def _wrapped(draw: random.Random) -> bytes:
    """A state dict in a wrapping, with tensors or what lies around them changed."""
    torch.manual_seed(1)
    state = prefixed(Own().state_dict(), draw.choice(PREFIXES))
    name = draw.choice([*state])
    one = state[name]
    values: tuple[Any, ...] = (
        one, one.double(), one.half(), one.to(torch.int8), one * float("nan"), one.flatten()[:1].expand(2**20, 2**10),
        one.to_sparse(), one[None], one.to(torch.complex64), one.to("meta"), torch.zeros(0), nn.Parameter(one.float()),
        None, "x", [one] * 1000, {"a": {name: one}}, _Calls(), (((),),) * 3,
    )  # fmt: skip
    state[name] = draw.choice(values)
    plain = isinstance(state[name], Tensor) and state[name].layout == torch.strided and state[name].numel() < 2**20
    if draw.random() < 0.3:
        del state[draw.choice([*state])]
    content = HOLDERS[draw.choice([key for key in HOLDERS if plain or key != "Lightning"])](state)
    if draw.random() < 0.3:
        content = {"one": content, "other": draw.choice((content, prefixed(Own().state_dict(), "")))}
    if draw.random() < 0.1:
        content = draw.choice(([content, content], (content,), {1: content, None: 2, (1, 2): content}))
    if draw.random() < 0.1 and isinstance(content, dict):
        content["itself"] = content
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=draw.random() < 0.95)
    packed = file.getvalue()
    if draw.random() < 0.3 and zipfile.is_zipfile(io.BytesIO(packed)):
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            entries = {entry.filename: archive.read(entry) for entry in archive.infolist()}
        pickled = next(n for n in entries if n.endswith("data.pkl"))
        entries[pickled] = draw.choice(
            (damaged(entries[pickled], draw), pickle.dumps(draw.choice(ODD), draw.randrange(2, 5)))
        )
        packed = _zipped(entries, draw)
    return packed


def make_weights(seed: Path, place: Path, draw: random.Random) -> Path:
    """A file of weights in one of the forms."""
    path = place / "w"
    action = draw.randrange(8)
    source = seed / draw.choice(("w.safetensors", "w.pt2"))
    if action == 0:
        path.write_bytes(damaged(source.read_bytes(), draw))
    elif action < 3:
        path.write_bytes(_safetensors((seed / "w.safetensors").read_bytes(), draw))
    elif action < 5:
        path.write_bytes(_exported(seed / "w.pt2", draw))
    else:
        path.write_bytes(_wrapped(draw))
    return path
