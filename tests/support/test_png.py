"""A PNG that another decoder reads gives the pixels that were written."""

import io

import av
import numpy as np
import pytest

from hybridnet.support.png import png_of


@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (40, 112)])
def test_pixels_come_back(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    with av.open(io.BytesIO(png_of(pixels.tobytes(), *shape)), "r", format="png_pipe") as container:
        assert (next(container.decode(video=0)).to_ndarray(format="rgb24") == pixels).all()
