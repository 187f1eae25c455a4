"""Back-ends by name, built from a bundle."""

from __future__ import annotations

from collections.abc import Callable

from hybridnet.deploy.bundle import Bundle
from hybridnet.errors import ConfigError
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import example_inputs
from hybridnet.partition.splitter import partition
from hybridnet.simulators.ann import OnnxRuntimeBackend, TorchAnnBackend
from hybridnet.simulators.emulator import Emulator
from hybridnet.simulators.interface import AnnBackend, SpikingBackend
from hybridnet.simulators.lava.backend import LavaBackend
from hybridnet.simulators.torch_float import TorchBackend


def _torch_ann(bundle: Bundle) -> AnnBackend:
    model = load_checkpoint(bundle.checkpoint_path).model
    split = partition(model, example_inputs(model.config))
    return TorchAnnBackend(split.ann, split.ann_inputs)


SPIKING: dict[str, Callable[[Bundle], SpikingBackend]] = {
    "emulator": lambda bundle: Emulator(bundle.fixed),
    "lava": lambda bundle: LavaBackend(bundle.net_paths),
    "torch": lambda bundle: TorchBackend(bundle.program),
}

ANN: dict[str, Callable[[Bundle], AnnBackend]] = {
    "onnxruntime": lambda bundle: OnnxRuntimeBackend(bundle.ann_path),
    "torch": _torch_ann,
}


def spiking_backend(name: str, bundle: Bundle) -> SpikingBackend:
    """The simulator of the spiking half called `name`."""
    if name not in SPIKING:
        raise ConfigError("snn", name, ", ".join(SPIKING))
    return SPIKING[name](bundle)


def ann_backend(name: str, bundle: Bundle) -> AnnBackend:
    """The runtime of the ANN half called `name`."""
    if name not in ANN:
        raise ConfigError("ann", name, ", ".join(ANN))
    return ANN[name](bundle)
