"""Saliency: what it is, on variants of every kind, and where it must not point."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small_model import SMALL
from torch import Tensor

from hybridnet.cli import main
from hybridnet.config import ModelConfig
from hybridnet.explain.saliency import saliency
from hybridnet.explain.saliency_plot import draw_saliency
from hybridnet.model.checkpoint import Checkpoint, save_checkpoint
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.support.figures import save_figure
from hybridnet.video import make_clip


def built(**changes: object) -> HybridNet:
    torch.manual_seed(0)
    return HybridNet(dataclasses.replace(SMALL, **changes)).eval()  # type: ignore[arg-type]


def noise(config: ModelConfig, views: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {name: torch.rand(x.shape, generator=generator) - 0.5 for name, x in example_inputs(config, views).items()}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"order": "ls-t-gs"},
        {"order": "ls-gs-t"},
        {"encoder": "separate"},
        {"encoder": "cross"},
        {"mixer": False},
        {"pooling": "class_token"},
        {"modalities": ("mv",)},
        {"stm": dataclasses.replace(SMALL.stm, kind="none")},
    ],
)
def test_every_variant_has_evidence_that_sums_to_one(changes: dict[str, object]) -> None:
    model = built(**changes)
    found = saliency(model, noise(model.config))
    assert tuple(found.maps) == model.config.modalities
    side = -(-model.config.preprocess.crop // model.config.patch)
    total = torch.zeros(3)
    for maps in found.maps.values():
        assert maps.shape == (3, side, side)
        assert not maps.requires_grad
        assert (maps >= 0).all()
        total += maps.sum((1, 2))
    torch.testing.assert_close(total, torch.ones(3))
    assert sum(found.share(m) for m in found.maps) == pytest.approx(1)


def test_it_is_token_times_gradient_of_the_class() -> None:
    model = built().double()
    inputs = {name: x.double() for name, x in noise(model.config, 1).items()}
    found = saliency(model, inputs, label=1)
    tokens = model.get_submodule("patch_i")(inputs["i_frame"]).detach()
    changed: dict[str, Tensor] = {}
    handle = model.get_submodule("patch_i").register_forward_hook(lambda *_: changed["tokens"])
    evidence = np.zeros(tokens.shape[1])
    with torch.no_grad():
        for patch in range(tokens.shape[1]):
            logits = []
            for scale in (1 + 1e-6, 1 - 1e-6):  # d logit / d scale of a token at 1 is token · gradient
                changed["tokens"] = tokens.clone()
                changed["tokens"][:, patch] *= scale
                logits.append(model(**inputs)[0, 1].item())
            evidence[patch] = max(0.0, (logits[0] - logits[1]) / 2e-6)
    handle.remove()
    got = found.maps["i"].flatten().numpy()
    np.testing.assert_allclose(got / got.sum(), evidence / evidence.sum(), atol=1e-6)


def test_the_label_is_the_predicted_class_unless_asked() -> None:
    model = built()
    inputs = noise(model.config)
    with torch.no_grad():
        mean = model(**inputs).mean(0)
    assert saliency(model, inputs).label == int(mean.argmax())
    asked = saliency(model, inputs, label=0)
    assert asked.label == 0
    assert asked.score == pytest.approx(float(mean.softmax(0)[0]))


def test_an_input_without_influence_has_no_evidence() -> None:
    model = built()
    with torch.no_grad():
        for parameter in model.get_submodule("patch_r").parameters():
            parameter.zero_()
    assert saliency(model, noise(model.config)).share("r") == 0


@pytest.mark.parametrize("modalities", [("i", "mv", "r"), ("r",)])
def test_the_figure_has_a_row_per_view(modalities: tuple[str, ...], tmp_path: Path) -> None:
    model = built(modalities=modalities)
    inputs = noise(model.config, 6)
    figure = draw_saliency(inputs, saliency(model, inputs), "a title")
    panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
    assert len(panels) == 4 * 2 * len(modalities)
    out = tmp_path / "s.png"
    save_figure(figure, out)
    assert out.stat().st_size > 10_000


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "a.avi", "pan_left", 0, frames=24, width=44, height=42, gop=4)


def test_the_command_draws_and_tells(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = tmp_path / "n.pt"
    labels = tuple(f"class {n}" for n in range(SMALL.num_classes))
    save_checkpoint(network, Checkpoint(built(), labels, {}))
    out = tmp_path / "s.png"
    command = ["inspect", str(clip), "--network", str(network)]
    assert main([*command, "--saliency", str(out), "--label", "class 1"]) == 0
    assert out.exists()
    assert "Evidence for class 1 (asked for" in capsys.readouterr().out
    assert main([*command, "--saliency", str(out), "--label", "class 99"]) == 1
    assert "class 99" in capsys.readouterr().err
    assert main(command) == 1
    assert "--saliency" in capsys.readouterr().err
