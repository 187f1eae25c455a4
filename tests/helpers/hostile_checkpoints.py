"""Hostile checkpoints, each a kind: a change of a whole one's bytes, and what the error says."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable

import torch

from hybridnet.config import ModelConfig
from hybridnet.model.network import HybridNet
from hybridnet.support.plain import from_dict


def _asks(**config: int) -> Callable[[bytes], bytes]:
    """A small checkpoint whose tensors are one number each, seen as many."""

    def edit(whole: bytes) -> bytes:
        content = torch.load(io.BytesIO(whole), weights_only=True)
        content["config"].update(config)
        with torch.device("meta"):
            model = HybridNet(from_dict(ModelConfig, content["config"]))
        one = {n: torch.full((1,) * t.dim(), 0.5).to(t.dtype).expand(t.shape) for n, t in model.state_dict().items()}
        return _saved(content | {"state_dict": one})

    return edit


def _saved(content: object) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def _with(name: str, value: object) -> Callable[[bytes], bytes]:
    return lambda whole: _saved(torch.load(io.BytesIO(whole), weights_only=True) | {name: value})


def _weights(edit: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[bytes], bytes]:
    def change(whole: bytes) -> bytes:
        content = torch.load(io.BytesIO(whole), weights_only=True)
        content["state_dict"] = {n: edit(w) if w.is_floating_point() else w for n, w in content["state_dict"].items()}
        return _saved(content)

    return change


def _bad_zip(whole: bytes) -> bytes:
    place = whole.rfind(b"PK\x01\x02")
    return whole[:place] + b"\0" + whole[place + 1 :]


def _packed(whole: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as archive, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in archive.infolist():
            packed.writestr(entry.filename, archive.read(entry))
    return file.getvalue()


class _Asks:
    def __reduce__(self) -> tuple[object, tuple[int]]:
        return bytearray, (2**33,)


CHECKPOINTS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "asks for 13 GB": (_asks(mlp_ratio=10**5), "whose numbers it does not hold"),
    "hangs": (_asks(rrdb_blocks=24, rrdb_growth=2000), "whose numbers it does not hold"),
    "bad zip": (_bad_zip, "Bad magic number"),
    "dots": (lambda _: b"." * 100, "not a zip file"),
    "front cut": (lambda whole: whole[100:], "cannot be read"),
    "end cut": (lambda whole: whole[:-100], "not a zip file"),
    "another pickle": (lambda _: pickle.dumps({"a": 1}, 4), "not a zip file"),
    "packed": (_packed, "is compressed"),
    "memory of its own": (_with("more", _Asks()), "asks for"),
    "sparse": (_with("more", torch.eye(3).to_sparse()), "holds sparse tensors"),
    "no labels": (_with("labels", None), "does not fit"),
    "a config of text": (_with("config", "x"), "config"),
    "no weights": (_with("state_dict", {}), "does not fit"),
    "doubles": (_weights(lambda weights: weights.double()), "is not of type torch.float32"),
    "NaN": (_weights(lambda weights: weights * float("nan")), "not finite"),
}
"""A change of a checkpoint's bytes, and what the error says."""
