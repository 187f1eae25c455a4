"""What is read off a traced model: its spiking layers, and what stands against placing them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import fx

from hybridnet.errors import ConfigError
from hybridnet.model.neuron import ConvLIF
from hybridnet.partition.frames import Opaque, Origin, OriginKind
from hybridnet.partition.neurons import Neuron
from hybridnet.partition.synapse import Synapse
from hybridnet.program.layers import ConvGeometry


@dataclass(eq=False)
class SpikingLayer:
    """A spiking layer as found in the model.

    Attributes:
        path: Module path of its neurons.
        kind: Classes of its modules.
        node: Where it first runs.
        source: What its synapses read: an input or another layer's spikes.
        current: The sum over its synapses; None for our own ConvLIF, which holds them itself.
        neuron: Its equation, for neurons of other libraries.
        native: Our own module.
        conv: The weights before another library's neuron.
        done: Steps that were seen to run.
        stack: Path of the SpikingStack that holds it, if any.
    """

    path: str
    kind: str
    node: fx.Node
    source: Origin
    geometry: ConvGeometry
    current: Origin | None = None
    neuron: Neuron | None = None
    native: ConvLIF | None = None
    conv: Synapse | None = None
    done: int = 0
    stack: str = ""

    @property
    def equation(self) -> Neuron:
        """The equation of another library's neuron."""
        if self.neuron is None:
            raise ConfigError(self.path, "a ConvLIF", "a neuron of another library")
        return self.neuron

    @property
    def synapse(self) -> Synapse:
        """The weights before another library's neuron."""
        if self.conv is None:
            raise ConfigError(self.path, "a ConvLIF", "a neuron of another library")
        return self.conv

    def gives(self, kind: OriginKind) -> Origin:
        """Its spikes or potentials as an origin of frames."""
        return Origin(kind, self.path, self.source.steps, self.geometry.output_shape)


@dataclass(frozen=True)
class Blocked:
    """A spiking layer at `node` whose input is not frames but `value`; `needs_synapse` if it has no weights itself."""

    node: fx.Node
    value: Opaque
    needs_synapse: bool


@dataclass(frozen=True)
class Trouble:
    """Something at `node` that a rule refuses, in words."""

    node: fx.Node
    found: str


@dataclass(eq=False)
class Reading:
    """What was read off the graph; the placement rules judge it.

    Attributes:
        values: What each node is.
        layers: Spiking layers by path, in order of appearance.
        blocked: Spiking layers whose input is something else than frames.
        inexpressible: Neurons without an exact equation.
        synapses: Synapses that are no plain convolution.
        disordered: Steps that do not follow each other from rest.
        stranded: Uses of potentials that cannot leave.
        unopened: Uses of a stack's result as a whole.
        repeated: Layers that run more than once per window.
        misfits: Layers whose input has another shape than they take.
        fixed: Operations that only work on one size of the batch.
    """

    graph: fx.GraphModule
    values: dict[fx.Node, Any] = field(default_factory=dict)
    layers: dict[str, SpikingLayer] = field(default_factory=dict)
    blocked: list[Blocked] = field(default_factory=list)
    inexpressible: list[Trouble] = field(default_factory=list)
    synapses: list[Trouble] = field(default_factory=list)
    disordered: list[Trouble] = field(default_factory=list)
    stranded: list[Trouble] = field(default_factory=list)
    unopened: list[Trouble] = field(default_factory=list)
    repeated: list[Trouble] = field(default_factory=list)
    misfits: list[Trouble] = field(default_factory=list)
    fixed: list[Trouble] = field(default_factory=list)
