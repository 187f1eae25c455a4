"""What calibration found and what it lost: the content of calibration.json."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from hybridnet.report.record.parity import Fidelity
from hybridnet.support.plain import json_text

SCHEMA = "hybridnet.calibration/3"

MAXIMUM = "maximum-based scales"
"""What an export has, whose integers were never searched for."""


@dataclass(frozen=True)
class ClipsRow:
    """The clips, or views of arrays, of a calibration.

    Attributes:
        source: Where they came from.
        searched: How many the integers were found on.
        held_out: How many nothing was found on: all figures are theirs.
        views: Views of both together.
        labelled: How many of the held-out ones have a class that is known.
    """

    source: str
    searched: int
    held_out: int
    views: int
    labelled: int


@dataclass(frozen=True)
class TensorRow:
    """What was observed of one tensor on the clips of the search, in model units.

    Attributes:
        name: For example `mv input`, `mv.0 current`, `mv.0 potential`, and `mv.0 potential, fixed`.
        percentiles: Magnitudes that 50, 90, 99 and 99.9 % of the values other than zero do not exceed.
        zeros: Share of exact zeros.
        histogram: Values other than zero by magnitude; see `hybridnet.calibration.statistics.edges`.
    """

    name: str
    minimum: float
    maximum: float
    percentiles: tuple[float, ...]
    zeros: float
    histogram: tuple[int, ...]


@dataclass(frozen=True)
class StepRow:
    """Loss of a layer after one part of the search; see `hybridnet.calibration.search`."""

    what: str
    loss: float
    tried: int


@dataclass(frozen=True)
class GroupRow:
    """The integers of one synapse group; a layer of a chain has one.

    Attributes:
        source: Input, layer or population that it comes from.
        weight_scale: S_w.
        input_scale: S_x; 1 of spikes.
        shift: s.
        message_max: Largest message there is room for; 1 of spikes.
    """

    source: str
    weight_scale: float
    input_scale: float
    shift: int
    message_max: int


@dataclass(frozen=True)
class LayerCalibration:
    """One layer, or one population of a graph.

    Attributes:
        scale: S: v / S is in model units.
        groups: What adds up at it.
        threshold: Smallest and largest mantissa of its channels; None never fires.
        decay: dv, likewise.
        current_decay: dc, likewise; None where no current is kept.
        head_room: (2²³ − 1) / (largest |v| on all clips, searched and held out).
        message_head_room: Largest message there is room for, over the largest one sent; None behind other layers alone.
        saturated: Potentials and currents that saturated, on all clips.
        clipped: Inputs that did not fit their message, on all clips.
        spike_rate: Rate of the float layer.
        teacher_forced: Fed what the float layer was fed.
        end_to_end: Fed by the fixed-point layers before it.
        maximum: End to end, with scales by the maximum alone.
        by_source: SQNR of u[T] with one thing rounded at a time; None where that changes no bit.
        cause: The source that costs most, or `clipped inputs` and `saturated potentials` where held-out clips lost more
            than any source explains; None if there is none.
        steps: How the search went.
    """

    layer: str
    scale: float
    groups: tuple[GroupRow, ...]
    threshold: tuple[int, int] | None
    decay: tuple[int, int]
    current_decay: tuple[int, int] | None
    head_room: float
    message_head_room: float | None
    saturated: int
    clipped: int
    spike_rate: float
    teacher_forced: Fidelity
    end_to_end: Fidelity
    maximum: Fidelity
    by_source: dict[str, float | None]
    cause: str | None
    steps: tuple[StepRow, ...]


@dataclass(frozen=True)
class BridgeRow:
    """Bits of one bridge tensor, before and after, and its bytes per view."""

    tensor: str
    bits_before: int
    bits: int
    bytes_before: int
    bytes: int


@dataclass(frozen=True)
class StageRow:
    """The whole pipeline so far, against float, on held-out clips.

    Attributes:
        stage: What is rounded.
        output_sqnr_db: SQNR of each output, over all views; None where equal to the bit.
        agreement: Share of clips with the same top-1; None if it is no classifier.
        accuracy: Share of labelled clips that are right; None if none is labelled.
        accuracy_drop: Accuracy of float, minus this, in points.
    """

    stage: str
    output_sqnr_db: dict[str, float | None]
    agreement: float | None
    accuracy: float | None
    accuracy_drop: float | None


@dataclass(frozen=True)
class AnnRow:
    """One way to run the ANN half.

    Attributes:
        variant: Its name. Its speed is no part of a bundle, which must not depend on the day.
        bytes: Size of its file; None if it was not run.
        size: Share of fp32's; None likewise.
        output_sqnr_db: SQNR of each output, against fp32 on the same bridged potentials.
        agreement: Share of held-out clips with fp32's top-1; None if it is no classifier.
        in_float: Nodes that were left in float, for their SQNR.
        chosen: Whether it is the one in the bundle.
        note: Why it was not run; may be empty.
    """

    variant: str
    bytes: int | None
    size: float | None
    output_sqnr_db: dict[str, float | None]
    agreement: float | None
    in_float: tuple[str, ...]
    chosen: bool
    note: str = ""


MESSAGES, SPIKING, RESULTS, ANN_HALF = "messages into the chip", "spiking half", "results out of the chip", "ANN half"
IN_BYTES = (MESSAGES, RESULTS)
"""Parts of a run, and those that are counted in bytes."""


@dataclass(frozen=True)
class CostRow:
    """A part of a run on the held-out clips, before and after.

    Attributes:
        part: One of those above.
        before: Bytes of IN_BYTES, operations of the rest.
        after: Likewise.
        energy_before_pj: Modelled, at reference prices of the default profile.
        energy_pj: Likewise.
    """

    part: str
    before: int
    after: int
    energy_before_pj: float
    energy_pj: float


@dataclass(frozen=True)
class LimitRow:
    """A limit that was asked for."""

    name: str
    measured: float | None
    allowed: float
    ok: bool
    where: str


@dataclass(frozen=True)
class CalibrationReport:
    """One calibration.

    Attributes:
        first_loss: The first layer in the order of data flow that keeps less than LOSS_DB by itself, and why; if none
            does and a limit failed, the layer that keeps least end to end; else empty.
        limits: The limits asked for; empty if none was.
        costs: What a run costs, part by part, without reading and front, which stay as they are.
        warnings: What a reader must know before trusting the figures.
    """

    schema: str
    model: str
    clips: ClipsRow
    tensors: tuple[TensorRow, ...]
    layers: tuple[LayerCalibration, ...]
    first_loss: str
    bridge: tuple[BridgeRow, ...]
    stages: tuple[StageRow, ...]
    ann: tuple[AnnRow, ...]
    limits: tuple[LimitRow, ...]
    costs: tuple[CostRow, ...]
    warnings: tuple[str, ...]

    @property
    def failed(self) -> tuple[LimitRow, ...]:
        """Limits that are not met."""
        return tuple(limit for limit in self.limits if not limit.ok)


def to_json(report: CalibrationReport) -> str:
    """The report as JSON, ending in a newline."""
    return json_text(dataclasses.asdict(report))
