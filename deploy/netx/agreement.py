"""Whether the `.net` files of a bundle hold its spiking program."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from hybridnet.deploy.netx.file import read_net
from hybridnet.errors import BundleError
from hybridnet.program.chains import Chain
from hybridnet.program.spiking import AnyGraph, SpikingHalf
from hybridnet.support.sealed import EXPORT_AGAIN, SealedFile


def check_nets(files: Mapping[str, SealedFile], spiking: SpikingHalf, chains: Mapping[str, Chain]) -> None:
    """The `.net` file of each chain, read within limits, must hold the very program, which then keeps them too.

    Raises:
        BundleError: If one does not.
    """
    for name, file in files.items():
        net = read_net(file)
        chain = chains[name]
        ours = name, _along(chain, spiking.program.part(chain)), _along(chain, spiking.fixed.part(chain))
        if not _same(ours, (net.name, net.program, net.fixed)):
            raise BundleError("holds another chain than the spiking program", where=file, remedy=EXPORT_AGAIN)


def _along(chain: Chain, part: AnyGraph) -> AnyGraph:
    """A chain as a file holds it: its groups from first to last, which a program may list in any order."""
    ordered = sorted(part.synapses, key=lambda group: chain.index(group.target))
    return dataclasses.replace(part, synapses=tuple(ordered))  # type: ignore[arg-type]


def _same(ours: Any, theirs: Any) -> bool:
    """Whether two dataclasses, or tuples of them, hold the same types and numbers."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, tuple):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    if dataclasses.is_dataclass(ours):
        return all(_same(getattr(ours, f.name), getattr(theirs, f.name)) for f in dataclasses.fields(ours))
    return bool(np.array_equal(ours, theirs))
