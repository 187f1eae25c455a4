"""Lava as a back-end of the spiking half: a worker process that gets arrays and gives arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hybridnet.deploy.netx.file import read_net
from hybridnet.errors import BackendError
from hybridnet.program.layers import ConvLIFLayer, FixedConvLIF, Stream
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.lava.compat import lava_is_installed, missing_lava
from hybridnet.simulators.lava.options import ConvModel, RunConfig, choose_conv
from hybridnet.simulators.lava.supervise import run_worker
from hybridnet.simulators.quantise import quantise_input
from hybridnet.support.arrays import Array
from hybridnet.support.files import temporary_folder

TIMEOUT_S = 3600.0

AnyLayer = ConvLIFLayer | FixedConvLIF


class LavaBackend:
    """Runs the spiking half as Lava processes; see `SpikingBackend`.

    In fixed point all potentials equal the emulator's bits; in float they equal the model's step to 1e-10.

    Args:
        net_files: Per stream, its file of `hybridnet.deploy.netx.file.write_net`.
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
        net_files: Mapping[str, Path],
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
        self._nets = [path.resolve() for path in net_files.values()]
        programs = [read_net(path) for path in self._nets]
        self._streams: list[Stream[ConvLIFLayer] | Stream[FixedConvLIF]] = [
            fixed if fixed_point else in_float for in_float, fixed, _ in programs
        ]
        self._steps = [steps for _, _, steps in programs]
        conv = choose_conv(conv, run_config, self._streams)
        self._network = {"fixed_point": fixed_point, "conv": conv, "run_config": run_config}

    def run(self, inputs: Mapping[str, Array], *, record_potentials: bool = False) -> SpikingResult:
        """Run all streams over N windows.

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
            request = {
                "network": self._network,
                "record_potentials": record_potentials,
                "nets": [str(path) for path in self._nets],
            }
            (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
            for index, stream in enumerate(self._streams):
                np.save(folder / f"{index}.input.npy", fed[stream.name], allow_pickle=False)
            run_worker(folder, self._timeout_s)
            return self._collect(folder, fed, clipped)

    def _messages(self, inputs: Mapping[str, Array]) -> tuple[dict[str, Array], dict[str, int]]:
        """What is fed to each stream, and how many values of it were clipped."""
        fed: dict[str, Array] = {}
        clipped: dict[str, int] = {}
        for stream, steps in zip(self._streams, self._steps, strict=True):
            if stream.input_name not in inputs:
                raise BackendError("the input is missing", where=stream.input_name)
            values = inputs[stream.input_name]
            if values.shape[1:] != (steps, *stream.input_shape) or len(values) < 1:
                raise BackendError(
                    f"the shape is {values.shape} and should be (N, {steps}, *{stream.input_shape})",
                    where=stream.input_name,
                )
            first = stream.layers[0]
            if isinstance(first, FixedConvLIF):
                fed[stream.name], clipped[stream.name] = quantise_input(values, first)
            else:
                fed[stream.name], clipped[stream.name] = values.astype(np.float64), 0
        return fed, clipped

    def _collect(self, folder: Path, fed: dict[str, Array], clipped: dict[str, int]) -> SpikingResult:
        reports = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        arrays: dict[str, dict[str, Array]] = {"spikes": {}, "readout": {}, "potentials": {}}
        overflows: dict[str, int] = {}
        for index, (stream, report) in enumerate(zip(self._streams, reports, strict=True)):
            layers: Sequence[AnyLayer] = stream.layers
            for place, layer in enumerate(layers):
                overflows[layer.name] = report["overflows"][place]
                for kind, by_layer in arrays.items():
                    path = folder / f"{index}.{place}.{kind}.npy"
                    if path.exists():
                        by_layer[layer.name] = np.load(path, allow_pickle=False)
        return SpikingResult(
            inputs=fed,
            spikes=arrays["spikes"],
            readouts=arrays["readout"],
            potentials=arrays["potentials"],
            latency_ms=np.sum([report["latency_ms"] for report in reports], axis=0),
            overflows=overflows,
            clipped_inputs=clipped,
        )
