"""Lava as a back-end of the spiking half: a worker process that gets arrays and gives arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hybridnet.deploy.netx.file import read_net
from hybridnet.program.fixed_graph import FixedInput
from hybridnet.program.spiking import AnyGraph, layer_shapes
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.lava.compat import lava_is_installed, missing_lava
from hybridnet.simulators.lava.options import ConvModel, RunConfig, choose_conv
from hybridnet.simulators.lava.supervise import run_worker
from hybridnet.simulators.quantise import quantise_input
from hybridnet.simulators.views import count_views
from hybridnet.support.arrays import Array
from hybridnet.support.files import temporary_folder
from hybridnet.support.sealed import AnyFile, content_of

TIMEOUT_S = 3600.0


class LavaBackend:
    """Runs the spiking half as Lava processes; see `SpikingBackend`.

    In fixed point all potentials equal the emulator's bits; in float they equal the model's step to 1e-10.

    Args:
        net_files: Per chain, its file of `hybridnet.deploy.netx.file.write_net`.
        fixed_point: Run the integers, else the float originals in float64.
        conv: Who adds up in Lava's `Conv` processes: our compiled loop or Lava's own SciPy. In fixed point both give
            the same bits. None is `fast`, and on the chip neither.
        run_config: Lava's CPU simulator or, with Intel's extension, the chip; the latter could not be tried.
        timeout_s: Seconds after which a run is given up.

    Raises:
        BundleError: If a file cannot be used.
        ConfigError: If an option is unknown, or excluded by another.
        MissingBackendError: If Lava, or Intel's extension of it, is not installed.
    """

    name = "lava"

    def __init__(
        self,
        net_files: Mapping[str, AnyFile],
        *,
        fixed_point: bool = True,
        conv: ConvModel | None = None,
        run_config: RunConfig = "sim",
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        if not lava_is_installed():
            raise missing_lava("lava-nc or lava-dl is missing")
        self.fixed_point = fixed_point
        self._timeout_s = timeout_s
        nets = [read_net(file) for file in net_files.values()]
        self._nets = [*net_files.values()]
        self._chains: list[AnyGraph] = [net.fixed if fixed_point else net.program for net in nets]
        conv = choose_conv(conv, run_config, self._chains)
        self._network = {"fixed_point": fixed_point, "conv": conv, "run_config": run_config}

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run all chains over N windows.

        Args:
            inputs: Per input name of the program, (N, T, C, H, W), float32, in model units.
            record_potentials: Also return every potential of every layer and step.

        Returns:
            The result; `latency_ms` leaves out the start of the worker and of Lava's processes.

        Raises:
            BackendError: If an input is missing or has a wrong shape, or the worker fails or takes too long. Where it
                failed is a note of the exception.
            RangeError: If an input is not finite.
        """
        fed, clipped = self._messages(inputs)
        with temporary_folder() as folder:
            nets = {f"{index}.net": file for index, file in enumerate(self._nets)}
            for name, file in nets.items():  # the very bytes that were checked
                (folder / name).write_bytes(content_of(file))
            request = {
                "network": self._network,
                "record_potentials": record_potentials,
                "nets": [*nets],
            }
            (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
            for index, chain in enumerate(self._chains):
                np.save(folder / f"{index}.input.npy", fed[chain.inputs[0].name], allow_pickle=False)
            run_worker(folder, self._timeout_s)
            return self._collect(folder, fed, clipped)

    def _messages(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, int]]:
        """What is fed to each input, and how many values of it were clipped."""
        fed: dict[str, Array] = {}
        clipped: dict[str, int] = {}
        for chain in self._chains:
            count_views(chain, inputs)
            (node,) = chain.inputs
            values = inputs[node.name]
            if isinstance(node, FixedInput):
                fed[node.name], clipped[node.name] = quantise_input(values, node)
            else:
                fed[node.name], clipped[node.name] = values.astype(np.float64), 0
        return fed, clipped

    def _collect(self, folder: Path, fed: dict[str, Array], clipped: dict[str, int]) -> SpikingResult:
        reports = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        arrays: dict[str, dict[str, Array]] = {"spikes": {}, "readout": {}, "potentials": {}}
        overflows: dict[str, int] = {}
        for index, (chain, report) in enumerate(zip(self._chains, reports, strict=True)):
            for place, name in enumerate(layer_shapes(chain)):
                overflows[name] = report["overflows"][place]
                for kind, by_layer in arrays.items():
                    path = folder / f"{index}.{place}.{kind}.npy"
                    if path.exists():
                        by_layer[name] = np.load(path, allow_pickle=False)
        return SpikingResult(
            inputs=fed,
            spikes=arrays["spikes"],
            readouts=arrays["readout"],
            potentials=arrays["potentials"],
            latency_ms=np.sum([report["latency_ms"] for report in reports], axis=0),
            overflows=overflows,
            clipped_inputs=clipped,
        )
