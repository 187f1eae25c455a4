"""The ablations beside the paper's: pairs of variants are counted where both are ordered alike."""

import sys

from helpers.places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from ablations import ROWS, agreement, table


def test_pairs_are_counted_that_the_paper_orders_alike() -> None:
    papers = {row.name: row.paper for row in ROWS if row.paper is not None}
    pairs = len(papers) * (len(papers) - 1) // 2
    assert agreement({name: [paper] for name, paper in papers.items()}) == f"{pairs} of {pairs}"
    assert agreement({name: [-paper] for name, paper in papers.items()}) == f"0 of {pairs}"
    assert agreement({"reference": [90.0, 80.0], "none": [84.0, 84.0], "I": [99.0]}) == "1 of 1"


def test_the_paper_stands_beside_what_was_found() -> None:
    found = {"none": 0.25, "reference": 0.75}
    results = [{"data": "motion", "row": row, "accuracy": share, "clips": 8} for row, share in found.items()]
    lines = table(results, ["motion", "not run"]).splitlines()
    assert lines[0] == "| question | variant | motion, 8 clips | paper, UCF-101 |"
    assert lines[2] == "|  | reference | 75.0 % | 95.6 % |"
    assert "| temporal modulator | none | 25.0 % (-50.0) | 88.6 % (-7.0) |" in lines
    assert "| modalities | MV | not run |  |" in lines
    assert lines[-1] == "| pairs ordered as in the paper |  | 1 of 1 |  |"
