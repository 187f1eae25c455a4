"""Back-ends by name, built from a bundle."""

from __future__ import annotations

from collections.abc import Callable

from hybridnet.deploy.bundle import INT8_WEIGHT_BITS, Bundle
from hybridnet.errors import BackendError, ConfigError
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import example_inputs
from hybridnet.partition.splitter import partition
from hybridnet.simulators.emulator.backend import Emulator
from hybridnet.simulators.interface import AnnBackend, SpikingBackend
from hybridnet.simulators.lava.backend import LavaBackend
from hybridnet.simulators.lava.options import LavaOptions
from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend, TorchAnnBackend
from hybridnet.simulators.onnxruntime.session import ANY_CPU, Runtime
from hybridnet.simulators.onnxruntime.spiking import OnnxSpikingBackend
from hybridnet.simulators.torch.float_step import TorchBackend


def _torch_ann(bundle: Bundle, _: Runtime) -> AnnBackend:
    if bundle.manifest.model.config is None:
        raise BackendError(
            "this bundle holds the weights of a model that is not ours, and no code that runs them in torch",
            where=bundle.path,
            remedy="Use --ann onnxruntime",
        )
    model = load_checkpoint(bundle.checkpoint_path).model
    split = partition(model, example_inputs(model.config))
    return TorchAnnBackend(split.ann, split.ann_inputs)


def _int8_ann(bundle: Bundle, runtime: Runtime) -> AnnBackend:
    backend = OnnxRuntimeBackend(bundle.ann_int8_path, runtime)
    backend.name = "onnxruntime-int8"
    key, bits = INT8_WEIGHT_BITS
    if backend.session.get_modelmeta().custom_metadata_map.get(key) != bits:
        raise BackendError(
            f"does not say that its weights have {bits} bits; sums of more saturate on CPUs without VNNI, in silence",
            where=backend.path,
            remedy="Make it anew with `hybridnet calibrate BUNDLE --ann int8 -o DIR`",
        )
    return backend


SPIKING: dict[str, Callable[[Bundle, Runtime, LavaOptions], SpikingBackend]] = {
    "emulator": lambda bundle, *_: Emulator(bundle.fixed),
    "lava": lambda bundle, _, options: LavaBackend(bundle.net_paths, **options),
    "onnxruntime": lambda bundle, runtime, _: OnnxSpikingBackend(bundle.onnx_fixed_path, bundle.fixed, runtime),
    "onnxruntime-float": lambda bundle, runtime, _: OnnxSpikingBackend(bundle.onnx_float_path, bundle.program, runtime),
    "torch": lambda bundle, *_: TorchBackend(bundle.program),
}

ANN: dict[str, Callable[[Bundle, Runtime], AnnBackend]] = {
    "onnxruntime": lambda bundle, runtime: OnnxRuntimeBackend(bundle.ann_path, runtime),
    "onnxruntime-int8": _int8_ann,
    "torch": _torch_ann,
}


def spiking_backend(
    name: str, bundle: Bundle, runtime: Runtime = ANY_CPU, lava: LavaOptions | None = None
) -> SpikingBackend:
    """The simulator of the spiking half called `name`; `lava` only if that is lava."""
    if name not in SPIKING:
        raise ConfigError("snn", name, ", ".join(SPIKING))
    if lava and name != "lava":
        raise ConfigError("snn", name, "lava, as options of Lava are given")
    return SPIKING[name](bundle, runtime, lava or {})


def ann_backend(name: str, bundle: Bundle, runtime: Runtime = ANY_CPU) -> AnnBackend:
    """The runtime of the ANN half called `name`."""
    if name not in ANN:
        raise ConfigError("ann", name, ", ".join(ANN))
    return ANN[name](bundle, runtime)
