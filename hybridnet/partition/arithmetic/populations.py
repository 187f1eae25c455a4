"""Frames made of what crosses, as operations of a graph: sums of spikes, counts and potentials, and maps of these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from hybridnet.partition.arithmetic.crossing import Crossing, Mapped
from hybridnet.partition.arithmetic.forms import ONE, Form, Product, Variable
from hybridnet.partition.arithmetic.frames import Coefficient, Frame, coefficient
from hybridnet.partition.arithmetic.linear import Convolution, Dense, Linear, Reduction
from hybridnet.partition.arithmetic.reading import FoundPopulation, Reading
from hybridnet.partition.arithmetic.writing import Writer, aten
from hybridnet.program.bridge import SUFFIX, BridgeKind, BridgeTensor, bridge_name


def offers(reading: Reading) -> Iterator[BridgeTensor]:
    """All that could cross."""
    for name in reading.placed if reading.program else ():
        shape, steps = reading.population(name).shape, reading.program.steps  # type: ignore[union-attr]
        for kind in SUFFIX:
            own = (steps, *shape) if kind in ("spikes", "potentials") else shape
            yield BridgeTensor(bridge_name(name, kind), name, own, kind)


class LinearMap(nn.Module):
    """A linear map without its constants."""

    def __init__(self, op: Linear) -> None:
        super().__init__()
        self.op = op

    def forward(self, x: Tensor) -> Tensor:
        """(B, …) to (B, …)."""
        return self.op.apply(x)


@dataclass(eq=False)
class Populations:
    """Writes what comes from the placed populations."""

    writer: Writer
    crossing: Crossing
    tensors: dict[tuple[str, BridgeKind], BridgeTensor]

    def frame(self, frame: Frame) -> fx.Node:
        """A frame that crosses, (B, …) in float32."""
        own = self.crossing.potential(frame)
        if own:
            return self.writer.reshaped(self._with_rest(*own), frame.shape, own[0].shape)
        return self._form(self.crossing.found.forms[frame], frame.shape)

    def window(self, population: FoundPopulation) -> fx.Node:
        """The spikes of all steps, (B, T, C, H, W)."""
        return self._input(population, "spikes")

    def simplify(self) -> None:
        """Where the potentials of all steps cross, the last one is among them; of spikes the last may be enough."""
        for name in {name for name, _ in self.tensors}:
            self._leave_last_spikes(name)
        for (name, kind), tensor in self.tensors.items():
            node = self.writer.inputs[tensor.name]
            every = self.writer.inputs[self.tensors[name, "potentials"].name]
            if kind == "potential" and node.users and every.users:
                with self.writer.at_start():
                    node.replace_all_uses_with(self.writer.call(aten.select.int, every, 1, self.crossing.steps - 1))

    def _leave_last_spikes(self, name: str) -> None:
        spikes, last = (self.writer.inputs[self.tensors[name, kind].name] for kind in ("spikes", "last_spikes"))
        wanted = (spikes, 1, self.crossing.steps - 1)
        if all(user.target is aten.select.int and user.args == wanted for user in spikes.users):
            for user in [*spikes.users]:
                user.replace_all_uses_with(last)
                self.writer.graph.erase_node(user)

    def _input(self, population: FoundPopulation, kind: BridgeKind) -> fx.Node:
        return self.writer.inputs[self.tensors[population.name, kind].name]

    def _potential(self, population: FoundPopulation, step: int) -> fx.Node:
        if step == self.crossing.steps - 1:
            return self._input(population, "potential")
        return self.writer.call(aten.select.int, self._input(population, "potentials"), 1, step)

    def _with_rest(self, population: FoundPopulation, step: int) -> fx.Node:
        rest = population.neuron.rest
        return self._shifted(self._potential(population, step), rest[:, None, None] if rest.ndim == 1 else rest)

    def _form(self, form: Form, shape: tuple[int, ...]) -> fx.Node:
        parts = [*self._spikes(form, shape), *self._products(form, shape)]
        parts += [self._scaled(self._mapped(m), m.factor) for m in self.crossing.mapped(form)]
        total = parts[0] if parts else self._constant(form.constant, shape)
        for part in parts[1:]:
            total = self.writer.call(aten.add.Tensor, total, part)
        return self._shifted(total, form.constant) if parts else total

    def _spikes(self, form: Form, shape: tuple[int, ...]) -> Iterator[fx.Node]:
        """Spikes of a population at all steps with the same factor are its count."""
        found: dict[tuple[FoundPopulation, str], list[int]] = {}
        factors: dict[str, Tensor] = {}
        for product, factor in form.terms.items():
            owner = self._single(product)
            if owner:
                key = coefficient(factor).key
                factors[key] = factor
                found.setdefault((owner[0], key), []).append(owner[1])
        for (population, key), steps in found.items():
            if len(steps) > 1 and sorted(steps) == list(range(self.crossing.steps)):
                made = [self._input(population, "spike_count")]
            else:
                made = [self.writer.call(aten.select.int, self.window(population), 1, t) for t in steps]
            for node in made:
                yield self._scaled(self.writer.reshaped(node, shape, population.shape), factors[key])

    def _single(self, product: Product) -> tuple[FoundPopulation, int] | None:
        if len(product) != 1:
            return None
        (variable,) = product
        return self.crossing.owner(variable) if variable.binary else None

    def _products(self, form: Form, shape: tuple[int, ...]) -> Iterator[fx.Node]:
        """Potentials, and whatever spikes gate."""
        for product, factor in form.terms.items():
            if product == ONE or self._single(product) or any(v.kind == "current" for v in product):
                continue
            nodes = [self._variable(v, shape) for v in sorted(product, key=repr)]
            total = nodes[0]
            for node in nodes[1:]:
                total = self.writer.call(aten.mul.Tensor, total, node)
            yield self._scaled(total, factor)

    def _variable(self, variable: Variable, shape: tuple[int, ...]) -> fx.Node:
        owner = self.crossing.owner(variable)
        assert owner is not None  # noqa: S101
        population, step = owner
        if variable.binary:
            node = self.writer.call(aten.select.int, self.window(population), 1, step)
            return self.writer.reshaped(node, shape, population.shape)
        node = self._with_rest(population, step)
        offset = self.crossing.found.potentials[variable].offset
        return self._shifted(self.writer.reshaped(node, shape, population.shape), -offset)

    def _mapped(self, mapped: Mapped) -> fx.Node:
        x = self._form(mapped.operand, mapped.shape)
        if mapped.frame.kind == "linear":
            return self._linear(mapped.frame.op, x)
        moved = mapped.frame.op
        index = torch.where(moved.operand == mapped.index, moved.element, -1).flatten()
        size = torch.Size(mapped.shape).numel()
        flat = self.writer.picked(self.writer.reshaped(x, [size], mapped.shape), size, index)
        return self.writer.reshaped(flat, mapped.frame.shape, [size])

    def _linear(self, op: Linear, x: fx.Node) -> fx.Node:
        """A linear map, with the model's own parameter where it has one."""
        if isinstance(op, Convolution):
            weight, settings = self.writer.value(op.weight), (op.transposed, list(op.output_padding), op.groups)
            windows = [list(pair) for pair in (op.stride, op.padding, op.dilation)]
            return self.writer.call(aten.convolution.default, x, weight, None, *windows, *settings)
        if isinstance(op, Dense):
            return self.writer.call(aten.mm.default, x, self.writer.value(op.weight))
        if isinstance(op, Reduction):
            sums = aten.mean.dim if op.mean else aten.sum.dim_IntList
            return self.writer.call(sums, x, list(op.axes), op.keep)
        return self.writer.map(LinearMap(op), x)

    def _scaled(self, x: fx.Node, factor: Tensor) -> fx.Node:
        return x if bool((factor == 1).all()) else self.writer.call(aten.mul.Tensor, x, self._number(factor))

    def _shifted(self, x: fx.Node, by: Tensor) -> fx.Node:
        return x if not bool((by != 0).any()) else self.writer.call(aten.add.Tensor, x, self._number(by))

    def _constant(self, value: Tensor, shape: Sequence[int]) -> fx.Node:
        """A constant with an axis of one example."""
        full = value.float().expand(shape)[None].contiguous()
        return self.writer.constant(full, coefficient(full).key)

    def _number(self, value: Tensor) -> fx.Node | float:
        held: Coefficient = coefficient(value)
        if held.value.numel() == 1:
            return float(held.value)
        return self.writer.constant(held.value.float(), held.key)
