"""Trajectories: exact pictures, features of the right parts, a picture that is the same every time."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.small_model import SMALL

from hybridnet.cli import main
from hybridnet.errors import ConfigError, VideoError
from hybridnet.explain.trajectory import layout, pictures, trajectory
from hybridnet.explain.trajectory_plot import draw_trajectory
from hybridnet.model.network import HybridNet
from hybridnet.video import make_clip, open_clip, prepare_view, stack_views


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [
        make_clip(folder / f"{motion}.avi", motion, 0, frames=24, width=58, height=50, gop=4)
        for motion in ("pan_left", "zoom_in")
    ]


@pytest.mark.parametrize("accumulated", [True, False])
def test_pictures_are_those_of_the_decoder(clips: list[Path], accumulated: bool) -> None:
    preprocess = dataclasses.replace(SMALL.preprocess, accumulate=accumulated)
    with open_clip(clips[1], preprocess) as clip:
        view, gop = clip[2], clip.gop(2)
    for rebuilt, frame in zip(pictures(view, accumulated=accumulated), gop, strict=True):
        assert np.array_equal(rebuilt, frame.rgb)


def test_the_last_frame_has_the_tokens_of_the_whole_window(clips: list[Path]) -> None:
    torch.manual_seed(0)
    model = HybridNet(SMALL).eval()
    with open_clip(clips[0], SMALL.preprocess) as clip:
        views = list(clip.sample(3))
    found = trajectory(model, [views, views[:1]])
    steps = SMALL.preprocess.steps
    assert found.clip.tolist() == [0] * 3 * steps + [1] * steps
    assert found.gop[::steps].tolist() == [view.gop for view in [*views, views[0]]]
    inputs = stack_views([prepare_view(view, SMALL.preprocess) for view in views]).tensors()
    with torch.no_grad():
        tokens = [
            model.get_submodule(f"patch_{m}")(model.stm[m](inputs[name])[-1]).mean(1)
            for m, name in (("mv", "motion_vectors"), ("r", "residuals"))
        ]
    np.testing.assert_allclose(found.compressed[steps - 1 : 3 * steps : steps], torch.cat(tokens, 1), atol=1e-5)
    assert found.rgb.shape == (4 * steps, SMALL.width)


def test_layouts_repeat_and_need_frames() -> None:
    features = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    assert np.array_equal(layout(features), layout(features))
    features[:30] = features[0]
    assert np.isfinite(layout(features)).all()
    with pytest.raises(VideoError, match="the same features"):
        layout(np.ones((20, 4), np.float32))
    with pytest.raises(VideoError, match="too few"):
        layout(features[:5])


def test_networks_without_such_features_are_refused() -> None:
    for changes in ({"modalities": ("mv", "r")}, {"order": "ls-t-gs"}, {"modalities": ("i",)}):
        with pytest.raises(ConfigError, match="t-ls-gs"):
            trajectory(HybridNet(dataclasses.replace(SMALL, **changes)).eval(), [])


def test_the_command_draws_several_clips(clips: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "t.png"
    longer = [str(make_clip(tmp_path / f"{n}.avi", "pan_left", n, frames=24, width=170, height=128)) for n in (1, 2)]
    assert main(["inspect", longer[0], "--trajectory", str(out), "--beside", longer[1]]) == 0
    assert out.exists()
    assert f"wrote {out}" in capsys.readouterr().err
    assert main(["inspect", longer[0], "--beside", longer[1]]) == 1
    assert "--trajectory" in capsys.readouterr().err


def test_every_clip_is_named(clips: list[Path]) -> None:
    torch.manual_seed(0)
    model, views = HybridNet(SMALL).eval(), []
    for path in clips:
        with open_clip(path, SMALL.preprocess) as clip:
            views.append(list(clip.sample(6)))
    figure = draw_trajectory(trajectory(model, views), ["one", "two"], "a title")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["one", "two"]
