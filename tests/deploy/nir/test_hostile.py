"""Hostile NIR files are refused before anything of them is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers.small_graphs import program

from hybridnet.deploy.nir import check as nir_check
from hybridnet.deploy.nir.file import read_nir, write_nir
from hybridnet.errors import BundleError

pytest.importorskip("nir")


def test_hostile_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.nir"

    def damaged(change: Any) -> Path:
        write_nir(path, program("x>a"))
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    def external(file: h5py.File) -> None:
        file["node/nodes/a/extra"] = h5py.ExternalLink("/etc/passwd", "/x")

    def loop(file: h5py.File) -> None:
        file["node/nodes/loop"] = file["node"]

    def bomb(file: h5py.File) -> None:
        file.create_dataset("node/nodes/a/extra", (2**40,), "f8", chunks=(2**20,), compression="gzip")

    def stored_elsewhere(file: h5py.File) -> None:
        file.create_dataset("node/nodes/a/extra", (4,), "f8", external=[("/etc/passwd", 0, 32)])

    def reference(file: h5py.File) -> None:
        file["node/nodes/a/extra"] = np.array([file["node"].ref], h5py.ref_dtype)

    def long_text(file: h5py.File) -> None:
        file["node/metadata/extra"] = "x" * (nir_check.MAX_TEXT + 1)

    def code(file: h5py.File) -> None:
        del file["node/nodes/a/type"]
        file["node/nodes/a/type"] = "__import__"

    for change, message in (
        (external, "is a link"),
        (loop, "members or 8 levels"),
        (bomb, "bytes in all arrays"),
        (stored_elsewhere, "stored elsewhere"),
        (reference, "is of type"),
        (long_text, "text of more than"),
        (code, "is no NIR graph"),
        (lambda file: file.__delitem__("node"), "is no NIR graph"),
    ):
        with pytest.raises(BundleError, match=message):
            read_nir(damaged(change))
    path.write_bytes(b"no hdf5")
    with pytest.raises(BundleError, match="no NIR file"):
        read_nir(path)
    with pytest.raises(BundleError, match="no NIR file"):
        read_nir(tmp_path / "missing.nir")
    monkeypatch.setattr(nir_check, "MAX_FILE_BYTES", 3)
    with pytest.raises(BundleError, match="larger than"):
        read_nir(path)
