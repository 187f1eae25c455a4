"""Trade-offs without training: every variant of a spiking half is run on the same inputs, counted, mapped and priced.

A variant keeps the weights and is quantised anew, so that its counts are its own; a network that was trained in its
shape would fire otherwise. Accuracy is measured where the ANN half can take what crosses as it is: in fewer bits, fewer
steps. Elsewhere the ANN half would have to be trained anew, and nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from hybridnet.calibration.fixed_point import quantise_graph
from hybridnet.calibration.observe import observe_arrays
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.chip.profile import Chip, load_chip
from hybridnet.errors import ConfigError, RangeError
from hybridnet.program.bridge import crossing_of, fixed_encodings
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram
from hybridnet.report.pricing.price import Prices, load_prices, price_layers, summed
from hybridnet.report.quantities import Energy, Span, total_ops
from hybridnet.report.record.chip import StepTimes
from hybridnet.report.record.data import LayerRow
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.feed import Feed
from hybridnet.support.arrays import Array
from hybridnet.support.progress import Progress, silent
from hybridnet.workflows.chip import on_chip, time_of
from hybridnet.workflows.options import ExploreOptions
from hybridnet.workflows.rows import bridge_rows, input_rows, snn_rows, static_row, with_messages
from hybridnet.workflows.sources import Source, read_source
from hybridnet.workflows.trial import Accuracy, Trial
from hybridnet.workflows.variants import Variant, inputs_of, variants


@dataclass(frozen=True)
class Tried:
    """What a variant takes.

    Attributes:
        knob: What was changed; empty of the program as it is.
        change: In words.
        cores: On the chip.
        chips: That hold so many.
        broken: Ids of the rules that keep it off one chip.
        step_us: Modelled, of a step; None if the chip has no published times.
        view_ms: Modelled, of a view; None likewise.
        energy_pj: Modelled, of a view: the spiking half and what crosses; None without a price.
        accuracy: On held-out clips; None if it was not asked for, or cannot be measured without training.
        no_accuracy: Why it cannot be measured; empty otherwise.
    """

    knob: str
    change: str
    cores: int
    chips: int
    broken: tuple[str, ...]
    step_us: StepTimes | None
    view_ms: Span | None
    energy_pj: Energy | None
    accuracy: Accuracy | None
    no_accuracy: str


@dataclass(frozen=True)
class Impossible:
    """A variant that is no program, and why."""

    knob: str
    change: str
    reason: str


@dataclass(frozen=True)
class Exploration:
    """All that was tried, the program as it is first.

    Attributes:
        source: Whose events were counted.
        views: How many.
        profile: Whose prices these are.
        clips: On which accuracy was measured; empty if it was not asked for.
        warnings: What is odd about them.
    """

    model: str
    source: str
    views: int
    chip: str
    profile: str
    clips: str
    warnings: tuple[str, ...]
    tried: tuple[Tried, ...]
    impossible: tuple[Impossible, ...]

    @property
    def as_it_is(self) -> Tried:
        """What nothing was changed of."""
        return self.tried[0]


def explore(
    bundle: Bundle, source: Source, options: ExploreOptions = ExploreOptions(), *, progress: Progress = silent
) -> Exploration:
    """Try every variant.

    Args:
        bundle: Whose spiking half is changed.
        source: A video or arrays, whose events are counted.
        options: Chip, prices, and clips for accuracy.
        progress: Told after each variant, and each population of it that is searched for integers.

    Raises:
        HybridNetError: With what to do about it.
    """
    chip, prices = load_chip(options.chip), load_prices(options.profile, None)
    trial = None if options.evaluate is None else Trial.on(bundle, options.evaluate, options.labels, progress)
    read = read_source(source, bundle, options.views, progress=progress)
    fed = Feed(bundle)(read.views.arrays, progress).inputs
    made: list[tuple[Variant, GraphProgram]] = []
    tried: list[Tried] = []
    impossible: list[Impossible] = []
    for variant in variants(bundle.program):
        try:
            made.append((variant, variant.make()))
        except ConfigError as error:
            impossible.append(Impossible(variant.knob, variant.change, str(error)))
    parts = [1 + (0 if trial is None else trial.searches(program)) for _, program in made]
    for number, (variant, program) in enumerate(made):
        within = partial(_within, progress, sum(parts[:number]), sum(parts))
        within("", 0, 0)
        try:
            tried.append(_try(bundle, variant, program, fed, chip, prices, trial, within))
        except (ConfigError, RangeError) as error:
            if not variant.knob:
                raise
            impossible.append(Impossible(variant.knob, variant.change, str(error)))
    progress("exploring", sum(parts), sum(parts))
    name = "arrays" if isinstance(source, Mapping) else str(source)
    clips, warnings = ("", ()) if trial is None else (trial.source, trial.warnings)
    model, profile = bundle.manifest.model.name, prices.profile.name
    views = len(read.views)
    return Exploration(model, name, views, chip.name, profile, clips, warnings, tuple(tried), tuple(impossible))


def _within(progress: Progress, before: int, total: int, _what: str, done: int, _parts: int) -> None:
    """The populations of one variant as parts of the whole."""
    progress("exploring", before + done, total)


def _try(
    bundle: Bundle,
    variant: Variant,
    program: GraphProgram,
    fed: Mapping[str, Array],
    chip: Chip,
    prices: Prices,
    trial: Trial | None,
    progress: Progress,
) -> Tried:
    """One variant, from its program to its row."""
    inputs = inputs_of(program, fed)
    refused = "" if trial is None else trial.obstacle(program)
    can_run = None if refused else trial
    fixed = (
        quantise_graph(program, observe_arrays(program, inputs), variant.bits)
        if can_run is None
        else can_run.calibrated(program, variant.bits, progress)
    )
    run = GraphEmulator(fixed, currents=False).run(inputs)
    placed, views = on_chip(fixed, chip, run), len(next(iter(inputs.values())))
    bridge = (*with_messages(input_rows(fixed, run), placed.from_inputs), *_read_out(bundle, fixed, views))
    time, fitted = time_of(placed, sum(row.ops.bytes for row in bridge)), placed.fitted.row
    static = () if time is None else (static_row(time, fitted),)
    rows = (*with_messages(snn_rows(fixed, run), placed.from_layers), *static, *bridge)
    return Tried(
        variant.knob,
        variant.change,
        fitted.cores,
        fitted.chips,
        fitted.broken,
        None if time is None else time.step_us,
        None if time is None else time.view_ms,
        _of_a_view(rows, prices, views),
        None if can_run is None else can_run.accuracy(program, fixed),
        refused,
    )


def _read_out(bundle: Bundle, fixed: FixedGraph, views: int) -> Iterator[LayerRow]:
    """What crosses to the ANN half, in whole potentials."""
    bridge = crossing_of(bundle.bridge, fixed)
    encodings = fixed_encodings(bridge, fixed)
    return bridge_rows(bridge, {t.name: t.bytes(encodings[t.name].bits, views) for t in bridge})


def _of_a_view(rows: tuple[LayerRow, ...], prices: Prices, views: int) -> Energy | None:
    """What the spiking half and its bridge cost, on average."""
    energy = summed(price_layers(rows, prices), total_ops(row.ops for row in rows), prices.profile)
    if energy is None:
        return None
    terms = {name: Span(t.low / views, t.reference / views, t.high / views) for name, t in energy.terms.items()}
    return Energy(energy.low / views, energy.reference / views, energy.high / views, terms, energy.missing)
