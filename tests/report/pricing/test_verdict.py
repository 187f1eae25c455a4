"""The verdict against the counts of the run, recomputed by hand; what would turn it turns it; advice keeps its word."""

from __future__ import annotations

import dataclasses
import math

import pytest

from hybridnet.report.numbers import joules
from hybridnet.report.pricing.advice import levers
from hybridnet.report.pricing.price import load_prices, reprice
from hybridnet.report.pricing.profile import load_profile, profile_names
from hybridnet.report.pricing.verdict import judge
from hybridnet.report.pricing.ways import information_bits
from hybridnet.report.quantities import Ops, total_ops
from hybridnet.report.record.data import LayerRow, RunRecord
from hybridnet.report.record.int8 import Int8Ann
from hybridnet.report.record.verdict import CROSSED, RATE, STEPS, SYNAPSES, Answer, Turn, Verdict, pays_against
from hybridnet.report.render.sections_verdict import short_verdict, turning_sentence

STEPS_OF_THE_RECORD = 3


def judged(
    rows: tuple[LayerRow, ...], steps: int = STEPS_OF_THE_RECORD, views: int = 1, profile: str = "horowitz45"
) -> Verdict:
    verdict = judge(rows, views, steps, load_profile(profile))
    assert verdict is not None
    return verdict


def row(name: str, kind: str, carried: str, synapses: int | None, **ops: int) -> LayerRow:
    partition = "bridge" if synapses is None else "snn"
    return LayerRow(partition, name, kind, carried, (1,), None, Ops(**ops), None, synapses, None)  # type: ignore[arg-type]


ROWS = (
    row("a", "neurons", "analog", 500, macs=100, dense_macs=4000, neuron_updates=40, leak_multiplies=40, spikes=9),
    row("b", "neurons", "spike", 1000, acs=300, dense_macs=8000, neuron_updates=80, spikes=3),
    row("x", "message", "analog", None, bytes=2),
    row("b_u", "potential", "analog", None, bytes=1),
)
"""Four steps of one view: small enough to be done by hand."""


def test_every_way_is_its_counts_times_its_prices() -> None:
    v = judged(ROWS, steps=4)
    events = 100 * 0.3 + 300 * 0.1 + 120 * 0.2 + 40 * 3.1
    assert v.events_pj.reference == pytest.approx(events)
    assert v.bridge_pj.reference == pytest.approx(3 * 162.5)
    costs = {way.name: way.energy_pj.reference for way in v.ways}
    assert costs == pytest.approx(
        {
            "events (this run), with their bridge": events + 3 * 162.5,
            "plain float32 host, dense": 12000 * 4.6,
            "plain int8 host, dense": 12000 * 0.3,
            "ideal int8 host that skips zeros for free": 400 * 0.3,
            "ideal 3-bit host, in equal information": 4000 * 0.3 + 2000 * (0.1 + 0.2 * 3 / 8),
        }
    )
    assert [way.macs for way in v.ways] == [100, 12000, 12000, 400, 6000]
    assert (v.pays, v.pays_at_reference, v.cheapest.name) == (
        "depends" if v.ways[0].energy_pj.low < 400 * 0.3 else "no",
        False,
        "ideal int8 host that skips zeros for free",
    )
    assert v.analog_macs == {"a": 100}
    assert v.rate == 300 / 8000
    assert v.spikes_per_synapse == 300 / 1000


def test_bits_of_equal_information() -> None:
    assert [information_bits(t) for t in (1, 5, 11)] == [1, 3, 4]
    assert all(information_bits(t) == math.ceil(math.log2(t + 1)) for t in range(1, 600))


def test_the_front_is_in_every_way_and_the_bridge_in_one() -> None:
    front = dataclasses.replace(ROWS[0], partition="front", synapses=None, precision="fp32", ops=Ops(macs=10))
    without, with_front = judged(ROWS, steps=4), judged((front, *ROWS), steps=4)
    for one, other in zip(without.ways, with_front.ways, strict=True):
        assert other.energy_pj.reference == pytest.approx(one.energy_pj.reference + 46)


@pytest.mark.parametrize(
    ("acs", "crossing", "pays"),
    [(10, 0, "yes"), (10, 10**6, "no"), (10_000, 0, "depends"), (10, 7, "depends")],
)
def test_a_verdict_is_sure_over_the_whole_range_of_prices_or_is_not(acs: int, crossing: int, pays: str) -> None:
    """A spike takes 0.03 to 0.1 pJ, an ANN that skips zeros 0.23 to 0.3 in its place, and a byte 12.5 to 325."""
    rows = (
        row("b", "neurons", "spike", 9, acs=acs, dense_macs=10**6),
        row("x", "message", "analog", None, bytes=crossing),
    )
    found = judged(rows, steps=4)
    spiking, best = found.ways[0].energy_pj, found.cheapest.energy_pj
    assert (spiking.low, spiking.high) == pytest.approx((0.03 * acs + 12.5 * crossing, 0.1 * acs + 325 * crossing))
    assert best.low == pytest.approx(0.23 * acs)
    assert found.pays == ("yes" if spiking.high < best.low else "no" if spiking.low >= best.high else "depends")
    assert pays in {found.pays, "depends"}


def changed(rows: tuple[LayerRow, ...], turn: Turn, to: float) -> tuple[LayerRow, ...]:
    """The same run with one quantity changed, by its definition."""
    factor, out = to / turn.now, []
    for r in rows:
        o = r.ops
        if turn.quantity == RATE:
            o = dataclasses.replace(o, acs=round(o.acs * factor), spikes=round(o.spikes * factor))
        elif turn.quantity == CROSSED:
            o = dataclasses.replace(o, bytes=round(o.bytes * factor))
        elif turn.quantity == SYNAPSES:
            scaled = {name: round(getattr(o, name) * factor) for name in ("macs", "acs", "dense_macs")}
            o = dataclasses.replace(o, **scaled)
        out.append(dataclasses.replace(r, ops=o))
    return tuple(out)


def test_what_would_turn_it_turns_it() -> None:
    scale = 10**6
    big = tuple(
        dataclasses.replace(
            r, ops=Ops(**{k: v * (scale if r.partition == "snn" else scale // 10) for k, v in vars(r.ops).items()})
        )
        for r in ROWS
    )
    v = judged(big, steps=4)
    assert not v.pays_at_reference
    found = [t for t in v.turns if t.quantity != STEPS and t.low is not None]
    assert found
    for turn in found:
        for end, inside in ((turn.low, 1.001), (turn.high, 0.999)):
            if end:
                assert judged(changed(big, turn, end * inside), steps=4).pays_at_reference, turn
                assert not judged(changed(big, turn, end * (2 - inside)), steps=4).pays_at_reference, turn


@pytest.mark.parametrize("name", profile_names())
def test_one_verdict_by_every_profile(record: RunRecord, name: str) -> None:
    again = reprice(record, load_prices(name, None))
    assert again.verdict is not None
    assert again.verdict.profile in {name, "horowitz45-int8", "horowitz45-int8-memory"}
    assert again.verdict.steps == STEPS_OF_THE_RECORD


def test_the_verdict_of_a_run_is_that_of_its_rows(record: RunRecord) -> None:
    v = record.verdict
    assert v is not None
    own = total_ops(r.ops for r in record.layers if r.partition == "snn")
    crossed = total_ops(r.ops for r in record.layers if r.partition == "bridge")
    assert v.events_pj.reference == pytest.approx(
        0.3 * own.macs + 0.1 * own.acs + 0.2 * own.neuron_updates + 3.1 * own.leak_multiplies
    )
    assert v.bridge_pj.reference == pytest.approx(162.5 * crossed.bytes)
    assert {w.name: w.macs for w in v.ways}["plain int8 host, dense"] == own.dense_macs


def test_advice_is_for_the_dearest_terms(record: RunRecord) -> None:
    found = levers(record)
    assert sum(len(lever.terms) for lever in found) == 3
    assert [lever.energy_pj for lever in found] == sorted((lever.energy_pj for lever in found), reverse=True)
    assert all("hybridnet train" in lever.line or "hybridnet calibrate" in lever.line for lever in found)
    assert any(lever.most_pj is not None for lever in found)


def test_advice_on_int8_promises_what_the_graph_that_would_run_saves(record: RunRecord) -> None:
    """Half of the nodes are int8 in the other graph."""
    ann = [r for r in record.layers if r.partition == "ann"]
    halves = {"int8": total_ops(r.ops for r in ann[::2]), "fp32": total_ops(r.ops for r in ann[1::2])}
    has_both = dataclasses.replace(record, int8_ann=Int8Ann(halves, in_bundle=True))
    integers = {r.name for r in ann[::2]}
    ran = tuple(
        dataclasses.replace(r, precision="int8") if r.partition == "ann" and r.name in integers else r
        for r in record.layers
    )
    then = reprice(dataclasses.replace(record, layers=ran), load_prices("horowitz45", None))
    saved = record.totals.energy_pj.reference - then.totals.energy_pj.reference
    lever = next(lever for lever in levers(has_both) if lever.place == "ann")
    assert lever.saved_pj == pytest.approx(saved)
    assert "--ann onnxruntime-int8" in lever.line


def test_sentences_say_at_which_prices_and_beside_whom(record: RunRecord) -> None:
    verdict = record.verdict
    assert verdict is not None

    def sentence(pays: Answer, at_reference: bool) -> str:
        v = dataclasses.replace(verdict, pays=pays, pays_at_reference=at_reference)
        return short_verdict(dataclasses.replace(record, verdict=v))

    assert sentence("depends", True).startswith("Spiking pays at reference prices, not at all prices of their range:")
    assert sentence("depends", False).startswith("Spiking does not pay at reference prices, but does at some of their")
    assert sentence("yes", True).startswith("Spiking pays:")
    assert sentence("no", False).startswith("Spiking does not pay:")
    plain = verdict.plain
    assert plain is not None
    word = {"yes": "pays", "no": "does not pay", "depends": "is open"}
    answer = word[pays_against(verdict.ways[0].energy_pj, [plain.energy_pj])]
    assert sentence("no", False).endswith(
        f"Against plain dense int8 ({joules(plain.energy_pj.reference)}) it {answer}."
    )


def test_the_cheapest_rival_is_called_ideal_and_what_turns_it_is_a_clause() -> None:
    big = tuple(dataclasses.replace(r, ops=Ops(**{k: v * 10**5 for k, v in vars(r.ops).items()})) for r in ROWS)
    v = judged(big, steps=4)
    assert v.cheapest.name.startswith("ideal")
    told = turning_sentence(v)
    assert "spikes reach 3.75 % of the synapses in a step" in told or "of the synapses in a step (now 3.75 %)" in told
    turn = dataclasses.replace(v.turns[2], low=40.1, high=None)
    told = turning_sentence(dataclasses.replace(v, turns=(turn,)))
    assert "pays where, all else being as it is, each neuron has 40.1 × the synapses or more." in told


def test_a_verdict_says_that_memory_is_in_neither(record: RunRecord) -> None:
    assert "memory" not in short_verdict(record)
    priced = reprice(record, load_prices("horowitz45-int8-memory", None))
    assert "memory left out of both" in short_verdict(priced)
