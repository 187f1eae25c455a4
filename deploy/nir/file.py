r"""The spiking half as NIR, the Neuromorphic Intermediate Representation, and back: what other tools can read of it.

A stream is a chain `Input → Conv2d → LIF → … → Output`, in a file of its own: importers follow one Input, and that of
snnTorch (nirtorch 2.6) waits for ever for what hangs on a second one. NIR says neurons in continuous time,

    τ·v̇ = (v_leak − v) + R·I,      z = v > v_threshold,      v = v_reset where z,

and leaves the discretisation to whoever runs it. By Euler's rule with the step dt, as snnTorch and others read it,

    v[t] = (1 − dt/τ)·v[t−1] + (dt/τ)·v_leak + (dt·R/τ)·I[t]

which is our hard reset, u[t] = λ·u[t−1]·(1 − o[t−1]) + conv(w, x[t]) + b, exactly when

    τ = dt / (1 − λ),      R = τ / dt = 1 / (1 − λ),      v_leak = 0,      v_reset = 0,      I = conv(w, x) + b.

λ = 1 has no finite τ and is `nir.IF` instead: v̇ = R·I gives R = 1/dt. We write dt = 10⁻⁴, which snnTorch takes for
granted, into the metadata; NIR has no word for it. Nothing in a foreign file tells a wrong step but neurons that never
fire, so that whoever reads one must say it. Other values are folded into the layer: dt·R/τ scales weight and bias,
(dt/τ)·v_leak adds to the bias. `Conv2d` is torch's: weights (C_out, C_in/groups, kh, kw), pairs (vertical, horizontal),
zeros at the border.

NIR is a by-product with less in it than the program has; `write_nir` returns, and each file holds, what was lost:

* Its only reset is to a value. A soft reset is written as LIF all the same, labelled `reset: soft` in the metadata of
  the node; a tool that ignores the label runs another neuron. A graph without the label is read as hard reset.
* Outputs are spikes. That u[T] is read out stands in the metadata.
* It knows no windows: T stands in the metadata, and that the state is zero before each window.
* It has no integers: the chip's are in the bundle.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from hybridnet.deploy.netx.file import MAX_STEPS
from hybridnet.deploy.nir.check import check_nir_file
from hybridnet.deploy.nir.graph import read_streams
from hybridnet.errors import BundleError, ConfigError, MissingBackendError
from hybridnet.program.layers import ConvLIFLayer, FloatProgram, Program
from hybridnet.support.files import atomic_file

DT = 1e-4
"""Time step in seconds that is written; only ratios to it matter."""


def write_nir(path: Path, program: FloatProgram) -> dict[Path, tuple[str, ...]]:
    """Write the spiking half in float.

    Args:
        path: The file; of several streams each has its own, with its name before the suffix: `p.mv.nir`, `p.r.nir`.
        program: The spiking half.

    Returns:
        By file, what it cannot say, one sentence each; never empty.

    Raises:
        MissingBackendError: If the package `nir` is not installed.
        ConfigError: If two layers of a stream would get the same name.
    """
    nir = import_nir()
    parts = [Program((stream,), program.steps) for stream in program.streams]
    names = [f"{path.stem}.{stream.name}{path.suffix}" for stream in program.streams] if len(parts) > 1 else [path.name]
    graphs = {path.with_name(name): _graph(nir, part) for name, part in zip(names, parts, strict=True)}
    for file, graph in graphs.items():
        with atomic_file(file) as temporary:
            nir.write(temporary, graph)
    return {file: losses_of(part) for file, part in zip(graphs, parts, strict=True)}


def _graph(nir: ModuleType, program: FloatProgram) -> Any:
    """A program of one stream."""
    (stream,) = program.streams
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []

    def add(name: str, node: Any, before: str | None = None) -> str:
        if name in nodes:
            raise ConfigError("name", name, "different names of layers, '.' and '_' being the same in NIR")
        nodes[name] = node
        if before is not None:
            edges.append((before, name))
        return name

    label = {"stream": stream.name, "input_name": stream.input_name}
    last = add(node_name(stream.input_name), nir.Input({"input": np.array(stream.input_shape)}, metadata=label))
    for layer in stream.layers:
        last = add(f"{node_name(layer.name)}_conv", _conv(nir, layer), last)
        last = add(node_name(layer.name), _neuron(nir, layer), last)
    add(f"{node_name(stream.name)}_out", nir.Output({"output": np.array(layer.geometry.output_shape)}), last)
    metadata = {"made_by": "hybridnet", "dt": DT, "steps": program.steps, "losses": "\n".join(losses_of(program))}
    # NIR takes C_in/groups for the channels of a convolution's input: its type check fails where there are groups.
    return nir.NIRGraph(nodes, edges, metadata=metadata, type_check=False)


def losses_of(program: FloatProgram) -> tuple[str, ...]:
    """What NIR cannot say of a program of one stream, one sentence each."""
    soft = [layer.name for layer in program.layers() if layer.reset == "soft"]
    read_out = [layer.name for layer in program.layers() if layer.read_out]
    lossy = (
        (f"LOSSY: NIR has no soft reset; {', '.join(soft)} will be run with hard reset by other tools",) if soft else ()
    )
    return (
        *lossy,
        f"NIR gives out spikes; that u[T] of {', '.join(read_out)} is read out stands in its metadata alone",
        f"NIR has no windows; {program.steps} steps from zero state stand in its metadata alone",
        "NIR has no fixed point; the chip's integers are in the bundle alone",
    )


def node_name(name: str) -> str:
    """A name as NIR's readers like it: most make Python modules of it, whose names hold no dot."""
    return name.replace(".", "_")


def read_nir(path: Path, *, steps: int | None = None, dt: float | None = None) -> FloatProgram:
    """Read a spiking half, or a stream of it, from a NIR file, of ours or of another tool.

    Args:
        steps: T, steps per window; what the file says if None.
        dt: Time step in seconds; what the file says if None.

    Raises:
        MissingBackendError: If the package `nir` is not installed.
        BundleError: If the file is damaged, too large, or holds what a program has no words for.
        ConfigError: If the file does not say T or the time step, and the arguments do not either.
    """
    nir = import_nir()
    check_nir_file(path)
    try:
        graph = nir.read(path, type_check=False)
        metadata = graph.metadata
        dt = float(metadata["dt"]) if dt is None and "dt" in metadata else dt
        steps = int(metadata["steps"]) if steps is None and "steps" in metadata else steps
        if steps is None or not 0 < steps <= MAX_STEPS:
            raise ConfigError("steps", steps, f"1 to {MAX_STEPS}; needed where the file does not say how many")
        if dt is None or not 0 < dt < np.inf:
            allowed = "seconds, greater than 0; needed where the file does not say it, as weights are scaled by it"
            raise ConfigError("dt", dt, f"{allowed} (1e-4 in snnTorch; 1 where IF neurons of r = 1 add up their input)")
        return Program(read_streams(nir, graph, dt), steps)
    except ConfigError:
        raise
    except BundleError as error:
        raise BundleError(error.what, where=f"{path}: {error.where}") from error
    except Exception as error:  # nir tells a bad file by whatever its constructors stumble over, assertions included
        raise BundleError(f"is no NIR graph ({type(error).__name__}: {error})", where=path) from error


def _conv(nir: ModuleType, layer: ConvLIFLayer) -> Any:
    g = layer.geometry
    return nir.Conv2d(
        input_shape=g.input_shape[1:],
        weight=layer.weight,
        stride=g.stride,
        padding=g.padding,
        dilation=g.dilation,
        groups=g.groups,
        bias=layer.bias,
    )


def _neuron(nir: ModuleType, layer: ConvLIFLayer) -> Any:
    def each(value: float) -> Any:
        return np.full(layer.geometry.output_shape, value)

    label = {"name": layer.name, "reset": layer.reset, "read_out": int(layer.read_out)}
    own = {"v_threshold": each(layer.threshold), "v_reset": each(0.0), "metadata": label}
    if layer.leak == 1:
        return nir.IF(r=each(1 / DT), **own)
    gain = 1 / (1 - layer.leak)
    return nir.LIF(tau=each(DT * gain), r=each(gain), v_leak=each(0.0), **own)


def import_nir() -> ModuleType:
    """The package `nir`.

    Raises:
        MissingBackendError: If it is not installed.
    """
    try:
        import nir
    except ImportError as error:
        raise MissingBackendError(
            "the package nir is not installed", remedy="`pip install 'hybridnet[nir]'`"
        ) from error
    return nir
