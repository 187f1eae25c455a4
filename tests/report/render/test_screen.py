"""A run on one screen answers: what, how sure, what it costs, where, what to change."""

import dataclasses

from hybridnet.report.numbers import count
from hybridnet.report.pricing.price import load_prices, reprice
from hybridnet.report.record.data import RunRecord
from hybridnet.report.render.fitted import COLUMNS, LINES
from hybridnet.report.render.screen import bar, screen_document
from hybridnet.report.render.text import render_document


def test_a_run_fits_a_screen(record: RunRecord) -> None:
    for one in (
        record,
        reprice(record, load_prices("loihi1", "horowitz45-int8")),
        reprice(record, load_prices("tianjic", None)),
    ):
        lines = render_document(screen_document(one)).splitlines()
        paths = [line for line in lines if one.source in line or one.model.bundle in line]
        assert len(lines) <= LINES + 1  # long paths take lines of their own
        assert max(len(line) for line in lines if line not in paths) <= COLUMNS


def test_it_answers_what_how_sure_what_it_costs_where_and_what_to_change(record: RunRecord) -> None:
    assert record.prediction is not None
    text = render_document(screen_document(record))
    best = record.prediction.top_k[0]
    for words in (
        best.label,
        "Beside float: the same class",
        "snn",
        "total",
        "Spiking",
        "Largest:",
        "To lower the first",
    ):
        assert words in text
    assert text.endswith("--full has the rest.\n")


def test_what_went_wrong_is_on_the_screen(record: RunRecord) -> None:
    updates = {row.name: row.ops.neuron_updates for row in record.layers if row.partition == "snn"}
    wrong = dataclasses.replace(record, overflows={"mv.0": 3}, clipped_inputs={"residuals": 4}, parity=None)
    text = render_document(screen_document(wrong))
    assert f"3 of {count(sum(updates.values()))} potentials saturated and 4 of " in text
    assert " inputs were clipped in the chip's registers" in text
    assert "Not compared with the float program" in text


def test_bars_are_shares() -> None:
    assert [len(bar(share)) for share in (0.0, 0.5, 1.0, 2.0)] == [0, 10, 20, 20]
