"""Two back-ends of the spiking half, or one and a recording, on the same clip: where they part, and why."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import ConfigError, ModelError
from hybridnet.program.fixed_graph import FixedGraph, FixedPopulation
from hybridnet.program.graph import Population
from hybridnet.program.spiking import AnyGraph, layer_shapes
from hybridnet.simulators.divergence.causes import Cause, classify
from hybridnet.simulators.divergence.find import (
    FLOAT_TOLERANCE,
    Side,
    StreamComparison,
    find,
    merged,
)
from hybridnet.simulators.divergence.lanes import lanes_of
from hybridnet.simulators.feed import Feed
from hybridnet.simulators.interface import RecordsCurrents, SpikingResult
from hybridnet.simulators.quantise import quantise_input
from hybridnet.simulators.registry import spiking_backend
from hybridnet.support.arrays import Array, read_arrays
from hybridnet.support.progress import Progress, silent
from hybridnet.support.text import printable
from hybridnet.workflows.options import CompareOptions
from hybridnet.workflows.simulate import load
from hybridnet.workflows.sources import ARRAYS_SUFFIX, read_source

SCHEMA = "hybridnet.compare/1"

BATCH_BYTES = 2**28
"""Most bytes of all potentials and spikes of both sides that are held at a time."""

LEAST_BATCH = 2
"""Windows run in one go at least: a state that is wrongly kept between windows shows in the second one alone."""

Inputs = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Contender:
    """One side before it has run.

    Attributes:
        program: What it is supposed to compute.
        run: From inputs of some windows and the number of the first one to everything recorded of them.
    """

    name: str
    program: AnyGraph
    run: Callable[[Inputs, int], SpikingResult]


@dataclass(frozen=True)
class Comparison:
    """What was compared and found.

    Attributes:
        source: The clip or arrays.
        unit: Unit of u, distances and tolerance: `v` between two fixed-point sides, else `model`.
        criterion: What counts as equal, in words.
        tolerance: As asked for.
        streams: Names of chains, or of the parts of a graph between which nothing passes.
        causes: Causes of each stream's first difference, by stream.
        first: The stream that parts first, by window, step and depth of the layer; None if all are equal.
    """

    schema: str
    command: str
    source: str
    bundle: str
    a: str
    b: str
    unit: str
    criterion: str
    tolerance: float | None
    windows: int
    streams: tuple[StreamComparison, ...]
    causes: dict[str, tuple[Cause, ...]]
    first: str | None

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return self.first is None


def compare(
    source: str | Path | Inputs,
    bundle: Bundle | str | Path | None = None,
    options: CompareOptions = CompareOptions(),
    *,
    progress: Progress = silent,
) -> Comparison:
    """Run two sides on the same windows and find where they part.

    Args:
        source: Any clip that `hybridnet.simulate` takes; or the model's inputs by name, as arrays or a `.npz` file.
        bundle: What to run; see `hybridnet.workflows.simulate.load`.
        options: Which two sides, and what counts as equal.
        progress: Told after each batch of windows.

    Raises:
        HybridNetError: With what to do about it.
    """
    a, b, tolerance = options.a, options.b, options.tolerance
    if tolerance is not None and not (tolerance >= 0 and math.isfinite(tolerance)):
        raise ConfigError("tolerance", tolerance, "0 or more")
    bundle = bundle if isinstance(bundle, Bundle) else load(bundle)
    names = (a, b) if a != b else (f"a: {a}", f"b: {b}")
    sides = [contender(which, bundle, name) for which, name in zip((a, b), names, strict=True)]
    arrays = read_source(source, bundle, options.views, options.transcode, progress).views.arrays
    inputs = Feed(bundle)(arrays).inputs
    streams, causes = compare_sides(sides[0], sides[1], inputs, tolerance, progress)
    firsts = [stream.first for stream in streams if stream.first is not None]
    first = min(firsts, key=lambda d: (d.place.window, d.place.step, d.place.depth), default=None)
    both_fixed = all(isinstance(side.program, FixedGraph) for side in sides)
    return Comparison(
        schema=SCHEMA,
        command=options.command,
        source="arrays" if isinstance(source, Mapping) else printable(source),
        bundle=printable(bundle.path),
        a=names[0],
        b=names[1],
        unit="v" if both_fixed else "model",
        criterion=criterion(sides[0], sides[1], tolerance),
        tolerance=tolerance,
        windows=streams[0].windows,
        streams=streams,
        causes=causes,
        first=first.place.stream if first else None,
    )


def compare_sides(
    a: Contender, b: Contender, inputs: Inputs, tolerance: float | None = None, progress: Progress = silent
) -> tuple[tuple[StreamComparison, ...], dict[str, tuple[Cause, ...]]]:
    """Run both sides batch by batch; the cause of each stream's first difference is sought while its batch is at hand.

    Args:
        inputs: Per input of the program, (N, T, C, H, W), or (N, C, H, W) of a still one, float32, in model units.
    """
    windows = len(next(iter(inputs.values())))
    size = min(windows, max(LEAST_BATCH, BATCH_BYTES // _window_bytes(a.program)))
    parts: list[tuple[StreamComparison, ...]] = []
    causes: dict[str, tuple[Cause, ...]] = {}
    for start in range(0, windows, size):
        progress("comparing", start, windows)
        batch = {name: values[start : start + size] for name, values in inputs.items()}
        left, right = (Side(side.name, side.program, side.run(batch, start)) for side in (a, b))
        parts.append(find(left, right, tolerance, start))
        for found in parts[-1]:
            if found.first is not None and found.stream not in causes:
                causes[found.stream] = classify(left, right, found.first, start)
    progress("comparing", windows, windows)
    return merged(parts), causes


def contender(which: str, bundle: Bundle, name: str) -> Contender:
    """A back-end by its name in the registry, or a recording by its file."""
    if Path(which).suffix == ARRAYS_SUFFIX:
        return recording(Path(which), bundle, name)
    backend = spiking_backend(which, bundle)
    if isinstance(backend, RecordsCurrents):
        backend = backend.with_currents()
    program = bundle.fixed if backend.fixed_point else bundle.program
    return Contender(name, program, lambda inputs, _: backend.run(inputs, record_potentials=True))


def recording(path: Path, bundle: Bundle, name: str) -> Contender:
    """A foreign run, from a chip for example, of the same windows in the same order.

    Args:
        path: A `.npz` file that holds for each layer `<layer>.u` and `<layer>.o`, (N, T, C, H, W): potentials before
            any reset, integers v (fixed point) or floats in model units, and spikes as booleans or 0 and 1. For a graph
            a layer is a population; an integrator needs no spikes, and synaptic currents `<population>.c` are welcome.

    Raises:
        ModelError: If an array is missing, or does not hold what it should.
    """
    arrays = read_arrays(path)
    layers = [*layer_shapes(bundle.program)]
    potentials = {layer: _recorded(arrays, f"{layer}.u", path) for layer in layers}
    never = _integrators(bundle.program)
    spikes = {
        layer: np.zeros(potentials[layer].shape, bool)
        if layer in never and f"{layer}.o" not in arrays
        else _recorded(arrays, f"{layer}.o", path)
        for layer in layers
    }
    currents = {layer: arrays[f"{layer}.c"] for layer in layers if f"{layer}.c" in arrays}
    kinds = {values.dtype.kind for values in (*potentials.values(), *currents.values())}
    if kinds not in ({"i"}, {"f"}):
        raise ModelError("states are of mixed types", where=path, remedy="Record all as integers v, or all as floats")
    for layer, values in spikes.items():
        if not np.isin(values, (0, 1)).all():
            raise ModelError(f"{layer}.o holds other values than 0 and 1", where=path)
    program = bundle.fixed if kinds == {"i"} else bundle.program

    def run(inputs: Inputs, start: int) -> SpikingResult:
        count = len(next(iter(inputs.values())))
        part = slice(start, start + count)
        for layer, values in potentials.items():
            if len(values) < start + count:
                what = f"{layer}.u holds {len(values)} windows, {start + count} or more are compared"
                raise ModelError(what, where=path, remedy="Compare on the windows that were recorded")
        return SpikingResult(
            inputs=_fed(inputs, program),
            spikes={layer: values[part].astype(bool) for layer, values in spikes.items()},
            readouts={},
            latency_ms=np.zeros(count),
            overflows={},
            clipped_inputs={},
            potentials={layer: values[part] for layer, values in potentials.items()},
            currents={layer: values[part] for layer, values in currents.items()},
        )

    return Contender(name, program, run)


def criterion(a: Contender, b: Contender, tolerance: float | None) -> str:
    """What counts as equal, in words."""
    fixed = (isinstance(a.program, FixedGraph), isinstance(b.program, FixedGraph))
    kept = any(layer.current_kept is not None for lane in lanes_of(a.program) for layer in lane.layers)
    delta, states = ("|Δu| and |Δc|", "spikes, potentials and currents") if kept else ("|Δu|", "spikes and potentials")
    if tolerance is not None:
        return f"the same spikes, and {delta} ≤ {tolerance:g} " + ("units of v" if all(fixed) else "in model units")
    if all(fixed):
        return f"the same bits: {states}"
    if any(fixed):
        return "the same spikes; potentials of integers and floats differ (--tolerance compares them too)"
    return f"the same spikes, and {delta} ≤ {FLOAT_TOLERANCE:g} of the layer's threshold"


def to_json(comparison: Comparison) -> str:
    """As JSON; a number that is not finite becomes its name."""
    content = asdict(comparison) | {"equal": comparison.equal}
    return json.dumps(_finite(content), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _fed(inputs: Inputs, program: AnyGraph) -> dict[str, Array]:
    """What a recorded side should have been fed: messages in fixed point, else the inputs."""
    if isinstance(program, FixedGraph):
        return {node.name: quantise_input(inputs[node.name], node)[0] for node in program.inputs}
    return {node.name: inputs[node.name] for node in program.inputs}


def _integrators(program: AnyGraph) -> set[str]:
    """Populations that never fire."""
    populations: tuple[Population | FixedPopulation, ...] = program.populations
    return {p.name for p in populations if p.threshold is None}


def _recorded(arrays: Mapping[str, Array], name: str, path: Path) -> Array:
    if name not in arrays:
        raise ModelError(f"lacks {name}", where=path, remedy="Record u and o of every layer, (N, T, C, H, W) each")
    return arrays[name]


def _window_bytes(program: AnyGraph) -> int:
    """Bytes of one window of two sides: potentials and currents in 4 to 8 bytes, spikes in 1."""
    return 2 * (8 * 2 + 1) * program.steps * sum(math.prod(shape) for shape in layer_shapes(program).values())


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
