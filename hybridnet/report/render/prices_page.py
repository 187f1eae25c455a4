"""The page that lists every price, made from the profiles themselves, so that it cannot differ from them."""

from __future__ import annotations

from collections.abc import Sequence

from hybridnet.report.pricing.profile import TERMS, Profile, left_out, load_profile, profile_names
from hybridnet.report.render.markdown import escape

HEAD = """# Prices

Made from `hybridnet/report/pricing/profiles` by `make docs`. Grades: *measured* on hardware, *simulated*, *datasheet*,
*secondary* (read in a work that cites the source), *derived* (computed from such numbers). How they are used:
[energy](energy.md).
"""


def prices_page() -> str:
    """All profiles, as Markdown; of one that only adds prices to another, these."""
    profiles = [load_profile(name) for name in profile_names()]
    return "\n".join((HEAD, *(_profile(p, _base_of(p, profiles)) for p in profiles)))


def _base_of(p: Profile, profiles: Sequence[Profile]) -> Profile | None:
    """The profile all of whose prices are among those of another."""
    return next((q for q in profiles if q is not p and q.priced.items() <= p.priced.items()), None)


def _profile(p: Profile, base: Profile | None) -> str:
    known = {} if base is None else base.priced
    rows = [
        f"| {term} | {price.low:g} | {price.reference:g} | {price.high:g} | {price.full_unit} | {price.grade} |"
        f" {escape(price.source)} |"
        for term in TERMS
        if (price := p.priced.get(term)) is not None and term not in known
    ]
    missing = ["\nNot priced:\n", *(f"- {term}: {escape(why.text)}" for term, why in left_out(p).items())]
    added = "" if base is None else f" All prices of [`{base.name}`](#{base.name}), and:"
    return "\n".join(
        (
            f"## {p.name}\n\n{escape(p.description)}\n",
            f"Technology: {escape(p.technology)}. Arithmetic: {p.arithmetic}.{added}\n",
            "| price | low | reference | high | unit | grade | source |",
            "|---|--:|--:|--:|---|---|---|",
            *rows,
            *(missing if base is None else ()),
            "",
        )
    )
