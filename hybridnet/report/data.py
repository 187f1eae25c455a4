"""The run record: everything a report says, apart from how it is drawn. Schema `hybridnet.run/1`.

Counts are exact, prices are models, times are measured on this host; each says so in its `basis`. What is unknown is
None, with the reason in `notes`; never 0.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hybridnet.errors import ConfigError, RecordError
from hybridnet.plain import from_dict

SCHEMA = "hybridnet.run/1"


@dataclass(frozen=True)
class Ops:
    """Operations of one run (all views).

    Attributes:
        macs: Multiply-accumulates: dense ones of the ANN half; in the spiking half non-zero analog inputs times
            synapses.
        acs: Synaptic operations: spikes arriving at existing synapses, each an accumulate.
        dense_macs: What the same layers cost without event-driven skipping.
        neuron_updates: Membrane updates, one per neuron and step.
        spikes: Spikes emitted.
        bytes: Bytes that cross a boundary.
    """

    macs: int = 0
    acs: int = 0
    dense_macs: int = 0
    neuron_updates: int = 0
    spikes: int = 0
    bytes: int = 0

    def __add__(self, other: Ops) -> Ops:
        return Ops(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


def total_ops(parts: Iterable[Ops]) -> Ops:
    """The sum of several counts."""
    return sum(parts, Ops())


@dataclass(frozen=True)
class Energy:
    """Modelled energy in pJ with the range of the sources, and its terms (reference values)."""

    low: float
    reference: float
    high: float
    terms: dict[str, float] = field(default_factory=dict)
    basis: str = "modelled"

    def __add__(self, other: Energy) -> Energy:
        terms = {k: self.terms.get(k, 0.0) + other.terms.get(k, 0.0) for k in {**self.terms, **other.terms}}
        return Energy(self.low + other.low, self.reference + other.reference, self.high + other.high, terms)


@dataclass(frozen=True)
class Latency:
    """Host time in ms: percentiles over views and the total."""

    p50: float
    p90: float
    p99: float
    total: float
    basis: str = "measured on this host"


@dataclass(frozen=True)
class LayerRow:
    """One layer of a half. `shape` is (C, H, W) of its neurons, or the ANN node's output without the batch."""

    partition: str
    name: str
    kind: str
    input: str
    shape: tuple[int, ...]
    ops: Ops
    spike_rate: float | None
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
    """What was read; `read_reason` says why it was transcoded, or what else was done to read it."""

    path: str
    codec: str
    width: int
    height: int
    frames: int
    gop: str
    transcoded: bool
    read_reason: str
    views: int
    corrupt_frames: int
    saturated_motion: float
    saturated_residual: float


@dataclass(frozen=True)
class ArraysRow:
    """Inputs that came as arrays, not through the reader; `path` is where from, if from a file."""

    path: str
    views: int


@dataclass(frozen=True)
class ModelRow:
    """What ran."""

    name: str
    checkpoint_sha256: str
    bundle: str


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
class Parity:
    """The run against the same views through the float spiking half in torch.

    Attributes:
        top1_agrees: None if the model is no classifier with labels.
        output_sqnr_db: Per output of the model, as `sqnr_db`.
        sqnr_db: Per bridge tensor, 10·log10(Σu² / Σ(u − u_ref)²); None where both are equal to the bit.
        spike_agreement: Per layer, share of neuron-steps with the same spike.
    """

    reference: str
    top1_agrees: bool | None
    output_sqnr_db: dict[str, float | None]
    sqnr_db: dict[str, float | None]
    spike_agreement: dict[str, float]


@dataclass(frozen=True)
class Totals:
    """Sums over the partitions that have a value.

    Attributes:
        snn_dense_energy_pj: What the spiking half would cost if it ran dense, every input times every synapse as a MAC.
    """

    latency_ms: float
    energy_pj: Energy
    snn_dense_energy_pj: Energy


@dataclass(frozen=True)
class ProfileRow:
    """Which prices were used."""

    name: str
    sha256: str


@dataclass(frozen=True)
class RunRecord:
    """One `hybridnet simulate` of one video, or of one set of arrays; the other of the two is None.

    Attributes:
        prediction: None if the model is no classifier with labels.
    """

    schema: str
    command: str
    created: str
    environment: dict[str, str]
    video: VideoRow | None
    arrays: ArraysRow | None
    model: ModelRow
    prediction: Prediction | None
    partitions: tuple[PartitionRow, ...]
    layers: tuple[LayerRow, ...]
    totals: Totals
    parity: Parity | None
    overflows: dict[str, int]
    clipped_inputs: dict[str, int]
    profile: ProfileRow
    notes: tuple[str, ...]

    @property
    def source(self) -> str:
        """The file that was run, or `arrays`."""
        row = self.video or self.arrays
        return "unknown" if row is None else row.path


def to_json(records: list[RunRecord]) -> str:
    """One record as an object, several as an array."""
    plain = [dataclasses.asdict(record) for record in records]
    return json.dumps(plain[0] if len(plain) == 1 else plain, indent=1, allow_nan=False) + "\n"


def read_records(path: Path) -> list[RunRecord]:
    """Read what `to_json` wrote.

    Raises:
        RecordError: If the file is missing, is no JSON, or is no record of this schema.
    """
    remedy = "Write one with `hybridnet simulate VIDEO --json FILE`"
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})", where=path, remedy=remedy) from error
    except ValueError as error:
        raise RecordError("is not JSON", where=path, remedy=remedy) from error
    items = content if isinstance(content, list) else [content]
    for item in items:
        schema = item.get("schema") if isinstance(item, dict) else None
        if schema != SCHEMA:
            raise RecordError(f"has schema {schema!r}, this version reads {SCHEMA!r}", where=path, remedy=remedy)
    try:
        return [from_dict(RunRecord, item) for item in items]
    except ConfigError as error:
        raise RecordError(f"is damaged ({error})", where=path, remedy=remedy) from error
