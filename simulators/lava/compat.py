"""The one place that mends Lava for a living Python.

lava-nc 0.10.0 and lava-dl 0.6.0 are archived and declare Python 3.10 only. Five mends let their own tests of what is
used here pass on Python 3.11 with numpy 2.4 (`make test-lava-stock`); each touches only what its docstring names.
Importing this module imports no Lava.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from hybridnet.errors import MissingBackendError
from hybridnet.support.optional import Package, importing, is_there

INSTALL_COMMAND = (
    'pip install "hybridnet[lava]" && pip install --no-deps --ignore-requires-python lava-nc==0.10.0 lava-dl==0.6.0'
)
"""Both declare Python 3.10 only and pin old libraries: their real needs are the extra's, hence --no-deps."""

VAR_MODEL = "lava.magma.compiler.var_model"
OBJECT_DETECTION = "lava.lib.dl.slayer.object_detection"


LAVA = Package("Lava", "simulates the spiking half", INSTALL_COMMAND)


def lava_is_installed() -> bool:
    """Whether lava-nc and lava-dl are there; imports neither."""
    return all(map(is_there, ("lava", "lava.magma", "lava.lib", "lava.lib.dl")))


def missing_lava(what: str) -> MissingBackendError:
    """The error that tells how to install Lava."""
    return MissingBackendError(f"Lava is not installed: {what}", remedy=f"Install it with: {INSTALL_COMMAND}")


@functools.cache
def import_lava() -> None:
    """Import lava-nc and lava-dl's netx, mended; call it before any other import of Lava.

    Lava then has set multiprocessing's start method to `fork` for the whole interpreter: outside a worker of one's own,
    prefer `hybridnet.simulators.lava.backend.LavaBackend`, which runs Lava in a subprocess.

    Raises:
        BackendError: If Lava is there but does not import; a `MissingBackendError` if it, or a library that it needs,
            is not installed.
    """
    with importing(LAVA), _hashable_var_model(), _no_object_detection():
        _scalars_from_arrays(importlib.import_module("lava.lib.dl.netx.hdf5"))
        _widen_conv_arithmetic(importlib.import_module("lava.proc.conv.utils"))
        _reshape_by_position(importlib.import_module("lava.magma.core.process.ports.ports"))


@contextmanager
def _hashable_var_model() -> Iterator[None]:
    """Give the dataclasses of one Lava module a hash.

    They use instances of each other as defaults of fields; since Python 3.11 a default must be hashable. The
    replacement of `dataclass` acts on this module only, and only while Lava is imported.
    """
    original: Callable[..., Any] = dataclasses.dataclass

    def dataclass(cls: type | None = None, /, **options: Any) -> Any:
        if cls is not None and cls.__module__ == VAR_MODEL:
            options["unsafe_hash"] = True
        return original(cls, **options)

    dataclasses.dataclass = dataclass
    try:
        yield
    finally:
        dataclasses.dataclass = original


@contextmanager
def _no_object_detection() -> Iterator[None]:
    """Put an empty module in place of slayer's object detection while slayer is imported.

    netx imports slayer, which imports this package, which needs torchvision and OpenCV; netx uses none of it. The entry
    is removed again, so that who has the two can still import the real package.
    """
    absent = OBJECT_DETECTION not in sys.modules
    if absent:
        sys.modules[OBJECT_DETECTION] = ModuleType(OBJECT_DETECTION)
    try:
        yield
    finally:
        if absent:
            del sys.modules[OBJECT_DETECTION]


def _widen_conv_arithmetic(conv_utils: Any) -> None:
    """Compute the shapes of convolutions in int64.

    Lava stores stride, padding and dilation as int8, and numpy 2 no longer widens int8 when it meets a Python integer:
    stock `conv` overflows for inputs over 127 pixels.
    """
    original = conv_utils.conv

    def widen(pair: Any) -> Any:
        return np.asarray(pair, dtype=np.int64)

    @functools.wraps(original)
    def conv(input_: Any, weight: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> Any:
        return original(input_, weight, widen(kernel_size), widen(stride), widen(padding), widen(dilation), int(groups))

    conv_utils.conv = conv


def _scalars_from_arrays(hdf5: Any) -> None:
    """Let netx say int() to an array of one element, the scale and offset of an input layer; numpy 2.4 refuses it."""
    hdf5.int = lambda value: int(np.asarray(value).item())


def _reshape_by_position(ports: Any) -> None:
    """Reshape what a port carries, between netx's flatten and dense; numpy 2.4 dropped the keyword `newshape`."""

    def reshape(shape: tuple[int, ...]) -> Callable[[Any], Any]:
        return lambda data: np.reshape(data, shape)

    ports.ReshapePort.get_transform_func_fwd = lambda port: reshape(port.shape)
    ports.ReshapePort.get_transform_func_bwd = lambda port: reshape(port.old_shape)
