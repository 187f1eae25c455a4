"""The cut: what the host computes before the chip, the front, and behind it, the ANN half, each for any batch.

Both halves are written from the operations that the model ran. Whatever is made of the placed populations' spikes and
potentials alone becomes an input of the ANN half, as near to the model's result as it can; the rest stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from hybridnet.errors import ModelError, PartitionError
from hybridnet.model.stm import read
from hybridnet.partition.arithmetic.batches import MORE, beside, free
from hybridnet.partition.arithmetic.crossing import Crossing
from hybridnet.partition.arithmetic.equations import State, run_program
from hybridnet.partition.arithmetic.host import Host
from hybridnet.partition.arithmetic.populations import Populations, offers
from hybridnet.partition.arithmetic.reading import Reading
from hybridnet.partition.arithmetic.tape import Const, Ref, Tape
from hybridnet.partition.arithmetic.tracing import at_rest, trace
from hybridnet.partition.arithmetic.witness import input_steps
from hybridnet.partition.arithmetic.writing import Writer, aten
from hybridnet.program.bridge import BridgeTensor


@dataclass(frozen=True, eq=False)
class Halves:
    """A model, cut. Whatever axis of the model's inputs its examples lie along, both halves take them first.

    Attributes:
        front: From inputs of the model to messages, (B, T, C, H, W), or (B, C, H, W) of a still one; None without.
        messages: Inputs of the program that the front computes, in its order.
        ann: From inputs of the model and what crosses to what the model returns.
        bridge: What crosses.
    """

    reading: Reading
    front: fx.GraphModule | None
    messages: tuple[str, ...]
    ann: fx.GraphModule
    bridge: tuple[BridgeTensor, ...]

    @property
    def front_inputs(self) -> tuple[str, ...]:
        """Names of what the front takes, in order."""
        return () if self.front is None else _placeholders(self.front)

    @property
    def ann_inputs(self) -> tuple[str, ...]:
        """Names of what the ANN half takes, in order: the model's own first, then those of `bridge`."""
        return _placeholders(self.ann)

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Tensor]) -> Any:
        """What the model returns, by way of the cut, of inputs with their examples first.

        Raises:
            ModelError: If inputs are missing, or of other sizes than the examples but for the batch.
        """
        values = {**inputs, **self.crossed(inputs)}
        return self.ann(*(values[name] for name in self.ann_inputs))

    @torch.no_grad()
    def crossed(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What crosses, float32, by name.

        Raises:
            ModelError: If inputs are missing, or of other sizes than the examples but for the batch.
        """
        states = self.states(inputs)
        return {t.name: read(states[t.layer], t.kind).float() for t in self.bridge}

    @torch.no_grad()
    def states(self, inputs: Mapping[str, Tensor]) -> dict[str, State]:
        """All steps of all populations, float64, by name, (B, T, C, H, W).

        Raises:
            ModelError: If inputs are missing, or of other sizes than the examples but for the batch.
        """
        program = self.reading.program
        if program is None:
            return {}
        fed = self.fed(inputs)
        return run_program(program, {node.name: fed[node.name].double() for node in program.inputs})

    @torch.no_grad()
    def fed(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the program is fed, by name: (B, T, C, H, W), or (B, C, H, W) of a still input.

        Raises:
            ModelError: If inputs are missing, or of other sizes than the examples but for the batch.
        """
        self._check(inputs)
        program, lifted = self.reading.program, self.reading.lifted
        if program is None:
            return {}
        fed = {name: x for name, x in inputs.items() if name in {node.name for node in program.inputs}}
        sent: dict[str, Any] = {
            name: input_steps(lifted, name, x.movedim(0, lifted.batch_axis)) for name, x in fed.items()
        }
        if self.front is not None:
            computed = self.front(*(inputs[name] for name in self.front_inputs))
            sent |= dict(zip(self.messages, computed, strict=True))
        for node in program.inputs:
            x = sent[node.name]
            steps = x if isinstance(x, list) else [x] if node.still else x.unbind(1)
            framed = [step.reshape(-1, *node.shape) for step in steps[: program.steps]]
            sent[node.name] = framed[0] if node.still else torch.stack(framed, 1)
        return {node.name: sent[node.name] for node in program.inputs}

    def _check(self, inputs: Mapping[str, Tensor]) -> None:
        lifted = self.reading.lifted
        for name, shape in lifted.tape.shapes.items():
            wanted = [-1, *(size for axis, size in enumerate(shape) if axis != lifted.batch_axis)]
            given = list(inputs[name].shape) if name in inputs else []
            if len(given) != len(wanted) or any(w not in (-1, g) for w, g in zip(wanted, given, strict=True)):
                raise ModelError(f"has shape {given}, and {wanted} was read, with −1 for the batch", where=name)


def cut(
    reading: Reading, model: nn.Module, inputs: Mapping[str, Tensor], *, rest: Callable[[nn.Module], object] = at_rest
) -> Halves:
    """Cut a model that was read.

    Args:
        inputs: Example inputs, as given to `read`.

    Raises:
        ModelError: If the model fails on three examples.
        PartitionError: If what it computes for one example depends on their number, or it returns anything else than
            tensors, numbers, and tuples, lists or dictionaries of them.
    """
    lifted = reading.lifted
    wide = trace(model, _examples(inputs, lifted.batch_axis, MORE), rest)
    pairs = beside(lifted.tape, wide)
    axes = dict.fromkeys(lifted.tape.inputs, lifted.batch_axis)
    crossing, tensors = Crossing.of(reading), tuple(offers(reading))

    writer = Writer(axes | {t.name: 0 for t in tensors})
    populations = Populations(writer, crossing, {(t.layer, t.kind): t for t in tensors})
    host = Host(writer, lifted, pairs, populations)
    returned = _returned(lifted.tape, wide, type(model).__name__)
    host.write(lifted.tape.outputs)
    writer.graph.output(writer.arguments(returned))
    populations.simplify()
    ann = writer.finish("AnnHalf")
    taken = _placeholders(ann)
    bridge = tuple(t for t in tensors if t.name in taken)
    front = _front(reading, axes, pairs) if reading.hosts else None
    return Halves(reading, front, tuple(reading.hosts), ann, bridge)


def _returned(tape: Tape, wide: Tape, name: str) -> Any:
    """What the model returns, for any batch, as it nests it."""
    (few, nesting), (more, _) = tree_flatten(tape.returned), tree_flatten(wide.returned)
    for value in few:
        if not isinstance(value, Ref | Const | bool | int | float | str | None):
            raise PartitionError(
                f"it returns a {type(value).__name__}",
                where=name, remedy="Return tensors, or tuples, lists or dictionaries of tensors",
            )  # fmt: skip
    return tree_unflatten([free(a, b, name) for a, b in zip(few, more, strict=True)], nesting)


def _front(reading: Reading, axes: Mapping[str, int], pairs: Any) -> fx.GraphModule:
    writer = Writer(axes)
    host = Host(writer, reading.lifted, pairs, None)
    shapes = {node.name: node for node in reading.program.inputs} if reading.program else {}
    host.write_frames([frame for steps in reading.hosts.values() for frame in steps.values()])
    messages = []
    for name, steps in reading.hosts.items():
        node = shapes[name]
        frames = [writer.reshaped(host.number(frame), node.shape) for _, frame in sorted(steps.items())]
        messages.append(frames[0] if node.still else writer.call(aten.stack.default, frames, 1))
    writer.graph.output(tuple(messages))
    return writer.finish("Front")


def _examples(inputs: Mapping[str, Tensor], axis: int, count: int) -> dict[str, Tensor]:
    """So many examples of each input."""
    return {name: x.index_select(axis, torch.arange(count) % x.shape[axis]).contiguous() for name, x in inputs.items()}


def _placeholders(module: fx.GraphModule) -> tuple[str, ...]:
    return tuple(str(node.target) for node in module.graph.nodes if node.op == "placeholder")
