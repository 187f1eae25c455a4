"""Notes say what was, in the numbers of the program that ran."""

import dataclasses
from pathlib import Path

import pytest

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.spiking import SpikingHalf
from hybridnet.report.counting.onnx import count_graph
from hybridnet.report.record.data import NoteKind
from hybridnet.workflows.notes import run_notes
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import simulate


@pytest.mark.parametrize(("largest", "width"), [(127, "8-bit message (±127)"), (1000, "11-bit message (±1000)")])
def test_clipped_inputs_name_the_width_of_their_message(bundle: Bundle, clip: Path, largest: int, width: str) -> None:
    run = simulate(clip, bundle, SimulateOptions(views=1, parity=False)).run
    clipped = {"motion_vectors": 3, "residuals": 0}
    run = dataclasses.replace(run, spiking=dataclasses.replace(run.spiking, clipped_inputs=clipped))
    inputs = tuple(dataclasses.replace(node, message_max=largest) for node in bundle.fixed.inputs)
    fixed = FixedGraph(inputs, bundle.fixed.populations, bundle.fixed.synapses, bundle.fixed.steps)
    half = SpikingHalf(bundle.program, fixed)
    changed = dataclasses.replace(bundle, spiking=half)
    notes = list(run_notes(changed, count_graph(bundle.ann_path), run, compared=True))
    ranges = [note.text for note in notes if note.kind is NoteKind.RANGES]
    assert ranges == [f"motion_vectors: 3 inputs did not fit the {width} and were clipped"]
