"""Neurons that a user states, where what they compute cannot be read: compiled code, other libraries, branches on data.

A statement is tried before it is used: each stated module runs beside its equation, on what the model feeds it and on
random currents, and the model is refused where spikes differ beyond ties. While a model is read, stated modules compute
their equation in plain operations, which are read as any others.

    c[t] = λc·c[t−1] + gain·x[t]
    u[t] = c[t] + λ·u[t−1] − r·o[t−1]            soft reset
    u[t] = c[t] + λ·u[t−1]·(1 − o[t−1])          hard reset
    o[t] = u[t] > vth, or u[t] ≥ vth
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from hybridnet.errors import ConfigError, ModelError, PartitionError
from hybridnet.partition.arithmetic.examples import Rest
from hybridnet.partition.arithmetic.replay import ROUNDING
from hybridnet.partition.arithmetic.untouched import untouched
from hybridnet.program.layers import Reset
from hybridnet.support.foreign import foreign_code

Number = float | Callable[[Any], float | Tensor]
"""A number, or a function that takes it off a module: one number, or one per channel (C,)."""


ALLOWED = {"leak": (0.0, 1.0), "current_leak": (0.0, 1.0), "threshold": (1e-30, math.inf)}
"""The range of numbers that are not just finite."""


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What a class of modules computes; see `neuron`."""

    leak: Number
    threshold: Number
    reset: Reset
    reset_amount: Number | None
    current_leak: Number
    gain: Number
    fires: Literal[">", ">="]
    time_axis: int | None

    def of(self, module: nn.Module) -> Equation:
        """The equation of one module, at rest."""
        amount = self.threshold if self.reset_amount is None else self.reset_amount
        given = {"leak": self.leak, "threshold": self.threshold, "reset_amount": amount,
                 "current_leak": self.current_leak, "gain": self.gain}  # fmt: skip
        remedy = "Correct hybridnet.neuron(…)"
        with (
            torch.no_grad(),
            foreign_code(
                ModelError, "the numbers stated of it cannot be taken", where=type(module).__name__, remedy=remedy
            ),
        ):
            numbers = {name: torch.as_tensor(v(module) if callable(v) else v).float() for name, v in given.items()}
        for name, values in numbers.items():
            low, high = ALLOWED.get(name, (-math.inf, math.inf))
            if not bool((values.isfinite() & (values >= low) & (values <= high)).all()):
                allowed = f"{low:g} to {high:g}" if name in ALLOWED else "finite"
                raise ConfigError(f"{type(module).__name__}.{name}", values.flatten().tolist()[:3], allowed)
        return Equation(self, numbers)


@dataclass(eq=False)
class Equation:
    """A module that computes what was stated of it.

    Attributes:
        numbers: λ, vth, r, λc and the gain, by name, () or (C,).
    """

    statement: Statement
    numbers: Mapping[str, Tensor]
    _state: tuple[Tensor, Tensor, Tensor] | None = field(default=None)

    def rest(self) -> None:
        """Forget the state."""
        self._state = None

    def __call__(self, x: Tensor) -> Tensor:
        """Spikes of a step, (B, C, …), or of all steps along the stated axis."""
        axis = self.statement.time_axis
        if axis is None:
            return self._fire(x)
        return torch.stack([self._fire(step) for step in x.unbind(axis)], axis)

    def potential(self, x: Tensor) -> Tensor:
        """U of the next step."""
        leak, amount, current_leak, gain = (
            self._column(name, x) for name in ("leak", "reset_amount", "current_leak", "gain")
        )
        c, u, o = self._state or (torch.zeros_like(x),) * 3
        c = current_leak * c + gain * x
        u = c + leak * u * (1 - o) if self.statement.reset == "hard" else c + leak * u - amount * o
        self._state = c, u, o
        return u

    def fired(self, o: Tensor) -> None:
        """Let the next step follow these spikes."""
        assert self._state is not None  # noqa: S101
        self._state = *self._state[:2], o

    def _fire(self, x: Tensor) -> Tensor:
        u = self.potential(x)
        threshold = self._column("threshold", x)
        o = (u > threshold if self.statement.fires == ">" else u >= threshold).to(x.dtype)
        self.fired(o)
        return o

    def _column(self, name: str, like: Tensor) -> Tensor:
        values = self.numbers[name]
        return values.reshape(-1, *[1] * (like.ndim - 2)) if values.numel() > 1 else values.reshape(())


_STATED: dict[type[nn.Module], Statement] = {}


def neuron(
    module_class: type[nn.Module],
    *,
    leak: Number,
    threshold: Number,
    reset: Reset = "hard",
    reset_amount: Number | None = None,
    current_leak: Number = 0.0,
    gain: Number = 1.0,
    fires: Literal[">", ">="] = ">",
    time_axis: int | None = None,
) -> None:
    """State that modules of a class are neurons: they take currents, and return spikes of 0 and 1.

    Each number may be a function that takes it off a module, such as `lambda lif: 1 - 1 / lif.tau`; it may be one per
    channel.

    Args:
        module_class: Also its subclasses.
        leak: λ, 0 to 1.
        threshold: vth > 0.
        reset: What a spike does to the potential.
        reset_amount: r of the soft reset; vth if None.
        current_leak: λc, 0 to 1.
        gain: What currents are multiplied by.
        fires: Whether a potential at the threshold spikes.
        time_axis: The axis of the steps, of modules that take all of them at once; None of those called at each step.

    Raises:
        ConfigError: If this is no class of modules, or a value is not allowed.
    """
    if not isinstance(module_class, type) or not issubclass(module_class, nn.Module):
        raise ConfigError("module_class", module_class, "a subclass of torch.nn.Module")
    for name, value, allowed in (("reset", reset, ("soft", "hard")), ("fires", fires, (">", ">="))):
        if value not in allowed:
            raise ConfigError(name, value, ", ".join(allowed))
    _STATED[module_class] = Statement(
        leak=leak, threshold=threshold, reset=reset, reset_amount=reset_amount, current_leak=current_leak, gain=gain,
        fires=fires, time_axis=time_axis,
    )  # fmt: skip


def stated_modules(model: nn.Module) -> dict[str, Statement]:
    """The modules of a model that were stated, by path."""
    found = {}
    for path, module in model.named_modules():
        kind = next((kind for kind in type(module).__mro__ if kind in _STATED), None)
        if kind is not None:
            found[path] = _STATED[kind]
    return found


@contextmanager
def stated(model: nn.Module, inputs: Mapping[str, Tensor], rest: Rest) -> Iterator[Rest]:
    """Let stated modules compute their equations, once each was tried; gives what puts the model at rest meanwhile.

    Raises:
        PartitionError: If a module does not compute what was stated of it.
        ModelError: If the model fails.
    """
    modules = {path: model.get_submodule(path) for path in stated_modules(model)}
    equations = {path: statement.of(modules[path]) for path, statement in stated_modules(model).items()}
    if equations:
        _try(model, inputs, rest, equations)

    def rest_all(module: nn.Module) -> None:
        rest(module)
        for equation in equations.values():
            equation.rest()

    try:
        for path, equation in equations.items():
            vars(modules[path])["forward"] = equation
        yield rest_all
    finally:
        for path in equations:
            vars(modules[path]).pop("forward", None)


@dataclass(eq=False)
class _Calls:
    """What a module was fed and gave, call by call, and a copy of it as it was before the first."""

    twin: nn.Module | None = None
    fed: list[Tensor] = field(default_factory=list)
    gave: list[Any] = field(default_factory=list)


@torch.no_grad()
def _try(
    model: nn.Module,
    inputs: Mapping[str, Tensor],
    rest: Rest,
    equations: Mapping[str, Equation],
) -> None:
    """Run each stated module beside its equation, on the model's own currents and on random ones."""
    calls = {path: _Calls() for path in equations}
    with untouched(model), foreign_code(ModelError, "cannot be run", where=type(model).__name__, remedy=""):
        rest(model)
        handles = [handle for path, own in calls.items() for handle in _watched(model.get_submodule(path), own)]
        try:
            model(**inputs)
        finally:
            for handle in handles:
                handle.remove()
    generator = torch.Generator().manual_seed(0)
    for path, own in calls.items():
        _compare(path, equations[path], own.fed, own.gave, "what the model feeds it")
        if own.twin is not None:
            threshold = float(equations[path].numbers["threshold"].max())
            sizes = [max(float(x.std().nan_to_num()), threshold) for x in own.fed]
            noise = [
                2 * size * torch.randn(x.shape, generator=generator) for size, x in zip(sizes, own.fed, strict=True)
            ]
            with foreign_code(ModelError, "cannot be run on random currents", where=path, remedy=""):
                gave = [own.twin(x) for x in noise]
            _compare(path, equations[path], noise, gave, "random currents")


def _watched(module: nn.Module, own: _Calls) -> Iterator[Any]:
    def before(_: nn.Module, args: tuple[Any, ...]) -> None:
        if own.twin is None:
            own.twin = copy.deepcopy(module)
            own.twin._forward_pre_hooks.clear()
            own.twin._forward_hooks.clear()
        own.fed.append(args[0].clone())

    yield module.register_forward_pre_hook(before)
    yield module.register_forward_hook(lambda _, __, returned: own.gave.append(returned))


def _compare(path: str, equation: Equation, fed: list[Tensor], gave: list[Any], what: str) -> None:
    """Refuse an equation whose spikes differ from a module's by more than ties; resets follow the module's spikes."""
    axis = equation.statement.time_axis
    equation.rest()
    for call, (x, o) in enumerate(zip(fed, gave, strict=True)):
        if not isinstance(o, Tensor) or o.shape != x.shape or not bool(((o == 0) | (o == 1)).all()):
            raise PartitionError(
                "is stated as a neuron, and does not return spikes of 0 and 1 in the shape of its currents", where=path
            )
        steps = [(x, o)] if axis is None else list(zip(x.unbind(axis), o.unbind(axis), strict=True))
        for current, spikes in steps:
            u = equation.potential(current)
            threshold = equation._column("threshold", current)
            size = torch.maximum(u.abs().max(), threshold.max())
            wrong = ((u - threshold).abs() > ROUNDING * size) & ((u > threshold) != (spikes > 0))
            equation.fired(spikes.to(current.dtype))
            if bool(wrong.any()):
                raise PartitionError(
                    f"does not compute what was stated of it: on {what}, {int(wrong.sum())} of {wrong.numel()} neurons"
                    f" fire otherwise in call {call + 1}",
                    where=path,
                    remedy="Correct hybridnet.neuron(…)",
                )
    equation.rest()
