"""Placement rules: what a model must be so that its spiking stacks can leave for the chip.

One function per rule. The first line of its docstring is the rule as users read it (docs/placement-rules.md is made
from these); it returns None, or what breaks the rule. `RULES` gives each its id and its remedy.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, fx

from hybridnet.errors import PartitionError
from hybridnet.model.stm import SpikingStack


@dataclass(frozen=True)
class TracedModel:
    """A traced model with the inputs it was shown."""

    graph: fx.Graph
    stacks: Mapping[fx.Node, SpikingStack]
    inputs: Mapping[str, Tensor]


@dataclass(frozen=True)
class Violation:
    """Where a rule is broken and by what."""

    where: str
    found: str


Check = Callable[[TracedModel], Iterator[Violation]]


@dataclass(frozen=True)
class Rule:
    """A placement rule with its id and what to do when it is broken."""

    id: str
    check: Check
    remedy: str

    @property
    def text(self) -> str:
        """The rule in one sentence."""
        return (self.check.__doc__ or "").strip().splitlines()[0]


def has_a_spiking_stack(model: TracedModel) -> Iterator[Violation]:
    """The model has at least one spiking stack (`hybridnet.model.stm.SpikingStack`)."""
    if not model.stacks:
        yield Violation("model", "no spiking stack was found")


def stack_reads_a_model_input(model: TracedModel) -> Iterator[Violation]:
    """A spiking stack reads an input of the model, never the result of an ANN layer or of another stack."""
    for node in model.stacks:
        source = node.args[0] if len(node.args) == 1 and not node.kwargs else None
        if not isinstance(source, fx.Node) or source.op != "placeholder":
            yield Violation(node.name, f"it reads {source!r}")


def stack_input_fits(model: TracedModel) -> Iterator[Violation]:
    """The input of a spiking stack has shape (B, T, C, H, W), with the stack's own C, H and W."""
    for node, stack in model.stacks.items():
        source = node.args[0] if node.args else None
        tensor = model.inputs.get(str(source.target)) if isinstance(source, fx.Node) else None
        expected = stack.layers[0].geometry.input_shape
        if tensor is not None and (tensor.ndim != 5 or tuple(tensor.shape[2:]) != expected):
            yield Violation(node.name, f"its input is {tuple(tensor.shape)}, its first layer takes (B, T, *{expected})")


def stacks_share_their_steps(model: TracedModel) -> Iterator[Violation]:
    """All spiking stacks run the same number of steps T."""
    steps = {
        node.name: model.inputs[str(node.args[0].target)].shape[1]
        for node in model.stacks
        if node.args and isinstance(node.args[0], fx.Node) and str(node.args[0].target) in model.inputs
    }
    if len(set(steps.values())) > 1:
        yield Violation(", ".join(steps), f"they run {steps}")


def potentials_leave_by_index(model: TracedModel) -> Iterator[Violation]:
    """What a spiking stack returns is taken apart by constant indices, as `stack(x)[0]`."""
    for node in model.stacks:
        for user in node.users:
            if user.op != "call_function" or user.target is not operator.getitem or not isinstance(user.args[1], int):
                yield Violation(node.name, f"{user.name} ({user.target}) takes all of it")


def stack_names_differ(model: TracedModel) -> Iterator[Violation]:
    """Spiking stacks have different names (the last part of their module path), each called once."""
    names = [str(node.target).rpartition(".")[2] for node in model.stacks]
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield Violation(name, f"{names.count(name)} stacks or calls have this name")


RULES = (
    Rule("R101", has_a_spiking_stack, "Build the temporal encoder as a SpikingStack of ConvLIF layers"),
    Rule(
        "R102",
        stack_reads_a_model_input,
        "Let ANN layers come after the spiking stack: the chip cannot wait for the host",
    ),
    Rule("R103", stack_input_fits, "Pass example inputs of the shape the stack was built for"),
    Rule("R104", stacks_share_their_steps, "Give all streams the same number of P-frames"),
    Rule("R105", potentials_leave_by_index, "Index the stack's result before using it"),
    Rule("R106", stack_names_differ, "Rename the modules; use one stack per stream"),
)


def check_rules(model: TracedModel) -> None:
    """Apply all rules.

    Raises:
        PartitionError: At the first broken rule, with its id, its text, what was found and the remedy.
    """
    for rule in RULES:
        for violation in rule.check(model):
            raise PartitionError(
                f"breaks placement rule {rule.id} ({rule.text}): {violation.found}",
                where=violation.where,
                remedy=rule.remedy,
            )


def rule_table() -> str:
    """The rules as a Markdown table, for the documentation."""
    rows = (f"| {rule.id} | {rule.text} | {rule.remedy} |" for rule in RULES)
    return "\n".join(("| id | rule | remedy |", "|---|---|---|", *rows)) + "\n"
