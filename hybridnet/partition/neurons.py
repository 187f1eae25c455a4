"""Neurons of other libraries, rewritten in the program's equation where that is exact, and refused where it is not.

The program computes, with i[t] the sum over the synapses and u read before any reset,

    u[t] = gain·i[t] + λ·u[t−1] − vth·o[t−1]       o[t] = u[t] > vth       (soft)
    u[t] = gain·i[t] + λ·u[t−1]·(1 − o[t−1])       o[t] = u[t] > vth       (hard)

`gain` goes into the layer's weight and bias. The algebra of each library's neuron stands in its function below; sources
read: snntorch 1.0.0, spikingjelly 2.0.0, norse 1.1.0. Three things recur:

*Hard reset* to 0, at once (v ← u·(1 − o)) or one step later, is the same sequence of u and o: λ·v[t−1] = λ·u[t−1]·(1 −
o[t−1]). Only what may be read differs: a library that resets at once hands on v, the potential after the reset.

*Soft reset at once*, v ← u − vth·o, gives u[t] = gain·i[t] + λ·u[t−1] − λ·vth·o[t−1]: it subtracts λ·vth. The program
subtracts vth. Shifting the potential by c = (λ − 1)·vth makes the two amounts equal, but then the first step would have
to start from c instead of 0, which the program cannot say. So it is refused unless λ = 1.

*Comparison* `u ≥ vth` of float32 numbers is `u > p`, p being the float32 number just below vth.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from hybridnet.model.neuron import ConvLIF
from hybridnet.model.stm import SpikingStack
from hybridnet.program.layers import Reset

PACKAGES = ("snntorch", "spikingjelly", "norse")

Given = Literal["spikes", "potential", "settled", "state"]
"""What a call hands on: o; u before the reset; v after it; or a record whose field `v` is v after it."""


class InexpressibleError(Exception):
    """A neuron that the program's equation does not cover; the text says why."""


@dataclass(frozen=True)
class Neuron:
    """A neuron in the program's equation, and how its library calls it.

    Attributes:
        gain: Factor on the sum over the synapses.
        whole_window: Whether one call runs all steps, (T, B, C, H, W), or one, (B, C, H, W).
        returns: What a call returns, alone or as a tuple.
        takes_state: Whether the state travels through `forward`, or stays inside the module.
        attribute: What the module's own state attribute holds after a call.
        note: What a reader of the report should know about the rewriting.
    """

    leak: float
    threshold: float
    reset: Reset
    gain: float = 1.0
    whole_window: bool = False
    returns: Given | tuple[Given, ...] = "spikes"
    takes_state: bool = False
    attribute: Literal["potential", "settled"] | None = None
    note: str = ""


def recognise(module: nn.Module) -> Neuron | None:
    """The neuron that `module` is; None if it is no neuron of a known library.

    Raises:
        InexpressibleError: If it is one that cannot be rewritten exactly.
    """
    if not is_foreign_neuron(module):
        return None
    kind = type(module)
    convert = CONVERSIONS.get((kind.__module__.partition(".")[0], kind.__name__))
    if convert is None:
        known = ", ".join(sorted(f"{package}'s {name}" for package, name in CONVERSIONS))
        raise InexpressibleError(f"{kind.__module__}.{kind.__name__} is not among those with a known equation: {known}")
    neuron = convert(module)
    if not 0 <= neuron.leak <= 1 or not neuron.threshold > 0:
        raise InexpressibleError(f"its leak {neuron.leak:g} or threshold {neuron.threshold:g} is out of range")
    return neuron


def is_foreign_neuron(module: nn.Module) -> bool:
    """Whether `module` keeps a state over time and comes from a known library, or derives from such a class."""
    return any(
        _belongs(module, package, base)
        for package, base in (
            ("snntorch", "SpikingNeuron"),
            ("spikingjelly", "MemoryModule"),
            ("norse", "SNNCell"),
            ("norse", "SNN"),
            ("norse", "SNNRecurrentCell"),
            ("norse", "SNNRecurrent"),
        )
    ) and not is_idle_in_evaluation(module)


def is_spiking(module: nn.Module) -> bool:
    """Whether `module` is a spiking layer, or a stack of such, of ours or of a known library."""
    return isinstance(module, ConvLIF | SpikingStack) or is_foreign_neuron(module)


def returns_tuple(module: nn.Module) -> bool:
    """Whether a call of this neuron gives spikes and a state, not spikes alone."""
    hidden = getattr(module, "init_hidden", False) and not getattr(module, "output", False)
    return not hidden and not _belongs(module, "spikingjelly", "MemoryModule")


def is_foreign_leaf(module: nn.Module) -> bool:
    """Whether tracing shows `module`, of a known library, as one node."""
    wrapped = type(module).__module__.startswith("spikingjelly.") and isinstance(
        module, nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d
    )
    return wrapped or is_foreign_neuron(module) or _belongs(module, "spikingjelly", "Dropout")


def is_idle_in_evaluation(module: nn.Module) -> bool:
    """Whether `module` hands on its input unchanged once training is over."""
    torch_own = isinstance(module, nn.Identity | nn.Dropout | nn.Dropout1d | nn.Dropout2d | nn.Dropout3d)
    return (not module.training and (torch_own or _belongs(module, "spikingjelly", "Dropout"))) or type(
        module
    ) is nn.Identity


def state_attributes(module: nn.Module) -> Iterator[tuple[dict[str, Any], str]]:
    """Where a neuron keeps its state between calls: (dictionary, key)."""
    if _belongs(module, "snntorch", "Leaky") and getattr(module, "init_hidden", False):
        yield module.__dict__, "mem"
    if _belongs(module, "spikingjelly", "BaseNode"):
        memories: Any = module._memories
        yield memories, "v"


def rest(model: nn.Module) -> None:
    """Bring all neurons of known libraries to rest, as before the first step of a window."""
    for module in model.modules():
        if _belongs(module, "spikingjelly", "MemoryModule"):
            reset: Any = module.reset
            reset()
        elif _belongs(module, "snntorch", "SpikingNeuron") and isinstance(getattr(module, "mem", None), Tensor):
            module.mem = torch.zeros(0)


def _snntorch_leaky(m: Any) -> Neuron:
    """snntorch.Leaky: mem ← clamp(β)·mem + i − vth·[mem > vth], spk = mem > vth, mem handed on as it stands.

    With reset_delay=True, `subtract` and `zero` are the program's soft and hard reset, operation by operation.
    reset_delay=False applies the reset to mem before handing it on: with `zero` that is a hard reset at once; with
    `subtract`, besides the λ·vth above, a potential over 2·vth is treated in two different ways.
    """
    resets: dict[str, Reset] = {"subtract": "soft", "zero": "hard"}
    reset = resets.get(m.reset_mechanism)
    functions = {"soft": m._base_sub, "hard": m._base_zero}
    if reset is None or m.state_function != functions[reset]:
        raise InexpressibleError("reset_mechanism is neither 'subtract' nor 'zero' since it was built")
    _need(m.reset_delay or reset == "hard", "reset_delay=False with 'subtract' subtracts λ·vth, the program vth")
    _need(not m.inhibition, "inhibition=True lets each neuron depend on its neighbours")
    _need(not m.state_quant, "state_quant rounds the potential in a way of its own")
    _need(_scalar(m.graded_spikes_factor, "graded_spikes_factor") == 1, "graded_spikes_factor is not 1")
    _need(_fires(m.spike_grad) == ">", "spike_grad is not a step at 0")
    given: Literal["potential", "settled"] = "potential" if m.reset_delay else "settled"
    return Neuron(
        leak=min(max(_scalar(m.beta, "beta"), 0.0), 1.0),
        threshold=_scalar(m.threshold, "threshold"),
        reset=reset,
        returns="spikes" if m.init_hidden and not m.output else ("spikes", given),
        takes_state=not m.init_hidden,
        attribute=given,
    )


def _spikingjelly_lif(m: Any) -> Neuron:
    """LIFNode: u = v + (x − v)/τ, or v − v/τ + x without decay_input; so λ = 1 − 1/τ and gain = 1/τ, or 1."""
    return _spikingjelly(m, 1 / m.tau, m.decay_input)


def _spikingjelly_plif(m: Any) -> Neuron:
    """ParametricLIFNode: LIFNode with 1/τ = sigmoid(w), one learned w for the layer."""
    return _spikingjelly(m, _scalar(torch.sigmoid(m.w), "w"), m.decay_input)


def _spikingjelly_if(m: Any) -> Neuron:
    """IFNode: u = v + x; so λ = 1 and gain = 1."""
    return _spikingjelly(m, 0.0, False)


def _spikingjelly(m: Any, rate: float, decay_input: bool) -> Neuron:
    """All reset at once and fire at u ≥ vth; v_reset=None is a soft reset, exact for λ = 1 only."""
    soft = m.v_reset is None
    _need(soft or m.v_reset == 0, f"v_reset = {m.v_reset} is neither None nor 0")
    _need(not soft or rate == 0, "v_reset=None subtracts λ·vth, the program vth; v_reset=0.0 is exact")
    _need(m._neuron_precision is None, "it computes in a precision of its own")
    rule = _fires(m.surrogate_function)
    _need(rule is not None, "its surrogate function is not a step at 0")
    note = "≥ is written as > at the float32 number below" if rule == ">=" else ""
    if soft and note:
        note += ", which is also what a reset subtracts: 1 unit in the last place less"
    return Neuron(
        leak=1 - rate,
        threshold=_below(m.v_threshold) if rule == ">=" else m.v_threshold,
        reset="soft" if soft else "hard",
        gain=rate if decay_input else 1.0,
        whole_window=m.step_mode == "m",
        attribute="settled",
        note=note,
    )


def _norse_lif_box(m: Any) -> Neuron:
    """LIFBoxCell: u = v + a·(x + v_leak − v) with a = dt/τ_mem, fires at u > v_th; so λ = 1 − a and gain = a."""
    _need(getattr(m.p, "reset_method", None) in (None, _norse("reset", "reset_value")), "its reset is not reset_value")
    for name in ("v_leak", "v_reset"):
        _need(_scalar(getattr(m.p, name), name) == 0, f"{name} is not 0")
    threshold = _norse("threshold", "threshold")
    _need(_fires(lambda x: threshold(x, m.p.method, m.p.alpha)) == ">", f"method {m.p.method!r} is not a step at 0")
    rate = _scalar(m.dt * m.p.tau_mem_inv, "tau_mem_inv")
    return Neuron(
        leak=1 - rate,
        threshold=_scalar(m.p.v_th, "v_th"),
        reset="hard",
        gain=rate,
        returns=("spikes", "state"),
        takes_state=True,
    )


def _norse_lif(m: Any) -> Neuron:
    """LIF and LIFCell have a synaptic current too, i ← (i + x)·(1 − dt/τ_syn); with dt = τ_syn it is 0 after each step.

    Then they are LIFBoxCell. `LIF` runs a whole window.
    """
    _need(m.p.method != "adjoint", "method 'adjoint' has a step of its own")
    _need(
        _scalar(m.dt * m.p.tau_syn_inv, "tau_syn_inv") == 1,
        "its synaptic current decays over several steps; without one (LIFBoxCell, or dt·tau_syn_inv = 1) it is exact",
    )
    box = _norse_lif_box(m)
    if type(m).__name__ == "LIFCell":
        return box
    _need(not m.record_states, "record_states=True hands on the potentials of all steps")
    return Neuron(**{**vars(box), "whole_window": True})


CONVERSIONS: dict[tuple[str, str], Callable[[Any], Neuron]] = {
    ("snntorch", "Leaky"): _snntorch_leaky,
    ("spikingjelly", "LIFNode"): _spikingjelly_lif,
    ("spikingjelly", "ParametricLIFNode"): _spikingjelly_plif,
    ("spikingjelly", "IFNode"): _spikingjelly_if,
    ("norse", "LIFBoxCell"): _norse_lif_box,
    ("norse", "LIFCell"): _norse_lif,
    ("norse", "LIF"): _norse_lif,
}


def _belongs(module: nn.Module, package: str, name: str) -> bool:
    """Whether `module` is an instance of `package`'s class `name`, without importing `package`."""
    return any(c.__name__ == name and c.__module__.partition(".")[0] == package for c in type(module).__mro__)


def _norse(module: str, name: str) -> Any:
    return getattr(sys.modules[f"norse.torch.functional.{module}"], name)


def _need(condition: bool, otherwise: str) -> None:
    if not condition:
        raise InexpressibleError(otherwise)


def _scalar(value: Tensor | float, name: str) -> float:
    """The one number that `value` holds, once or many times over."""
    values = torch.as_tensor(value).detach().flatten()
    _need(values.numel() > 0 and bool((values == values[0]).all()), f"{name} differs between neurons of the layer")
    return float(values[0])


def _fires(step: Callable[[Tensor], Tensor]) -> Literal[">", ">="] | None:
    """How `step` compares with 0, seen on numbers of every float32 magnitude; None if it is no step at 0."""
    size = 2.0 ** torch.arange(-149.0, 128.0)
    above, below, zero = torch.ones_like(size), torch.zeros_like(size), torch.zeros(1)
    with torch.no_grad():
        up, down, at = step(size), step(-size), step(zero)
    if not torch.equal(up, above) or not torch.equal(down, below) or at.item() not in (0, 1):
        return None
    return ">=" if at.item() else ">"


def _below(threshold: float) -> float:
    """The float32 number just below `threshold`, itself taken in float32."""
    return float(np.nextafter(np.float32(threshold), np.float32(-np.inf)))
