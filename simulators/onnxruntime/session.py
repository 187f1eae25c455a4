"""Opening an ONNX file in ONNX Runtime, on exactly what was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnxruntime

from hybridnet.errors import BackendError, MissingBackendError
from hybridnet.simulators.options import ANY_CPU, Provider, Runtime

EXECUTION_PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
PACKAGES: dict[Provider, str] = {"cpu": "onnxruntime", "cuda": "onnxruntime-gpu"}


def open_session(path: Path, runtime: Runtime = ANY_CPU) -> Any:
    """Load a graph into an `onnxruntime.InferenceSession`.

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
    options.log_severity_level = 3
    options.intra_op_num_threads = runtime.threads or 0
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=_providers(runtime.provider))
    except Exception as error:  # ONNX Runtime's errors share no public base class
        raise BackendError(f"ONNX Runtime cannot load it ({error})", where=path, remedy="Export again") from error
    got = session.get_providers()
    if got[:1] != [wanted]:
        raise BackendError(
            f"ONNX Runtime fell back to {', '.join(got)}; {wanted} did not start",
            where=path,
            remedy="Install the CUDA and cuDNN versions that it asks for, or use --provider cpu",
        )
    return session


def _providers(provider: Provider) -> list[Any]:
    """The provider with its options: TensorFloat-32 rounds to 10 bits what must be exact, or within 1e-4."""
    return [(EXECUTION_PROVIDERS[provider], {"use_tf32": "0"} if provider == "cuda" else {})]
