r"""The spiking half as NIR, the Neuromorphic Intermediate Representation, and back: what other tools can read of it.

A chain is `Input → Conv2d → LIF → … → Output`. Each part between which nothing passes has a file of its own: importers
follow one Input, and that of snnTorch (nirtorch 2.6) waits for ever for what hangs on a second one. NIR says neurons in
continuous time,

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

The nodes: `writer` and `reader`.

NIR is a by-product with less in it than the program has; `write_nir` returns, and each file holds, what was lost:

* Its only reset is to a value. A soft reset is written as LIF all the same, labelled `reset: soft` in the metadata of
  the node; a tool that ignores the label runs another neuron. A graph without the label is read as hard reset.
* Outputs are spikes. That u[T] is read out stands in the metadata.
* It knows no windows: T stands in the metadata, and that the state is zero before each window.
* It has no integers: the chip's are in the bundle.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from types import ModuleType

import numpy as np

from hybridnet.deploy.nir.check import check_nir_file
from hybridnet.deploy.nir.reader import read_program
from hybridnet.deploy.nir.writer import GraphWriter, node_name, without_constants
from hybridnet.errors import BundleError, ConfigError
from hybridnet.program.chains import MAX_STEPS
from hybridnet.program.graph import GraphProgram
from hybridnet.program.layers import Reset
from hybridnet.program.parts import parts
from hybridnet.support.files import atomic_file
from hybridnet.support.optional import optional

DT = 1e-4
"""Time step in seconds that is written; only ratios to it matter."""


def write_nir(path: Path, program: GraphProgram, read_outs: Collection[str] = ()) -> dict[Path, tuple[str, ...]]:
    """Write the spiking half in float.

    Args:
        path: The file; of several parts between which nothing passes each has its own, with the name of its first node
            before the suffix: `p.motion_vectors.nir`, `p.residuals.nir`.
        program: The spiking half.
        read_outs: The populations that are read.

    Returns:
        By file, what it cannot say, one sentence each; never empty.

    Raises:
        MissingBackendError: If the package `nir` is not installed.
        ConfigError: If two layers of a part would get the same name.
        ModelError: If it holds what NIR cannot say.
    """
    nir = import_nir()
    constants = without_constants(program)
    graphs, losses = {}, {}
    each = parts(constants.program)
    for part in each:
        names = [*(node.name for node in part.inputs), *(p.name for p in part.populations)]
        file = path.with_name(f"{path.stem}.{node_name(names[0])}{path.suffix}") if len(each) > 1 else path
        writer = GraphWriter(nir, part, constants.added, DT)
        nodes, edges = writer.write(read_outs)
        losses[file] = (*_losses_of_graph(part, read_outs), *writer.losses())
        metadata = {"made_by": "hybridnet", "dt": DT, "steps": part.steps, "losses": "\n".join(losses[file])}
        graphs[file] = nir.NIRGraph(nodes, edges, metadata=metadata, type_check=False)
    for file, graph in graphs.items():
        with atomic_file(file) as temporary:
            nir.write(temporary, graph)
    return losses


def _losses_of_graph(part: GraphProgram, read_outs: Collection[str]) -> tuple[str, ...]:
    soft = [p.name for p in part.populations if p.threshold is not None and p.reset == "soft"]
    return _losses(soft, [p.name for p in part.populations if p.name in read_outs], part.steps)


def _losses(soft: list[str], read_out: list[str], steps: int) -> tuple[str, ...]:
    lossy = (
        (f"LOSSY: NIR has no soft reset; {', '.join(soft)} will be run with hard reset by other tools",) if soft else ()
    )
    names = ", ".join(read_out)
    read = (f"NIR gives out spikes; that u[T] of {names} is read out stands in its metadata alone",) if names else ()
    return (
        *lossy,
        *read,
        f"NIR has no windows; {steps} steps from zero state stand in its metadata alone",
        "NIR has no fixed point; the chip's integers are in the bundle alone",
    )


def read_nir(path: Path, *, steps: int | None = None, dt: float | None = None, reset: Reset = "hard") -> GraphProgram:
    """Read a spiking half, or a part of it, from a NIR file, of ours or of another tool.

    Args:
        path: The file.
        steps: T, steps per window; what the file says if None.
        dt: Time step in seconds; what the file says if None.
        reset: What a spike does where the file does not say: hard is NIR's own; tools whose neurons reset softly, as
            snnTorch's do unless told, write them all the same.

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
        return read_program(nir, graph, steps, dt, reset)
    except ConfigError:
        raise
    except BundleError as error:
        raise BundleError(error.what, where=f"{path}: {error.where}") from error
    except Exception as error:  # nir tells a bad file by whatever its constructors stumble over, assertions included
        raise BundleError(f"is no NIR graph ({type(error).__name__}: {error})", where=path) from error


def import_nir() -> ModuleType:
    """The package `nir`.

    Raises:
        BackendError: If it does not import; a `MissingBackendError` if it is not installed.
    """
    return optional("nir")
