"""Changes of a bundle's files, signed again so that later checks are met."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import onnx
import yaml
from onnx import TensorProto, helper, numpy_helper

from hybridnet.deploy.layout import ANN, MANIFEST

Change = Callable[[Path], object]


Graph = Callable[[onnx.ModelProto], object]


def sign(folder: Path) -> None:
    """Write the checksums that the files now have."""
    manifest = yaml.safe_load((folder / MANIFEST).read_text())
    for name in manifest["files"]:
        if (folder / name).is_file():
            manifest["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(yaml.safe_dump(manifest, sort_keys=False))


def spoilt(source: Path, folder: Path, change: Change, *, signed: bool = True) -> Path:
    """A copy of a bundle, changed, then signed if `signed`."""
    shutil.copytree(source, folder)
    change(folder)
    if signed:
        sign(folder)
    return folder


def manifest(edit: Callable[[str], str]) -> Change:
    """Edit the text of the manifest."""
    return lambda folder: (folder / MANIFEST).write_text(edit((folder / MANIFEST).read_text()))


def fields(**changed: object) -> Change:
    """Replace fields of the manifest."""
    return manifest(lambda text: yaml.safe_dump(yaml.safe_load(text) | changed, sort_keys=False))


def described(edit: Callable[[dict[str, Any]], object], *forms: str) -> Change:
    """Edit the JSON in these forms of the spiking program."""

    def change(folder: Path) -> None:
        for form in forms:
            entries = npz_entries(folder / form)
            tree = json.loads(np.load(io.BytesIO(entries["description.npy"])).tobytes())
            edit(tree)
            entries["description.npy"] = npy(np.frombuffer(json.dumps(tree).encode(), np.uint8))
            write_npz(folder / form, entries)

    return change


def npz_entries(path: Path) -> dict[str, bytes]:
    """What an `.npz` file holds."""
    with zipfile.ZipFile(path) as archive:
        return {entry.filename: archive.read(entry) for entry in archive.infolist()}


def write_npz(path: Path, entries: Mapping[str, bytes], *, packed: bool = False) -> None:
    """The reverse."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def npy(array: np.ndarray[Any, Any], *, header: str | None = None) -> bytes:
    """An array as `.npy`, with another header if one is given."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    if header is None:
        return file.getvalue()
    text = (header + "\n").encode("latin1")
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + array.tobytes()


def graph(edit: Graph, name: str = ANN) -> Change:
    """Edit an ONNX graph."""

    def change(folder: Path) -> None:
        model = onnx.load(str(folder / name), load_external_data=False)
        edit(model)
        (folder / name).write_bytes(model.SerializeToString())

    return change


def behind(
    nodes: Callable[[str], Iterable[onnx.NodeProto]],
    constants: Mapping[str, np.ndarray[Any, Any]],
    shape: tuple[object, ...] = ("N", 3),
    kind: int = TensorProto.FLOAT,
) -> Graph:
    """Put nodes between the output, from then on called `pre`, and its name."""

    def edit(model: onnx.ModelProto) -> None:
        name = model.graph.output[0].name
        for node in model.graph.node:
            node.output[:] = ["pre" if output == name else output for output in node.output]
        model.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in constants.items())
        model.graph.node.extend(nodes(name))
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info(name, kind, list(shape)))

    return edit


def net(edit: Callable[[h5py.File], object], name: str = "snn/mv.net") -> Change:
    """Edit a `.net` file."""

    def change(folder: Path) -> None:
        with h5py.File(folder / name, "r+") as file:
            edit(file)

    return change
