"""From the model's inputs to what the spiking half is fed: axes moved, and what the front computes on the host."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.bundle_parts import Parts
from hybridnet.errors import BackendError
from hybridnet.program.graph import Input
from hybridnet.simulators.onnxruntime.session import open_session, run_session
from hybridnet.simulators.options import Runtime
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress, silent


@dataclass(frozen=True, eq=False)
class Fed:
    """What the spiking half is fed.

    Attributes:
        inputs: Per input of the program (N, T, C, H, W), or (N, C, H, W) of a still one, float32.
        front_ms: Host time of the front per view, (N,); None without one.
    """

    inputs: Mapping[str, Array]
    front_ms: npt.NDArray[np.float64] | None


class Feed:
    """Feeds the spiking half of a bundle.

    The front runs on the CPU.

    Args:
        parts: The bundle.
        threads: Threads of the front; as many as ONNX Runtime chooses if None.

    Raises:
        BackendError: If the front cannot be opened.
    """

    def __init__(self, parts: Parts, *, threads: Any = None) -> None:
        self._nodes, self._steps = parts.program.inputs, parts.program.steps
        self._axes, self._messages = parts.manifest.feeds, parts.messages
        self._path = parts.front_path
        self._front = None if self._path is None else open_session(self._path, Runtime(threads=threads))
        self._rehearsed = False

    @property
    def has_front(self) -> bool:
        """Whether the host computes something before the chip."""
        return self._front is not None

    @property
    def read(self) -> tuple[str, ...]:
        """Inputs of the model that reach the spiking half, by way of the front or without it."""
        taken = () if self._front is None else (node.name for node in self._front.get_inputs())
        return tuple(dict.fromkeys((*self._axes, *taken)))

    def __call__(self, inputs: Mapping[str, Array], progress: Progress = silent) -> Fed:
        """Feed N views.

        Args:
            inputs: All inputs of the model by name, (N, …), float32.
            progress: Told after each view of the front.

        Raises:
            BackendError: If the front fails, or gives values that are not finite.
        """
        computed, front_ms = self._computed(inputs, progress)
        fed = {}
        for node in self._nodes:
            given = computed[node.name] if node.name in computed else inputs[node.name]
            fed[node.name] = given if node.name in computed else self._arranged(node, given)
        return Fed(fed, front_ms)

    def _arranged(self, node: Input, values: Array) -> Array:
        """One input of the model as the program takes it."""
        axis = self._axes[node.name]
        if axis is None:
            return values.reshape(len(values), *node.shape)
        steps = np.moveaxis(values, axis + 1, 1)[:, : self._steps]
        return np.ascontiguousarray(steps).reshape(len(values), self._steps, *node.shape)

    def _computed(
        self, inputs: Mapping[str, Array], progress: Progress
    ) -> tuple[dict[str, Array], npt.NDArray[np.float64] | None]:
        """What the front computes, view by view."""
        if self._front is None or self._path is None:
            return {}, None
        taken = [node.name for node in self._front.get_inputs()]
        views, found, times = len(next(iter(inputs.values()))), [], []
        for n in range(views):
            view = {name: inputs[name][n : n + 1] for name in taken}
            if not self._rehearsed:
                run_session(self._front, list(self._messages), view, self._path)  # pays for memory and thread pools
                self._rehearsed = True
            started = time.perf_counter()
            found.append(run_session(self._front, list(self._messages), view, self._path))
            times.append((time.perf_counter() - started) * 1e3)
            progress("host before the chip", n + 1, views)
        messages = {name: np.concatenate([one[name] for one in found]) for name in self._messages}
        for name, values in messages.items():
            if not np.isfinite(values).all():
                raise BackendError(f"its output {name} holds NaN or infinity", where=self._path)
        return messages, np.array(times)
