"""Made clips whose class is motion, written through a real codec: of the camera, or of a hand that draws a gesture.

Every name of the motion set says what the camera does, so pictures move the other way: under `pan_left` the content
moves right, under `rotate_cw` it turns counter-clockwise, under `zoom_in` it grows. Pose, texture and objects are
random, so a single frame does not tell the class. Gestures are drawn by `hybridnet.video.hands`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from hybridnet.errors import ConfigError
from hybridnet.support.files import atomic_file
from hybridnet.video.gestures import GESTURES
from hybridnet.video.hands import render_gesture
from hybridnet.video.people import PEOPLE, render_person
from hybridnet.video.textures import OCTAVES, colour_noise
from hybridnet.video.transcode import add_gop_stream

MOTIONS = (
    *("pan_left", "pan_right", "pan_up", "pan_down", "zoom_in", "zoom_out"),
    *("rotate_cw", "rotate_ccw", "still", "shake"),
)
"""The classes of the motion set, in the order of their labels."""

MADE = {"motion": MOTIONS, "gestures": GESTURES, "motion+gestures": MOTIONS + GESTURES, "people": PEOPLE}
"""The sets of made clips by name, each with its classes."""

MOTION_FRAMES = 36
"""Frames of a clip of the motion set."""

# Directions in the picture: x to the right, y down.
_PANS = {"pan_left": (-1, 0), "pan_right": (1, 0), "pan_up": (0, -1), "pan_down": (0, 1)}
_ZOOMS = {"zoom_in": -1, "zoom_out": 1}  # a smaller scale shows less of the world
_TURNS = {"rotate_cw": 1, "rotate_ccw": -1}  # with y down, a growing angle turns clockwise

PAN_PX = (1.0, 4.0)
"""Range of the speed of a pan, and of the reach of a shake, in pixels per frame."""

ZOOM_SHARE = (0.01, 0.03)
"""Range of the change of scale per frame."""

TURN_DEGREES = (1.0, 3.0)
"""Range of the turn per frame."""

DRIFT_PX = 0.5
"""Largest speed of an object of its own in pixels per frame and axis."""

NOISE_LEVELS = 2.0
"""Standard deviation of the sensor's noise in grey levels."""

FLICKER_SHARE = 0.01
"""Standard deviation of a frame's brightness."""

_WORLD_PX = 384  # side of the texture; the world repeats it mirrored without end


@dataclass(frozen=True)
class _Camera:
    """Where the camera looks at each of n frames: pixel p shows the world's point centre + scale · R(angle) p.

    Attributes:
        centre: World coordinates, x then y, shape (n, 2).
        scale: World pixels per picture pixel, shape (n,).
        angle: In radians, clockwise, shape (n,).
    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    angle: NDArray[np.float64]


def make_clip(
    path: str | Path,
    name: str,
    seed: int,
    *,
    frames: int | None = None,
    width: int = 170,
    height: int = 128,
    gop: int = 12,
) -> Path:
    """Write one clip of the motion set or of a gesture: MPEG-4, one I-frame and `gop` − 1 P-frames, no B-frames.

    The same arguments give the same file. It appears under its name only when complete.

    Args:
        path: File to write; its suffix chooses the container (.avi, .mp4, .mkv).
        name: A class of `MOTIONS` or `GESTURES`.
        seed: Chooses everything random, 0 or more.
        frames: Number of frames; None for 36 of a motion of the camera, and for as many as a gesture takes.
        width: Even, in pixels.
        height: Even, in pixels.
        gop: Frames of a GOP.

    Returns:
        The path.

    Raises:
        ConfigError: If `name` is none of these.
    """
    path = Path(path)
    pictures = render(name, seed, frames=frames, width=width, height=height)
    with atomic_file(path) as part, av.open(str(part), "w", options={"fflags": "+bitexact"}) as output:
        stream = add_gop_stream(output, width, height, gop)
        for picture in pictures:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def render(name: str, seed: int, *, frames: int | None, width: int, height: int) -> NDArray[np.uint8]:
    """Draw the pictures of a clip, RGB, shape (n, H, W, 3); arguments as `make_clip`'s."""
    if name in GESTURES:
        return render_gesture(name, seed, frames=frames, width=width, height=height)
    if name in PEOPLE:
        return render_person(name, seed, frames=frames, width=width, height=height)
    if name not in MOTIONS:
        raise ConfigError("motion", name, ", ".join(MOTIONS + GESTURES + PEOPLE))
    return _render_motion(name, seed, frames=frames or MOTION_FRAMES, width=width, height=height)


def _render_motion(motion: str, seed: int, *, frames: int, width: int, height: int) -> NDArray[np.uint8]:
    """What a camera in motion sees."""
    import torch
    import torch.nn.functional as F

    random = np.random.default_rng([MOTIONS.index(motion), seed])
    texture = colour_noise(random, _WORLD_PX, _WORLD_PX, OCTAVES, mean=128).clamp_(0, 255)
    points = _with_objects(_world_points(_camera(motion, frames, random), width, height, random), random)
    # From pixels to grid_sample's −1 to 1 over the texture, x and y last.
    grid = torch.from_numpy(points).mul(2 / _WORLD_PX).permute(1, 2, 3, 0)
    stacked = texture.expand(frames, -1, -1, -1)
    colours = F.grid_sample(stacked, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    light = 1 + FLICKER_SHARE * random.standard_normal((frames, 1, 1, 1), np.float32)
    noise = NOISE_LEVELS * random.standard_normal((frames, height, width, 1), np.float32)
    lit = colours.permute(0, 2, 3, 1).mul_(torch.from_numpy(light)).add_(torch.from_numpy(noise))
    return np.ascontiguousarray(lit.clamp_(0, 255).byte().numpy())


def _camera(motion: str, frames: int, random: np.random.Generator) -> _Camera:
    """Random pose in the middle of the clip, and the class's motion before and after it."""
    time = np.arange(frames) - (frames - 1) / 2
    pan, zoom, turn = (random.uniform(*bounds) for bounds in (PAN_PX, ZOOM_SHARE, TURN_DEGREES))
    start, angle = random.uniform(-_WORLD_PX, _WORLD_PX, 2), random.uniform(0, 2 * np.pi)
    scale = np.exp(random.uniform(np.log(0.7), np.log(1.4)) + _ZOOMS.get(motion, 0) * zoom * time)
    angles = angle + _TURNS.get(motion, 0) * np.radians(turn) * time
    shift = np.outer(time, _PANS.get(motion, (0, 0))) * pan
    if motion == "shake":
        shift = shift + random.uniform(-pan, pan, (frames, 2))
    return _Camera(start + scale[:, None] * _rotated(shift, angles), scale, angles)


def _world_points(camera: _Camera, width: int, height: int, random: np.random.Generator) -> NDArray[np.float32]:
    """World coordinates of every pixel, x then y, shape (2, n, H, W); zoom and turn are about a jittered centre."""
    middle_x, middle_y = np.array([width, height]) * random.uniform(0.4, 0.6, 2)
    x = (np.arange(width) - middle_x).astype(np.float32)[None, None, :]
    y = (np.arange(height) - middle_y).astype(np.float32)[None, :, None]
    cos = (camera.scale * np.cos(camera.angle)).astype(np.float32)[:, None, None]
    sin = (camera.scale * np.sin(camera.angle)).astype(np.float32)[:, None, None]
    centre_x, centre_y = camera.centre.astype(np.float32).T[:, :, None, None]
    return np.stack([(cos * x + centre_x) - sin * y, sin * x + (cos * y + centre_y)])


def _with_objects(background: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """Put 1 to 3 drifting ellipses into the world, each a window on another part of the texture; (2, n, H, W)."""
    points = background.copy()
    _, frames, height, width = points.shape
    time = np.arange(frames, dtype=np.float32) - (frames - 1) / 2
    for _ in range(random.integers(1, 4)):
        # In sight in the middle of the clip, an eighth to a quarter of the picture's height in radius.
        seen = background[:, frames // 2, random.integers(height), random.integers(width)]
        drift = np.outer(random.uniform(-DRIFT_PX, DRIFT_PX, 2), time).astype(np.float32)[:, :, None, None]
        radius = random.uniform(1 / 8, 1 / 4, 2).astype(np.float32) * height
        offset = random.uniform(_WORLD_PX / 4, _WORLD_PX, 2).astype(np.float32)
        x, y = (background - (seen[:, None, None, None] + drift)) / radius[:, None, None, None]
        np.copyto(points, background + (offset[:, None, None, None] - drift), where=x * x + y * y < 1)
    return points


def _rotated(vectors: NDArray[np.float64], angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn vectors (n, 2) by angles (n,)."""
    cos, sin = np.cos(angles), np.sin(angles)
    x, y = vectors.T
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)
