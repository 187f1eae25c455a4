"""What a reader of a run must know beside its numbers; `report.pricing.price` adds what its prices leave out."""

from __future__ import annotations

from collections.abc import Iterator

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.chip.profile import Chip, Untimed
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.report.counting.onnx import GraphCount
from hybridnet.report.numbers import share
from hybridnet.report.record.data import Note, NoteKind
from hybridnet.report.record.words import READER
from hybridnet.simulators.hybrid import HybridRun
from hybridnet.workflows.sources import Read


def source_notes(read: Read) -> Iterator[Note]:
    """What was read, if it is a video, and what of it is not counted."""
    if (video := read.video) is None:
        rows = "each row is a sample" if read.are_samples else "a prediction is the mean over all their views"
        yield Note(NoteKind.SOURCE, f"{READER}: not run, the inputs came as arrays; {rows}")
        return
    yield Note(
        NoteKind.SOURCE,
        f"{READER}: {video.decoded_frames} frames, {video.decoded_bits} bits were decoded; the operations of decoding"
        " are not counted, only its host time, whose total includes opening the clip and transcoding",
    )
    yield Note(
        NoteKind.RANGES,
        f"inputs clipped to the model's range: motion {share(video.saturated_motion, 2)}, residual "
        + ("not read" if video.saturated_residual is None else share(video.saturated_residual, 2)),
    )
    if video.corrupt_frames:
        yield Note(NoteKind.SOURCE, f"video: {video.corrupt_frames} damaged frames")


def run_notes(bundle: Bundle, graph: GraphCount, run: HybridRun, *, compared: bool) -> Iterator[Note]:
    """How operations were counted, what did not fit its bits, and what was not compared."""
    snn = "snn: MACs are non-zero analog inputs times synapses, ACs are spikes times synapses (borders exact)"
    yield Note(NoteKind.COUNTS, snn)
    yield Note(NoteKind.COUNTS, f"ann: {graph.coverage}; MACs with padding")
    if bundle.manifest.labels is None:
        text = "prediction: no labels name the classes; --output FILE.npz writes what the model returns"
        yield Note(NoteKind.PREDICTION, text)
    yield from (Note(NoteKind.RANGES, text) for text in _beyond(bundle.fixed, run))
    if not compared:
        yield Note(NoteKind.PARITY, "parity: not compared (--no-parity, or this is the float model)")
    for name, number in run.crossing.clipped.items():
        if number:
            yield Note(NoteKind.RANGES, f"bridge {name}: {number} potentials did not fit their bits and were clipped")


def chip_notes(chip: Chip) -> Iterator[Note]:
    """What of the time on the chip is not modelled."""
    if isinstance(chip.times, Untimed):
        yield Note(NoteKind.CHIP, f"time on {chip.name}: not modelled: {chip.times.reason}")
    elif chip.times.host_byte is None:
        text = "without that of bytes between host and chip, of which no time was published"
        yield Note(NoteKind.CHIP, f"time on {chip.name}: {text}")


def _beyond(program: FixedGraph, run: HybridRun) -> Iterator[str]:
    """What did not fit the registers of the spiking half."""
    for name, number in run.spiking.overflows.items():
        if number:
            yield f"{name}: {number} potentials saturated at 24 bits"
    for name, number in run.spiking.current_overflows.items():
        if number:
            yield f"{name}: {number} currents saturated at 24 bits"
    largest = {node.name: node.message_max for node in program.inputs}
    for name, number in run.spiking.clipped_inputs.items():
        if number:
            message = f"the {largest[name].bit_length() + 1}-bit message (±{largest[name]})"
            yield f"{name}: {number} inputs did not fit {message} and were clipped"
