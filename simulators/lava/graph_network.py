"""A graph program as a network of Lava processes: a source per input, a process per group and per population."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hybridnet.deploy.graph_file import AnyGraph
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation, FixedSynapse
from hybridnet.program.graph import Population, Synapse
from hybridnet.program.layers import THRESHOLD_MAX
from hybridnet.program.pipeline import pipeline
from hybridnet.simulators.lava.compat import import_lava
from hybridnet.simulators.lava.shared_memory import check_space
from hybridnet.support.arrays import Array

import_lava()  # mends what the imports below need

from lava.magma.core.run_conditions import RunSteps  # noqa: E402
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402
from lava.proc.io.extractor import VarWire  # noqa: E402
from lava.proc.io.source import RingBuffer  # noqa: E402

from hybridnet.simulators.lava.neuron.population import PopulationProcess  # noqa: E402
from hybridnet.simulators.lava.neuron.synapse_group import SynapseGroup  # noqa: E402
from hybridnet.simulators.lava.neuron.timing import Timing  # noqa: E402

CHANNEL_SLOTS = 2
"""Messages that a channel holds. Lava's default, 64, fills shared memory with large layers."""


class GraphNetwork:
    """One connected program over N windows.

    Attributes:
        timings: When each population does what.
        steps: How many steps of Lava to run.

    Args:
        graph: Float or fixed point, connected.
        frames: What is fed to each input, (N, T, C, H, W), or (N, C, H, W) of a still one: messages, or float.
        windows: N.
    """

    def __init__(self, graph: AnyGraph, frames: Mapping[str, Array], windows: int) -> None:
        self._fixed = isinstance(graph, FixedGraph)
        plan = pipeline(graph)
        self.timings = {name: Timing(graph.steps, windows, plan.period, lag) for name, lag in plan.lags.items()}
        self.steps = plan.period * windows * graph.steps + plan.depth + 1
        sources: dict[str, Any] = {}
        for node in graph.inputs:
            data = frames[node.name][:, None] if node.still else frames[node.name]
            every = np.broadcast_to(data, (windows, graph.steps, *node.shape)).reshape(-1, *node.shape)
            spaced = np.zeros((*node.shape, self.steps), data.dtype)
            spaced[..., : len(every) * plan.period : plan.period] = np.moveaxis(every, 0, -1)
            sources[node.name] = RingBuffer(data=spaced)
        self._populations: dict[str, PopulationProcess] = {
            p.name: PopulationProcess(shape=p.shape, timing=self.timings[p.name], **_parameters(p))
            for p in graph.populations
        }
        sources |= self._populations
        groups: Sequence[Synapse | FixedSynapse] = graph.synapses
        for g, wait in zip(groups, plan.waits, strict=True):
            shift = g.shift if isinstance(g, FixedSynapse) else 0
            target = self.timings[g.target]
            group = SynapseGroup(
                geometry=g.geometry, weight=g.weight, shift=shift, delay=g.delay, wait=wait, target=target
            )
            sources[g.source].s_out.connect(group.s_in)
            group.a_out.connect(self._populations[g.target].a_in)
        self._wires = {name: VarWire(buffer_size=CHANNEL_SLOTS) for name in self._populations}
        for name, wire in self._wires.items():
            wire.connect_var(self._populations[name].state)
        self._any = next(iter(self._populations.values()))

    @property
    def runtime(self) -> Any:
        """Lava's, once it is built."""
        return self._any.runtime

    def build(self) -> None:
        """Start the operating system's processes, one per Lava process.

        Raises:
            BackendError: If shared memory would not do.
        """
        config = Loihi2SimCfg(select_tag="fixed_pt" if self._fixed else "floating_pt")
        self._any.create_runtime(config, compile_config={"pypy_channel_size": CHANNEL_SLOTS})
        messengers = [self.runtime._messaging_infrastructure, *(w._multi_processing for w in self._wires.values())]
        check_space(segment for one in messengers for segment in one.smm._shared_memory_handles)

    def start(self) -> None:
        """Run in the background; what is wired must be received while it runs, else it waits."""
        self._any.run(RunSteps(num_steps=self.steps, blocking=False))

    def receive(self) -> dict[str, Array]:
        """The state of each population after the next step of Lava: c and v, and both before they saturated."""
        return {name: wire.receive() for name, wire in self._wires.items()}

    def wait(self) -> None:
        """Wait for the end; call it when all steps were received."""
        self._any.wait()

    def stop(self) -> None:
        """End all processes."""
        self._any.stop()


def _parameters(p: Population | FixedPopulation) -> dict[str, Any]:
    never: Array
    decay: Array
    current_decay: Array
    if isinstance(p, FixedPopulation):
        never, decay, current_decay = np.asarray(THRESHOLD_MAX + 1), p.decay, p.current_decay
    else:
        never, decay, current_decay = np.asarray(np.inf), 1 - p.leak, 1 - p.current_leak
    values: dict[str, Array] = {
        "vth": never if p.threshold is None else p.threshold,
        "dv": decay,
        "du": current_decay,
        "amount": p.reset_amount,
        "bias": p.bias,
    }
    return {name: _broadcast(np.asarray(v)) for name, v in values.items()} | {"hard": p.reset == "hard"}


def _broadcast(values: Array) -> Array:
    """One number, one per channel or one per neuron, beside maps (C, H, W)."""
    return values if values.ndim == 3 else values.reshape(-1, 1, 1)
