"""References against compositions and sums written out pixel by pixel."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hybridnet.video.accumulate import References, Window, interleaved, parts
from hybridnet.video.grid import mv_grid

MV_DTYPE = np.dtype(
    [("source", "i4"), ("w", "u1"), ("h", "u1"), ("src_x", "i2"), ("src_y", "i2"), ("dst_x", "i2"), ("dst_y", "i2")]
)


def mu(tau: NDArray[np.int16], y: int, x: int, height: int, width: int) -> tuple[int, int]:
    """μ(i) = i − τ(i) of one pixel, clamped to the frame."""
    tau_x, tau_y = (int(v) for v in tau[:, y // 8, x // 8])
    return min(max(y - tau_y, 0), height - 1), min(max(x - tau_x, 0), width - 1)


def gamma(taus: list[NDArray[np.int16]], y: int, x: int, height: int, width: int) -> tuple[int, int]:
    """μ_1 ∘ … ∘ μ_t of one pixel."""
    for tau in reversed(taus):
        y, x = mu(tau, y, x, height, width)
    return y, x


@st.composite
def motions(draw: st.DrawFn) -> tuple[int, int, list[NDArray[np.int16]]]:
    height, width, steps = draw(st.integers(1, 40)), draw(st.integers(1, 40)), draw(st.integers(1, 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    reach = draw(st.sampled_from([1, 9, 100, 32767]))  # up to far outside of the frame
    shape = (2, -(-height // 16) * 2, -(-width // 16) * 2)
    return height, width, [random.integers(-reach, reach, shape, np.int16, endpoint=True) for _ in range(steps)]


@settings(deadline=None, max_examples=40)
@given(motions())
def test_the_recurrence_is_the_composition_of_all_steps(motion: tuple[int, int, list[NDArray[np.int16]]]) -> None:
    height, width, taus = motion
    references = References(height, width)
    for tau in taus:
        references.step(tau)
    vectors = references.motion_vectors()
    for y, x in product(range(height), range(width)):
        source_y, source_x = gamma(taus, y, x, height, width)
        assert vectors[:, y, x].tolist() == [x - source_x, y - source_y]


@settings(deadline=None, max_examples=20)
@given(motions())
def test_the_residual_is_the_sum_of_equation_2(motion: tuple[int, int, list[NDArray[np.int16]]]) -> None:
    height, width, taus = motion
    frames = np.random.default_rng(0).integers(0, 256, (len(taus) + 1, 3, height, width), np.uint8)
    references = References(height, width)
    references.start(interleaved(frames[0]))
    for tau in taus:
        references.step(tau)
    residual = references.residual(interleaved(frames[-1]))
    pictures = frames.astype(int)
    for y, x in product(range(height), range(width)):
        total, here = np.zeros(3, int), (y, x)
        for j in range(len(taus), 0, -1):
            before = mu(taus[j - 1], *here, height, width)
            total += pictures[j][:, here[0], here[1]] - pictures[j - 1][:, before[0], before[1]]
            here = before
        assert residual[:, y, x].tolist() == total.tolist()


def test_without_motion_every_pixel_stems_from_itself() -> None:
    references = References(24, 40)
    picture = np.random.default_rng(1).integers(0, 256, (3, 24, 40), np.uint8)
    references.start(interleaved(picture))
    for _ in range(3):
        references.step(np.zeros((2, 4, 6), np.int16))
    assert not references.motion_vectors().any()
    assert not references.residual(interleaved(picture)).any()


@settings(deadline=None, max_examples=60)
@given(motions(), st.data())
def test_a_window_shows_what_the_whole_frame_does(
    motion: tuple[int, int, list[NDArray[np.int16]]], data: st.DataObject
) -> None:
    height, width, taus = motion
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = Window(top, left, data.draw(st.integers(1, height - top)), data.draw(st.integers(1, width - left)))
    frames = np.random.default_rng(0).integers(0, 256, (len(taus) + 1, 3, height, width), np.uint8)
    whole, part = References(height, width), References(height, width)
    whole.start(interleaved(frames[0]))
    part.start(interleaved(frames[0]))
    for tau, wanted, frame in zip(taus, parts(np.stack(taus), window, height, width), frames[1:], strict=True):
        whole.step(tau)
        part.step(tau, wanted)
        assert np.array_equal(part.motion_vectors(window), whole.motion_vectors()[:, *window.slices])
        residual = part.residual(interleaved(frame), window)
        assert np.array_equal(residual, whole.residual(interleaved(frame))[:, *window.slices])


def vectors(*rows: tuple[int, ...]) -> NDArray[np.void]:
    return np.array(list(rows), MV_DTYPE)


def test_a_vector_covers_its_block_and_nothing_else() -> None:
    tau, inter = mv_grid(vectors((-1, 16, 8, 8 - 3, 4 + 2, 8, 4)), 32, 32)
    assert tau[:, 0, :2].tolist() == [[3, 3], [-2, -2]]
    assert inter.sum() == 2
    assert inter[0, :2].all()
    assert not tau[:, ~inter].any()


def test_vectors_from_later_frames_are_left_out() -> None:
    tau, inter = mv_grid(vectors((1, 16, 16, 0, 0, 8, 8)), 16, 16)
    assert not inter.any()
    assert not tau.any()


def test_blocks_that_hang_over_the_frame_are_cut() -> None:
    tau, inter = mv_grid(vectors((-1, 16, 16, 20, 20, 24, 24), (-1, 16, 16, 99, 99, 104, 104)), 17, 17)
    assert tau.shape == (2, 4, 4)
    assert inter.sum() == 4
    assert (tau[:, 2:, 2:] == 4).all()


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 340), (256, 341)])
def test_the_grid_covers_the_frame(height: int, width: int) -> None:
    tau, inter = mv_grid(np.empty(0, MV_DTYPE), height, width)
    assert tau.shape[1:] == inter.shape
    assert inter.shape[0] * 8 >= height
    assert inter.shape[1] * 8 >= width
