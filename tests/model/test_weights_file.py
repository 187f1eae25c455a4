"""Files of safetensors and archives of torch.export give the tensors that were saved, or one line."""

from __future__ import annotations

import io
import json
import random
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.spoiling import npz_entries, write_npz
from helpers.wrapped import lightning, small_net
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from hybridnet.errors import CheckpointError
from hybridnet.model.weights_file import read_weights
from hybridnet.model.wrappings import find_weights
from hybridnet.support.kinds import Kind, kind_of

STATE = small_net(1).state_dict()


def saved_tensors(path: Path) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in STATE.items()}, path)
    return path


class Exported(nn.Module):
    """A shared weight, a buffer, one that is not kept, and one without numbers."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)
        self.last.weight = self.first.weight
        self.register_buffer("empty", torch.zeros(0, 4))
        self.register_buffer("scale", torch.rand(4, 3).t())
        self.register_buffer("passing", torch.zeros(1), persistent=False)

    def forward(self, x: Tensor) -> Any:
        return self.last(self.first(x)) + self.scale[:, 0] + self.passing + self.empty.sum()  # type: ignore[operator,index]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "x.pt2"
    with warnings.catch_warnings(action="ignore"):  # torch tells that some tensor is not contiguous
        torch.export.save(torch.export.export(Exported(), (torch.zeros(2, 3),)), path)
    return path


def refused(path: Path, reason: str) -> None:
    with pytest.raises(CheckpointError, match=reason) as error:
        read_weights(path)
    assert "\n" not in str(error.value)


def test_safetensors(tmp_path: Path) -> None:
    path = saved_tensors(tmp_path / "x.safetensors")
    assert kind_of(path) is Kind.SAFETENSORS
    found = find_weights(read_weights(path), small_net(0).state_dict())
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in STATE.items())
    assert found.note == ""


def test_safetensors_of_a_model_with_a_shared_weight(tmp_path: Path) -> None:
    model = Exported()
    save_model(model, str(tmp_path / "x.safetensors"))
    held = read_weights(tmp_path / "x.safetensors")
    assert isinstance(held, dict)
    assert len(held) == len(model.state_dict()) - 1
    found = find_weights(held, model.state_dict())
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in model.state_dict().items())


def header(text: bytes, data: bytes = bytes(64), length: int | None = None) -> bytes:
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def described(**entries: object) -> bytes:
    return json.dumps(entries).encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (header(b"{}", length=2**63), "declares a description of"),
        (header(b"{}", length=2**40), "declares a description of"),
        (header(b"{" * 20_000), "file of safetensors"),
        (header(described(w={"dtype": "F32", "shape": [2**40], "data_offsets": [0, 64]})), "file of safetensors"),
        (header(described(w={"dtype": "F32", "shape": [32], "data_offsets": [0, 128]})), "file of safetensors"),
        (header(described(w={"dtype": "F32", "shape": [16], "data_offsets": [64, 0]})), "file of safetensors"),
        (header(described(w={"dtype": "U9", "shape": [16], "data_offsets": [0, 64]})), "file of safetensors"),
        (header(described(a={"dtype": "F32", "shape": [16], "data_offsets": [0, 64]},
                          b={"dtype": "F32", "shape": [16], "data_offsets": [0, 64]})), "file of safetensors"),
        (header(described(a={"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
                          b={"dtype": "F32", "shape": [8], "data_offsets": [32, 64]})), "file of safetensors"),
        (header(b"\xff\xfe{}"), "file of torch.save"),
    ],
    ids=["2^63", "2^40", "nested", "larger", "past the end", "backwards", "type", "overlap", "hole", "no text"],
)  # fmt: skip
def test_hostile_safetensors_are_one_line(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    refused(tmp_path / "x.safetensors", reason)


def test_an_archive_of_torch_export(exported: Path) -> None:
    assert kind_of(exported) is Kind.EXPORTED
    own = Exported().state_dict()
    found = find_weights(read_weights(exported), own)
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in own.items())
    assert found.note == "'model'"


def test_an_archive_of_an_older_torch(tmp_path: Path) -> None:
    held = io.BytesIO()
    torch.save(STATE, held)
    with zipfile.ZipFile(tmp_path / "x.pt2", "w") as archive:
        archive.writestr("version", "8.8")
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", held.getvalue())
    assert kind_of(tmp_path / "x.pt2") is Kind.EXPORTED
    found = find_weights(read_weights(tmp_path / "x.pt2"), small_net(0).state_dict())
    assert all(torch.equal(found.weights[name], tensor) for name, tensor in STATE.items())


def entry(**changed: object) -> Callable[[dict[str, Any]], object]:
    return lambda config: config["config"]["scale"].update(changed)


def meta(**changed: object) -> Callable[[dict[str, Any]], object]:
    return lambda config: config["config"]["scale"]["tensor_meta"].update(changed)


def numbers(*values: int) -> list[dict[str, int]]:
    return [{"as_int": value} for value in values]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (meta(sizes=numbers(2**40, 2), strides=numbers(0, 0)), "whose numbers it does not hold"),
        (meta(sizes=numbers(3, 5)), "whose numbers it does not hold"),
        (meta(storage_offset={"as_int": 1}), "whose numbers it does not hold"),
        (meta(strides=numbers(-1, 1)), "has -1 for a size"),
        (meta(sizes=[{"as_expr": {}}]), "archive of torch.export"),
        (meta(strides=numbers(1)), "archive of torch.export"),
        (meta(layout=1), "in a form that is not read"),
        (meta(dtype=29), "in a form that is not read"),
        (meta(dtype=[1]), "archive of torch.export"),
        (entry(tensor_meta=None), "in a form that is not read"),
        (entry(use_pickle=True), "has scale pickled"),
        (entry(path_name="../model.json"), "archive of torch.export"),
        (lambda config: config.clear(), "archive of torch.export"),
    ],
    ids=["huge", "wide", "offset", "negative", "symbol", "fewer", "sparse", "float8", "list", "none", "pickled", "path",
         "empty"],
)  # fmt: skip
def test_hostile_archives_are_one_line(
    change: Callable[[dict[str, Any]], object], reason: str, exported: Path, tmp_path: Path
) -> None:
    entries = npz_entries(exported)
    name = next(name for name in entries if name.endswith("_weights_config.json"))
    config = json.loads(entries[name])
    change(config)
    write_npz(tmp_path / "x.pt2", entries | {name: json.dumps(config).encode()})
    refused(tmp_path / "x.pt2", reason)


def test_an_archive_that_is_packed_or_has_no_weights_is_refused(exported: Path, tmp_path: Path) -> None:
    entries = npz_entries(exported)
    write_npz(tmp_path / "x.pt2", entries, packed=True)
    refused(tmp_path / "x.pt2", "is compressed")
    write_npz(tmp_path / "y.pt2", {name: content for name, content in entries.items() if "weights" not in name})
    refused(tmp_path / "y.pt2", "holds no weights")
    (tmp_path / "z.pt2").write_bytes(exported.read_bytes()[:-100])
    refused(tmp_path / "z.pt2", "cannot be read")


def changed(content: bytes, chance: random.Random) -> bytes:
    """With some bytes changed, put in or taken out, half of them where descriptions lie."""
    bytes_ = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 8))):
        at = chance.randrange(chance.choice((len(bytes_), 900)))
        take, put = chance.choice(((1, 1), (0, 3), (5, 0)))
        bytes_[at : at + take] = chance.randbytes(put)
    return bytes(bytes_)


@pytest.mark.parametrize("kind", ["torch.save", "safetensors", "torch.export"])
def test_changed_files_end_in_one_line_or_give_tensors(kind: str, exported: Path, tmp_path: Path) -> None:
    """Many changes are to numbers, which no checksum of these files covers."""
    path, chance, own = tmp_path / "x", random.Random(14), STATE  # noqa: S311
    if kind == "torch.export":
        path.write_bytes(exported.read_bytes())
        own = Exported().state_dict()
    elif kind == "safetensors":
        saved_tensors(path)
    else:
        torch.save(lightning(STATE), path)
    whole, refusals = path.read_bytes(), []
    for _ in range(200):
        path.write_bytes(changed(whole, chance))
        try:
            found = find_weights(read_weights(path), own).weights
            assert {name: tensor.shape for name, tensor in found.items()} == {n: t.shape for n, t in own.items()}
        except CheckpointError as error:
            refusals.append(str(error))
    assert len(refusals) > 50
    assert not any("\n" in refusal for refusal in refusals)


def test_a_pickle_of_another_protocol_is_read_without_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    torch.save(STATE, tmp_path / "x.pt", pickle_protocol=3)
    with warnings.catch_warnings(action="error"):
        found = read_weights(tmp_path / "x.pt")
    assert isinstance(found, dict)
    assert found.keys() == STATE.keys()
    assert capfd.readouterr() == ("", "")
