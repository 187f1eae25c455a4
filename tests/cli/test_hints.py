"""What was mistyped is answered with what may be meant, and what does not fit with what would."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hybridnet.cli import main
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import CheckpointError
from hybridnet.model.weights_file import read_weights
from hybridnet.support.arrays import write_arrays

Captured = pytest.CaptureFixture[str]

MODULE = """
from torch import nn

class Pools(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 3)

    def forward(self, x):
        v = 0
        for step in x.unbind(1):
            v = v + self.fc(step)
            s = (v > 0.5).float()
            v = v - 0.5 * s
        return s

class Other(Pools):
    def __init__(self):
        super().__init__()
        self.more = nn.Linear(2, 2)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of a user's, weights of it, and inputs that fit, or do not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "hinted_net", raising=False)
    (tmp_path / "hinted_net.py").write_text(MODULE)
    torch.manual_seed(0)
    torch.save({"fc.weight": torch.randn(3, 6), "fc.bias": torch.zeros(3)}, "weights.pt")
    values = np.ones((2, 4, 6), np.float32)
    write_arrays(Path("x.npz"), {"x": values})
    write_arrays(Path("events.npz"), {"events": values})
    write_arrays(Path("wide.npz"), {"x": np.ones((2, 4, 7), np.float32)})
    Path("labels.txt").write_text("a\nb\n")
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("model", "more", "says"),
    [
        ("Pool", "--inputs x.npz", ["there is no Pool in hinted_net. Did you mean hinted_net:Pools?"]),
        ("Other", "--inputs x.npz", ["lacks more.weight", "If these are weights of another network, give its --model"]),
        ("Pools", "--inputs events.npz", ["events.npz: holds events and lacks x. Pools.forward takes x"]),
        ("Pools", "--inputs wide.npz", ["fc: forward fails on x (2, 4, 7) (RuntimeError", "what forward takes"]),
        ("Pools", "--inputs x.npz --labels labels.txt", ["2 labels do not fit", "logits (N, 3). Give 3 labels"]),
    ],
)
def test_an_export_that_fails_says_what_would_fit(model: str, more: str, says: list[str], capsys: Captured) -> None:
    assert main(["export", "weights.pt", "--model", f"hinted_net:{model}", *more.split(), "-o", "out"]) == 1
    told = capsys.readouterr().err
    for words in says:
        assert words in told


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("export a.pt --lables x", "did you mean --labels?"), ("simulate a.npz --bundel b", "did you mean --bundle?"),
     ("simulate a.npz --zzz", "--zzz (`hybridnet simulate --help` lists all)")],
)  # fmt: skip
def test_an_unknown_option_is_answered_with_the_nearest(typed: str, meant: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(typed.split())
    assert meant in capsys.readouterr().err


def test_arrays_without_samples_are_told_how_to_get_them(bundle: Bundle, tmp_path: Path, capsys: Captured) -> None:
    write_arrays(tmp_path / "one.npz", {n: np.zeros(s, np.float32) for n, s in bundle.manifest.model.inputs.items()})
    with_views = {n: np.zeros((1, *s), np.float32) for n, s in bundle.manifest.model.inputs.items()}
    name = next(iter(with_views))
    with_views[name] = with_views[name][0]
    with_views = {n: v if n == name else np.repeat(v, len(with_views[name]), 0) for n, v in with_views.items()}
    write_arrays(tmp_path / "one.npz", with_views)
    assert main(["simulate", str(tmp_path / "one.npz"), "--bundle", str(bundle.path)]) == 1
    assert "It has no axis of samples: x[None] adds it" in capsys.readouterr().err


class Whole(nn.Module):
    """Pickled as it is."""

    def forward(self, x: Tensor) -> Tensor:
        """Nothing."""
        return x


def test_a_pickled_module_is_called_an_object_of_its_class(tmp_path: Path) -> None:
    torch.save(Whole(), tmp_path / "whole.pt")
    with pytest.raises(CheckpointError, match=rf"holds an object of class {Whole.__module__}.Whole"):
        read_weights(tmp_path / "whole.pt")


@pytest.mark.usefixtures("folder")
def test_arrays_that_do_not_fit_the_default_model_say_that_it_was_not_chosen(capsys: Captured) -> None:
    assert main(["simulate", "x.npz"]) == 1
    said = capsys.readouterr().err
    assert "lacks i_frame, motion_vectors, residuals" in said
    assert "No --bundle was given, so the model that ships, gesture, was run; give --bundle DIR" in said
