"""The table of models on the chip."""

import sys

from helpers.places import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

from on_chip import Row, table


def test_a_row_says_what_is_left_of_the_accuracy() -> None:
    lines = table(
        "data | starts from", {"d | nothing": Row(200, 140, 139, 12.34, 0.061, "3 of 120 cores")}
    ).splitlines()
    assert lines == [
        "| data | starts from | float | chip's integers, int8 ANN | spike rate | energy of a clip | Loihi 2 |",
        "|---|---|---|---|---|---|---|",
        "| d | nothing | 70.0% | 69.5% (-0.5 points) | 6.1% | 12.3 µJ | 3 of 120 cores |",
    ]
