"""Measured joules, on a made clock and meters that count what it says."""

from __future__ import annotations

import functools
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import hybridnet.workflows.simulate as workflow
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.report.record.data import RunRecord
from hybridnet.report.record.file import read_records, to_json
from hybridnet.report.record.measured import Measured, MeasuredHalf
from hybridnet.report.render.screen import screen_document
from hybridnet.report.render.sections import run_document
from hybridnet.report.render.sections_measured import measured as measured_section
from hybridnet.report.render.sections_measured import measured_line
from hybridnet.report.render.text import render_document
from hybridnet.support.meters import Meter, Meters
from hybridnet.workflows.measure import Schedule, measure
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import simulate


class Machine:
    """10 W at rest, and more while something runs; its counter starts again every 50 J."""

    range_uj = 50_000_000

    def __init__(self) -> None:
        self.now, self.uj = 0.0, 0.0

    def spend(self, seconds: float, watts: float = 10.0) -> None:
        self.now += seconds
        self.uj += seconds * watts * 1e6

    @property
    def meters(self) -> Meters:
        return Meters((Meter("made", lambda: round(self.uj) % self.range_uj, self.range_uj),), ("NVML: none",))


def test_idle_is_taken_off_and_runs_are_whole() -> None:
    machine = Machine()
    halves = {
        ("snn", "emulator"): lambda: machine.spend(0.3, 30),  # 4 runs, of 20 W over idle: 6 J for 2 views
        ("ann", "onnxruntime"): lambda: machine.spend(0.5, 14),
    }
    schedule = Schedule(repeats=3, idle_s=0.25, busy_s=1.0, clock=lambda: machine.now, sleep=machine.spend)
    found = measure(halves, 2, machine.meters, schedule)
    assert found.meters == ("made",)
    assert found.missing == ("NVML: none",)
    assert found.idle_w == pytest.approx((10.0,) * 3)
    snn, ann = found.halves
    assert (snn.partition, snn.backend) == ("snn", "emulator")
    assert snn.view_mj == pytest.approx((0.3 * 20e3 / 2,) * 3)
    assert ann.view_mj == pytest.approx((0.5 * 4e3 / 2,) * 3)


def test_without_a_meter_nothing_is_run() -> None:
    def never() -> None:
        raise AssertionError

    found = measure({("snn", "emulator"): never}, 1, Meters((), ("RAPL: none",)))
    assert (found.halves, found.idle_w, found.meters) == ((), (), ())
    assert found.missing == ("RAPL: none",)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """What the workflow finds, in the time of tests."""
    made = Machine()

    def clock() -> float:
        made.spend(0.5, 25)
        return made.now

    schedule = Schedule(repeats=2, idle_s=0.4, busy_s=0.6, clock=clock, sleep=lambda _: None)
    monkeypatch.setattr(workflow, "measure", functools.partial(measure, schedule=schedule))
    monkeypatch.setattr(workflow, "find_meters", lambda: made.meters)
    return made


def test_a_run_tells_it_apart_from_what_is_modelled(
    machine: Machine, clip: Path, bundle: Bundle, tmp_path: Path
) -> None:
    plain, measured = (
        simulate(clip, bundle, SimulateOptions(parity=False, measure=asked)).record for asked in (False, True)
    )
    assert plain.measured is None
    assert measured.measured is not None
    assert [half.partition for half in measured.measured.halves] == ["snn", "ann"]
    assert measured.totals.energy_pj == plain.totals.energy_pj
    (tmp_path / "run.json").write_text(to_json([measured]))
    assert read_records(tmp_path / "run.json") == [measured]
    text = render_document(run_document(measured))
    assert "Measured energy (measured on this host)" in text
    assert "in no sum with what is modelled" in text
    assert "Measured energy" not in render_document(run_document(plain))
    assert "Measured on this host, of a view" in render_document(screen_document(measured))


def test_a_machine_without_a_meter_says_so(monkeypatch: pytest.MonkeyPatch, clip: Path, bundle: Bundle) -> None:
    monkeypatch.setattr(workflow, "find_meters", lambda: Meters((), ("RAPL: none", "NVML: none")))
    record = simulate(clip, bundle, SimulateOptions(parity=False, measure=True)).record
    assert "No meter on this machine: RAPL: none; NVML: none." in render_document(run_document(record))
    assert measured_line(record) == "No meter on this machine."


def test_what_is_not_above_the_noise_is_called_so() -> None:
    half = MeasuredHalf("snn", "emulator", (0.1, -0.3))
    record = cast("RunRecord", SimpleNamespace(measured=Measured(("one",), (), (10.0, 11.0), (half,))))
    (section,) = measured_section(record)
    assert section.table is not None
    assert section.table.rows[0][-1] == "not above the noise of the idle machine"
