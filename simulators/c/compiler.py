"""The C of a program, compiled by the system's compiler and loaded into this process."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from hybridnet.deploy.c.header import header_text
from hybridnet.deploy.c.parts import Plan, Store
from hybridnet.deploy.c.source import source_text
from hybridnet.errors import BackendError, MissingBackendError
from hybridnet.support.files import temporary_folder
from hybridnet.support.text import TOLD

COMPILERS = ("cc", "gcc", "clang")
"""Looked for in this order."""

OPTIONS = ("-std=c11", "-O2", "-shared", "-fPIC")

TIMEOUT_S = 600.0

ITEMS: Mapping[str, Any] = {
    "int8_t": ctypes.c_int8,
    "uint8_t": ctypes.c_uint8,
    "int16_t": ctypes.c_int16,
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
}


def find_compiler() -> str:
    """Path of a C compiler.

    Raises:
        MissingBackendError: If there is none.
    """
    found = next(filter(None, map(shutil.which, COMPILERS)), None)
    if found is None:
        what = f"no C compiler is on PATH ({', '.join(COMPILERS)})"
        raise MissingBackendError(what, remedy="Install one, such as gcc, with the system's package manager")
    return found


def load_c(plan: Plan) -> ctypes.CDLL:
    """Compile a program with all currents in its state (NAME_TRACE), and load it.

    Raises:
        BackendError: If the compiler fails; a `MissingBackendError` if there is none.
    """
    compiler = find_compiler()
    with temporary_folder() as folder:
        source, library = folder / f"{plan.name}.c", folder / f"{plan.name}.so"
        source.write_text(source_text(plan), encoding="utf-8")
        source.with_suffix(".h").write_text(header_text(plan), encoding="utf-8")
        _run([compiler, *OPTIONS, f"-D{plan.name.upper()}_TRACE", "-o", str(library), str(source)], source)
        return ctypes.CDLL(str(library))


def _run(command: list[str], source: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - a compiler on PATH, with files of ours
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise BackendError(f"{command[0]} took more than {TIMEOUT_S:g} s", where=source.name) from None
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())[:TOLD]
        raise BackendError(f"{command[0]} refuses it: {said}", where=source.name)


def state_type(plan: Plan) -> type[ctypes.Structure]:
    """NAME_state with NAME_TRACE, as C lays it out."""
    members = [(store.name, _struct(store)) for store in plan.stores]
    return type("State", (ctypes.Structure,), {"_fields_": members})


def _struct(store: Store) -> type[ctypes.Structure]:
    fields = [(f.name, reduce(lambda item, count: item * count, reversed(f.dims), ITEMS[f.kind])) for f in store.fields]
    return type("Store", (ctypes.Structure,), {"_fields_": fields})
