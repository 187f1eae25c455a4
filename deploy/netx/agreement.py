"""Whether the `.net` files of a bundle hold its spiking program."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

import numpy as np

from hybridnet.deploy.netx.file import read_net
from hybridnet.errors import BundleError
from hybridnet.program.layers import FixedProgram, FloatProgram, Stream
from hybridnet.program.spiking import Chains
from hybridnet.support.sealed import EXPORT_AGAIN, SealedFile


def check_nets(files: Mapping[str, SealedFile], chains: Chains) -> None:
    """The `.net` file of each stream, read within limits, must hold the very program, which then keeps them too.

    Raises:
        BundleError: If one does not.
    """
    for name, file in files.items():
        in_float, in_integers, steps = read_net(file)
        pairs = [*_named(name, chains.program, in_float), *_named(name, chains.fixed, in_integers)]
        if steps != chains.program.steps or not all(_same(ours, theirs) for ours, theirs in pairs):
            raise BundleError("holds another stream than the spiking program", where=file, remedy=EXPORT_AGAIN)


def _named(name: str, program: FloatProgram | FixedProgram, theirs: Stream[Any]) -> Iterator[tuple[Any, Any]]:
    """The two streams without their layers, then their layers, one by one; what one lacks is None."""
    ours: Stream[Any] = next(stream for stream in program.streams if stream.name == name)
    yield dataclasses.replace(ours, layers=()), dataclasses.replace(theirs, layers=())
    yield from zip_longest(ours.layers, theirs.layers)


def _same(ours: Any, theirs: Any) -> bool:
    return type(ours) is type(theirs) and all(
        np.array_equal(getattr(ours, field.name), getattr(theirs, field.name)) for field in dataclasses.fields(ours)
    )
