"""Tables of documents as CSV: the numbers behind the text, their units, and nothing that a spreadsheet would run."""

import csv
import io

from hybridnet.report.document import Document, Section, Table, facts
from hybridnet.report.numbers import NONE, Number, count, decibels, figure, joules, share, size
from hybridnet.report.render.csv import render_tables
from hybridnet.report.render.text import render_document


def rows(*sections: Section) -> list[list[str]]:
    return list(csv.reader(io.StringIO(render_tables([Document("d", sections)]))))


def test_numbers_keep_their_values_and_columns_their_units() -> None:
    table = Table(("layer", "bytes", "SQNR", "rate"), (("=a", size(1536), decibels(None), share(0.123456)),))
    assert rows(Section("S", table=table)) == [
        ["section", "layer", "bytes [B]", "SQNR [dB]", "rate"],
        ["S", "'=a", "1536", "exact", "0.123456"],
    ]


def test_facts_have_their_unit_with_the_name_and_what_is_not_there_is_empty() -> None:
    found = rows(Section("S", table=facts(("energy", joules(1.5e6)), ("speed", figure(None)), ("none", ""))))
    assert found == [["section", "name", "value"], ["S", "energy [pJ]", "1500000.0"], ["S", "speed", ""]]


def test_every_row_is_there_though_a_terminal_shows_some() -> None:
    table = Table(("n",), tuple((count(n),) for n in range(9)), 0, shown=4)
    assert len(rows(Section("S", table=table))) == 10
    assert render_document(Document("d", (Section("S", table=table),))).endswith("3\n… and 5 more rows\n")


def test_a_number_is_read_as_its_text() -> None:
    assert (count(405504), size(999), figure(2.5, ".1f", "px"), share(None)) == ("405.5 k", "999 B", "2.5 px", NONE)
    assert Number("many", 12).value == 12
