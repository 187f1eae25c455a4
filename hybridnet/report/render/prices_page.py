"""The page that lists every price, made from the profiles themselves, so that it cannot differ from them."""

from __future__ import annotations

from hybridnet.report.pricing.profile import TERMS, Profile, left_out, load_profile, profile_names
from hybridnet.report.render.markdown import escape

HEAD = """# Prices

Made from `hybridnet/report/pricing/profiles` by `make docs`. Grades: *measured* on hardware, *simulated*, *datasheet*,
*secondary* (read in a work that cites the source), *derived* (computed from such numbers). How they are used:
[energy](energy.md).
"""


def prices_page() -> str:
    """All profiles, as Markdown."""
    return "\n".join((HEAD, *(_profile(load_profile(name)) for name in profile_names())))


def _profile(p: Profile) -> str:
    rows = [
        f"| {term} | {price.low:g} | {price.reference:g} | {price.high:g} | {price.full_unit} | {price.grade} |"
        f" {escape(price.source)} |"
        for term in TERMS
        if (price := p.priced.get(term)) is not None
    ]
    missing = [f"- {term}: {escape(why.text)}" for term, why in left_out(p).items()]
    return "\n".join(
        (
            f"## {p.name}\n\n{escape(p.description)}\n",
            f"Technology: {escape(p.technology)}. Arithmetic: {p.arithmetic}.\n",
            "| price | low | reference | high | unit | grade | source |",
            "|---|--:|--:|--:|---|---|---|",
            *rows,
            "\nNot priced:\n",
            *missing,
            "",
        )
    )
