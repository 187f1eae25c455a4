"""An audit of a published table as a report."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hybridnet.report.document import Document, Section, Table
from hybridnet.report.numbers import NONE, figure, joules, points, share
from hybridnet.report.pricing.audit import Verdict
from hybridnet.report.pricing.profile import Profile, load_profile, profile_names
from hybridnet.support.plain import json_text

SCHEMA = "hybridnet.audit/1"


def audit_document(name: str, verdicts: Sequence[Verdict], profile: Profile) -> Document:
    """The audit as a report."""
    good = sum(v.reproduces for v in verdicts)
    rows = tuple(
        (
            v.row.method,
            "within rounding" if v.reproduces else "DOES NOT REPRODUCE",
            v.row.tflops.text,
            "" if v.row.spikes is None else v.row.spikes.text,
            figure(v.computed_j, ".4g"),
            figure(v.interval.low, ".4g"),
            figure(v.interval.high, ".4g"),
            v.row.energy.text,
            points(v.row.energy.value / v.computed_j - 1) if v.computed_j else NONE,
        )
        for v in sorted(verdicts, key=lambda v: v.reproduces)
    )
    heading = ("method", "verdict", "TFLOPs", "spike GOPs", "derived J", "from J", "to J", "printed J", "off %")
    mac, ac = profile.priced["mac"], profile.priced["ac"]
    sections = [
        Section(
            "", lines=(f"{good} of {len(verdicts)} rows of {name} reproduce within the rounding of their inputs.",)
        ),
        Section(
            "Rows",
            f"derived with {profile.name}: {mac.reference:g} pJ a MAC, {ac.reference:g} pJ an accumulate",
            table=Table(heading, rows, left=2),
            notes=("One FLOP is taken as one MAC, as the table's text does. Rows that do not reproduce come first.",),
        ),
        *(_explained(v) for v in verdicts if not v.reproduces),
        *(_elsewhere(v, mac.reference) for v in verdicts if v.row.spikes is not None),
    ]
    return Document(f"hybridnet: audit of {name}", tuple(sections))


def _explained(v: Verdict) -> Section:
    lines = (*(f"would explain it: {name}" for name in v.explanations), *(f"would not: {name}" for name in v.refuted))
    return Section(f"{v.row.method}: what could be behind it", "each tried alone; the data cannot tell which", lines)


def _elsewhere(v: Verdict, mac: float) -> Section:
    """The same spiking operations at other published prices, and who is cheaper."""
    gops, ann = 0.0 if v.row.spikes is None else v.row.spikes.value, v.row.tflops.value * mac
    rows = []
    for name in profile_names():
        ac = load_profile(name).priced.get("ac")
        if ac is not None:
            term = gops * 1e9 * ac.reference
            total = term + ann * 1e12
            rows.append((name, figure(ac.reference, "g"), joules(term), share(term / total if total else None)))
    cheaper = f"Less energy is printed for: {', '.join(v.cheaper)}." if v.cheaper else "No row is printed with less."
    return Section(
        f"{v.row.method}: its spikes at other prices",
        "the ANN term as above",
        (cheaper,),
        Table(("profile", "pJ an accumulate", "spiking term", "share of the total"), tuple(rows)),
        folded=True,
    )


def to_json(name: str, verdicts: Sequence[Verdict], profile: Profile) -> str:
    """The audit as JSON, ending in a newline; energies in J, numbers of the table as they are printed."""
    rows = [
        dataclasses.asdict(v)
        | {
            "row": {
                "method": v.row.method,
                "ann_tflops": v.row.tflops.text,
                "spike_gops": None if v.row.spikes is None else v.row.spikes.text,
                "energy_j": v.row.energy.text,
            }
        }
        for v in verdicts
    ]
    return json_text({"schema": SCHEMA, "table": name, "profile": profile.name, "rows": rows})
