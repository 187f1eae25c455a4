"""What is installed, and what works: every back-end is tried, not assumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hybridnet.errors import HybridNetError
from hybridnet.report.document import Document, Section, Table, facts
from hybridnet.report.numbers import plural
from hybridnet.simulators import registry
from hybridnet.support.kernels import KEEP, are_kept
from hybridnet.support.optional import PACKAGES, optional
from hybridnet.support.plain import json_text
from hybridnet.workflows import simulate
from hybridnet.workflows.record import environment

SCHEMA = "hybridnet.doctor/1"

LOOPS_ARE_LOST = f"no folder for them can be written, so each start compiles them for seconds. {KEEP}"


@dataclass(frozen=True)
class Trial:
    """One thing that was tried.

    Attributes:
        kind: `snn` and `ann`, back-ends of that half, `package`, or `loops`, which Numba compiles.
        problem: Why it fails and what to do; empty if it works.
        optional: Whether hybridnet works without it.
    """

    kind: str
    name: str
    problem: str
    optional: bool


@dataclass(frozen=True)
class Examination:
    """What was found on this machine; `bundle` is the one that back-ends ran one view of zeros of."""

    schema: str
    environment: dict[str, str]
    bundle: str
    model: str
    trials: tuple[Trial, ...]

    @property
    def failed(self) -> bool:
        """Whether something fails that hybridnet needs."""
        return any(trial.problem and not trial.optional for trial in self.trials)


def examine() -> Examination:
    """Let each back-end run one view of zeros, and import each optional package.

    Raises:
        HybridNetError: If there is no bundle to run, or it is damaged.
    """
    bundle = simulate.load()
    trials = [
        Trial(half, name, _problem(partial(entry.attempt, bundle)), entry.optional)
        for half, entries in (("snn", registry.SPIKING), ("ann", registry.ANN_ENTRIES))
        for name, entry in entries.items()
    ]
    trials += [Trial("package", p.name, _problem(partial(optional, module)), True) for module, p in PACKAGES.items()]
    trials.append(Trial("loops", "kept for the next start", "" if are_kept() else LOOPS_ARE_LOST, True))
    return Examination(SCHEMA, environment(), str(bundle.path), bundle.manifest.model.name, tuple(trials))


def doctor_document(found: Examination) -> Document:
    """What works and what does not, what does not first; then versions."""
    bundle = ("bundle", f"{found.bundle}: {found.model}, checksums right")
    ordered = sorted(found.trials, key=lambda trial: not trial.problem)
    rows = tuple((trial.kind, trial.name, trial.problem or "works") for trial in ordered)
    failed = sum(bool(trial.problem) for trial in found.trials)
    sections = (
        Section("", lines=(f"{failed} of {plural(len(rows), 'trial')} failed.",)),
        Section("Tried", "each back-end on one view of zeros", table=Table(("kind", "name", "outcome"), rows, left=3)),
        Section("Installed", table=facts(*found.environment.items(), bundle), folded=True),
    )
    return Document("hybridnet: what works on this machine", sections)


def to_json(found: Examination) -> str:
    """What was found as JSON, ending in a newline."""
    return json_text({**dataclasses.asdict(found), "failed": found.failed})


def _problem(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except HybridNetError as error:
        return str(error)
    return ""
