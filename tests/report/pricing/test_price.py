"""Prices: cited, additive, and the same for a fresh run and a record read back."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.price_profiles import shipped_text

from hybridnet.errors import RecordError
from hybridnet.report.document import Document
from hybridnet.report.numbers import count, joules
from hybridnet.report.pricing.price import load_prices, reprice
from hybridnet.report.pricing.profile import TERMS, Term, left_out, load_profile, price, profile_names
from hybridnet.report.quantities import Ops, Span
from hybridnet.report.record.data import SCHEMA, RunRecord
from hybridnet.report.record.file import read_records, to_json
from hybridnet.report.record.prices import NoPrice
from hybridnet.report.render.sections import layers, run_document
from hybridnet.report.render.text import render_document


def test_price_is_the_papers_method_plus_its_missing_terms() -> None:
    profile = load_profile("horowitz45")
    energy = price(Ops(macs=1000, acs=100, neuron_updates=10, leak_multiplies=10, bytes=4), profile)
    assert energy is not None
    reference = {name: term.reference for name, term in energy.terms.items()}
    assert reference == pytest.approx({"mac": 4600, "ac": 90, "neuron_update": 18, "leak": 37, "bridge_byte": 650})
    assert energy.reference == pytest.approx(sum(reference.values()))
    assert energy.low <= energy.reference <= energy.high


def test_totals_are_sums_and_shares_are_whole(record: RunRecord) -> None:
    for row in record.partitions:
        own = [layer for layer in record.layers if layer.partition == row.name]
        if row.name == "frontend":
            assert row.ops is None
            assert row.energy_pj is None
            continue
        assert row.ops == sum((layer.ops for layer in own), Ops())
        assert row.energy_pj is not None
        assert row.energy_pj.reference == pytest.approx(
            sum(layer.energy_pj.reference for layer in own if layer.energy_pj)
        )
    assert sum(row.share for row in record.partitions if row.share is not None) == pytest.approx(1)
    assert [row.name for row in record.partitions] == ["frontend", "snn", "bridge", "ann"]


def test_record_survives_the_round_trip(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(to_json([record]))
    assert read_records(tmp_path / "run.json") == [record]
    (tmp_path / "runs.json").write_text(to_json([record, record]))
    assert read_records(tmp_path / "runs.json") == [record, record]


def test_repricing_with_the_same_profile_changes_nothing(record: RunRecord) -> None:
    assert reprice(record, load_prices("horowitz45", None)) == record


def test_repricing_uses_the_new_prices(record: RunRecord, tmp_path: Path) -> None:
    import hybridnet.report.pricing.profiles

    content = yaml.safe_load((Path(hybridnet.report.pricing.profiles.__path__[0]) / "horowitz45.yaml").read_text())
    content["name"] = "double"
    del content["other_width"]
    for entry in content["prices"].values():
        entry.update({key: 2 * entry[key] for key in ("low", "reference", "high") if key in entry})
    (tmp_path / "double.yaml").write_text(yaml.safe_dump(content))
    doubled = reprice(record, load_prices(str(tmp_path / "double.yaml"), None))
    energies = [each.partition("ann").energy_pj for each in (doubled, record)]
    assert energies[0]
    assert energies[1]
    assert energies[0].reference == pytest.approx(2 * energies[1].reference)
    assert doubled.profile.name == "double"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "[]x", '{"schema": "hybridnet.run/99"}', f'{{"schema": "{SCHEMA}"}}', "[3]"]
)
def test_a_foreign_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(RecordError, match=r"run\.json"):
        read_records(tmp_path / "run.json")


def test_text_shows_every_partition_and_every_layer(record: RunRecord) -> None:
    text = render_document(run_document(record))
    for word in ("video reader", "snn", "bridge", "ann", "modelled", "measured on this host", "not priced", "SQNR"):
        assert word in text
    listed = render_document(Document("", (layers(record),)))
    assert all(row.name in listed for row in record.layers)


def test_numbers_read_well() -> None:
    assert [count(n) for n in (0, 999, 405504, 2_000_000)] == ["0", "999", "405.5 k", "2.0 M"]
    assert [joules(e) for e in (0.5, 1.5e6, 7.34e11)] == ["0.50 pJ", "1.50 µJ", "734.00 mJ"]


def test_what_an_int8_half_computes_in_float_is_priced_as_float(record: RunRecord) -> None:
    """Half of the ANN half in int8: its sum is that of both profiles, each over its own rows."""
    ann = [row for row in record.layers if row.partition == "ann"]
    integers = {row.name for row in ann[::2]}
    rows = tuple(
        dataclasses.replace(row, precision="int8") if row.partition == "ann" and row.name in integers else row
        for row in record.layers
    )
    mixed = reprice(dataclasses.replace(record, layers=rows), load_prices("horowitz45", "horowitz45-int8"))
    expected = 0.0
    for row in ann:
        energy = price(row.ops, load_profile("horowitz45-int8" if row.name in integers else "horowitz45"))
        expected += 0.0 if energy is None else energy.reference
    found = mixed.partition("ann").energy_pj
    assert found is not None
    assert found.reference == pytest.approx(expected)
    floats = sum(row.ops.macs for row in ann if row.name not in integers)
    assert any(f"{floats} float32 MACs" in note.text and "by horowitz45" in note.text for note in mixed.notes)


def test_a_float_half_may_be_priced_as_if_it_were_int8(record: RunRecord) -> None:
    as_int8 = reprice(record, load_prices("horowitz45-int8", None))
    energy = as_int8.partition("ann").energy_pj
    macs = sum(row.ops.macs for row in record.layers if row.partition == "ann")
    assert energy is not None
    assert energy.terms["mac"].reference == pytest.approx(0.3 * macs)
    assert any("what they would cost if they were" in note.text for note in as_int8.notes)


def test_what_is_contained_costs_nothing_beside_it() -> None:
    energy = price(Ops(bytes=100), load_profile("cpu"))
    assert energy is not None
    assert (energy.reference, energy.missing) == (0, ())
    assert price(Ops(bytes=100), load_profile("loihi2")) is None


@pytest.mark.parametrize("beside", ["", "tallies"])
def test_a_new_term_is_one_entry_one_count_and_one_line_per_profile_that_prices_it(
    beside: str, record: RunRecord, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The counter is that of `Ops.spikes`."""
    monkeypatch.setitem(TERMS, "tally", Term("pJ", lambda o: o.spikes, "tallies", "spikes that were sent", beside))
    spikes = sum(row.ops.spikes for row in record.layers)
    assert spikes
    for name in profile_names():
        assert left_out(load_profile(name))["tally"].kind is NoPrice.UNMENTIONED
    without = reprice(record, load_prices("horowitz45", None))
    assert without.totals.energy_pj.reference == record.totals.energy_pj.reference
    assert without.totals.energy_pj.missing == (() if beside else ("tally",))
    text = render_document(run_document(without))
    assert "energy excludes tally: the profile does not mention it" in text
    assert ("and tallies, modelled" in text) == bool(beside)

    line = "  tally: {low: 1.0, reference: 2.0, high: 3.0, unit: pJ, per: spike, source: us, grade: measured}\n"
    whole = shipped_text("horowitz45").replace("prices:\n", f"prices:\n{line}").replace("other_width: h", "# h")
    (tmp_path / "mine.yaml").write_text(whole)
    energy = reprice(record, load_prices(str(tmp_path / "mine.yaml"), None)).totals.energy_pj
    assert energy.terms["tally"] == Span(1.0 * spikes, 2.0 * spikes, 3.0 * spikes)
    assert energy.missing == ()


def test_a_profile_without_a_price_of_a_mac_prices_none(record: RunRecord) -> None:
    rows = tuple(dataclasses.replace(r, precision="int8") if r.partition == "ann" else r for r in record.layers)
    integers = dataclasses.replace(record, layers=rows)
    for name in profile_names():
        told = any("int8 MACs" in note.text for note in reprice(integers, load_prices(name, None)).notes)
        profile = load_profile(name)
        assert told == ("mac" in profile.priced and profile.arithmetic == "fp32"), name


def test_one_technology_in_two_arithmetics_is_told_as_such(record: RunRecord) -> None:
    mixed = reprice(record, load_prices("horowitz45", "horowitz45-int8"))
    assert any("mixes arithmetics: the ANN half is priced in int8, the rest in fp32" in n.text for n in mixed.notes)
    text = render_document(run_document(mixed))
    assert "MIXED TECHNOLOGIES" not in text


def test_a_record_of_an_older_version_is_refused_with_what_to_do(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(to_json([record]).replace(SCHEMA, "hybridnet.run/3"))
    with pytest.raises(RecordError, match=r"has schema 'hybridnet\.run/3'.*Run it again: `hybridnet simulate"):
        read_records(tmp_path / "run.json")


def test_nothing_priced_is_no_zero(record: RunRecord) -> None:
    silent = tuple(dataclasses.replace(row, ops=Ops(macs=row.ops.macs, bytes=row.ops.bytes)) for row in record.layers)
    text = render_document(
        run_document(reprice(dataclasses.replace(record, layers=silent), load_prices("tianjic", None)))
    )
    assert "Energy no price (–)" in text
    assert "0.00 pJ" not in text.split("Does spiking pay?")[0]


def test_a_priced_again_record_names_both_commands(record: RunRecord) -> None:
    once = reprice(record, load_prices("loihi2", None), "hybridnet report a.json --profile loihi2")
    assert f"{record.command} && hybridnet report a.json --profile loihi2\n" in render_document(run_document(once))
    again = reprice(once, load_prices("cpu", None), "x")
    assert (again.command, again.repriced_by) == (record.command, "x")


@pytest.mark.parametrize(
    ("path", "value", "match"),
    [
        (("layers", 0, "ops", "macs"), -5, "negative"),
        (("layers", 0, "ops", "macs"), 7, "counts of snn"),
        (("layers", 0, "energy_pj", "reference"), 7.0, "energy of snn"),
        (("totals", "energy_pj", "reference"), 1.0, "total energy"),
        (("partitions", 1, "share"), 7.0, "share of snn"),
        (("layers", 0, "ops", "macs"), 10**400, "no JSON|not JSON"),
    ],
)
def test_a_record_whose_sums_are_not_its_rows_is_refused(
    record: RunRecord, tmp_path: Path, path: tuple[Any, ...], value: object, match: str
) -> None:
    content = json.loads(to_json([record]))
    *way, last = path
    place = content
    for step in way:
        place = place[step]
    place[last] = value
    (tmp_path / "run.json").write_text(json.dumps(content))
    with pytest.raises(RecordError, match=match):
        read_records(tmp_path / "run.json")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_record_with_what_is_no_number_is_refused(record: RunRecord, tmp_path: Path, number: str) -> None:
    text = to_json([record]).replace(f'"latency_ms": {record.totals.latency_ms}', f'"latency_ms": {number}')
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(RecordError, match="is not JSON"):
        read_records(tmp_path / "run.json")


def test_a_record_without_a_partition_is_refused(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(to_json([dataclasses.replace(record, partitions=record.partitions[1:])]))
    with pytest.raises(RecordError, match="partitions"):
        read_records(tmp_path / "run.json")
