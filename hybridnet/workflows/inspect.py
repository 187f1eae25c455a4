"""How a model is split: every layer with its half, the reason, its size, and what crosses the bridge."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
from torch import Tensor, nn

from hybridnet.deploy.bundle import read_bundle
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import ONNX_FLOAT
from hybridnet.deploy.onnx.export import export_ann
from hybridnet.deploy.onnx.float_graph import write_float_graph
from hybridnet.deploy.onnx.whole import Joined, write_whole
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import example_inputs
from hybridnet.partition.describe import Half
from hybridnet.partition.split import Split
from hybridnet.partition.split import split as split_model
from hybridnet.program.bridge import FLOAT_BITS, POTENTIAL_BITS, BridgeTensor, event_bits
from hybridnet.program.graph import GraphProgram
from hybridnet.program.placement import Placement
from hybridnet.support.files import temporary_folder
from hybridnet.support.inputs import checked_tensors, shapes_of
from hybridnet.support.onnx_file import read_model
from hybridnet.support.plain import json_text
from hybridnet.workflows.foreign import check_module, load_model
from hybridnet.workflows.host_parts import ann_examples, export_front, output_names

RELAY = "relay"
"""The kind of a population that pools or joins spikes."""


@dataclass(frozen=True)
class SplitRow:
    """One input, layer, operation, or tensor that crosses.

    Attributes:
        name: Module path, or the name that tracing gave an operation.
        kind: Module class or operation; of what crosses, its kind.
        why: What put it into its half.
        shape: Shape of what it gives for one view; None for what is no tensor.
        parameters: Trained numbers that it holds.
        layer: Whether it is more than an operation between modules.
        bytes_fixed: Size of what crosses, per view, with the spiking half in fixed point; else 0.
        bytes_float: The same with the spiking half in float.
    """

    name: str
    kind: str
    half: Half
    why: str
    shape: tuple[int, ...] | None
    parameters: int = 0
    layer: bool = True
    bytes_fixed: int = 0
    bytes_float: int = 0


@dataclass(frozen=True)
class SplitReport:
    """A model's split.

    Attributes:
        model: Name of the model.
        steps: T, steps of a window.
        placement: Which spiking layers are on the chip, and why not the others.
    """

    model: str
    steps: int
    placement: Placement
    rows: tuple[SplitRow, ...]

    @property
    def parameters(self) -> dict[str, int]:
        """Trained numbers of each half; of the front, where there is one."""
        halves = [half for half in ("front", "snn", "ann") if half != "front" or any(r.half == half for r in self.rows)]
        return {half: sum(row.parameters for row in self.rows if row.half == half) for half in halves}

    @property
    def crossing(self) -> tuple[int, int]:
        """Bytes that cross per view, in fixed point and in float."""
        return sum(row.bytes_fixed for row in self.rows), sum(row.bytes_float for row in self.rows)


class OpenedModule:
    """A module with example inputs; see `hybridnet.workflows.export.export_module` for what it must be.

    Attributes:
        note: Where its weights were found, if that is worth a line.
    """

    def __init__(self, model: nn.Module, inputs: Mapping[str, Tensor], name: str, note: str = "") -> None:
        self._model, self._inputs, self._name, self.note = model, inputs, name, note
        self._split = split_model(model, inputs)

    def report(self) -> SplitReport:
        """How it is split."""
        placement, rows = self._split.placement, _by_module(self._model, _rows(self._model, self._split))
        return SplitReport(
            self._name, self._split.program.steps, placement, _with_relays(rows, self._split.program, placement)
        )

    def tag(self, path: Path) -> None:
        """Write it as one ONNX graph, the half in the name of every node."""
        split = self._split
        with temporary_folder() as folder:
            program, ann, front = folder / "program.onnx", folder / "ann.onnx", folder / "front.onnx"
            examples = split.given(self._inputs)
            write_float_graph(program, split.program)
            if split.front is not None:
                export_front(split, examples, front)
            export_ann(split, ann_examples(split, examples), ann, outputs=output_names(split, examples))
            before = None if split.front is None else front
            write_whole(path, Joined(program, ann, before, split.bridge, shapes_of(examples), split.feeds))


class OpenedBundle:
    """A bundle whose model is not ours: its ANN half is known as ONNX alone."""

    note = ""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def report(self) -> SplitReport:
        """How it is split; the ANN half as nodes of its graph."""
        bundle = self._bundle
        manifest = bundle.manifest
        steps, rows = bundle.program.steps, _with_relays(_bundle_rows(bundle), bundle.program, manifest.placement)
        return SplitReport(manifest.model.name, steps, manifest.placement, rows)

    def tag(self, path: Path) -> None:
        """Write it as one ONNX graph, the half in the name of every node."""
        bundle = self._bundle
        files = (bundle.file(ONNX_FLOAT), bundle.ann_path, bundle.front_path)
        write_whole(path, Joined(*files, bundle.bridge, bundle.manifest.model.inputs, bundle.manifest.feeds))


def open_model(
    path: Path, factory: str | None = None, inputs: Path | None = None, key: str | None = None
) -> OpenedModule | OpenedBundle:
    """A checkpoint, a bundle, or with a factory any file of weights; see `hybridnet.workflows.foreign.load_model`.

    Raises:
        HybridNetError: If it cannot be read, or the model cannot be split.
    """
    if factory is not None:
        loaded = load_model(factory, path, inputs, key)
        check_module(loaded.model)
        examples = checked_tensors(loaded.inputs, None, "example inputs").tensors()
        return OpenedModule(loaded.model, examples, factory, loaded.note)
    if path.is_dir():
        bundle = read_bundle(path)
        if bundle.manifest.model.config is None or bundle.manifest.placement.staying or bundle.front_path is not None:
            return OpenedBundle(bundle)
        own = load_checkpoint(bundle.checkpoint_path).model
    else:
        own = load_checkpoint(path).model
    return OpenedModule(own, example_inputs(own.config), own.config.name)


def to_json(report: SplitReport) -> str:
    """The report and its totals as JSON, ending in a newline."""
    fixed, in_float = report.crossing
    totals = {"parameters": report.parameters, "bytes_fixed": fixed, "bytes_float": in_float}
    return json_text(dataclasses.asdict(report) | {"totals": totals})


def _rows(model: nn.Module, split: Split) -> Iterator[SplitRow]:
    crossing = {tensor.name: tensor for tensor in split.bridge}
    modules, parameters = dict(model.named_modules()), dict(model.named_parameters())
    counted: set[str] = set()
    for node in split.nodes:
        own = 0
        if node.half in ("front", "snn", "ann") and node.name not in counted:
            counted.add(node.name)
            if node.parameters is not None:
                own = node.parameters
            elif node.name in parameters:
                own = parameters[node.name].numel()
            elif node.name in modules:
                own = sum(parameter.numel() for parameter in modules[node.name].parameters())
        layer = node.half not in ("front", "ann") or node.name in modules or own > 0
        fixed, in_float = _bytes(crossing[node.name], split.program.steps) if node.half == "bridge" else (0, 0)
        yield SplitRow(node.name, node.kind, node.half, node.why, node.shape, own, layer, fixed, in_float)


def _by_module(model: nn.Module, rows: Iterable[SplitRow]) -> Iterator[SplitRow]:
    """Rows of parameters that a forward reads by itself as one row of their module, at the place of the first."""
    given, modules = list(rows), dict(model.named_modules())
    owned = [row.name.rpartition(".")[0] if row.kind == "parameter" and row.parameters else "" for row in given]
    for n, (row, owner) in enumerate(zip(given, owned, strict=True)):
        if not owner:
            yield row
        elif owner not in owned[:n]:
            size = sum(other.parameters for other, name in zip(given, owned, strict=True) if name == owner)
            kind = type(modules[owner]).__name__ if owner in modules else row.kind
            yield dataclasses.replace(row, name=owner, kind=kind, shape=None, parameters=size)


def _with_relays(rows: Iterable[SplitRow], program: GraphProgram, placement: Placement) -> tuple[SplitRow, ...]:
    """Populations that no spiking layer of the model is: they pool or join spikes, and nobody trained them."""
    relays = {p.name for p in program.populations} - {*placement.placed}
    return tuple(
        dataclasses.replace(row, kind=RELAY, parameters=0) if row.half == "snn" and row.name in relays else row
        for row in rows
    )


def _bundle_rows(bundle: Bundle) -> Iterator[SplitRow]:
    for name, shape in bundle.manifest.model.inputs.items():
        yield SplitRow(name, "input", "input", "an input of the model", shape)
    if bundle.front_path is not None:
        yield from _onnx_rows(read_model(bundle.front_path).graph, "front", "before the spiking half")
    program = bundle.program
    for row in _population_rows(program):
        yield row
        for tensor in bundle.bridge:
            if tensor.layer == row.name:
                sizes = _bytes(tensor, program.steps)
                why = "used by the ANN half"
                yield SplitRow(tensor.name, tensor.kind, "bridge", why, tensor.shape, 0, True, *sizes)
    yield from _onnx_rows(read_model(bundle.ann_path).graph, "ann", "not of the spiking half")


def _population_rows(graph: GraphProgram) -> Iterator[SplitRow]:
    """Weights that several groups share are counted with the first."""
    counted: set[int] = set()
    for p in graph.populations:
        groups = graph.onto(p.name)
        size = p.bias.size + sum(g.weight.size for g in groups if id(g.weight) not in counted)
        counted |= {id(g.weight) for g in groups}
        kind = "integrator" if p.threshold is None else "neurons"
        reads = " and ".join(dict.fromkeys(g.source for g in groups))
        yield SplitRow(
            p.name,
            kind,
            "snn",
            f"spiking layer that reads {reads}" if reads else "fires at each step, for a bias",
            p.shape,
            size,
        )


CONSTANT = "constant_"
"""How the exporter calls what the model makes itself, as the state at rest: nobody trained it."""


def _onnx_rows(graph: onnx.GraphProto, half: Half, why: str) -> Iterator[SplitRow]:
    sizes = {
        t.name: math.prod(t.dims)
        for t in graph.initializer
        if t.dims and t.data_type == onnx.TensorProto.FLOAT and not t.name.startswith(CONSTANT)
    }
    shapes = {value.name: value.type.tensor_type.shape.dim for value in (*graph.value_info, *graph.output)}
    for node in graph.node:
        size = sum(sizes.pop(name, 0) for name in node.input)
        shape = tuple(dim.dim_value for dim in shapes.get(node.output[0], ()))[1:] or None
        yield SplitRow(node.name, node.op_type, half, why, shape, size, size > 0)


def _bytes(tensor: BridgeTensor, steps: int) -> tuple[int, int]:
    """Per view, in fixed point and in float; spikes and their counts take the same in both."""
    events = event_bits(tensor.kind, steps)
    fixed, in_float = (events or bits for bits in (POTENTIAL_BITS, FLOAT_BITS))
    return tensor.bytes(fixed), tensor.bytes(in_float)
