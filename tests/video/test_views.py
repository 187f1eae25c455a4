"""From views to tensors."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hybridnet.config import PreprocessConfig
from hybridnet.video import View, prepare_view, stack_views, to_int8

PREPROCESS = PreprocessConfig(frame_width=48, frame_height=32, crop=16, steps=3, motion_clip_px=10, residual_clip=100)


def view(height: int = 32, width: int = 48, motion: tuple[int, int] = (0, 0), residual: int = 0) -> View:
    return View(
        i_frame=np.random.default_rng(0).integers(0, 256, (3, height, width), np.uint8),
        motion_vectors=np.broadcast_to(np.array(motion, np.int16)[:, None, None], (3, 2, height, width)).copy(),
        residuals=np.full((3, 3, height, width), residual, np.int16),
        inter=np.ones((3, height, width), np.bool_),
        gop=0,
        corrupt=False,
        frames=4,
        frames_without_vectors=0,
    )


def test_a_view_of_the_right_size_is_only_cropped_and_scaled() -> None:
    tensors = prepare_view(view(motion=(5, -2), residual=-25), PREPROCESS)
    pixels = torch.from_numpy(view().i_frame[:, 8:24, 16:32])
    torch.testing.assert_close(tensors.i_frame, (pixels / 255 - 0.5) / 0.25)
    torch.testing.assert_close(tensors.motion_vectors[:, 0], torch.full((3, 16, 16), 0.5))
    torch.testing.assert_close(tensors.motion_vectors[:, 1], torch.full((3, 16, 16), -0.2))
    torch.testing.assert_close(tensors.residuals, torch.full((3, 3, 16, 16), -0.25))
    assert tensors.saturated_motion == tensors.saturated_residual == 0


def test_motion_vectors_grow_with_the_frame_in_each_direction() -> None:
    tensors = prepare_view(view(height=64, width=24, motion=(2, 4)), PREPROCESS)  # x doubles, y halves
    torch.testing.assert_close(tensors.motion_vectors[:, 0], torch.full((3, 16, 16), 0.4))
    torch.testing.assert_close(tensors.motion_vectors[:, 1], torch.full((3, 16, 16), 0.2))


def test_clipped_values_are_counted() -> None:
    tensors = prepare_view(view(motion=(11, 10), residual=-101), PREPROCESS)
    assert tensors.motion_vectors.amax() == 1
    assert tensors.residuals.amin() == -1
    assert tensors.saturated_motion == pytest.approx(0.5)
    assert tensors.saturated_residual == 1


def test_views_stack_into_the_model_s_input() -> None:
    batch = stack_views([prepare_view(view(), PREPROCESS), prepare_view(view(64, 80), PREPROCESS)])
    assert {name: (tuple(values.shape), values.dtype) for name, values in batch.items()} == {
        "i_frame": ((2, 3, 16, 16), torch.float32),
        "motion_vectors": ((2, 3, 2, 16, 16), torch.float32),
        "residuals": ((2, 3, 3, 16, 16), torch.float32),
    }


def test_int8_units_are_those_of_the_chip() -> None:
    pixels = torch.tensor([-30, -10, -5, 0, 1, 10, 11], dtype=torch.int16)
    expected = np.clip(np.rint(pixels.numpy() * 127 / 10), -127, 127)
    assert to_int8(pixels, PREPROCESS.motion_clip_px).tolist() == expected.tolist()
    tensors = prepare_view(view(motion=(7, -3)), PREPROCESS)
    assert torch.equal(to_int8(tensors.motion_vectors)[0, :, 0, 0], to_int8(torch.tensor([7, -3]), 10))


def test_the_layout_of_a_view_in_memory_does_not_matter() -> None:
    one = view(motion=(5, -2), residual=-250)
    strided = dataclasses.replace(one, motion_vectors=np.asfortranarray(one.motion_vectors))
    tensors, others = prepare_view(one, PREPROCESS), prepare_view(strided, PREPROCESS)
    assert torch.equal(tensors.motion_vectors, others.motion_vectors)
    assert tensors.saturated_residual == 1
