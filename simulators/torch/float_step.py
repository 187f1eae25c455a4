"""The spiking half in torch: the model's own float step, the reference of all other back-ends."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import torch

from hybridnet.model.neuron import LIFState, conv_current, lif_step
from hybridnet.program.layers import ConvLIFLayer, FloatProgram
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.views import ViewRun, collect, count_views
from hybridnet.support.arrays import Array


class TorchBackend:
    """Runs a float program with `hybridnet.model.neuron.lif_step`."""

    name = "torch"
    fixed_point = False

    def __init__(self, program: FloatProgram, dtype: torch.dtype = torch.float32) -> None:
        """Compute in `dtype`; float32 is what the model was trained in."""
        self.program, self.dtype = program, dtype

    @torch.no_grad()
    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """See `SpikingBackend.run`.

        Raises:
            BackendError: If an input is missing or has a wrong shape.
        """
        views = count_views(self.program, inputs)
        self._view(inputs, 0, record=False)  # warm-up: the first view pays for thread pools and kernels
        runs = [self._view(inputs, n, record_potentials) for n in range(views)]
        return collect(self.program, runs, record=record_potentials)

    def _view(self, inputs: Mapping[str, Array], n: int, record: bool) -> ViewRun:
        started = time.perf_counter()
        run = ViewRun()
        for stream in self.program.streams:
            x = torch.as_tensor(np.asarray(inputs[stream.input_name][n]), dtype=self.dtype)
            run.inputs[stream.name] = x.numpy()
            for layer in stream.layers:
                states = run_layer(layer, x)
                run.potentials[layer.name] = torch.stack([s.u for s in (states if record else states[-1:])]).numpy()
                x = torch.stack([s.o for s in states])
                run.spikes[layer.name] = x.bool().numpy()
        run.latency_ms = (time.perf_counter() - started) * 1e3
        return run


@torch.no_grad()
def trace_program(program: FloatProgram, view: Mapping[str, torch.Tensor]) -> dict[str, LIFState]:
    """U and o of every layer and step of one view, (1, T, C, H, W) each, as a model's own stacks give them."""
    traced: dict[str, LIFState] = {}
    for stream in program.streams:
        x = view[stream.input_name][0]
        for layer in stream.layers:
            states = run_layer(layer, x)
            x = torch.stack([s.o for s in states])
            traced[layer.name] = LIFState(torch.stack([s.u for s in states])[None], x[None])
    return traced


def run_layer(layer: ConvLIFLayer, x: torch.Tensor) -> list[LIFState]:
    """All steps of one layer over one window; x (T, C, H, W), states (C_out, H_out, W_out)."""
    weight, bias = (torch.as_tensor(p, dtype=x.dtype) for p in (layer.weight, layer.bias))
    frames = x.contiguous(memory_format=torch.channels_last)  # the fast layout of a convolution
    states: list[LIFState] = []
    for current in conv_current(frames, weight, bias, layer.geometry):
        states.append(lif_step(current, states[-1] if states else None, layer.leak, layer.threshold, layer.reset))
    return states
