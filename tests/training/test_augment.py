"""Augmentation: exact where it can be, and as if the clip's pixels had been transformed and encoded again."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hybridnet.config import AugmentConfig, PreprocessConfig
from hybridnet.errors import ConfigError
from hybridnet.training.augment import Geometry, centre, draw, flipped, transform, windowed
from hybridnet.video import open_clip, prepare_view, stack_views
from hybridnet.video.synthetic import render
from hybridnet.video.transcode import add_gop_stream

SIDE, STEPS = 96, 5
PREPROCESS = PreprocessConfig(frame_width=SIDE, frame_height=SIDE, crop=SIDE, steps=STEPS)


def random_inputs(count: int = 3, side: int = 12, steps: int = 2) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(1)
    shapes = {"i_frame": (3,), "motion_vectors": (steps, 2), "residuals": (steps, 3)}
    return {name: torch.rand((count, *shape, side, side), generator=g) * 2 - 1 for name, shape in shapes.items()}


def geometry(count: int, side: int, left: int = 0, top: int = 0, mirrored: bool = False) -> Geometry:
    ones = torch.ones(count)
    return Geometry(torch.full((count,), mirrored), side * ones, left * ones, top * ones)


def test_a_flip_mirrors_everything_and_turns_x_around() -> None:
    inputs, mirrored = random_inputs(), torch.tensor([True, False, True])
    turned = flipped(inputs, mirrored)
    for name, values in inputs.items():
        assert torch.equal(turned[name][1], values[1]), name
    assert torch.equal(turned["i_frame"][0], inputs["i_frame"][0].flip(-1))
    assert torch.equal(turned["residuals"][2], inputs["residuals"][2].flip(-1))
    assert torch.equal(turned["motion_vectors"][0, :, 0], -inputs["motion_vectors"][0, :, 0].flip(-1))
    assert torch.equal(turned["motion_vectors"][0, :, 1], inputs["motion_vectors"][0, :, 1].flip(-1))


def test_two_flips_are_none() -> None:
    inputs, mirrored = random_inputs(), torch.tensor([True, False, True])
    twice = flipped(flipped(inputs, mirrored), mirrored)
    assert all(torch.equal(twice[name], values) for name, values in inputs.items())


def test_a_window_of_the_models_side_is_a_slice() -> None:
    inputs = random_inputs()
    cut = windowed(inputs, geometry(3, 8, left=3, top=1), 8)
    for name, values in inputs.items():
        torch.testing.assert_close(cut[name], values[..., 1:9, 3:11], atol=1e-5, rtol=0)
    whole = transform(inputs, geometry(3, 12), 12)
    assert all(torch.equal(whole[name], values) for name, values in inputs.items())


def test_vectors_of_a_smaller_window_are_longer() -> None:
    inputs = random_inputs()
    half = {**inputs, "motion_vectors": torch.full_like(inputs["motion_vectors"], 0.3)}
    assert windowed(half, geometry(3, 6), 12)["motion_vectors"].mean().item() == pytest.approx(0.6)
    assert windowed(half, geometry(3, 3), 12)["motion_vectors"].max() == 1  # clipped, as the reader clips
    # Interpolation as everywhere else in the project.
    expected = F.interpolate(inputs["i_frame"][..., 2:8, 4:10], (12, 12), mode="bilinear", align_corners=False)
    inner = np.s_[..., 1:-1, 1:-1]  # at its border a window sees its neighbours, as a crop of a picture does
    got = windowed(inputs, geometry(3, 6, left=4, top=2), 12)["i_frame"]
    torch.testing.assert_close(got[inner], expected[inner], atol=1e-5, rtol=0)


def test_windows_stay_inside_and_the_generator_decides() -> None:
    config = AugmentConfig(flip=0.5, smallest_crop=0.5)
    one, same = (draw(4000, 20, 16, config, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.side, same.side)
    assert torch.equal(one.left, same.left)
    assert one.side.unique().tolist() == list(range(8, 21))
    assert one.left.min() == one.top.min() == 0
    assert (one.left + one.side).max() == (one.top + one.side).max() == 20
    assert 0.45 < one.mirrored.float().mean() < 0.55
    assert not (one.side == one.side.round()).logical_not().any()
    nothing = draw(9, 16, 16, AugmentConfig(), torch.Generator())
    assert not nothing.mirrored.any()
    assert (nothing.side == 16).all()


def test_the_centre_is_where_the_reader_crops() -> None:
    inputs = random_inputs()
    assert torch.equal(centre(inputs, 8)["residuals"], inputs["residuals"][..., 2:10, 2:10])


@pytest.mark.parametrize("fields", [{"flip": 1.5}, {"smallest_crop": 0.0}, {"smallest_crop": 1.1}])
def test_impossible_settings_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"augment.{next(iter(fields))}"):
        AugmentConfig(**fields)


def encoded(pictures: NDArray[np.uint8], path: Path) -> dict[str, Tensor]:
    """All views of pictures (n, H, W, 3), written through the codec and read back."""
    with av.open(str(path), "w") as output:
        stream = add_gop_stream(output, pictures.shape[2], pictures.shape[1], STEPS + 1)
        for picture in pictures:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        output.mux(stream.encode(None))
    with open_clip(path, PREPROCESS, crop=True) as clip:
        return stack_views([prepare_view(view, PREPROCESS) for view in clip.sample(clip.gop_count)]).tensors()


def correlation(one: Tensor, other: Tensor) -> float:
    return float(np.corrcoef(one.flatten().numpy(), other.flatten().numpy())[0, 1])


def agree(tensors: dict[str, Tensor], pixels: dict[str, Tensor]) -> None:
    """Two encodings of one scene: another macroblock grid and another search, hence no equality."""
    for axis in (0, 1):
        one, other = (x["motion_vectors"][:, -1, axis] * PREPROCESS.motion_clip_px for x in (tensors, pixels))
        assert one.mean().item() == pytest.approx(other.mean().item(), rel=0.07, abs=0.9)
        for share in (0.25, 0.5, 0.75):  # vectors are whole pixels, and 1.5 of them after enlarging
            assert one.quantile(share).item() == pytest.approx(other.quantile(share).item(), rel=0.07, abs=2.1)
    assert correlation(tensors["i_frame"], pixels["i_frame"]) > 0.98
    strength = [x["residuals"][:, -1].abs().mean().item() for x in (tensors, pixels)]
    assert strength[0] == pytest.approx(strength[1], rel=0.2)


def maps_agree(tensors: dict[str, Tensor], pixels: dict[str, Tensor], least: float) -> None:
    """Motion is in the same places: correlation over all pixels, where there is more than noise."""
    for axis in (0, 1):
        one, other = (x["motion_vectors"][:, -1, axis] * PREPROCESS.motion_clip_px for x in (tensors, pixels))
        if other.std() > 1:
            assert correlation(one, other) > least
    smooth = [F.avg_pool2d(x["residuals"][:, -1].abs().mean(1, keepdim=True), 8) for x in (tensors, pixels)]
    assert correlation(*smooth) > 0.4


@pytest.mark.parametrize("motion", ["pan_left", "zoom_in"])
def test_flipping_tensors_is_flipping_pixels(motion: str, tmp_path: Path) -> None:
    pictures = render(motion, 4, frames=18, width=SIDE, height=SIDE)
    plain = encoded(pictures, tmp_path / "plain.avi")
    mirrored = encoded(pictures[:, :, ::-1], tmp_path / "mirrored.avi")
    turned = flipped(plain, torch.ones(len(plain["i_frame"]), dtype=torch.bool))
    agree(turned, mirrored)
    maps_agree(turned, mirrored, 0.9)
    forgotten = {**turned, "motion_vectors": plain["motion_vectors"].flip(-1)}
    with pytest.raises(AssertionError):  # the law is sharp enough to see a sign that was forgotten
        maps_agree(forgotten, mirrored, 0.9)


@pytest.mark.parametrize("motion", ["pan_left", "zoom_in"])
def test_enlarging_tensors_is_enlarging_pixels(motion: str, tmp_path: Path) -> None:
    """In the middle: at its border a clip that was cut before it was encoded has no past to point at."""
    window, left, top = 64, 20, 8
    pictures = render(motion, 4, frames=18, width=SIDE, height=SIDE)
    plain = encoded(pictures, tmp_path / "plain.avi")
    part = torch.from_numpy(pictures[:, top : top + window, left : left + window]).permute(0, 3, 1, 2).float()
    large = F.interpolate(part, (SIDE, SIDE), mode="bilinear", align_corners=False).round().clamp(0, 255).byte()
    enlarged = encoded(large.permute(0, 2, 3, 1).numpy(), tmp_path / "large.avi")
    cut = windowed(plain, geometry(len(plain["i_frame"]), window, left, top), SIDE)
    agree(centre(cut, 40), centre(enlarged, 40))
    if motion == "zoom_in":
        maps_agree(cut, enlarged, 0.8)
    else:
        unscaled = {**cut, "motion_vectors": cut["motion_vectors"] * window / SIDE}
        with pytest.raises(AssertionError):
            agree(centre(unscaled, 40), centre(enlarged, 40))
