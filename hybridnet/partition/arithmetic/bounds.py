"""Rules that bound the placement: why a spiking layer of a model that was read stays with the host, and what to change.

docs/placement-rules.md is made from these.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """What stands against a layer.

    Attributes:
        rule: Id of the rule.
        text: What was found.
        remedy: What to change; may be empty.
    """

    rule: str
    text: str
    remedy: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Bound:
    """One rule.

    Attributes:
        id: Stays the same.
        says: What is found where it is broken, with what differs from case to case in braces.
        remedy: What to change; may be empty.
    """

    id: str
    says: str
    remedy: str = ""

    def because(self, **details: object) -> Reason:
        """The rule broken in one case."""
        return Reason(self.id, self.says.format(**details), self.remedy)


class UnplacedError(Exception):
    """A layer breaks a rule; it stays with the host."""

    def __init__(self, bound: Bound, **details: object) -> None:
        self.reason = bound.because(**details)
        super().__init__(self.reason.text)


NO_COMPARISON = Bound("R201", "nothing in it compares a potential with a threshold")
NO_NEURON = Bound("R202", "what it compares with a threshold is no neuron of the program")
OTHERS_GATE = Bound("R203", "its potential is gated by something else than its own last spikes")
GATED_ARRIVAL = Bound(
    "R204",
    "what arrives at the step after a spike is gated by it",
    "Reset the last potential before what arrives is added",
)
SEVERAL_POTENTIALS = Bound("R205", "it depends on several potentials ({paths})")
LATER_STEP = Bound("R206", "it reads a later step of what feeds it")
READS_DIFFER = Bound(
    "R208",
    "it does not read the same at each step",
    "Let what comes before it compute each step by itself, as a convolution over x.flatten(0, 1) does",
)
STEPS_DIFFER = Bound("R209", "its {name} differs from step to step", "Keep it the same at all steps")
NO_DECAY = Bound("R210", "what arrives fades in a way that no single decay describes")
NOT_FROM_REST = Bound("R211", "its bias differs from step to step, or its state does not start at rest")
PART_RESET = Bound(
    "R212", "a spike takes away a part of its potential", "Reset it to its rest, or take off a fixed amount"
)
OTHER_RESET = Bound(
    "R213",
    "a spike sets its potential to another value than the one it starts from",
    "Reset it to the value it starts from",
)
SEVERAL_THRESHOLDS = Bound("R214", "its potential is compared with several thresholds", "Let it fire at one threshold")
THRESHOLD_AT_REST = Bound("R215", "its threshold is not above the potential at which it starts")
OUT_OF_RANGE = Bound("R216", "its {name} is {low:.3g} to {high:.3g}; the program has 0 to 1")
FEWER_STEPS = Bound("R217", "it runs {own} of {steps} steps", "Let it run at each step")
ANOTHER_NEURON = Bound("R218", "replayed, it is another neuron: at step {step} {found}")
ODD_MAXIMUM = Bound("R219", "it reads a maximum over spikes and constants, or over a dilated window")
GATED_WAY = Bound("R221", "what it reads is gated by spikes on its way")
READS_POTENTIAL = Bound("R222", "it reads the potential of {path}")
SHAPE = Bound("R223", "what it reads is of shape {shape} at each step; neurons are (C, H, W) or (F,)")
NO_WINDOW = Bound("R224", "between spikes and neuron stands {what}, which no convolution holds")
REARRANGED = Bound("R225", "between spikes and neuron stands a rearrangement that no convolution holds")
POSITIONS_DIFFER = Bound("R226", "its {name} differs between positions")
BORDER = Bound("R227", "what reaches its border differs from what reaches the rest, as no single kernel does")
NOT_ALLOWED = Bound("R228", "the program refuses it ({what})")
HOST_MAXIMUM = Bound(
    "R229",
    "it reads {what} ({where}), which only the host computes",
    "Give the convolution before it a stride, or pool its spikes",
)
NORM_REMEDY = "Use BatchNorm, which folds into the weights"
"""What to change where the host computes a norm whose statistics are those of its input."""

HOST_READ = Bound("R230", "it reads {what} ({where}), which only the host computes")
APART = Bound(
    "R231",
    "it lies {side} {what}, which only the host computes; the chip runs once a view, and takes the larger side",
)
COMPARISON = Bound(
    "R234", "the host computes its potential, by {what} ({where}), so that only a comparison would be left to the chip"
)
UNREAD = Bound(
    "R233",
    "nothing that the model returns depends on its spikes or its potential (on sums of its currents at the most), so"
    " its neurons are left out",
)
MOVING_THRESHOLD = Bound(
    "R235", "its threshold moves with its own spikes", "Give it a threshold that stays; it may differ between channels"
)
BOTH_SIGNS = Bound(
    "R236",
    "it fires spikes of both signs (−1, 0 and 1)",
    "Use two neurons that fire 0 and 1, one of them with weights of the opposite sign",
)
SIGN = Bound(
    "R237",
    "its spikes are made by sign(), which gives −1 below the threshold and 0 at it",
    "Write (potential > threshold).float()",
)
GRADED = Bound("R238", "it fires graded spikes: {what} gives more values than 0 and 1", "Let it fire 0 and 1")
COMPETES = Bound(
    "R239",
    "which of its neurons fire is decided among them, by {what} ({where})",
    "Let them inhibit each other by recurrent synapses",
)
SUM_MAXIMUM = Bound(
    "R240",
    "it reads the maximum of sums of spikes ({where}), which only the host computes",
    "Pool the spikes before they are added, or join them by OR",
)
HOST_MIXES = Bound(
    "R241",
    "it reads {what} ({where}), which the host computes over all steps at once",
    "Let it compute each step by itself, as a convolution over x.flatten(0, 1) does",
)
LOOP = Bound("R242", "its potential passes {what} ({where}) from step to step, which only the host computes")
KEPT = Bound("R232", "it is kept there, as {pattern!r} asks", "Leave out `--keep-on-host` to place it")

BOUNDS: tuple[Bound, ...] = tuple(value for value in vars().values() if isinstance(value, Bound))
"""All rules, by id."""
