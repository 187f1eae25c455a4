"""Placement rules: what a model must be so that its spiking layers can leave for the chip.

Each rule is a function of `hybridnet.partition.checks`; `RULES` gives it its id and its remedy. docs/placement-rules.md
is made from these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hybridnet.errors import PartitionError
from hybridnet.partition.checks import (
    TracedModel,
    Violation,
    control_flow_is_fixed,
    data_flows_one_way,
    has_a_spiking_stack,
    layers_form_a_chain,
    neurons_have_an_exact_equation,
    no_activation_between_layers,
    no_pooling_between_layers,
    norms_fold_into_convolutions,
    nothing_is_random,
    only_last_potentials_leave,
    outputs_are_tensors,
    parameters_are_float32,
    potentials_leave_by_index,
    shapes_are_fixed_but_the_batch,
    stack_input_fits,
    stack_names_differ,
    stack_reads_a_model_input,
    stacks_share_their_steps,
    steps_run_in_order_from_rest,
    synapses_are_plain_convolutions,
    time_is_encoded_by_spikes,
)

Check = Callable[[TracedModel], Iterator[Violation]]


@dataclass(frozen=True)
class Rule:
    """A placement rule with its id and what to do when it is broken."""

    id: str
    check: Check
    remedy: str

    @property
    def text(self) -> str:
        """The rule as users read it."""
        return " ".join((self.check.__doc__ or "").strip().split("\n\n")[0].split())

    def refusal(self, violation: Violation) -> PartitionError:
        """The error for one violation."""
        return PartitionError(
            f"cannot be placed: {violation.found} (rule {self.id}: {self.text.rstrip('.')})",
            where=violation.where,
            remedy=self.remedy,
        )


RULES = (
    Rule("R101", has_a_spiking_stack, "Build the temporal encoder as a SpikingStack of ConvLIF layers"),
    Rule(
        "R102",
        stack_reads_a_model_input,
        "Let ANN layers come after the spiking stack: the chip cannot wait for the host",
    ),
    Rule("R103", stack_input_fits, "Pass example inputs (B, T, C, H, W) of the shape the stack was built for"),
    Rule("R104", stacks_share_their_steps, "Give all streams the same number of steps"),
    Rule("R105", potentials_leave_by_index, "Index the result before using it"),
    Rule("R106", stack_names_differ, "Rename the modules; use one stack per stream"),
    Rule("R107", control_flow_is_fixed, "Remove control flow that depends on data from forward"),
    Rule(
        "R108",
        time_is_encoded_by_spikes,
        "Encode time by a SpikingStack, or keep recurrence to what the ANN half reads",
    ),
    Rule("R109", no_pooling_between_layers, "Give the convolution a stride instead"),
    Rule(
        "R110", no_activation_between_layers, "Leave it out: the neuron is the activation; factors go into the weights"
    ),
    Rule(
        "R111", norms_fold_into_convolutions, "Use nn.BatchNorm2d with running statistics between nn.Conv2d and neuron"
    ),
    Rule(
        "R112",
        layers_form_a_chain,
        "Join streams in the ANN half; repeat a layer that two others read, under a name of its own",
    ),
    Rule("R113", data_flows_one_way, "Read the stack out and keep everything behind it in the ANN half"),
    Rule(
        "R114",
        synapses_are_plain_convolutions,
        "Use nn.Conv2d with numbers as padding, or nn.Linear right behind flatten(1), on an input or on spikes",
    ),
    Rule("R115", neurons_have_an_exact_equation, "Use ConvLIF, or a setting that the reason names, and train again"),
    Rule("R116", parameters_are_float32, "Call model.float() and look for numbers that are not finite"),
    Rule(
        "R117",
        steps_run_in_order_from_rest,
        "Loop over the steps in order, hand each neuron its own last state, and start from zeros or None",
    ),
    Rule("R118", only_last_potentials_leave, "Read the potential after the last step; or spikes, or spike counts"),
    Rule("R119", nothing_is_random, "Switch it off in evaluation; keep running statistics in batch norms"),
    Rule(
        "R120",
        outputs_are_tensors,
        "Return tensors in one flat tuple or dictionary; torch.stack(steps, dim=1) puts time behind the batch",
    ),
    Rule(
        "R121",
        shapes_are_fixed_but_the_batch,
        "Use sizes of the inputs (x.shape[0]) instead of numbers, and no masks that select elements",
    ),
)
_BY_ID = {rule.id: rule for rule in RULES}
_ORDER = sorted(RULES, key=lambda rule: rule.id == "R101")
"""Whether there is a spiking layer at all is asked last: another rule may tell why there is none."""


def rule(identifier: str) -> Rule:
    """A rule by its id."""
    return _BY_ID[identifier]


def check_rules(model: TracedModel) -> None:
    """Apply all rules.

    Raises:
        PartitionError: At the first broken rule, with its id, its text, what was found and the remedy.
    """
    for candidate in _ORDER:
        for violation in candidate.check(model):
            raise candidate.refusal(violation)
