"""Gestures in the air: where a fingertip is at each frame, in the many ways in which a person may draw them.

A gesture is a few strokes between corners, or a turn. How large, fast, tilted, straight and steady it is drawn, where,
and how long the pauses before and behind it are, is random.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(n, 2), x to the right and y down."""

CIRCLE = "circlecc"

GESTURES = ("carret", CIRCLE, "del", "down", "left", "right", "square", "star", "tick", "up")
"""The classes, in the order of their labels: `carret` is ^, `circlecc` a counter-clockwise circle, `del` ↘ ← ↗."""

_CORNERS: Mapping[str, tuple[tuple[float, float], ...]] = {
    "up": ((0.5, 1), (0.5, 0)),
    "down": ((0.5, 0), (0.5, 1)),
    "left": ((1, 0.5), (0, 0.5)),
    "right": ((0, 0.5), (1, 0.5)),
    "tick": ((0, 0.3), (0.4, 1), (1, 0)),
    "carret": ((0, 1), (0.5, 0), (1, 1)),
    "del": ((0, 0), (1, 1), (0, 1), (1, 0)),
    "square": ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0)),
    "star": ((0.1, 1), (0.5, 0), (0.9, 1), (0, 0.35), (1, 0.35), (0.1, 1)),
}
"""Corners in a box of side 1, in the order in which they are drawn."""

FRAMES = (24, 144)
"""Fewest and most frames of a gesture with its pauses."""

RATES_FPS = (10.0, 15.0, 25.0, 30.0)
"""Frame rates of the cameras: a slow one shows fewer and longer steps."""

STROKE_SECONDS = (0.5, 1.5)
"""Range of the time for a stroke; a circle takes that of `CIRCLE_STROKES`."""

PAUSE_SECONDS = 0.7
"""Longest pause before and behind a gesture."""

CIRCLE_STROKES = 3.0

SIZE_HEIGHTS = (0.35, 0.75)
"""Range of a gesture's size in heights of the picture; width and height vary about it."""

TILT_DEGREES = 7.0
"""Standard deviation of a gesture's tilt."""

TREMOR_HEIGHTS = 0.01
"""Largest standard deviation of the tremor, in heights of the picture."""

_FINE = 48  # points of a stroke


def trace(gesture: str, frames: int | None, aspect: float, random: np.random.Generator) -> Points:
    """Where the fingertip is at each frame, in heights of the picture.

    Args:
        gesture: One of `GESTURES`.
        frames: Their number n; None for as many as speed and frame rate take.
        aspect: Width of the picture over its height.
        random: Chooses everything else.

    Returns:
        (n, 2); the picture is 0 to `aspect` by 0 to 1, and a large gesture may leave it.
    """
    strokes = _circle(random) if gesture == CIRCLE else _strokes(_CORNERS[gesture], random)
    times, seconds = _timed([CIRCLE_STROKES] if gesture == CIRCLE else [1.0] * len(strokes), random)
    rate = random.choice(RATES_FPS)
    count = int(np.clip(round(seconds * rate), *FRAMES)) if frames is None else frames
    points = _placed(np.concatenate(strokes), aspect, random)
    at = np.linspace(0, seconds, count)
    drawn = np.stack([np.interp(at, times, axis) for axis in points.T], axis=1)
    return drawn + random.uniform(0, TREMOR_HEIGHTS) * smooth_noise(count, 4, random)


def smooth_noise(count: int, width: float, random: np.random.Generator) -> Points:
    """Noise of standard deviation 1 along time whose wiggles take about `width` frames, (count, 2)."""
    reach = int(3 * width) + 1
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    white = random.standard_normal((count + 2 * reach, 2))
    return np.stack([np.convolve(axis, kernel / np.sqrt((kernel**2).sum()), "valid") for axis in white.T], axis=1)


def rotated(points: Points, angle: float) -> Points:
    """Points (n, 2) turned clockwise by an angle in radians, as y points down."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _strokes(corners: tuple[tuple[float, float], ...], random: np.random.Generator) -> list[Points]:
    """Strokes between corners that are missed a little, each bent a little to one side."""
    spots = np.array(corners) + random.normal(0, 0.05, (len(corners), 2))
    share = np.linspace(0, 1, _FINE)[:, None]
    found = []
    for start, end in itertools.pairwise(spots):
        aside = np.array([start[1] - end[1], end[0] - start[0]])
        found.append(start + share * (end - start) + random.normal(0, 0.06) * np.sin(np.pi * share) * aside)
    return found


def _circle(random: np.random.Generator) -> list[Points]:
    """One turn, counter-clockwise as it is seen, that begins at the right or at the top; rarely elsewhere."""
    first = random.uniform(0, 2 * np.pi) if random.random() < 0.2 else random.uniform(-0.4, 1.8)
    angle = first + np.linspace(0, 2 * np.pi * random.uniform(0.9, 1.15), 4 * _FINE)
    return [0.5 + 0.5 * np.stack([np.cos(angle), -np.sin(angle)], axis=1)]


def _timed(weights: list[float], random: np.random.Generator) -> tuple[NDArray[np.float64], float]:
    """When the tip is at each point of all strokes, and when the clip ends, in seconds; corners slow a hand down."""
    pace, ease = np.exp(random.uniform(*np.log(STROKE_SECONDS))), random.uniform(0.2, 1)
    now, times = random.uniform(0, PAUSE_SECONDS), []
    for weight in weights:
        share = np.linspace(0, 1, _FINE if weight == 1 else 4 * _FINE)
        # Where the tip is at a share of the time: minimum jerk in part; inverted, as times of places are wanted.
        place = (1 - ease) * share + ease * (10 * share**3 - 15 * share**4 + 6 * share**5)
        length = pace * weight * np.exp(random.normal(0, 0.15))
        times.append(now + length * np.interp(share, place, share))
        now += length
    return np.concatenate(times), now + random.uniform(0, PAUSE_SECONDS)


def _placed(points: Points, aspect: float, random: np.random.Generator) -> Points:
    """Points of a box of side 1 in heights of the picture: sized, tilted, near the middle."""
    size = random.uniform(*SIZE_HEIGHTS) * np.exp(random.normal(0, 0.15, 2))
    middle = np.array([aspect, 1.0]) * random.normal((0.42, 0.44), 0.08)
    return middle + rotated((points - 0.5) * size, np.radians(random.normal(0, TILT_DEGREES)))
