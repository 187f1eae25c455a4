"""A profile of prices: every number has a source, and a wrong one is refused."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers.places import ROOT
from helpers.price_profiles import shipped_text

from hybridnet.errors import RecordError
from hybridnet.report.pricing.profile import TERMS, left_out, load_profile, profile_names
from hybridnet.report.record.prices import NoPrice
from hybridnet.report.record.words import READER
from hybridnet.report.render.prices_page import prices_page


@pytest.mark.parametrize("name", profile_names())
def test_every_shipped_number_has_a_source(name: str) -> None:
    profile = load_profile(name)
    assert profile.priced
    assert all(entry.source and entry.grade for entry in profile.priced.values())
    assert {*profile.priced, *left_out(profile)} == {*TERMS, READER}
    assert all(why.text for why in left_out(profile).values())
    assert NoPrice.UNMENTIONED not in {why.kind for why in left_out(profile).values()}


def test_a_number_without_a_source_does_not_load(tmp_path: Path) -> None:
    import hybridnet.report.pricing.profiles

    content = yaml.safe_load((Path(hybridnet.report.pricing.profiles.__path__[0]) / "horowitz45.yaml").read_text())
    content["prices"]["mac"]["source"] = " "
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(RecordError, match="source"):
        load_profile(str(tmp_path / "mine.yaml"))
    with pytest.raises(RecordError, match="no such energy profile"):
        load_profile("nowhere")


def test_the_documented_prices_are_the_prices() -> None:
    page = ROOT / "docs" / "prices.md"
    assert page.read_text(encoding="utf-8") == prices_page(), "run `make docs`"


def test_the_profile_of_the_docs_loads(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "energy.md").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0])
    assert set(load_profile(str(tmp_path / "mine.yaml")).priced) == {"mac", "ac"}


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"prices": {"mac": {"source": " "}}}, "source"),
        ({"prices": {"mac": {"grade": "guessed"}}}, "grade"),
        ({"prices": {"mac": {"low": 5.0}}}, "ascending"),
        ({"prices": {"mac": {"high": float("inf")}}}, "a finite number"),
        ({"prices": {"mac": {"unit": "nJ"}}}, "Allowed: pJ, W"),
        ({"prices": {"mac": {"unit": "W"}}}, r"prices\.mac\.unit = 'W' is not allowed\. Allowed: pJ"),
        ({"prices": {"banana": {}}}, "also the fields low"),
        ({"prices": {"banana": {"kind": "unpublished", "reason": "no"}}}, "the terms mac, ac"),
        ({"prices": {"mac": {"kind": "unpublished"}}}, r"prices\.mac"),
        ({"prices": {"function": {"reason": " "}}}, "the reason why"),
        ({"prices": {"function": {"kind": "forgotten"}}}, "Allowed: contained, unpublished, left_out"),
        ({"prices": {"function": {"kind": "contained"}}}, "a term with kind `contained`"),
        ({"prices": {"function": {"contained_in": "mac"}}}, "a term with kind `contained`"),
        ({"prices": {"function": {"kind": "contained", "contained_in": "static_w"}}}, "contained_in"),
        ({"prices": {"function": 3}}, r"prices\.function"),
        ({"arithmetic": "fp8"}, "Allowed: fp32, int8, device"),
        ({"not_priced": {"mac": "as it was written"}}, r"not_priced = .*docs/energy\.md"),
        ({"prices": {"mac": {"high": 10**400}}}, "high"),
        ({"prices": {"mac": {"low": "1e-1"}}}, r"YAML reads 1\.0e-3"),
    ],
)
def test_a_profile_of_ones_own_is_checked(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    import hybridnet.report.pricing.profiles

    content = yaml.safe_load((Path(hybridnet.report.pricing.profiles.__path__[0]) / "horowitz45.yaml").read_text())
    for part, entries in change.items():
        if not isinstance(entries, dict):
            content[part] = entries
            continue
        for term, value in entries.items():
            if isinstance(value, dict):
                content[part].setdefault(term, {}).update(value)
            elif value is None:
                del content[part][term]
            else:
                content.setdefault(part, {})[term] = value
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(RecordError, match=match):
        load_profile(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("", "a mapping of fields"),
        ("[" * 5000, "YAML"),
        (shipped_text("horowitz45").replace("  leak:", "  ac:", 1), "ac is there twice"),
        (shipped_text("horowitz45-int8").replace("other_width: horowitz45", "other_width: nowhere"), "other_width"),
    ],
)
def test_a_damaged_profile_is_one_error(tmp_path: Path, content: str, match: str) -> None:
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(RecordError, match=match):
        load_profile(str(tmp_path / "mine.yaml"))
