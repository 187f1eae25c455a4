"""docs/worked-examples.md shows what its two networks give."""

import sys
from pathlib import Path

import pytest
from helpers.places import ROOT

from hybridnet.cli import main


@pytest.mark.parametrize("name", ["Residual", "PooledImage"])
def test_the_page_shows_what_is_placed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    monkeypatch.chdir(tmp_path)
    import by_hand  # type: ignore[import-not-found]

    by_hand.main(tmp_path)
    assert main(["export", f"{name}.pt", "--model", f"by_hand:{name}", "-o", name, "--full"]) == 0
    told, _, _ = capsys.readouterr().out.partition("\n\nParity (")
    assert "Placed 2 of 2 spiking layers on the chip." in told
    assert told in (ROOT / "docs" / "worked-examples.md").read_text(encoding="utf-8")
    assert main(["simulate", f"{name}.npz", "--bundle", name]) == 0
    assert f"{name}.npz: 4 samples" in capsys.readouterr().out
    sys.modules.pop("by_hand")
