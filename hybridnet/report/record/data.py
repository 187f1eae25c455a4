"""The run record: everything a report says, apart from how it is drawn. Schema `hybridnet.run/9`.

Counts are exact, prices are models, times are measured on this host; each says so in its `basis`. What is unknown is
None, with the reason in `notes` or beside it; never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from hybridnet.report.quantities import Energy, Ops, Precision, Span
from hybridnet.report.record.int8 import Int8Ann
from hybridnet.report.record.latency import Latency, Timing
from hybridnet.report.record.measured import Measured
from hybridnet.report.record.outputs import OutputRow
from hybridnet.report.record.pictures import Pictures
from hybridnet.report.record.prices import ProfileRow
from hybridnet.report.record.session import Session
from hybridnet.report.record.verdict import Verdict

SCHEMA = "hybridnet.run/9"

PARTITIONS = ("frontend", "front", "snn", "bridge", "ann")
"""In this order; only models that compute something before the chip have a `front`."""


ANN_PARTITIONS = ("front", "ann")
"""ANNs that the host computes, before the chip and behind it."""


class NoteKind(StrEnum):
    """What a note is about."""

    SOURCE = "source"
    COUNTS = "counts"
    RANGES = "ranges"
    PREDICTION = "prediction"
    PARITY = "parity"
    PRICES = "prices"
    ACCURACY = "accuracy"
    THROUGHPUT = "throughput"
    CHIP = "chip"


@dataclass(frozen=True)
class Note:
    """What a reader must know beside the numbers."""

    kind: NoteKind
    text: str


Carried = Literal["analog", "spike", "time"]
"""What arrives at a layer; `time` of a row that stands for time on the chip."""


@dataclass(frozen=True)
class LayerRow:
    """One layer of a half.

    Attributes:
        kind: `neurons` or `integrator`; the ANN node's operator; the chip whose time it is; or
            what crosses the bridge: `message` into the spiking half; `potential`, `potentials`, `spikes`, `last_spikes`
            or `spike_count` out of it.
        input: What arrives.
        shape: (C, H, W) of its neurons, or the ANN node's output without the batch.
        precision: What it computes in; None of a tensor that crosses.
        synapses: Existing ones, borders exact; None outside the spiking half.
        energy_pj: None if the profile has no price for any of it.
    """

    partition: str
    name: str
    kind: str
    input: Carried
    shape: tuple[int, ...]
    precision: Precision | None
    ops: Ops
    spike_rate: float | None
    synapses: int | None
    energy_pj: Energy | None


@dataclass(frozen=True)
class PartitionRow:
    """One partition; `ops` is the sum of its layers' rows, `share` its share of the total reference energy."""

    name: str
    backend: str
    basis: str
    ops: Ops | None
    latency_ms: Latency | None
    energy_pj: Energy | None
    share: float | None


@dataclass(frozen=True)
class VideoRow:
    """What was read.

    Attributes:
        needs_copy: Whether it cannot be read as it is, so that a copy would be read faster.
        read_reason: Why it was transcoded, or what else was done to read it.
        saturated_residual: None where the model looks at no residuals, and none were read.
        decoded_frames: Frames that the decoder was given for these views, of the file or of its transcoded copy.
        decoded_bits: Their compressed size.
    """

    path: str
    codec: str
    width: int
    height: int
    frames: int
    gop: str
    transcoded: bool
    needs_copy: bool
    read_reason: str
    views: int
    corrupt_frames: int
    saturated_motion: float
    saturated_residual: float | None
    decoded_frames: int
    decoded_bits: int


@dataclass(frozen=True)
class ArraysRow:
    """Inputs that came as arrays, not through the reader; `path` is where from, if from a file."""

    path: str
    views: int


@dataclass(frozen=True)
class ModelRow:
    """What ran.

    Attributes:
        direct_inputs: Inputs of the model that the ANN half reads itself, past the spiking half.
        is_reference: Whether it is the reference model, which `hybridnet train` trains.
    """

    name: str
    checkpoint_sha256: str
    bundle: str
    direct_inputs: tuple[str, ...]
    is_reference: bool


@dataclass(frozen=True)
class ClassScore:
    """One entry of the top k; `score` is a softmax of the mean logits."""

    index: int
    label: str
    score: float


@dataclass(frozen=True)
class Prediction:
    """Mean logits over views and their best classes."""

    top_k: tuple[ClassScore, ...]
    logits: tuple[float, ...]


@dataclass(frozen=True)
class Sample:
    """One row of arrays.

    Attributes:
        best: The class it is taken for; None if the model is no classifier with labels.
        latency_ms: Host time through all partitions.
        snn: What the spiking half counted of it.
        messages: What was sent into the spiking half.
        energy_pj: Energy of these, and of what every sample costs alike; None without a price.
    """

    best: ClassScore | None
    latency_ms: float
    snn: Ops
    messages: Ops
    energy_pj: Span | None


@dataclass(frozen=True)
class Parity:
    """The run against the same views through the float spiking half in torch.

    Attributes:
        top1_agrees: That of the clip, or of every sample; None if the model is no classifier with labels.
        output_sqnr_db: Per output of the model, as `sqnr_db`.
        sqnr_db: Per bridge tensor, 10·log10(Σu² / Σ(u − u_ref)²); None where both are equal to the bit. What is zero
            throughout in both is left out.
        spike_agreement: Per layer, share of neuron-steps with the same spike.
    """

    reference: str
    top1_agrees: bool | None
    output_sqnr_db: dict[str, float | None]
    sqnr_db: dict[str, float | None]
    spike_agreement: dict[str, float]


@dataclass(frozen=True)
class Totals:
    """Sums over the partitions that have a value."""

    latency_ms: float
    energy_pj: Energy


@dataclass(frozen=True)
class FitRow:
    """Whether the spiking half fits a chip, by the mapper's estimate.

    Attributes:
        broken: Ids of the rules that it breaks; see `hybridnet fit`.
    """

    chip: str
    neurons: int
    cores: int
    cores_per_chip: int
    chips: int
    broken: tuple[str, ...]
    basis: str


@dataclass(frozen=True)
class RunRecord:
    """One `hybridnet simulate` of one video, or of one set of arrays; the other of the two is None.

    Attributes:
        command: What made the run.
        repriced_by: The command that put other prices on it later; None if none did.
        prediction: None if the model is no classifier with labels, and of several samples, each of which has its own.
        outputs: What the model returns, in order.
        samples: Rows of arrays in order; empty of a video.
        int8_ann: The ANN half in int8; None if it ran in it, or no layer of it has weights.
        verdict: None if the spiking half has no layers.
        fed_inputs: How many values the spiking half was fed, per input.
        measured: What the meters of this host counted; None if nobody asked for it.
        ann_profile: Prices of the ANN half, if others than those of the rest were asked for.
        pictures: What one view looked like; None of one of several clips, and if they were not asked for.
        session: What the whole session saw whose last GOP the run was; None of all but `hybridnet watch`.
    """

    schema: str
    command: str
    repriced_by: str | None
    created: str
    environment: dict[str, str]
    video: VideoRow | None
    arrays: ArraysRow | None
    model: ModelRow
    prediction: Prediction | None
    outputs: tuple[OutputRow, ...]
    samples: tuple[Sample, ...]
    partitions: tuple[PartitionRow, ...]
    layers: tuple[LayerRow, ...]
    totals: Totals
    int8_ann: Int8Ann | None
    verdict: Verdict | None
    timing: Timing
    measured: Measured | None
    fit: FitRow | None
    parity: Parity | None
    overflows: dict[str, int]
    clipped_inputs: dict[str, int]
    fed_inputs: dict[str, int]
    profile: ProfileRow
    ann_profile: ProfileRow | None
    notes: tuple[Note, ...]
    pictures: Pictures | None
    session: Session | None

    @property
    def source(self) -> str:
        """The file that was run, or `arrays`."""
        row = self.video or self.arrays
        return "unknown" if row is None else row.path

    @property
    def views(self) -> int:
        """How many were run."""
        row = self.video or self.arrays
        return 0 if row is None else row.views

    def profile_of(self, partition: str) -> ProfileRow:
        """Whose prices are those of a partition."""
        return self.ann_profile if partition in ANN_PARTITIONS and self.ann_profile is not None else self.profile

    def partition(self, name: str) -> PartitionRow:
        """The partition of this name."""
        return next(row for row in self.partitions if row.name == name)
