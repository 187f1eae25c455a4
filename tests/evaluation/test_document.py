"""An evaluation as a report: its intervals, the worst classes first, and every mistake."""

import dataclasses

import pytest

from hybridnet.evaluation.document import SHOWN, evaluation_document, interval
from hybridnet.evaluation.record import Evaluated, EvaluationRecord
from hybridnet.evaluation.results import ClipResult
from hybridnet.evaluation.summary import spread_of, summarise
from hybridnet.report.document import Bars, Heatmap, Section
from hybridnet.report.record.evaluation import SCHEMA


def evaluation(classes: int, splits: int = 1) -> EvaluationRecord:
    """Three clips of each class; in each split one clip of class 1 is taken for class 0."""
    clips = [(label, n, 0 if (label, n) == (1, 0) else label) for label in range(classes) for n in range(3)]
    results = [
        ClipResult(f"{label}-{n}", label, tuple(float(i == taken) for i in range(classes)), 1, 0.1, None)
        for label, n, taken in clips
    ]
    summary = summarise(results, [f"class {i}" for i in range(classes)], {"bad.avi": "is no video"}, 2.0)
    one = Evaluated("m.pt", "0" * 64, "motion", "test", 1, ("torch",), None, None, summary, ())
    mean = spread_of([summary] * splits) if splits > 1 else None
    return EvaluationRecord(SCHEMA, "c", "t", {}, "local", 1, (one,) * splits, mean)


def section(record: EvaluationRecord, title: str) -> Section:
    return next(part for part in evaluation_document(record).sections if part.title == title)


def test_wilsons_interval() -> None:
    assert interval(8, 10) == pytest.approx((0.490, 0.943), abs=5e-4)
    assert interval(0, 3)[0] == 0
    assert interval(3, 3) == pytest.approx((0.4385, 1.0), abs=5e-4)


def test_the_confusion_matrix_is_a_picture_and_its_mistakes_are_a_table() -> None:
    found = section(evaluation(4), "Mistakes")
    assert found.table is not None
    assert found.table.rows == (("class 1", "class 0", "1", "33.3 %"),)
    (picture,) = found.pictures
    assert isinstance(picture, Heatmap)
    cells = {(cell.row, cell.column): (cell.share, cell.text) for cell in picture.cells}
    assert cells == {(0, 0): (1, "3"), (1, 0): (1 / 3, "1"), (1, 1): (2 / 3, "2"), (2, 2): (1, "3"), (3, 3): (1, "3")}


def test_of_many_classes_the_worst_come_first_and_all_are_listed() -> None:
    found = section(evaluation(SHOWN + 5), "Classes")
    assert found.table is not None
    assert (len(found.table.rows), found.table.shown, found.table.rows[0][0]) == (SHOWN + 5, SHOWN, "class 1")
    (picture,) = found.pictures
    assert isinstance(picture, Bars)
    assert len(picture.bars) == SHOWN
    assert picture.bars[0].reference == pytest.approx(2 / 3)
    assert picture.title.startswith(f"the {SHOWN} classes of lowest top-1")


def test_several_splits_are_told_apart_and_have_a_mean() -> None:
    document = evaluation_document(evaluation(3, splits=2))
    titles = [part.title for part in document.sections]
    assert titles[0] == "Mean of 2 splits"
    assert {f"{what} of split {n}" for what in ("Accuracy", "Classes", "Mistakes") for n in (1, 2)} <= set(titles)


def test_a_model_that_makes_no_mistake_has_an_empty_table() -> None:
    record = evaluation(3)
    (one,) = record.evaluated
    right = dataclasses.replace(one.summary, confusion=((3, 0, 0), (0, 3, 0), (0, 0, 3)))
    found = section(dataclasses.replace(record, evaluated=(dataclasses.replace(one, summary=right),)), "Mistakes")
    assert found.table is not None
    assert found.table.rows == ()
