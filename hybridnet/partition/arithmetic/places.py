"""Places in time: which population, input or relay a source is, and at which step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hybridnet.partition.arithmetic import bounds
from hybridnet.partition.arithmetic.chains import Chain
from hybridnet.partition.arithmetic.expanding import Expansion
from hybridnet.partition.arithmetic.forms import Product, Variable
from hybridnet.partition.arithmetic.frames import Frame, Step, made_by
from hybridnet.partition.arithmetic.linear import AveragePool, Linear, MaximumPool
from hybridnet.partition.arithmetic.routes import NoRouteError, Router


@dataclass(frozen=True)
class Origin:
    """Where something comes from, whatever the step.

    Attributes:
        kind: `input`, `population`, `relay` (an OR of windows), `and`, or `host`.
        key: Tells origins of a kind apart: a name, a number, a `HostKey`.
        shape: (C, H, W) or (F,) of one step.
    """

    kind: str
    key: Any
    shape: tuple[int, ...]


class HostKey(NamedTuple):
    """What the host computes: module and operation, the layer before it, and which of several alike at one step."""

    path: str
    what: str
    layer: str
    number: int


@dataclass(frozen=True)
class Wire:
    """Linear maps from an origin, `delay` steps late."""

    origin: Origin
    maps: tuple[Linear, ...]
    delay: int


Located = tuple[tuple[Origin, "int | None"], tuple[Linear, ...], Tensor]
ONE = torch.ones((), dtype=torch.float64)


@dataclass(eq=False)
class Places:
    """Finds the origin and step of what routes begin with.

    Attributes:
        refused: Numbers of chains that are no neurons; their spikes are the host's.
        relays: Per relay or AND what it reads.
        members: Per relay, and per host origin, its frames by step.
    """

    found: Expansion
    router: Router
    chains: Sequence[Chain]
    refused: frozenset[int] = frozenset()
    relays: dict[Origin, Mapping[Wire, Tensor]] = field(default_factory=dict)
    members: dict[Origin, dict[int, Frame]] = field(default_factory=dict)
    _steps: dict[Variable, tuple[int, int]] = field(default_factory=dict)
    _hosts: dict[Frame, tuple[Origin, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, chain in enumerate(self.chains):
            for t, step in enumerate(chain.steps if number not in self.refused else ()):
                self._steps[step.potential.variable] = number, t

    def of(self, source: Product, at: int) -> tuple[Origin, int | None]:
        """The origin of a source that a neuron reads at step `at`, and the source's own step; None without time.

        Raises:
            NoRouteError: If the spikes are those of no population.
        """
        if len(source) > 1:
            return self._and(source, at)
        (variable,) = source
        if variable.kind == "spike":
            return self._spike(variable, at)
        if variable.kind == "relay":
            return self._relay(variable, at)
        frame = self.found.sources[variable]
        if frame.kind == "input" and isinstance(frame.op, Step):
            return Origin("input", frame.op.name, frame.shape), frame.op.number
        return self._host(frame, at)

    def _spike(self, variable: Variable, at: int) -> tuple[Origin, int]:
        threshold = self.found.thresholds[variable]
        if threshold.potential not in self._steps:
            return self._host(threshold.frame, at)
        number, t = self._steps[threshold.potential]
        return Origin("population", number, threshold.frame.shape), t

    def _relay(self, variable: Variable, at: int) -> tuple[Origin, int]:
        frame = self.found.relays[variable]
        pool: MaximumPool = frame.op
        arrival = self.router.of(self.found.forms[frame.operands[0]])
        if bool((arrival.constant != 0).any()) or pool.dilation != (1, 1):
            raise NoRouteError(bounds.ODD_MAXIMUM)
        summed = AveragePool(pool.kernel, pool.stride, pool.padding, pool.ceil_mode, True, 1)
        located = [(self.of(r.source, at), (*r.maps, summed), factor) for r, factor in arrival.routes.items()]
        return self._gathered("relay", frame.path, located, frame.shape, at, frame)

    def _and(self, source: Product, at: int) -> tuple[Origin, int]:
        located: list[Located] = [(self.of(frozenset({v}), at), (), ONE) for v in sorted(source, key=repr)]
        ((first, _), _, _) = located[0]  # frames that are multiplied have one shape
        return self._gathered("and", "", located, first.shape, at, None)

    def _gathered(
        self, kind: str, path: str, located: list[Located], shape: tuple[int, ...], at: int, frame: Frame | None
    ) -> tuple[Origin, int]:
        t = max((step for (_, step), _, _ in located if step is not None), default=at)
        wires = {Wire(origin, maps, 0 if step is None else t - step): f for (origin, step), maps, f in located}
        origin = Origin(kind, (path, tuple(sorted(wires, key=repr))), shape)
        self.relays[origin] = wires
        if frame is not None:
            self.members.setdefault(origin, {})[t] = frame
        return origin, t

    def _host(self, frame: Frame, at: int) -> tuple[Origin, int]:
        if frame not in self._hosts:
            layer, maker = layer_before(frame), made_by(frame)
            taken = sum(o.key[:3] == (maker.path, maker.what, layer) and t == at for o, t in self._hosts.values())
            origin = Origin("host", HostKey(maker.path, maker.what, layer, taken), frame.shape)
            self._hosts[frame] = origin, at
            self.members.setdefault(origin, {})[at] = frame
        return self._hosts[frame]


def layer_before(frame: Frame) -> str:
    """The module of the last layer before a frame, or at it; empty if there is none."""
    near = sorted((frame, *frame.before()), key=lambda f: -f.number)
    return next((f.path for f in near if f.kind == "linear" and f.path), "")
