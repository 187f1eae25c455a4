"""The ANN half in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping

from hybridnet.simulators.interface import checked_outputs
from hybridnet.simulators.onnxruntime.session import open_session, run_session
from hybridnet.simulators.options import ANY_CPU, Runtime
from hybridnet.support.arrays import Array
from hybridnet.support.sealed import AnyFile


class OnnxRuntimeBackend:
    """The exported ANN half in ONNX Runtime.

    Args:
        path: The ONNX file.
        runtime: Execution provider and threads.
        name: How the command line calls it.

    Raises:
        BackendError: If it cannot be run there.
    """

    def __init__(self, path: AnyFile, runtime: Runtime = ANY_CPU, name: str = "onnxruntime") -> None:
        self.path, self.name = path, name
        self.session = open_session(path, runtime)
        self.input_names = [node.name for node in self.session.get_inputs()]
        self.output_names = [node.name for node in self.session.get_outputs()]

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """See `AnnBackend.run`."""
        feed = {name: inputs[name] for name in self.input_names}
        return checked_outputs(run_session(self.session, self.output_names, feed, self.path), feed)
