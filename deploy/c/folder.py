"""The folder of a program in C: NAME.c, NAME.h, a test of them, and a Makefile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from hybridnet.deploy.c.bench import BUILT, Sums, bench_text, makefile_text
from hybridnet.deploy.c.header import MARK, header_text
from hybridnet.deploy.c.parts import Plan
from hybridnet.deploy.c.source import source_text
from hybridnet.deploy.c.text import identifier
from hybridnet.report.document import Section, Table
from hybridnet.report.numbers import plural, size
from hybridnet.support.files import atomic_folder, check_replaceable

MAKEFILE = "Makefile"


def name_of(folder: Path) -> str:
    """How the C of a folder is called: as the folder, in what C takes; `snn_…` where that begins with no letter."""
    words = identifier("", folder.resolve().name).lstrip("_")
    return words if words[:1].isalpha() else identifier("snn", words)


def check_c_folder(path: Path, *, overwrite: bool) -> None:
    """Refuse a folder that `write_c` would refuse.

    Raises:
        OutputExistsError: If something is there that is not to be replaced.
    """
    check_replaceable(path, overwrite=overwrite, foreign=_foreign)


def write_c(path: Path, plan: Plan, expected: Sequence[Mapping[str, Sums]], *, overwrite: bool = False) -> None:
    """Write the folder, whole or not at all.

    Args:
        path: The folder.
        plan: Plan of the program.
        expected: What its test holds it against; see `hybridnet.deploy.c.bench`.
        overwrite: Replace a folder that this wrote.

    Raises:
        OutputExistsError: If something is there that is not to be replaced.
    """
    name = plan.name
    with atomic_folder(path, overwrite=overwrite, foreign=_foreign) as folder:
        for file, text in (
            (f"{name}.h", header_text(plan)),
            (f"{name}.c", source_text(plan)),
            (f"{name}_test.c", bench_text(plan, expected)),
            (MAKEFILE, makefile_text(name)),
        ):
            (folder / file).write_text(text, encoding="utf-8")


def size_section(path: Path, plan: Plan) -> Section:
    """Flash and RAM of each population, counted from the program."""
    flash = {n.name: sum(table.size_bytes for table in n.tables) for n in plan.neurons}
    rows = [(store.node, size(flash.get(store.name, 0)), size(store.size_bytes)) for store in plan.stores]
    rows.append(("all", size(plan.flash_bytes), size(plan.ram_bytes)))
    lines = (
        f"wrote {path}/{plan.name}.c and .h, {plural(len(plan.neurons), 'population')}; `make check` there tests them",
        "flash: tables, the code comes on top (`make size`); RAM: the state, the messages come on top",
    )
    return Section("C", "counted", table=Table(("population", "flash", "RAM"), tuple(rows), left=1), lines=lines)


def _foreign(folder: Path) -> str:
    """Why a folder is not one that `write_c` wrote; empty if it is."""
    makefile = folder / MAKEFILE
    if not makefile.is_file() or not makefile.read_bytes()[:99].startswith(f"# {MARK}".encode()):
        return f"is no C of hybridnet (it has no {MAKEFILE} of ours)"
    made = {path.name.removesuffix("_test.c") for path in folder.glob("*_test.c")}
    known = {MAKEFILE, *(f"{name}{end}" for name in made for end in (".c", ".h", "_test.c", *BUILT))}
    strange = sorted(path.name for path in folder.iterdir() if path.name not in known)
    return f"holds {strange[0]}, which is not of it" if strange else ""
