"""A model's split, however it was read, and the choice of who reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor, fx, nn

from hybridnet.errors import PartitionError
from hybridnet.model.neuron import LIFState
from hybridnet.partition.arithmetic.split import place
from hybridnet.partition.arithmetic.stated import stated_modules
from hybridnet.partition.describe import Node
from hybridnet.partition.splitter import partition
from hybridnet.program.bridge import BridgeTensor
from hybridnet.program.graph import GraphProgram
from hybridnet.program.placement import Placement


class Split(Protocol):
    """A model cut into a front, a spiking half and an ANN half. All inputs have their views first."""

    @property
    def program(self) -> GraphProgram:
        """The spiking half."""

    @property
    def front(self) -> fx.GraphModule | None:
        """From inputs of the model to inputs of the program, in the order of `messages`; None without."""

    @property
    def front_inputs(self) -> tuple[str, ...]:
        """Names of the front's inputs in order."""

    @property
    def messages(self) -> tuple[str, ...]:
        """Inputs of the program that the front computes."""

    @property
    def feeds(self) -> Mapping[str, int | None]:
        """Per input of the program that is one of the model's, the axis of time in one view; None of a still one."""

    @property
    def ann(self) -> fx.GraphModule:
        """The ANN half."""

    @property
    def ann_inputs(self) -> tuple[str, ...]:
        """Names of its inputs in order."""

    @property
    def bridge(self) -> tuple[BridgeTensor, ...]:
        """What crosses, in the order in which the ANN half takes it."""

    @property
    def exact(self) -> bool:
        """Whether `run` equals the model to the last bit; else up to float32 rounding."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Where each operation of the model went, and why."""

    @property
    def ties(self) -> Mapping[str, int] | None:
        """How often rounding decided a spike where the populations were replayed beside the model; None if not done."""

    @property
    def placement(self) -> Placement:
        """Which spiking layers are on the chip, and why not the others."""

    def taken(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs with their views first as the model itself takes them."""

    def given(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs as the model takes them with their views first."""

    def fed(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What the program is fed, by name: (N, T, C, H, W), or (N, C, H, W) of a still input."""

    def trace(self, inputs: Mapping[str, Tensor]) -> dict[str, LIFState]:
        """Potentials u and spikes o of every layer and step, (N, T, C, H, W) each, in float32."""

    def run(self, inputs: Mapping[str, Tensor]) -> Any:
        """What the model returns, by way of the cut, in torch."""


def split(model: nn.Module, inputs: Mapping[str, Tensor], *, keep_on_host: Sequence[str] = ()) -> Split:
    """Cut a model.

    Models whose forward is a plain graph of stacks and library neurons in chains are cut along their modules, to the
    last bit; all others, and those with neurons that a user stated, are read by what they compute.

    Args:
        model: Switched to evaluation mode, its neurons to rest.
        inputs: One example tensor per argument of its `forward`.
        keep_on_host: Patterns, such as `head.*`, of spiking layers that must not go on the chip.

    Raises:
        ModelError: If the model fails.
        PartitionError: If it cannot be traced, or no spiking layer can be placed.
    """
    by_modules: PartitionError | None = None
    if not keep_on_host and not stated_modules(model):
        try:
            return partition(model, inputs)
        except PartitionError as error:
            by_modules = error  # not a plain graph of chains: it is read by what it computes
    try:
        return place(model.eval(), inputs, keep_on_host)
    except PartitionError as error:
        raise error from by_modules
