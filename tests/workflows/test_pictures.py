"""The pictures of a run show its busiest view, and a page made later from the record is the page of the run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import manners

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.file import read_records, to_json
from hybridnet.report.record.pictures import SheetKind
from hybridnet.report.render.formats import rendered
from hybridnet.video.frontend import read_clip
from hybridnet.video.views import PIXEL_MEAN, PIXEL_STD
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.pictures import CELLS, ROWS, SIDE, as_maps, shrink
from hybridnet.workflows.simulate import Simulator


def test_a_later_page_is_the_page_of_the_run(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(to_json([record]))
    assert rendered(read_records(tmp_path / "run.json"), "html") == rendered([record], "html")


def test_pictures_are_of_the_view_with_the_most_spikes(bundle: Bundle, clip: Path) -> None:
    simulator = Simulator(bundle, SimulateOptions(parity=False))
    done = simulator.run(clip)
    spikes, pictures = done.run.spiking.spikes, done.record.pictures
    assert pictures is not None
    totals = [sum(int(o[n].sum()) for o in spikes.values()) for n in range(done.record.views)]
    assert totals[pictures.view] == max(totals)
    frame, motion, residual = pictures.sheets[:3]
    assert [s.kind for s in (frame, motion, residual)] == [SheetKind.FRAME, SheetKind.MOTION, SheetKind.RESIDUAL]
    for layer in pictures.rates:
        assert layer.rates == pytest.approx(spikes[layer.name].mean(axis=(0, 2, 3, 4)).tolist())
    names = [sheet.name for sheet in pictures.of_kind(SheetKind.SPIKES)]
    assert names == list(spikes)
    crossing = {tensor.layer for tensor in bundle.bridge if tensor.kind == "potential"}
    assert {sheet.name for sheet in pictures.of_kind(SheetKind.POTENTIAL)} == crossing
    seen = read_clip(clip, bundle.preprocess).views.arrays["i_frame"][pictures.view] * PIXEL_STD + PIXEL_MEAN
    assert np.abs(frame.array[0] - seen.transpose(1, 2, 0)).max() <= 0.5 / 255 + 1e-6


def test_a_potential_of_one_channel_that_never_fires_is_drawn(export: Any) -> None:
    model, bundle = export(manners.SpikingUNet)
    inputs = {name: values.numpy() for name, values in model.inputs(2).items()}
    pictures = Simulator(bundle, SimulateOptions(parity=False)).run(inputs).record.pictures
    assert pictures is not None
    (sheet,) = pictures.of_kind(SheetKind.POTENTIAL)
    assert sheet.labels == ("channel 0",)


def test_no_pictures_where_nobody_asked(bundle: Bundle, clip: Path) -> None:
    record = Simulator(bundle, SimulateOptions(parity=False, pictures=False)).run(clip).record
    assert record.pictures is None
    assert "Simulate one clip for them" in rendered([record], "html")


@pytest.mark.parametrize("shape", [(3, 7, 5), (1, 100, 41), (2, 5, 90, 3)])
def test_smaller_pictures_are_means(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    small, side = shrink(values, SIDE), SIDE
    height, width = (min(length, side) for length in shape[1:3])
    assert small.shape == (shape[0], height, width, *shape[3:])
    downs, acrosses = (
        [length * k // some for k in range(some + 1)] for length, some in zip(shape[1:3], (height, width), strict=True)
    )
    for row in range(height):
        for column in range(width):
            part = values[:, downs[row] : downs[row + 1], acrosses[column] : acrosses[column + 1]]
            assert small[:, row, column] == pytest.approx(part.mean(axis=(1, 2)))


def test_maps_of_each_shape() -> None:
    random = np.random.default_rng(0)
    fields = as_maps(random.uniform(size=(4, 9, 11, 6)))
    assert fields.cells.shape == (CELLS, 11, 6)
    assert fields.axes == "4 of 9 channels, mean over steps"
    vectors = as_maps(random.uniform(size=(4, 9)) > 0.5)
    assert (vectors.cells.shape, vectors.axes) == ((1, 9, 4), "neurons down, steps across")
    lines = as_maps(random.uniform(size=(4, 3, 20)))
    assert lines.cells.shape == (1, 3, 20)
    many = as_maps(random.uniform(size=(1, 500, 1, 1)))
    assert (many.cells.shape, many.labels) == ((1, 1, ROWS), (f"{ROWS} of 500 neurons",))
    assert as_maps(random.uniform(size=(5,))).cells.shape == (1, 1, 5)


def test_the_busiest_channels_are_shown() -> None:
    x = np.zeros((2, 9, 3, 3))
    x[:, [1, 4, 7, 8]] = 1
    assert as_maps(x).labels == ("channel 1", "channel 4", "channel 7", "channel 8")
    assert as_maps(np.ones_like(x), x).labels == as_maps(x).labels


def test_spikes_of_a_vector_stay_spikes() -> None:
    o = np.random.default_rng(0).uniform(size=(5, 12, 1, 1)) > 0.5
    assert (as_maps(o).cells[0] == o[:, :, 0, 0].T).all()
