"""Routes: how what reaches a neuron comes there, as linear maps of inputs, spikes, relays and results of the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce

import torch
from torch import Tensor

from hybridnet.partition.arithmetic import bounds
from hybridnet.partition.arithmetic.expanding import Expansion
from hybridnet.partition.arithmetic.forms import ONE, Form, Product, Variable
from hybridnet.partition.arithmetic.frames import Rearrangement, coefficient, fingerprint
from hybridnet.partition.arithmetic.linear import Linear, Pick, Scale
from hybridnet.partition.arithmetic.series import CLOSE


class NoRouteError(bounds.UnplacedError):
    """What reaches a neuron is no linear map of spikes and inputs; the text says why."""


@dataclass(frozen=True)
class Route:
    """Linear maps, one behind the other, from a source.

    Attributes:
        source: The variables at its beginning; several, all 0 or 1, stand for their product (an AND).
    """

    source: Product
    maps: tuple[Linear, ...] = ()


@dataclass(frozen=True, eq=False)
class Arrival:
    """All that a variable is made of: a factor per route, and a constant."""

    routes: Mapping[Route, Tensor]
    constant: Tensor


@dataclass(eq=False)
class Router:
    """Follows currents back to their sources."""

    found: Expansion
    _known: dict[Variable, Arrival] = field(default_factory=dict)

    def of(self, form: Form) -> Arrival:
        """All routes of a form.

        Raises:
            NoRouteError: If it reads a potential.
        """
        routes: dict[Route, Tensor] = {}
        constant = form.constant
        for product, factor in form.terms.items():
            if product == ONE:
                continue
            arrival = self._product(product)
            constant = constant + factor * arrival.constant
            for route, inner in arrival.routes.items():
                scaled = inner * factor
                routes[route] = routes[route] + scaled if route in routes else scaled
        return Arrival(routes, constant)

    def _product(self, product: Product) -> Arrival:
        if len(product) == 1:
            (variable,) = product
            return self._variable(variable)
        if any(not v.binary for v in product):
            raise NoRouteError(bounds.GATED_WAY)
        return Arrival({Route(product): _one()}, _zero())

    def _variable(self, variable: Variable) -> Arrival:
        if variable.kind == "potential":
            path = self.found.potentials[variable].frame.path
            raise NoRouteError(bounds.READS_POTENTIAL, path=path or "another neuron")
        if variable.kind != "current":
            return Arrival({Route(frozenset({variable})): _one()}, _zero())
        if variable not in self._known:
            self._known[variable] = self._current(variable)
        return self._known[variable]

    def _current(self, variable: Variable) -> Arrival:
        frame, index = self.found.currents[variable]
        operand = frame.operands[index]
        linear = picked(frame.op, index) if isinstance(frame.op, Rearrangement) else frame.op
        inner = self.of(self.found.forms[operand])
        routes: dict[Route, Tensor] = {}
        for route, factor in inner.routes.items():
            maps = route.maps if not factor.ndim else (*route.maps, Scale(coefficient(factor)))
            new = Route(route.source, (*maps, linear))
            number = _one() if factor.ndim else factor
            routes[new] = routes[new] + number if new in routes else number
        constant = _zero()
        if bool((inner.constant != 0).any()):
            constant = linear.apply(inner.constant.expand(operand.shape)[None])[0]
        # A convolution may round alike positions differently, as the processor's vectors divide the map.
        return Arrival(routes, coefficient(constant, within=CLOSE).value if constant.ndim else constant)


def picked(op: Rearrangement, index: int) -> Pick:
    """What a rearrangement takes of its operand of this place, as a linear map."""
    elements = torch.where(op.operand == index, op.element, -1)
    return Pick(elements, fingerprint(elements))


def applied(maps: tuple[Linear, ...], x: Tensor) -> Tensor:
    """Linear maps, one behind the other, on x (N, …)."""
    return reduce(lambda value, linear: linear.apply(value), maps, x)


def _one() -> Tensor:
    return torch.ones((), dtype=torch.float64)


def _zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)
