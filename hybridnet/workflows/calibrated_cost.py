"""What runs cost before and after a calibration, by the counts of the clips that it held out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hybridnet.calibration.report import ANN_HALF, MESSAGES, RESULTS, SPIKING, CostRow
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.program.bridge import FixedEncoding
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.report.counting.onnx import GraphCount, count_graph
from hybridnet.report.pricing import DEFAULT_PROFILE
from hybridnet.report.pricing.price import load_prices, price_layers
from hybridnet.report.quantities import NO_ENERGY, Energy, Ops, total_ops
from hybridnet.report.record.data import LayerRow
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.feed import Feed
from hybridnet.support.sealed import AnyFile
from hybridnet.support.views import Views
from hybridnet.workflows.rows import bridge_rows, input_rows, onnx_rows, snn_rows


@dataclass(frozen=True, eq=False)
class Pipeline:
    """The integers of a spiking half, how its results cross, and the ANN half behind them."""

    fixed: FixedGraph
    encodings: Mapping[str, FixedEncoding]
    ann: AnyFile


def costs(bundle: Bundle, clips: Iterable[Views], before: Pipeline, after: Pipeline) -> Iterator[CostRow]:
    """A row for each part of a run, and one for all.

    Args:
        bundle: What both pipelines are of.
        clips: Inputs of the model, (N, …) by name.
        before: As the bundle is.
        after: As it was calibrated.
    """
    feed, given = Feed(bundle), list(clips)
    one, other = (_parts(bundle, given, feed, pipeline) for pipeline in (before, after))
    for name, (ops, energy) in one.items():
        then, cost = other[name]
        yield CostRow(name, _amount(ops), _amount(then), energy.reference, cost.reference)


def _amount(ops: Ops) -> int:
    """What a part is counted in: bytes of the bridge, operations of the rest."""
    return ops.bytes or ops.macs + ops.acs + ops.neuron_updates + ops.element_ops


def _parts(bundle: Bundle, clips: list[Views], feed: Feed, pipeline: Pipeline) -> dict[str, tuple[Ops, Energy]]:
    """Counts and energies by part of a run, at the default prices."""
    graph, prices = count_graph(pipeline.ann), load_prices(DEFAULT_PROFILE, None)
    found: dict[str, list[tuple[Ops, Energy]]] = {}
    for views in clips:
        rows = tuple(_rows(bundle, views, feed, pipeline, graph))
        for (name, _), row in zip(rows, price_layers(tuple(row for _, row in rows), prices), strict=True):
            found.setdefault(name, []).append((row.ops, row.energy_pj or NO_ENERGY))
    return {
        name: (total_ops(ops for ops, _ in parts), sum((energy for _, energy in parts), NO_ENERGY))
        for name, parts in found.items()
    }


def _rows(
    bundle: Bundle, views: Views, feed: Feed, pipeline: Pipeline, graph: GraphCount
) -> Iterator[tuple[str, LayerRow]]:
    """The rows of a run, each with the part that it belongs to."""
    fed = feed(views.arrays).inputs
    result = GraphEmulator(pipeline.fixed, currents=False).run(fed, record_potentials=False)
    yield from ((MESSAGES, row) for row in input_rows(pipeline.fixed, result))
    yield from ((SPIKING, row) for row in snn_rows(pipeline.fixed, result))
    sizes = {t.name: t.bytes(pipeline.encodings[t.name].bits, len(views)) for t in bundle.bridge}
    yield from ((RESULTS, row) for row in bridge_rows(bundle.bridge, sizes))
    yield from ((ANN_HALF, row) for row in onnx_rows("ann", graph, len(views)))
