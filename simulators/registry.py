"""All back-ends. To add one, write its class and its entry here: nothing else names it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hybridnet.deploy.layout import (
    ANN,
    ANN_INT8,
    CHECKPOINT,
    GRAPH_FIXED,
    GRAPH_FLOAT,
    INT8_WEIGHT_BITS,
    NET,
    ONNX_FIXED,
    ONNX_FLOAT,
    ONNX_STEP,
)
from hybridnet.errors import BackendError, ConfigError
from hybridnet.simulators.entry import AnnEntry, Entry, SpikingEntry
from hybridnet.simulators.files import write_nets, write_onnx, write_onnx_float
from hybridnet.simulators.lava.options import LavaOptions
from hybridnet.simulators.options import NO_SETTINGS, NoOptions, Option, Runtime, Settings, Threads
from hybridnet.support.optional import is_there

if TYPE_CHECKING:
    from hybridnet.deploy.bundle_parts import Parts
    from hybridnet.program.fixed_graph import FixedGraph
    from hybridnet.program.spiking import SpikingHalf
    from hybridnet.simulators.interface import AnnBackend, SpikingBackend

FLOAT = "onnxruntime-float"
"""The spiking half in float that runs in fixed point are measured against: it needs no torch."""

ANN_TOLERANCE = 1e-4
"""Largest difference allowed between the ANN half in torch and a float back-end, on every output."""


def _emulator(parts: Parts, options: Threads) -> SpikingBackend:
    from hybridnet.simulators.emulator.graph import GraphEmulator

    return GraphEmulator(parts.fixed, currents=False, threads=options.threads)


def _lava(parts: Parts, options: LavaOptions) -> SpikingBackend:
    from hybridnet.simulators.lava.backend import LavaBackend
    from hybridnet.simulators.lava.graph_backend import LavaGraph

    if parts.net_paths:
        return LavaBackend(parts.net_paths, conv=options.lava_conv, run_config=options.lava_config)
    if options != LavaOptions():
        raise ConfigError("lava", options, "the defaults: a graph runs as processes of our own, which have no others")
    return LavaGraph(parts.fixed)


def _onnx(parts: Parts, options: Runtime) -> SpikingBackend:
    from hybridnet.simulators.onnxruntime.stepper import OnnxSteps

    return OnnxSteps(parts.file(ONNX_STEP), parts.file(ONNX_FIXED), parts.fixed, options)


def _onnx_float(parts: Parts, options: Runtime) -> SpikingBackend:
    from hybridnet.simulators.onnxruntime.graph import OnnxGraph

    return OnnxGraph(parts.file(ONNX_FLOAT), parts.program, options)


def _c(parts: Parts, options: NoOptions) -> SpikingBackend:
    from hybridnet.simulators.c.backend import CGraph

    return CGraph(parts.fixed)


def _torch(parts: Parts, options: Threads) -> SpikingBackend:
    from hybridnet.simulators.torch.graph_step import TorchGraph

    _give_torch(options)
    return TorchGraph(parts.program)


def _onnx_ann(parts: Parts, options: Runtime) -> AnnBackend:
    from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend

    return OnnxRuntimeBackend(parts.file(ANN), options)


def _int8_ann(parts: Parts, options: Runtime) -> AnnBackend:
    from hybridnet.simulators.onnxruntime.ann import OnnxRuntimeBackend

    backend = OnnxRuntimeBackend(parts.file(ANN_INT8), options, name="onnxruntime-int8")
    key, bits = INT8_WEIGHT_BITS
    if backend.session.get_modelmeta().custom_metadata_map.get(key) != bits:
        raise BackendError(
            f"does not say that its weights have {bits} bits; sums of more saturate on CPUs without VNNI, in silence",
            where=parts.file(ANN_INT8),
            remedy="Make it anew with `hybridnet calibrate BUNDLE --ann int8 --clips CLIPS -o BUNDLE2`",
        )
    return backend


def _torch_ann(parts: Parts, options: Threads) -> AnnBackend:
    from hybridnet.simulators.torch.ann import ann_of_checkpoint

    _give_torch(options)
    return ann_of_checkpoint(parts)


def _give_torch(options: Threads) -> None:
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)


def _is_here(entry: Entry[Any]) -> bool:
    """Whether this wheel holds it."""
    return not entry.home or is_there(f"hybridnet.simulators.{entry.home}")


_SPIKING = (
    SpikingEntry(
        name="emulator", title="the emulator", help="the chip's integers, fast",
        home="emulator.graph", build=_emulator, options=Threads, packages=("numba",), fixed_point=True,
    ),
    SpikingEntry(
        name="lava", title="Lava", help="Lava processes, with the emulator's bits",
        home="lava.backend", build=_lava, options=LavaOptions, files=(NET,), write=write_nets,
        packages=("lava-nc", "lava-dl"), optional=True, fixed_point=True, exact=True, on_request=True,
    ),
    SpikingEntry(
        name="c", title="the C source", help="what `export --c` writes, compiled here, with the emulator's bits",
        home="c.backend", build=_c, optional=True, fixed_point=True, exact=True, on_request=True,
    ),
    SpikingEntry(
        name="onnxruntime", title="ONNX Runtime", help="ONNX graphs, with the emulator's bits",
        home="onnxruntime.stepper", build=_onnx, options=Runtime, files=(ONNX_FIXED, ONNX_STEP), write=write_onnx,
        packages=("onnxruntime",), fixed_point=True, exact=True,
    ),
    SpikingEntry(
        name="onnxruntime-float", title="ONNX Runtime in float", help="an ONNX graph in float32",
        home="onnxruntime.graph", build=_onnx_float, options=Runtime, files=(ONNX_FLOAT,), write=write_onnx_float,
        packages=("onnxruntime",), fixed_point=False,
    ),
    SpikingEntry(
        name="torch", title="torch", help="the model's own float step",
        home="torch.graph_step", build=_torch, options=Threads, packages=("torch",), fixed_point=False,
    ),
)  # fmt: skip

SPIKING: dict[str, SpikingEntry] = {entry.name: entry for entry in _SPIKING if _is_here(entry)}
"""Back-ends of the spiking half: `--snn`."""

DEFAULT_SNN = next(iter(SPIKING))
SIDES = (DEFAULT_SNN, "lava")
"""Back-ends of the spiking half that `compare` takes unless told."""

_ANN = (
    AnnEntry(
        name="onnxruntime", title="ONNX Runtime", help="the exported graph in float32",
        home="onnxruntime.ann", build=_onnx_ann, options=Runtime, files=(ANN,), packages=("onnxruntime",),
        tolerance=ANN_TOLERANCE,
    ),
    AnnEntry(
        name="onnxruntime-int8", title="ONNX Runtime in int8", help="the graph that `calibrate --ann int8` quantised",
        home="onnxruntime.ann", build=_int8_ann, options=Runtime, files=(ANN_INT8,), packages=("onnxruntime",),
        counted=ANN_INT8, remedy="Make it with `hybridnet calibrate BUNDLE --ann int8 --clips CLIPS -o BUNDLE2`",
    ),
    AnnEntry(
        name="torch", title="torch", help="the modules of the checkpoint",
        home="torch.ann", build=_torch_ann, options=Threads, files=(CHECKPOINT,), packages=("torch",),
    ),
)  # fmt: skip

ANN_ENTRIES: dict[str, AnnEntry] = {entry.name: entry for entry in _ANN if _is_here(entry)}
"""Back-ends of the ANN half: `--ann`."""

DEFAULT_ANN = next(iter(ANN_ENTRIES))


def default_snn(fixed: FixedGraph) -> str:
    """The back-end unless one is named: the emulator, or ONNX Runtime with its bits where it lacks torch for one."""
    from hybridnet.simulators.emulator.groups import can_run

    return DEFAULT_SNN if can_run(fixed) else "onnxruntime"


def spiking_entry(name: str) -> SpikingEntry:
    """The back-end of the spiking half called `name`.

    Raises:
        ConfigError: If there is none.
    """
    return _find("snn", name, SPIKING)


def ann_entry(name: str) -> AnnEntry:
    """The back-end of the ANN half called `name`; as `spiking_entry`."""
    return _find("ann", name, ANN_ENTRIES)


E = TypeVar("E", bound=Entry[Any])


def _find(half: str, name: str, entries: Mapping[str, E]) -> E:
    if name not in entries:
        raise ConfigError(half, name, ", ".join(entries))
    return entries[name]


def spiking_backend(name: str, parts: Parts, settings: Settings = NO_SETTINGS) -> SpikingBackend:
    """The simulator of the spiking half called `name`.

    Args:
        name: See SPIKING.
        parts: A bundle.
        settings: Options by name, all of which it must have.

    Raises:
        HybridNetError: If it cannot be had.
    """
    entry = spiking_entry(name)
    check_settings(settings, entry)
    return entry.open(parts, settings)


def ann_backend(name: str, parts: Parts, settings: Settings = NO_SETTINGS) -> AnnBackend:
    """The runtime of the ANN half called `name`; as `spiking_backend`."""
    entry = ann_entry(name)
    check_settings(settings, entry)
    return entry.open(parts, settings)


def all_entries() -> tuple[Entry[Any], ...]:
    """All back-ends of both halves."""
    return (*SPIKING.values(), *ANN_ENTRIES.values())


def all_options() -> dict[str, Option]:
    """What can be chosen about back-ends, by name; an option that several have is there once."""
    return {option.name: option for entry in all_entries() for option in entry.choices}


def check_settings(settings: Settings, *entries: Entry[Any]) -> None:
    """Refuse a setting that none of these back-ends has, unless it is what holds anyway.

    Raises:
        ConfigError: Naming the setting, and who has it.
    """
    known, taken = all_options(), {option.name for entry in entries for option in entry.choices}
    for name, value in settings.items():
        if name not in known:
            raise ConfigError("setting", name, ", ".join(known))
        if name not in taken and value != known[name].default:
            having = dict.fromkeys(e.name for e in all_entries() if name in {o.name for o in e.choices})
            used = " and ".join(entry.name for entry in entries)
            raise ConfigError(name, value, f"with {', '.join(having)}, and not with {used}")


def settings_in_words(settings: Settings, *entries: Entry[Any]) -> dict[str, str]:
    """How these back-ends are set, by option; `default` where the choice is left to them."""
    chosen = {name: value for entry in entries for name, value in vars(entry.chosen(settings)).items()}
    return {name: "default" if value is None else str(value) for name, value in sorted(chosen.items())}


def requestable() -> list[str]:
    """Back-ends that parity compares with the emulator only when asked to."""
    return [entry.name for entry in SPIKING.values() if entry.exact and entry.on_request]


def check_requested(name: str | None) -> None:
    """Refuse a back-end that parity cannot be asked to compare.

    Raises:
        ConfigError: If it is not one of `requestable`.
    """
    if name is not None and name not in requestable():
        raise ConfigError("parity", name, ", ".join(requestable()))


def packages() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Distributions whose versions bear on results: those that hybridnet needs, and those of optional back-ends."""
    needed, optional = (
        tuple(dict.fromkeys(name for e in all_entries() if e.optional is which for name in e.packages))
        for which in (False, True)
    )
    return needed, optional


def write_spiking_half(folder: Path, spiking: SpikingHalf) -> None:
    """Write both forms of the program, and what every back-end reads of them, into the folder of a bundle."""
    from hybridnet.deploy.graph_file import write_graph

    (folder / GRAPH_FLOAT).parent.mkdir()
    write_graph(folder / GRAPH_FLOAT, spiking.program)
    write_graph(folder / GRAPH_FIXED, spiking.fixed)
    for entry in SPIKING.values():
        if entry.write is not None:
            entry.write(folder, spiking)
