"""Trade-offs: no change costs what the run costs; changes cost what they must; accuracy only where it can be had."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import hybridnet.workflows.explore as workflow
import hybridnet.workflows.trial as trial
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import ConfigError
from hybridnet.report.numbers import NONE
from hybridnet.report.render.html import render_html
from hybridnet.report.render.text import render_document
from hybridnet.support.arrays import write_arrays
from hybridnet.support.progress import silent
from hybridnet.workflows.explore import Exploration, Tried, explore
from hybridnet.workflows.explore_document import explore_document, ticks, to_json
from hybridnet.workflows.options import ExploreOptions, SimulateOptions
from hybridnet.workflows.simulate import simulate
from hybridnet.workflows.sources import read_source
from hybridnet.workflows.variants import variants

OPTIONS = ExploreOptions(chip="loihi1", profile="loihi1", views=2)


@pytest.fixture(scope="module")
def found(bundle: Bundle, clip: Path) -> Exploration:
    return explore(bundle, clip, OPTIONS)


def of(found: Exploration, knob: str) -> list[Tried]:
    return [row for row in found.tried if row.knob in ("", knob)]


def test_no_change_costs_what_the_run_costs(bundle: Bundle, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the bundle's own integers, of which exploring would find others."""
    monkeypatch.setattr(workflow, "quantise_graph", lambda *_: bundle.fixed)
    monkeypatch.setattr(workflow, "variants", lambda program: list(variants(program))[:1])
    (row,) = explore(bundle, clip, OPTIONS).tried
    prices = SimulateOptions(chip="loihi1", profile="loihi1", ann_profile="horowitz45", parity=False, views=2)
    record = simulate(clip, bundle, prices).record
    assert record.fit is not None
    assert record.timing.chip is not None
    assert (row.cores, row.chips, row.broken) == (record.fit.cores, record.fit.chips, record.fit.broken)
    assert row.view_ms == record.timing.chip.view_ms
    assert row.step_us == record.timing.chip.step_us
    spent = sum(p.energy_pj.reference for p in record.partitions if p.name in ("snn", "bridge") and p.energy_pj)
    assert row.energy_pj is not None
    assert row.energy_pj.reference * record.views == pytest.approx(spent)


def test_less_costs_less(found: Exploration) -> None:
    def energies(knob: str) -> list[float]:
        return [row.energy_pj.reference for row in of(found, knob) if row.energy_pj]

    for knob in ("stride", "channels", "steps", "crop"):
        assert energies(knob) == sorted(energies(knob), reverse=True)
    assert all(row.cores == found.as_it_is.cores for row in of(found, "steps"))
    strides = [row.cores for row in of(found, "stride")]
    assert strides == sorted(strides, reverse=True)
    assert strides[-1] < strides[0]


def test_the_page_and_the_record(found: Exploration) -> None:
    document = explore_document(found)
    text = render_document(document)
    for row in found.tried:
        assert row.change in text
    page = render_html([document])
    assert page.count('class="scatter"') == 2
    assert "<title>as it is</title>" in page
    content = json.loads(to_json(found))
    assert content["schema"] == "hybridnet.explore/1"
    assert len(content["tried"]) == len(found.tried)


@pytest.mark.parametrize(("missing", "ratio"), [((), "100 %"), (("mac",), NONE)])
def test_of_two_lower_bounds_there_is_no_ratio(found: Exploration, missing: tuple[str, ...], ratio: str) -> None:
    energy = found.as_it_is.energy_pj
    assert energy is not None
    priced = dataclasses.replace(found.as_it_is, energy_pj=dataclasses.replace(energy, missing=missing))
    table = explore_document(dataclasses.replace(found, tried=(priced,))).sections[1].table
    assert table is not None
    assert table.rows[0][-1] == ratio


def test_a_chip_without_times_has_no_time(bundle: Bundle, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workflow, "variants", lambda program: list(variants(program))[:2])
    found = explore(bundle, clip, ExploreOptions(views=2))
    assert all(row.view_ms is None and row.step_us is None for row in found.tried)
    text = render_document(explore_document(found))
    assert "ms of a view" not in text
    assert "No time of an event is published for loihi2" in text


def test_accuracy_where_the_ann_half_can_take_it(
    bundle: Bundle, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six rows, of which every third is tried: whoever names what the float model says is right."""
    kinds = ("as it is", "weights of 6 bits", "2 × the stride of the first layers")
    monkeypatch.setattr(workflow, "variants", lambda p: [v for v in variants(p) if v.change in kinds])
    view = {name: values[-1:] for name, values in read_source(clip, bundle, 2).views.arrays.items()}
    rows = {name: np.repeat(values, 6, 0) for name, values in view.items()}
    said = simulate(view, bundle, SimulateOptions(parity=False)).run.logits.argmax()
    write_arrays(tmp_path / "rows.npz", {**rows, "labels": np.full(6, said)})
    told: list[tuple[int, int]] = []
    options = ExploreOptions(views=2, evaluate=tmp_path / "rows.npz")
    found = explore(bundle, clip, options, progress=lambda what, *at: told.append(at) if what == "exploring" else None)
    searches = 2 * len(bundle.program.populations)  # those of two variants take nearly all of the time
    assert told[-1] == (3 + searches, 3 + searches)
    assert sorted(told) == told
    assert len(set(told)) >= searches
    by_change = {row.change: row for row in found.tried}
    own = by_change["as it is"].accuracy
    assert own is not None
    assert (own.right, own.clips) == (2, 2)
    assert by_change["weights of 6 bits"].accuracy is not None
    refused = by_change["2 × the stride of the first layers"]
    assert refused.accuracy is None
    assert refused.no_accuracy.startswith("the ANN half takes ")
    text = render_document(explore_document(found))
    assert "100.0 % (2 of 2)" in text
    assert refused.no_accuracy in text


def test_what_a_calibration_does_not_take_is_tried(
    bundle: Bundle, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine rows, of which integers are found on two."""
    monkeypatch.setattr(trial, "READ", dataclasses.replace(trial.READ, most_clips=3))
    view = {name: values[-1:] for name, values in read_source(clip, bundle, 2).views.arrays.items()}
    rows = {name: np.repeat(values, 9, 0) for name, values in view.items()}
    write_arrays(tmp_path / "rows.npz", {**rows, "labels": np.zeros(9, np.int64)})
    found = trial.Trial.on(bundle, tmp_path / "rows.npz", None, silent)
    assert {len(values) for values in found.found_on.values()} == {2}
    assert len(found.tried_on) == 7


def test_clips_of_no_class_are_refused(bundle: Bundle, clip: Path, tmp_path: Path) -> None:
    view = {name: values[-1:] for name, values in read_source(clip, bundle, 2).views.arrays.items()}
    write_arrays(tmp_path / "rows.npz", {name: np.repeat(values, 4, 0) for name, values in view.items()})
    with pytest.raises(ConfigError, match="clips in folders called as classes"):
        explore(bundle, clip, ExploreOptions(views=2, evaluate=tmp_path / "rows.npz"))


@pytest.mark.parametrize(
    ("largest", "last"), [(0.0, 1.0), (112.0, 150.0), (1.0, 1.0), (0.07, 0.08), (1.317, 1.5), (9.9, 10.0)]
)
def test_axes_end_at_round_numbers(largest: float, last: float) -> None:
    found = ticks(largest)
    assert found[0] == 0.0
    assert found[-1] == pytest.approx(last)
    assert len(found) <= 6
