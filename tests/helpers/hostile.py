"""Hostile bundles, each a kind: what was changed in a whole one, and what the error says."""

from __future__ import annotations

import os
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
import yaml
from helpers.spoiling import Change, Graph, behind, described, fields, graph, manifest, net, npy, npz_entries, write_npz
from onnx import TensorProto, helper, numpy_helper

from hybridnet.deploy.bundle import SCHEMA
from hybridnet.deploy.layout import ANN, GRAPH_FIXED, GRAPH_FLOAT, MANIFEST, PARITY


def external(location: str) -> Graph:
    """Move the largest weight into another file."""

    def edit(model: onnx.ModelProto) -> None:
        tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
        size = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", "0"), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)

    return edit


def doubling(operator: str, times: int, **attributes: object) -> Graph:
    """A chain in which each node doubles what shapes are computed of, which feeds nothing."""

    def edit(model: onnx.ModelProto) -> None:
        model.graph.initializer.append(numpy_helper.from_array(np.ones(2, np.int64), "d0"))
        for i in range(times):
            node = helper.make_node(operator, [f"d{i}", f"d{i}"], [f"d{i + 1}"], **attributes)
            model.graph.node.insert(i, node)

    return edit


def seven_views(model: onnx.ModelProto) -> None:
    """Inputs of a fixed number of views."""
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 7


def branch(model: onnx.ModelProto) -> None:
    """An `If` whose branch is a graph."""
    inner = helper.make_graph(
        [helper.make_node("Identity", ["pre"], ["x"])], "g", [], [helper.make_tensor_value_info("x", 1, ["N", 3])]
    )
    behind(lambda o: [helper.make_node("If", ["c"], [o], then_branch=inner, else_branch=inner)], {"c": np.array(True)})(
        model
    )


def negated(file: h5py.File) -> None:
    """Other weights, of the same shape."""
    weight = file["layer/1/weight"]
    weight[...] = -weight[...]


def unlisted_net(folder: Path) -> None:
    """Files that are there, and run by Lava, but not listed."""
    net(negated)(folder)
    fields(
        files={k: v for k, v in yaml.safe_load((folder / MANIFEST).read_text())["files"].items() if k[-4:] != ".net"}
    )(folder)


def loop(folder: Path) -> None:
    """A link to itself."""
    (folder / PARITY).unlink()
    (folder / PARITY).symlink_to(PARITY)


def pipe(folder: Path) -> None:
    """A listed file that is a pipe, which nobody writes to."""
    (folder / PARITY).unlink()
    os.mkfifo(folder / PARITY)


_ALIASES = ",".join(f"&b{i} [{','.join([f'*b{i - 1}'] * 10)}]" for i in range(1, 9))
_MERGES = "".join(f"m{i}: &m{i} {{<<: [{','.join(['*' + (f'm{i - 1}' if i else 'a')] * 12)}]}}\n" for i in range(7))
_HEAD = f"schema: {SCHEMA}"


def put(before: str, after: str) -> Callable[[str], str]:
    """Replace a text that must be there."""

    def edit(text: str) -> str:
        assert before in text
        return text.replace(before, after, 1)

    return edit


UNSIGNED: dict[str, tuple[Change, str]] = {
    "aliases": (manifest(put("opset: 18", f"opset: [&b0 [x,x,x,x,x,x,x,x,x,x],{_ALIASES}]")), "aliases are not read"),
    "merges": (manifest(lambda text: "a: &a {x: 1}\n" + _MERGES + text), "aliases are not read"),
    "inline merge": (manifest(put("opset: 18", "<<: {opset: 18}")), "no plain text"),
    "80,000 keys": (
        manifest(lambda text: "z: {" + ",".join(f"k{i}: 1" for i in range(80_000)) + "}\n" + text),
        "more than 10000 entries",
    ),
    "base 60": (manifest(put("opset: 18", "opset: 1" + ":59" * 300_000)), "no decimal integer"),
    "base 60 float": (manifest(put("opset: 18", "opset: 1:30.5")), "no decimal number"),
    "base 16": (manifest(put(_HEAD, "schema: 0x" + "f" * 20_000)), "no decimal integer"),
    "deep": (manifest(put("opset: 18", "opset: " + "[" * 5000 + "]" * 5000)), "32 levels"),
    "large": (manifest(lambda text: text + "# " + "x" * 2**20), "larger than 1048576 bytes"),
    "tag": (manifest(put("opset: 18", "opset: !!python/name:os.system")), "constructor"),
    "a key twice": (manifest(lambda text: text + "opset: 18\n"), "opset is there twice"),
    "NUL in a name": (manifest(put("files:\n", 'files:\n  "a\\0b": x\n')), "names a file outside the bundle, or none"),
    "absolute name": (manifest(put("files:\n", "files:\n  /etc/hostname: x\n")), "outside the bundle"),
    "a pipe": (pipe, "is no regular file"),
    "a link to itself": (loop, "symbolic links"),
    "a file beside": (lambda folder: (folder / "notes").write_text("x"), "notes: is not listed"),
    "a pipe beside": (lambda folder: os.mkfifo(folder / "f"), "f: is not listed"),
    "a linked folder beside": (lambda folder: (folder / "more").symlink_to("/usr"), "more: is not listed"),
    "nets not listed": (unlisted_net, "the manifest lacks snn/mv.net"),
}
"""What is met before, or instead of, a checksum: a change, and what the error says."""


BOTH = (GRAPH_FLOAT, GRAPH_FIXED)


def _first(part: str, **changes: object) -> Change:
    """Replace fields of the first of this part in the chip's integers."""
    return described(lambda tree: tree[part][0].update(changes), GRAPH_FIXED)


def _geometry(**changes: object) -> Change:
    return described(lambda tree: tree["synapses"][0]["geometry"].update(changes), GRAPH_FIXED)


def _bomb(folder: Path) -> None:
    zeros = npy(np.zeros(2**27, np.uint8))
    write_npz(folder / GRAPH_FLOAT, npz_entries(folder / GRAPH_FLOAT) | {"z.npy": zeros}, packed=True)


def _entry(content: bytes, name: str = "z.npy") -> Change:
    return lambda folder: write_npz(folder / GRAPH_FLOAT, npz_entries(folder / GRAPH_FLOAT) | {name: content})


def _sized(text: str) -> bytes:
    return npy(np.zeros(1, np.float32), header="{'descr': '<f4', 'fortran_order': False, 'shape': " + text + ", }")


def _tensor(name: str, kind: int, shape: tuple[object, ...]) -> Graph:
    return lambda model: model.graph.input.append(helper.make_tensor_value_info(name, kind, list(shape)))


_I64 = np.int64
SIGNED: dict[str, tuple[Change, str]] = {
    "deep parity": (lambda folder: (folder / PARITY).write_text("[" * 100_000), "parity.json: is damaged"),
    "parity of NaN": (lambda folder: (folder / PARITY).write_text('{"views": NaN}'), "NaN is not finite"),
    "long numbers": (lambda folder: (folder / PARITY).write_text("9" * 5000), "64 bits"),
    "geometry is a list": (_first("synapses", geometry=[]), "no graph program"),
    "stride 0": (_geometry(stride=[0, 0]), r"stride = \(0, 0\) is not allowed"),
    "negative padding": (_geometry(padding=[-1, 0]), r"padding = \(-1, 0\) is not allowed"),
    "a layer less": (described(lambda tree: tree["populations"].pop(0), GRAPH_FIXED), "arrays that none of its parts"),
    "a group onto nothing": (_first("synapses", target="other"), "target = 'other' is not allowed"),
    "text for a number": (_first("populations", scale="9"), "scale = '9'"),
    "other steps": (described(lambda tree: tree.update(steps=4), *BOTH), "reads another motion_vectors"),
    "a packed bomb": (_bomb, "too many"),
    "an array of objects": (_entry(npy(np.array([{}], object))), "holds object"),
    "an array that is not there": (_entry(_sized("(1000000000000,)")), "does not hold"),
    "a negative size": (_entry(_sized("(-1, -1)")), "does not hold"),
    "a header of brackets": (_entry(_sized("(" * 9000)), "no .npz file"),
    "an array too many": (_entry(npy(np.zeros(1))), "arrays that none of its parts"),
    "an array twice": (lambda folder: _twice(folder / GRAPH_FLOAT), "there twice"),
    "other weights in a net": (net(negated), "another chain than the spiking program"),
    "a net of other steps": (net(lambda file: file["hybridnet/steps"].write_direct(np.array(4))), "another chain"),
    "a net that links": (
        net(lambda file: file.update(more=h5py.ExternalLink("/etc/passwd", "/"))),
        "members that differ",
    ),
    "no net": (lambda folder: (folder / "snn/r.net").write_bytes(b"x" * 100), "not a usable .net file"),
    "fewer labels": (fields(labels=["a", "b"]), "2 labels are not the 3 classes"),
    "other outputs": (manifest(put("- logits", "- output")), "there are labels"),
    "another crop": (manifest(put("crop: 40", "crop: 36")), "not what its preprocessing gives"),
    "no ONNX": (lambda folder: (folder / ANN).write_bytes(b"\x3a\xff\xff\xff\xff\x0f"), "is cut off"),
    "a million nodes": (lambda folder: (folder / ANN).write_bytes(_flood(1, 2**20)), "more than 200000 entries"),
    "a million attributes": (lambda folder: (folder / ANN).write_bytes(_flood(5, 2**22)), "beside its weights"),
    "more classes": (
        graph(behind(lambda o: [helper.make_node("Concat", ["pre", "pre"], [o], axis=1)], {}, ("N", 6))),
        r"logits is float \(1, 6\) and should be float \(1, 3\)",
    ),
    "fewer classes": (
        graph(
            behind(
                lambda o: [helper.make_node("Slice", ["pre", "s", "e", "a"], [o])],
                {"s": np.array([0], _I64), "e": np.array([2], _I64), "a": np.array([1], _I64)},
                ("N", 2),
            )
        ),
        r"logits is float \(1, 2\) and should be float \(1, 3\)",
    ),
    "an input more": (graph(_tensor("extra", 1, (1, 3))), r"extra is float \(1, 3\) and should be none"),
    "seven views at a time": (
        graph(seven_views),
        "takes 7 views at a time",
    ),
    "no output": (graph(lambda model: model.graph.ClearField("output")), "logits is none"),
    "text": (
        graph(behind(lambda o: [helper.make_node("Cast", ["pre"], [o], to=8)], {}, kind=TensorProto.STRING)),
        "tensor logits: is no tensor of numbers",
    ),
    "doubles": (
        graph(behind(lambda o: [helper.make_node("Cast", ["pre"], [o], to=11)], {}, kind=TensorProto.DOUBLE)),
        "logits is double",
    ),
    "4 GB": (
        graph(
            behind(
                lambda o: [
                    helper.make_node("ConstantOfShape", ["z"], ["big"]),
                    helper.make_node("ReduceMax", ["big"], ["most"], keepdims=0),
                    helper.make_node("Add", ["pre", "most"], [o]),
                ],
                {"z": np.array([2**30], _I64)},
            )
        ),
        "node ConstantOfShape: needs more than",
    ),
    "as large as its numbers": (
        graph(
            behind(
                lambda o: [
                    helper.make_node("NonZero", ["pre"], ["n"]),
                    helper.make_node("Expand", ["pre", "m"], [o]),
                    helper.make_node("ReduceMax", ["n"], ["m"], keepdims=0),
                ],
                {},
            )
        ),
        "whose shape is known|no usable ONNX file",
    ),
    "numbers elsewhere": (graph(external("snn/mv.net")), "keeps its numbers in another file"),
    "a branch": (graph(branch), "holds graphs"),
    "a function": (
        graph(lambda m: m.functions.append(helper.make_function("x", "f", [], [], [], []))),
        "has functions",
    ),
    "an operator of others": (
        graph(behind(lambda o: [helper.make_node("Strange", ["pre"], [o], domain="else.where")], {})),
        "operators of else.where",
    ),
    "shapes that double": (graph(doubling("Concat", 40, axis=0)), "grow without limit"),
    "ranks that double": (graph(doubling("Gather", 40)), "grow without limit"),
    "a weight cut short": (
        graph(lambda m: setattr(max(m.graph.initializer, key=lambda t: len(t.raw_data)), "raw_data", b"1234")),
        "does not hold the numbers",
    ),
    "a spiking half of other shape": (
        graph(lambda m: m.graph.input[0].type.tensor_type.shape.dim[1].__setattr__("dim_value", 4), "snn/program.onnx"),
        "no usable ONNX file|inputs are not those|whose shape is known",
    ),
    "a split into fewer": (  # ONNX Runtime ends the process when a Split has more outputs than it declares
        graph(behind(lambda o: [helper.make_node("Split", ["pre"], [o, "b", "c"], axis=1, num_outputs=2)], {})),
        "declares 2 outputs and has 3",
    ),
    "a spiking half without spikes": (
        graph(lambda m: m.graph.output.pop(), "snn/program.float.onnx"),
        "its outputs are not those",
    ),
}
"""What only a reader that compares will find: a change, and what the error says."""


def _flood(field: int, count: int) -> bytes:
    """A graph of so many empty nodes, or with field 5 a node of so many empty attributes."""
    body = b"\x0a\x00" * count if field == 1 else b"\x0a" + _length(2 * count) + b"\x2a\x00" * count
    return b"\x3a" + _length(len(body)) + body


def _length(value: int) -> bytes:
    text = bytearray()
    while value > 127:
        text.append(value & 127 | 128)
        value >>= 7
    return bytes([*text, value])


def _twice(path: Path) -> None:
    entries = npz_entries(path)
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for name, content in [*entries.items(), next(iter(entries.items()))]:
            archive.writestr(name, content)
