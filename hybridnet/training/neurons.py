"""What the spiking layers of a model do: how often they spike, how they leak, and where they fire."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from hybridnet.model.network import HybridNet
from hybridnet.model.neuron import ConvLIF


def neuron_layers(model: HybridNet) -> dict[str, ConvLIF]:
    """Layers by stack and number, such as `mv.0`."""
    return {f"{name}.{i}": layer for name, stack in model.stacks().items() for i, layer in enumerate(stack.layers)}


@torch.no_grad()
def spike_rates(model: HybridNet, inputs: Mapping[str, Tensor]) -> dict[str, float]:
    """Share of neurons and steps that spike, 0 to 1, of each layer; leaves the model in evaluation mode."""
    model.eval()
    seen: dict[str, Tensor] = {}

    def watch(name: str) -> object:
        def keep(module: nn.Module, args: tuple[Tensor, ...]) -> None:
            seen[name] = args[0]

        return keep

    handles = [s.register_forward_pre_hook(watch(name)) for name, s in model.stacks().items()]  # type: ignore[arg-type]
    try:
        model(**inputs)
    finally:
        for handle in handles:
            handle.remove()
    return {
        f"{name}.{i}": state.o.double().mean().item()
        for name, stack in model.stacks().items()
        for i, state in enumerate(stack.trace(seen[name]))
    }


def keep_in_float32(model: HybridNet, device_type: str) -> None:
    """Have the stacks compute in float32 also where the rest of the model is in mixed precision (autocast).

    Potentials and thresholds are then compared as in the exported program, not in the 8 bits of a bfloat16.
    """
    for stack in model.stacks().values():
        stack.forward = _in_float32(stack.forward, device_type)  # type: ignore[method-assign,assignment]


def _in_float32(
    forward: Callable[[Tensor], tuple[Tensor, ...]], device_type: str
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    def outside_autocast(x: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(device_type, enabled=False):
            return forward(x.float())

    return outside_autocast
