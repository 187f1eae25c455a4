"""Opening an ONNX file in ONNX Runtime, on exactly what was asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnxruntime

from hybridnet.errors import BackendError, MissingBackendError
from hybridnet.simulators.options import ANY_CPU, Provider, Runtime
from hybridnet.support.ahead import aside, usual_threads
from hybridnet.support.arrays import Array
from hybridnet.support.foreign import foreign_code
from hybridnet.support.sealed import AnyFile, content_of

EXECUTION_PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
PACKAGES: dict[Provider, str] = {"cpu": "onnxruntime", "cuda": "onnxruntime-gpu"}


FATAL = 4
"""Severity of what ONNX Runtime may write to stderr itself; errors are exceptions too."""


def open_session(path: AnyFile, runtime: Runtime = ANY_CPU) -> Any:
    """Load a graph into an `onnxruntime.InferenceSession`, which says what is wrong by exceptions alone.

    A signal ends the wait for it: what depends on no input is computed here, for as long as it takes.

    Raises:
        MissingBackendError: If this onnxruntime was built without the provider.
        BackendError: If it cannot load the file, or would run it elsewhere than asked.
    """
    wanted = EXECUTION_PROVIDERS[runtime.provider]
    if wanted not in onnxruntime.get_available_providers():
        raise MissingBackendError(
            f"this onnxruntime has no {wanted}",
            where=path,
            remedy=f"`pip uninstall onnxruntime && pip install {PACKAGES[runtime.provider]}`, or use --provider cpu",
        )
    options = onnxruntime.SessionOptions()
    options.log_severity_level = FATAL
    # Left to itself it counts the machine's cores, not those that the process may use, and its threads spin while they
    # wait: on two idle cores that is a little quicker, and beside other work, the emulator's included, far slower.
    options.intra_op_num_threads = runtime.threads or usual_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    onnxruntime.set_default_logger_severity(FATAL)
    with foreign_code(BackendError, "ONNX Runtime cannot load it", where=path, remedy="Export again"):
        content, providers = content_of(path), _providers(runtime.provider)
        session = aside(
            lambda: onnxruntime.InferenceSession(content, options, providers=providers, enable_fallback=False)
        )  # which would be told on stdout
    got = session.get_providers()
    if got[:1] != [wanted]:
        raise BackendError(
            f"ONNX Runtime fell back to {', '.join(got)}; {wanted} did not start",
            where=path,
            remedy="Install the CUDA and cuDNN versions that it asks for, or use --provider cpu",
        )
    return session


def run_session(session: Any, names: Sequence[str], feed: Mapping[str, Any], where: object) -> dict[str, Array]:
    """Run a graph; its outputs by name. A signal ends it between two nodes: of how long it takes there is no limit.

    Raises:
        BackendError: If ONNX Runtime fails.
    """
    options = onnxruntime.RunOptions()

    def give_up() -> None:
        options.terminate = True

    with foreign_code(BackendError, "ONNX Runtime cannot run it", where=where, remedy="Export again"):
        outputs = aside(lambda: session.run([*names], {**feed}, options), give_up)
    return dict(zip(names, outputs, strict=True))


def _providers(provider: Provider) -> list[Any]:
    """The provider with its options: TensorFloat-32 rounds to 10 bits what must be exact, or within 1e-4."""
    return [(EXECUTION_PROVIDERS[provider], {"use_tf32": "0"} if provider == "cuda" else {})]
