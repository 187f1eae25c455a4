"""Any report fits a screen, what is left out is announced, and what is a command or a remedy stays whole."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.report.document import Document, Section, Table, facts
from hybridnet.report.render.fitted import COLUMNS, LINES, REST, fitted, height
from hybridnet.report.render.text import render_document

WORDS = st.integers(0, 60).map(lambda n: " ".join("λabc"[: 1 + k % 4] for k in range(n)))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    columns, count = draw(st.integers(1, 12)), draw(st.integers(0, 30))
    widths = draw(st.lists(st.integers(0, 60), min_size=columns, max_size=columns))
    rows = tuple(tuple(("abc efgh 1 " * 6)[n % 3 : width + n % 2].strip() for width in widths) for n in range(count))
    heading = draw(st.sampled_from([("name",) * columns, ()])) if rows else ("name",) * columns
    return Table(heading, rows, draw(st.integers(0, columns)), shown=draw(st.sampled_from([0, 5])))


SECTIONS = st.builds(
    Section,
    st.sampled_from(["", "A title"]),
    lines=st.lists(WORDS, max_size=20).map(tuple),
    table=st.none() | tables(),
    notes=st.lists(WORDS, max_size=3).map(tuple),
    folded=st.booleans(),
)


@settings(max_examples=80, deadline=None)
@given(SECTIONS, st.lists(SECTIONS, max_size=5))
def test_every_report_fits_a_screen(first: Section, others: list[Section]) -> None:
    opened = Section(first.title, lines=("what it is", *first.lines), table=first.table, notes=first.notes)
    document = Document("d", (opened, *others))
    text = render_document(fitted(document))
    lines = text.splitlines()
    assert len(lines) <= LINES
    assert max(map(len, lines)) <= COLUMNS
    if any(part.folded for part in document.sections):
        assert lines[-1] == REST


def test_a_report_that_fits_is_as_it_was() -> None:
    document = Document("d", (Section("A", lines=("one",), table=Table(("n", "m"), (("a", "1"),))),))
    assert fitted(document) == document
    assert REST not in render_document(fitted(document))


def test_the_longest_table_gives_rows_first() -> None:
    long = Section("long", table=Table(("n",), tuple((str(n),) for n in range(90))))
    short = Section("short", table=Table(("n",), tuple((str(n),) for n in range(6))), notes=("kept",))
    text = render_document(fitted(Document("d", (long, short))))
    assert len(text.splitlines()) == LINES
    assert "more rows" in text
    assert "kept" in text
    assert text.endswith(f"{REST}\n")


def test_commands_and_remedies_stay_whole() -> None:
    command = "hybridnet simulate " + " ".join(f"clip-{n}.mp4" for n in range(20))
    for table in (facts(("next", command)), Table(("rule", "remedy"), (("F1", command),), left=2)):
        text = render_document(fitted(Document("d", (Section("s", table=table),))))
        assert [word for word in text.split() if word.startswith("clip-")] == command.split()[2:]
        assert REST not in text


def test_a_table_that_is_too_wide_is_cut_and_says_so() -> None:
    table = Table(("layer", *"abcdefgh"), (("x" * 150, *("1234567890",) * 8),))
    text = render_document(fitted(Document("d", (Section("s", table=table),))))
    assert "…" in text
    assert text.endswith(f"{REST}\n")


def test_height_is_that_of_the_text() -> None:
    for table in (None, Table(("n",), ()), Table(("n",), (("1",), ("2",)), shown=1), facts(("a", "b"))):
        part = Section("t", lines=("one", "two"), table=table, notes=("note",))
        assert height(part) == len(render_document(Document("d", (part,))).splitlines())
