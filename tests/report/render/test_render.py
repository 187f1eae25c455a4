"""Every format says the same, escapes what it is given, and invents no number."""

import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import pytest
from helpers.pages import Page

from hybridnet.cli import main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.report.numbers import energy_cell
from hybridnet.report.pricing.price import load_prices, reprice
from hybridnet.report.pricing.profile import TERMS, load_profile, price, profile_names
from hybridnet.report.quantities import NO_ENERGY, Ops
from hybridnet.report.record.data import LayerRow, Note, NoteKind, RunRecord
from hybridnet.report.record.file import to_json
from hybridnet.report.render.changes import compare, compare_document
from hybridnet.report.render.formats import FILES, drawn, rendered
from hybridnet.report.render.sections import GLOSSARY, run_document
from hybridnet.report.render.text import render_document
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import simulate

HOSTILE = "<script>alert('x')</script> | =1+1 \"&amp; [a](javascript:b) \x1b[31m\nEnergy 0 J"


@pytest.fixture
def hostile(record: RunRecord) -> RunRecord:
    """Every string that a stranger can choose."""
    assert record.video is not None
    assert record.prediction is not None
    pictures = record.pictures
    assert pictures is not None
    layers = tuple(dataclasses.replace(row, name=f"={HOSTILE}") for row in record.layers)
    best = tuple(dataclasses.replace(c, label=HOSTILE) for c in record.prediction.top_k)
    return dataclasses.replace(
        record,
        command=HOSTILE,
        layers=layers,
        video=dataclasses.replace(record.video, path=HOSTILE, read_reason=HOSTILE),
        model=dataclasses.replace(record.model, name=HOSTILE, bundle=HOSTILE),
        prediction=dataclasses.replace(record.prediction, top_k=best),
        notes=(Note(NoteKind.SOURCE, HOSTILE),),
        pictures=dataclasses.replace(
            pictures,
            sheets=tuple(
                dataclasses.replace(s, name=HOSTILE, labels=(HOSTILE,) * len(s.labels)) for s in pictures.sheets
            ),
            rates=tuple(dataclasses.replace(layer, name=HOSTILE) for layer in pictures.rates),
        ),
    )


@pytest.mark.parametrize("kind", FILES)
def test_every_format_has_no_number_that_is_none(record: RunRecord, kind: str) -> None:
    text = rendered([record], kind)
    assert text.endswith("\n")
    assert not re.search(r"\b(nan|NaN|inf|Infinity|None)\b", text)


def test_a_hostile_record_is_text_in_html(hostile: RunRecord) -> None:
    page = Page(rendered([hostile], "html"))
    assert "script" not in page.tags
    assert "<script>alert('x')</script>" in page.text
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in page.links)
    assert "Content-Security-Policy" in rendered([hostile], "html")


def test_a_page_needs_no_network(record: RunRecord) -> None:
    text = rendered([record, record], "html")
    page = Page(text)
    assert not {"script", "link", "img", "iframe", "object", "embed"} & page.tags
    assert not re.search(r"url\(|@import|https?://", text)
    assert "prefers-color-scheme:dark" in text
    assert "width=device-width" in text


def test_a_hostile_record_is_text_in_markdown_and_csv(hostile: RunRecord) -> None:
    text = rendered([hostile], "markdown")
    assert not re.search(r"(?<!\\)<", text)
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert tables
    for lines in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    for cells in csv.reader(io.StringIO(rendered([hostile], "csv"))):
        assert not any(cell.startswith(("=", "+", "@")) for cell in cells)


def test_a_hostile_record_cannot_drive_a_terminal(hostile: RunRecord) -> None:
    text = rendered([hostile], "text")
    assert "\x1b" not in text
    assert not any(line.startswith("Energy 0 J") for line in text.splitlines())


def test_csv_sums_to_the_totals(record: RunRecord) -> None:
    rows = list(csv.DictReader(io.StringIO(rendered([record], "csv"))))
    assert len(rows) == len(record.layers)
    for name in ("macs", "acs", "neuron_updates", "bytes"):
        whole = sum(getattr(row.ops, name) for row in record.partitions if row.ops is not None)
        assert sum(int(row[name]) for row in rows) == whole
    energy = sum(float(row["energy_reference_pj"] or 0) for row in rows)
    assert energy == pytest.approx(record.totals.energy_pj.reference)


def test_totals_are_the_sum_of_their_rows_and_terms(record: RunRecord) -> None:
    total = record.totals.energy_pj
    for end in ("low", "reference", "high"):
        rows = sum(getattr(row.energy_pj, end) for row in record.layers if row.energy_pj is not None)
        assert getattr(total, end) == pytest.approx(rows)
        assert getattr(total, end) == pytest.approx(sum(getattr(term, end) for term in total.terms.values()))
    shares = [row.share for row in record.partitions if row.share is not None]
    assert sum(shares) == pytest.approx(1)


@pytest.mark.parametrize("name", profile_names())
def test_repricing_equals_a_fresh_run(name: str, record: RunRecord, bundle: Bundle, clip: Path) -> None:
    fresh = simulate(clip, bundle, SimulateOptions(profile=name)).record
    again = reprice(record, load_prices(name, None))
    same = ("layers", "totals", "verdict", "profile", "ann_profile", "notes", "fit")
    for field in same:
        one, other = getattr(again, field), getattr(fresh, field)
        if field == "totals":
            one, other = one.energy_pj, other.energy_pj
        assert one == other
    assert [p.energy_pj for p in again.partitions] == [p.energy_pj for p in fresh.partitions]
    text = render_document(run_document(again))
    assert f"profile {name}" in text


def test_what_has_no_published_price_gets_none(record: RunRecord) -> None:
    again = reprice(record, load_prices("loihi2", None))
    assert not again.totals.energy_pj.terms
    assert again.partition("ann").energy_pj is again.partition("snn").energy_pj is None
    text = render_document(run_document(again))
    assert "no published value" in text
    assert "no price" in text
    on_chip = LayerRow("snn", "time", "a chip", "time", (1,), None, Ops(chip_us=1000), None, None, None)
    timed = reprice(dataclasses.replace(record, layers=(*record.layers, on_chip)), load_prices("loihi2", None))
    snn = timed.partition("snn").energy_pj
    assert snn is not None
    assert snn.terms["static_w"].reference == pytest.approx(0.232 * 1e-3 * 1e12)
    assert {"mac", "ac", "neuron_update"} <= set(snn.missing)
    assert energy_cell(snn).startswith("≥ ")


def test_technologies_are_mixed_only_when_asked_for_and_flagged(record: RunRecord) -> None:
    mixed = reprice(record, load_prices("loihi1", "horowitz45-int8"))
    assert any("mixes technologies" in note.text for note in mixed.notes)
    assert "MIXED TECHNOLOGIES" in render_document(run_document(mixed))
    assert not any("mixes" in note.text for note in reprice(mixed, load_prices("horowitz45", None)).notes)
    assert reprice(mixed, load_prices("horowitz45", None)) == record


def test_every_term_and_mark_is_in_the_glossary(record: RunRecord) -> None:
    text = render_document(run_document(record))
    for name in (*GLOSSARY, *record.totals.energy_pj.terms):
        assert name in text
    for word in ("counted", "measured on this host", "modelled", "Made by", record.command):
        assert word in text
    assert set(record.totals.energy_pj.terms) <= set(TERMS)


def test_the_headline_is_four_lines_and_advice(record: RunRecord) -> None:
    lines = run_document(record).sections[0].lines
    assert len(lines) == 4 + 3
    assert all(line.startswith("Advice: ") for line in lines[4:])


def test_the_headline_says_what_the_energy_leaves_out(record: RunRecord) -> None:
    assert (
        " without memory, functions and communication, modelled (algorithm track) with horowitz45, int8 by"
        " horowitz45-int8" in run_document(record).sections[0].lines[2]
    )
    with_memory = reprice(record, load_prices("horowitz45-memory", None))
    assert " without functions and communication, modelled" in run_document(with_memory).sections[0].lines[2]


def test_every_price_is_in_the_report_with_its_source(record: RunRecord) -> None:
    text = render_document(run_document(record))
    for price_of in load_profile("horowitz45").priced.values():
        assert price_of.source in text
        assert price_of.full_unit in text


def test_one_technology_is_not_mixed(record: RunRecord) -> None:
    assert "MIXED" not in render_document(run_document(reprice(record, load_prices("gpu", "gpu"))))


@pytest.mark.parametrize("kind", ["text", "markdown", "csv", "html"])
def test_no_format_holds_control_characters(hostile: RunRecord, kind: str) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", rendered([hostile], kind))


def test_a_run_against_itself(record: RunRecord) -> None:
    changes = compare(record, record)
    assert all(change.ratio == 1 for change in changes if change.one)
    text = drawn([compare_document(record, record, changes)], "text")
    assert "the same" in text
    Page(drawn([compare_document(record, record, changes)], "html"))


def test_two_runs(record: RunRecord, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = reprice(record, load_prices("horowitz45-int8", None))
    rows = tuple(_doubled(row) if row.name == "mv.0" else row for row in other.layers)
    other = reprice(dataclasses.replace(other, layers=rows), load_prices("horowitz45-int8", None))
    for name, each in (("a", record), ("b", other)):
        (tmp_path / f"{name}.json").write_text(to_json([each]))
    names = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    assert main(["report", *names, "--format", "json"]) == 0
    changes = {c["quantity"]: c for c in json.loads(capsys.readouterr().out)["changes"]}
    assert changes["mv.0: macs"]["ratio"] == 2
    assert not any(name.startswith("mv.1") for name in changes)
    assert changes["total energy"]["ratio"] < 1
    assert main(["report", *names]) == 0
    assert "different profiles" in capsys.readouterr().out
    assert main(["report", *names, "--profile", "horowitz45"]) == 0
    assert "different profiles" not in capsys.readouterr().out
    assert main(["report", *names, names[0]]) == 1


def _doubled(row: LayerRow) -> LayerRow:
    return dataclasses.replace(row, ops=row.ops + row.ops)


def test_simulate_writes_every_format(bundle: Bundle, clip: Path, tmp_path: Path) -> None:
    assert main(["simulate", str(clip), "--bundle", str(bundle.path), "--report", str(tmp_path / "out")]) == 0
    assert {p.name for p in (tmp_path / "out").iterdir()} == set(FILES.values())


def test_no_energy_is_nothing() -> None:
    assert price(Ops(), load_profile("horowitz45")) == NO_ENERGY
    assert price(Ops(functions=3), load_profile("horowitz45")) is None


def test_int8_is_priced_as_int8_wherever_it_ran(record: RunRecord) -> None:
    rows = tuple(dataclasses.replace(r, precision="int8") if r.partition == "ann" else r for r in record.layers)
    integers = dataclasses.replace(record, layers=rows)
    default = reprice(integers, load_prices("horowitz45", None))
    as_int8 = reprice(integers, load_prices("horowitz45-int8", None))
    assert default.partition("ann").energy_pj == as_int8.partition("ann").energy_pj
    assert any(note.kind is NoteKind.PRICES and "int8 MACs" in note.text for note in default.notes)
    assert "horowitz45, int8 by horowitz45-int8" in run_document(default).sections[0].lines[2]
    assert "in int8 already" in " ".join(run_document(default).sections[0].lines)
