"""The paper's table derived again: twelve of thirteen rows, and what could be behind the last."""

from pathlib import Path

import pytest

from hybridnet.cli import main
from hybridnet.errors import RecordError
from hybridnet.report.pricing.audit import PAPER, Printed, audit, read_table
from hybridnet.report.pricing.audit_document import audit_document
from hybridnet.report.pricing.profile import load_profile
from hybridnet.report.render.text import render_document

PROFILE = load_profile("horowitz45")


def test_twelve_of_the_papers_thirteen_rows_reproduce() -> None:
    verdicts = audit(read_table(PAPER), PROFILE)
    assert len(verdicts) == 13
    (ours,) = (v for v in verdicts if not v.reproduces)
    assert ours.row.method == "Ours"
    assert ours.computed_j == pytest.approx(0.15 * 4.6 + 3.99e-3 * 0.9)
    assert (round(ours.interval.low, 4), round(ours.interval.high, 4)) == (0.6706, 0.7166)
    assert len(ours.explanations) == 4
    assert len(ours.refuted) == 2
    assert set(ours.cheaper) == {"MFCD-Net", "PKD", "CV-C3D"}
    text = render_document(audit_document(PAPER, verdicts, PROFILE))
    assert "12 of 13" in text
    assert "DOES NOT REPRODUCE" in text


@pytest.mark.parametrize(
    ("text", "low", "high"), [("0.15", 0.145, 0.155), ("18", 17.5, 18.5), ("51.180", 51.1795, 51.1805)]
)
def test_what_a_printed_number_may_stand_for(text: str, low: float, high: float) -> None:
    rounded = Printed(text).rounded
    assert rounded.low == pytest.approx(low)
    assert rounded.high == pytest.approx(high)


def test_a_table_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("# a comment\nmethod,ann_tflops,spike_gops,energy_j\ngood,1.00,,4.60\nbad,1.00,,2.30\n")
    assert main(["audit", str(table)]) == 0
    out = capsys.readouterr().out
    assert "1 of 2 rows" in out
    assert "would explain it: two FLOPs are one MAC" in out
    assert main(["audit", str(table), "--fail-on", "audit"]) == 3


HEAD = "method,ann_tflops,spike_gops,energy_j\n"


def test_a_table_of_a_spreadsheet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a byte order mark, blanks beside the commas, and a row of zeros."""
    (tmp_path / "t.csv").write_text(HEAD + "A, 0.15, , 0.69\nB,0,0,0\n", encoding="utf-8-sig")
    assert main(["audit", str(tmp_path / "t.csv")]) == 0
    assert "2 of 2 rows" in capsys.readouterr().out


@pytest.mark.parametrize(
    "content",
    ["", "a,b\n1,2\n", f"{HEAD}A,52,77,242,733\n", f"{HEAD}A,1_0.15,,1\n", f"{HEAD}A,{'1' * 200_000},,1\n",
     f"{HEAD}A,-1,,1\n", "method,ann_tflops,spike_gops,energy_j\n", "method,ann_tflops,spike_gops,energy_j\nx,nan,,1\n",
     "method,ann_tflops,spike_gops,energy_j\nx,1e3,,1\n", "method,ann_tflops,spike_gops,energy_j\nx,1\n"],
)  # fmt: skip
def test_a_table_that_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(RecordError, match=r"t\.csv"):
        read_table(str(tmp_path / "t.csv"))
    with pytest.raises(RecordError, match="cannot be read"):
        read_table(str(tmp_path / "nowhere.csv"))


def test_a_profile_that_cannot_price_it() -> None:
    with pytest.raises(RecordError, match="no price for MACs"):
        audit(read_table(PAPER), load_profile("loihi2"))
