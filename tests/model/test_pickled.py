"""What a checkpoint's pickle may not do is refused first: crash, copy without end, hold what is no tensor."""

from __future__ import annotations

import argparse
import io
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridnet.errors import CheckpointError
from hybridnet.model.weights_file import read_weights

START = b"\x80\x02"


def written(path: Path, pickle: bytes) -> Path:
    """A file of torch.save with another pickle."""
    whole = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, pickle if name.endswith("data.pkl") else source.read(name))
    return path


@pytest.mark.parametrize(
    ("pickle", "reason"),
    [
        (START + b"})" + b"\x85" * 2_000_000 + b"K\x01s.", "tuples within tuples"),
        (START + b"})" + b"K\x01\x86" * 1_000_000 + b"K\x01s.", "tuples within tuples"),
        (START + b"})" + b"q\x00h\x00\x85" * 1_000_000 + b"K\x01s.", "tuples within tuples"),
        (START + b"}" + b"(" * 1000 + b")" + b"t" * 1000 + b"K\x01s.", "tuples within tuples"),
        (START + b"]" * 3_000_000 + b".", "more than 2097152 steps"),
        (START + b"}q\x00]" + b"ccollections\nOrderedDict\nh\x00\x85Ra" * 3 + b".", "copies dicts"),
        (START + b"}q\x00]" + b"ccollections\nOrderedDict\n)Rh\x00ba" * 100 + b".", "more than 32 state dicts"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "pickled in another way"),
        (START + b"cos\nsystem\n.", "asks for os.system"),
        (START + b"t.", "cannot be read"),
    ],
    ids=["tuples", "pairs", "memo", "marks", "long", "copies", "states", "protocol 4", "code", "no mark"],
)
def test_a_hostile_pickle_is_one_line_at_once(pickle: bytes, reason: str, tmp_path: Path) -> None:
    began = time.process_time()
    with pytest.raises(CheckpointError, match=reason) as error:
        read_weights(written(tmp_path / "x.pt", pickle))
    assert "\n" not in str(error.value)
    assert time.process_time() - began < 20


@pytest.mark.filterwarnings("ignore")  # some of these kinds of tensors are deprecated, or in beta
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8), "quantised tensors"),
        (lambda: torch.eye(3).to_sparse(), "sparse tensors"),
        (lambda: torch.eye(3).to_sparse_csr(), "sparse tensors"),
        (lambda: torch.nested.nested_tensor([torch.zeros(2)]), "nested tensors"),
        (lambda: torch.zeros(3, device="meta"), "without numbers"),
        (lambda: torch.zeros(3).to(torch.float8_e4m3fn), "float8"),
        (lambda: torch.zeros(3, dtype=torch.complex64), "complex tensors"),
        (lambda: np.float64(0.5), "torch.load"),
        (
            lambda: argparse.Namespace(width=3),
            "argparse.Namespace.*If you trust it, load it with torch.load",
        ),
        (lambda: torch.nn.Linear(2, 2), "an object of class torch.nn.modules.linear.Linear"),
    ],
    ids=["quantised", "sparse", "csr", "nested", "meta", "float8", "complex", "numpy", "namespace", "module"],
)
def test_what_is_no_dense_tensor_is_named_with_what_to_do(make: object, reason: str, tmp_path: Path) -> None:
    assert callable(make)
    torch.save({"state_dict": {"w": torch.zeros(2)}, "more": make()}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=reason):
        read_weights(tmp_path / "x.ckpt")


def test_a_torchscript_program_is_named(tmp_path: Path) -> None:
    whole = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, whole)
    with zipfile.ZipFile(whole, "a") as archive:
        archive.writestr("archive/code/__torch__.py", "def forward(self): pass")
    (tmp_path / "x.pt").write_bytes(whole.getvalue())
    with pytest.raises(CheckpointError, match=r"is a TorchScript program. Load it with torch\.jit\.load"):
        read_weights(tmp_path / "x.pt")
