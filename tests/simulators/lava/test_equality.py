"""Emulator, Lava and plain Python: the same u and spikes in every bit, of any program, every layer and step.

A worker takes seconds to start and each network half of one, hence many random programs in each run of the worker.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import naive_program
from helpers.chains import Program, fixed_graph_of, write_chain
from helpers.needs import needs_lava
from helpers.random_programs import Streams, streams
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from hybridnet.deploy.netx.file import read_net
from hybridnet.program.chains import chains_of
from hybridnet.simulators.emulator.graph import GraphEmulator
from hybridnet.simulators.interface import SpikingResult
from hybridnet.simulators.lava.backend import LavaBackend
from hybridnet.simulators.lava.options import ConvModel
from hybridnet.video.frontend import read_clip
from hybridnet.video.synthetic import make_clip
from hybridnet.workflows.simulate import load, shipped_bundle_path

TINY_MOTION = shipped_bundle_path("tiny-motion")

pytestmark = needs_lava

T = 3

# An example takes half a minute: what failed is printed whole, not searched for something smaller.
once = settings(deadline=None, database=None, phases=[Phase.generate])


def batches(size: int) -> st.SearchStrategy[list[Streams]]:
    return st.tuples(*(streams(f"s{index}") for index in range(size))).map(list)


@settings(once, max_examples=2)  # hypothesis starts with the simplest
@given(batch=batches(2), windows=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_any_program(batch: list[Streams], windows: int, seed: int) -> None:
    assert_equal(batch, windows, seed, "fast")


@pytest.mark.slow
@settings(once, max_examples=16)
@given(
    batch=batches(8),
    windows=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    conv=st.sampled_from(["fast", "stock"]),
)
def test_many_programs(batch: list[Streams], windows: int, seed: int, conv: ConvModel) -> None:
    assert_equal(batch, windows, seed, conv)


def assert_equal(batch: list[Streams], windows: int, seed: int, conv: ConvModel) -> None:
    rng = np.random.default_rng(seed)
    fixed = [pair[1] for pair in batch]
    inputs = {
        s.input_name: rng.uniform(-6.4, 6.4, (windows, T, *s.input_shape)).astype(np.float32)  # a few are clipped
        for s in fixed
    }
    with tempfile.TemporaryDirectory() as folder:
        files = {s.name: Path(folder) / f"{s.name}.net" for s in fixed}
        for (in_float, in_integers), path in zip(batch, files.values(), strict=True):
            write_chain(path, in_float, in_integers, T)
        lava = LavaBackend(files, conv=conv, timeout_s=300).run(inputs, record_potentials=True)
    assert_same(lava, GraphEmulator(fixed_graph_of(Program(tuple(fixed), T))).run(inputs, record_potentials=True))
    for stream in fixed:
        naive = naive_program.run_stream(stream, lava.inputs[stream.input_name])
        for layer in stream.layers:
            np.testing.assert_array_equal(lava.potentials[layer.name], naive.potentials[layer.name], layer.name)
            np.testing.assert_array_equal(lava.spikes[layer.name], naive.spikes[layer.name], layer.name)
            assert lava.overflows[layer.name] == naive.overflows[layer.name]


def assert_same(lava: SpikingResult, emulator: SpikingResult) -> None:
    assert lava.overflows == emulator.overflows
    assert lava.clipped_inputs == emulator.clipped_inputs
    assert lava.potentials.keys() == emulator.potentials.keys()
    for layer, potentials in lava.potentials.items():
        np.testing.assert_array_equal(potentials, emulator.potentials[layer], layer)
        np.testing.assert_array_equal(lava.spikes[layer], emulator.spikes[layer], layer)
    assert lava.readouts.keys() == emulator.readouts.keys()
    for layer, readout in lava.readouts.items():
        np.testing.assert_array_equal(readout, emulator.readouts[layer], layer)


def assert_same_on_clip(clip: Path, conv: ConvModel) -> None:
    """The shipped model, with the potentials of every layer and step."""
    bundle = load(TINY_MOTION)
    read = read_clip(clip, bundle.preprocess, 2)
    inputs = read.views.arrays
    lava = LavaBackend(bundle.net_paths, conv=conv, timeout_s=300).run(inputs, record_potentials=True)
    assert_same(lava, GraphEmulator(bundle.fixed).run(inputs, record_potentials=True))
    assert all(spikes.any() for spikes in lava.spikes.values())


def test_the_shipped_model_on_a_made_clip(tmp_path: Path) -> None:
    assert_same_on_clip(make_clip(tmp_path / "clip.avi", "rotate_cw", 11, frames=24), "fast")


@pytest.mark.slow
@pytest.mark.parametrize("conv", ["fast", "stock"])
@pytest.mark.parametrize("name", ["v_Archery_g02_c02.avi", "vid_mpeg4_part2.mp4", "R6llTwEh07w.mp4"])
def test_the_shipped_model_on_real_clips(name: str, conv: ConvModel, real_clips: Path) -> None:
    assert_same_on_clip(real_clips / name, conv)


def test_files_of_the_shipped_model_hold_its_program() -> None:
    bundle = load(TINY_MOTION)
    for (name, chain), path in zip(chains_of(bundle.program).items(), bundle.net_paths.values(), strict=True):
        net = read_net(path)
        assert (net.name, net.fixed.steps) == (name, bundle.fixed.steps)
        part = bundle.fixed.part(chain)
        assert net.fixed.inputs == part.inputs
        pairs: list[tuple[Any, Any]] = [*zip(net.fixed.populations, part.populations, strict=True)]
        for found, wrote in [*pairs, *zip(net.fixed.synapses, part.synapses, strict=True)]:
            for field, value in vars(wrote).items():
                np.testing.assert_array_equal(getattr(found, field), value, strict=isinstance(value, np.ndarray))
