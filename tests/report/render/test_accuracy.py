"""Accuracy against energy of several evaluations."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from helpers.pages import Page

from hybridnet.cli import main
from hybridnet.errors import RecordError
from hybridnet.evaluation.record import Evaluated, EvaluationRecord
from hybridnet.evaluation.summary import Distribution, Summary
from hybridnet.report.pricing.profile import load_profile
from hybridnet.report.record.evaluation import SCHEMA, read_evaluations
from hybridnet.report.render.accuracy import accuracy_plot


def evaluation(path: Path, energy: Distribution | None, top1: float = 0.5, profile: str | None = "horowitz45") -> Path:
    """As `hybridnet evaluate` writes it."""
    prices = None if profile is None else load_profile(profile).row
    summary = Summary(4, top1, 1.0, ((2, 0), (2, 0)), (), energy, None, {})
    one = Evaluated(
        f"runs/{path.stem}", "00", "motion 1", "test", 8, ("emulator", "onnxruntime"), prices, None, summary, ()
    )
    record = EvaluationRecord(SCHEMA, "hybridnet evaluate", "now", {}, "local", 1, (one,), None)
    path.write_text(json.dumps(dataclasses.asdict(record)))
    return path


def test_accuracy_against_energy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [
        evaluation(tmp_path / f"{name}.json", Distribution(e, e / 4, e / 2, e, e * 2, e * 3), top1)
        for name, e, top1 in (("small", 3e9, 0.6), ("<b>large", 7e11, 0.9))
    ]
    assert main(["report", *map(str, files), "--plot", "-o", str(tmp_path / "plot.svg")]) == 0
    text = (tmp_path / "plot.svg").read_text()
    page = Page(text)
    assert page.tags == {"svg", "style", "rect", "path", "text", "circle"}
    assert "<b>large · motion 1" in page.text
    assert text.count("<circle") == 2
    points = [point for path in files for point in read_evaluations(path)]
    left, right = (float(x) for x in re.findall(r'<circle[^>]*cx="([\d.]+)"', accuracy_plot(points)))
    low, high = (float(y) for y in re.findall(r'<circle[^>]*cy="([\d.]+)"', accuracy_plot(points)))
    assert left < right
    assert low > high


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"schema": "hybridnet.evaluation/0"}', '{"schema": "hybridnet.evaluation/3"}']
)
def test_an_evaluation_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "e.json").write_text(content)
    with pytest.raises(RecordError, match=r"e\.json"):
        read_evaluations(tmp_path / "e.json")


def test_an_evaluation_of_a_checkpoint_has_no_energy(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"^[^(]*has no energy of runs/e"):
        read_evaluations(evaluation(tmp_path / "e.json", None, profile=None))


def test_energies_of_two_profiles_are_not_on_one_axis(tmp_path: Path) -> None:
    energy = Distribution(3e9, 1e9, 2e9, 3e9, 4e9, 5e9)
    files = [evaluation(tmp_path / f"{name}.json", energy, profile=name) for name in ("horowitz45", "gpu")]
    with pytest.raises(RecordError, match="several profiles are not on one axis: gpu, horowitz45"):
        accuracy_plot([point for path in files for point in read_evaluations(path)])
    assert "modelled with gpu" in accuracy_plot(read_evaluations(files[1]))


@pytest.mark.parametrize(
    ("energy", "top1"),
    [((5e-324, 1e9, 2e9), 0.5), ((1e9, 2e9, 1e300), 0.5), ((1e9, 2e9, 3e9), 7.0), ((1e9, 2e9, 3e9), -0.5)],
)
def test_a_damaged_evaluation_is_no_plot(tmp_path: Path, energy: tuple[float, float, float], top1: float) -> None:
    low, middle, high = energy
    with pytest.raises(RecordError, match=r"e\.json"):
        read_evaluations(evaluation(tmp_path / "e.json", Distribution(middle, low, low, middle, high, high), top1))


def test_an_evaluation_of_nothing_is_no_plot(tmp_path: Path) -> None:
    path = evaluation(tmp_path / "e.json", None)
    path.write_text(json.dumps({**json.loads(path.read_text()), "evaluated": []}))
    with pytest.raises(RecordError, match="holds no evaluation"):
        read_evaluations(path)
