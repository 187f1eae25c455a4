"""From views to arrays."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from hybridnet.config import PreprocessConfig
from hybridnet.video import View, prepare_view, stack_views, to_int8

PREPROCESS = PreprocessConfig(frame_width=48, frame_height=32, crop=16, steps=3, motion_clip_px=10, residual_clip=100)


def view(height: int = 32, width: int = 48, motion: tuple[int, int] = (0, 0), residual: int = 0) -> View:
    return View(
        i_frame=np.random.default_rng(0).integers(0, 256, (3, height, width), np.uint8),
        motion_vectors=np.broadcast_to(np.array(motion, np.int16)[:, None, None], (3, 2, height, width)).copy(),
        residuals=np.full((3, 3, height, width), residual, np.int16),
        _inter=lambda: np.ones((3, height, width), np.bool_),
        gop=0,
        corrupt=False,
        frames=4,
        frames_without_vectors=0,
    )


def assert_close(one: Any, other: Any) -> None:
    np.testing.assert_allclose(one, other, rtol=1.3e-6, atol=1e-5)


def test_a_view_of_the_right_size_is_only_cropped_and_scaled() -> None:
    arrays = prepare_view(view(motion=(5, -2), residual=-25), PREPROCESS)
    pixels = view().i_frame[:, 8:24, 16:32].astype(np.float32)
    assert_close(arrays.i_frame, (pixels / 255 - 0.5) / 0.25)
    assert_close(arrays.motion_vectors[:, 0], np.full((3, 16, 16), 0.5))
    assert_close(arrays.motion_vectors[:, 1], np.full((3, 16, 16), -0.2))
    assert_close(arrays.residuals, np.full((3, 3, 16, 16), -0.25))
    assert arrays.saturated_motion == arrays.saturated_residual == 0


def test_motion_vectors_grow_with_the_frame_in_each_direction() -> None:
    arrays = prepare_view(view(height=64, width=24, motion=(2, 4)), PREPROCESS)  # x doubles, y halves
    assert_close(arrays.motion_vectors[:, 0], np.full((3, 16, 16), 0.4))
    assert_close(arrays.motion_vectors[:, 1], np.full((3, 16, 16), 0.2))


def test_clipped_values_are_counted() -> None:
    arrays = prepare_view(view(motion=(11, 10), residual=-101), PREPROCESS)
    assert arrays.motion_vectors.max() == 1
    assert arrays.residuals.min() == -1
    assert arrays.saturated_motion == pytest.approx(0.5)
    assert arrays.saturated_residual == 1


def test_views_stack_into_the_model_s_input() -> None:
    batch = stack_views([prepare_view(view(), PREPROCESS), prepare_view(view(64, 80), PREPROCESS)])
    assert {name: (values.shape, values.dtype.name) for name, values in batch.arrays.items()} == {
        "i_frame": ((2, 3, 16, 16), "float32"),
        "motion_vectors": ((2, 3, 2, 16, 16), "float32"),
        "residuals": ((2, 3, 3, 16, 16), "float32"),
    }


def test_int8_units_are_those_of_the_chip() -> None:
    pixels = np.array([-30, -10, -5, 0, 1, 10, 11], np.float32)
    expected = np.clip(np.rint(pixels * 127 / 10), -127, 127)
    assert to_int8(pixels, PREPROCESS.motion_clip_px).tolist() == expected.tolist()
    arrays = prepare_view(view(motion=(7, -3)), PREPROCESS)
    assert to_int8(arrays.motion_vectors)[0, :, 0, 0].tolist() == to_int8(np.array([7, -3], np.float32), 10).tolist()


def test_the_layout_of_a_view_in_memory_does_not_matter() -> None:
    one = view(motion=(5, -2), residual=-250)
    strided = dataclasses.replace(one, motion_vectors=np.asfortranarray(one.motion_vectors))
    arrays, others = prepare_view(one, PREPROCESS), prepare_view(strided, PREPROCESS)
    assert np.array_equal(arrays.motion_vectors, others.motion_vectors)
    assert arrays.saturated_residual == 1
