"""How a player turns and mirrors frames, as the display matrix of a file says."""

from __future__ import annotations

from math import atan2, degrees, hypot
from typing import Any, NamedTuple, TypeVar

import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from hybridnet.errors import VideoError
from hybridnet.video.stream import REENCODE

QUARTER_TURN = 90
"""Degrees: frames are turned by multiples of it."""

_TOLERANCE = 0.5
"""Degrees that a file's angle may be off, by rounding."""

_T = TypeVar("_T", bound=np.generic)


class Orientation(NamedTuple):
    """What a player does to a frame before it shows it: mirror, then turn.

    Attributes:
        rotation: Degrees, counter-clockwise: 0, 90, 180 or 270.
        mirrored: Whether left and right are exchanged first.
    """

    rotation: int = 0
    mirrored: bool = False

    def applied(self, maps: NDArray[_T]) -> NDArray[_T]:
        """Mirror and turn maps of shape (…, H, W); a copy."""
        upright = maps[..., ::-1] if self.mirrored else maps
        return np.rot90(upright, self.rotation // QUARTER_TURN, (-2, -1)).copy()

    def applied_to_vectors(self, vectors: NDArray[np.int16]) -> NDArray[np.int16]:
        """Mirror and turn maps of vectors, x then y, of shape (…, 2, H, W); a copy."""
        x, y = vectors[..., 0, :, :], vectors[..., 1, :, :]
        if self.mirrored:
            x = -x
        for _ in range(self.rotation // QUARTER_TURN):  # x becomes y upwards
            x, y = y, -x
        return self.applied(np.stack([x, y], axis=-3))


UPRIGHT = Orientation()
"""As it is."""


def orientation_of(frame: VideoFrame, path: object) -> Orientation:
    """How a player shows a frame.

    Args:
        frame: A decoded frame.
        path: The user's file, for messages.

    Raises:
        VideoError: If it is to be turned by anything but quarter turns.
    """
    # `frame.side_data` would keep the frame in a cycle, and its types omit the key (see `block_vectors`).
    data: Any = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    if data is None:
        return UPRIGHT
    # Where a step to the right and a step down lead: a row each, x and y, the third column is perspective.
    (a, b, _), (c, d, _), _ = np.frombuffer(bytes(data), np.int32).reshape(3, 3).astype(np.float64).tolist()
    if not (hypot(a, b) and hypot(c, d)):  # it leaves nothing of the picture; players ignore it
        return UPRIGHT
    mirrored = a * d < b * c
    if mirrored:
        a, b = -a, -b
    turns = [degrees(atan2(-b, a)) / QUARTER_TURN, degrees(atan2(c, d)) / QUARTER_TURN]
    angles = {round(turn) % 4 * QUARTER_TURN for turn in turns}
    if len(angles) > 1 or any(abs(turn - round(turn)) * QUARTER_TURN > _TOLERANCE for turn in turns):
        clockwise, other = (round(-turn * QUARTER_TURN) % 360 for turn in turns)
        what = f"is to be {'mirrored and ' * mirrored}turned by {clockwise} degrees clockwise"
        what += " and skewed" * (clockwise != other)
        raise VideoError(what, where=path, remedy=f"Only quarter turns are supported. {REENCODE}")
    return Orientation(angles.pop(), mirrored)
