"""Clips of a hand that draws a gesture in the air, as its owner's camera sees it: the pictures before the encoder.

A pointing hand on a forearm, or something else that has texture, moves before a background. The camera is worn, so
that the background moves a little too; exposure changes, fast motion blurs, and something may be in front.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hybridnet.video.gestures import GESTURES, Points, rotated, smooth_noise, trace
from hybridnet.video.sprites import Sprite, capsule, grid, moved, over, placed, shaded, sprite
from hybridnet.video.textures import background

if TYPE_CHECKING:
    from torch import Tensor

FINGER_HEIGHTS = (0.12, 0.26)
"""Range of a finger's length, which scales the hand, in heights of the picture."""

HEAD_HEIGHTS = 0.02
"""Largest standard deviation of where the background is, in heights of the picture."""

OBJECT_SHARE, OCCLUDED_SHARE, LEFT_SHARE, SLEEVE_SHARE = 0.12, 0.1, 0.12, 0.5
"""How often it is no hand, how often something is in front, how often it is the left hand, and in a sleeve."""

NOISE_LEVELS = 2.0
"""Largest standard deviation of the sensor's noise in grey levels."""

_UNIT = 32  # pixels of a drawn hand per length of its finger
_ABOVE = 1.5  # of it above its tip
_BELOW, _BESIDE = 9.0, 6.0  # and below and beside it, in lengths of its finger
_TOGETHER = 32  # frames that are drawn at once


@dataclass(frozen=True, eq=False)
class Pointer:
    """What points: a drawing whose origin is the tip, and the elbow about which it turns, in fingers from the tip."""

    drawn: Sprite
    elbow: NDArray[np.float64]


def render_gesture(gesture: str, seed: int, *, frames: int | None, width: int, height: int) -> NDArray[np.uint8]:
    """Draw the pictures of a gesture, RGB, (n, H, W, 3); arguments as of `hybridnet.video.synthetic.make_clip`."""
    import torch

    random = np.random.default_rng([1, GESTURES.index(gesture), seed])
    tip = trace(gesture, frames, width / height, random) * height
    head = random.uniform(0, HEAD_HEIGHTS) * height * smooth_noise(len(tip), 12, random)
    tip = tip + random.uniform(0, 1) * head
    pointer = _object(random) if random.random() < OBJECT_SHARE else _hand(random)
    finger = random.uniform(*FINGER_HEIGHTS) * height
    turn = random.uniform(0, 1) * _turns(tip, tip.mean(axis=0) + pointer.elbow * finger)
    scale = finger / _UNIT * np.exp(random.normal(0, 0.15) * (tip[:, 1] / height - 0.5))
    scene = background(random, height + height // 4, width + width // 4)
    before = _occluder(random, height, width)
    light = _exposure(len(tip), random)
    shutter, sigma = max(0.0, random.uniform(-0.4, 0.4)), random.uniform(0.3, NOISE_LEVELS)
    pictures = []
    for part in np.array_split(np.arange(len(tip)), -(-len(tip) // _TOGETHER)):
        shown = moved(scene, head[part], height, width)
        hand = placed(pointer.drawn, tip[part], turn[part], scale[part], height, width)
        if shutter:  # two moments of an exposure
            blurred = tip[part] + shutter * (tip[np.minimum(part + 1, len(tip) - 1)] - tip[part])
            hand = (hand + placed(pointer.drawn, blurred, turn[part], scale[part], height, width)) / 2
        shown = over(before, over(hand, shown))
        shown = shown * torch.from_numpy(light[part])[:, None, None, None]
        noise = sigma * random.standard_normal((len(part), 1, height, width), np.float32)
        shown = (shown + torch.from_numpy(noise)).clamp_(0, 255).byte()
        pictures.append(shown.permute(0, 2, 3, 1).numpy())
    return np.ascontiguousarray(np.concatenate(pictures))


def _hand(random: np.random.Generator) -> Pointer:
    """A finger, a fist and a forearm, bare or in a sleeve; mirrored for a left hand."""
    side = -1.0 if random.random() < LEFT_SHARE else 1.0
    y, x = grid(_UNIT, _ABOVE, _BELOW, _BESIDE)
    lean = np.radians(random.uniform(-10, 35))
    tip, knuckle = np.zeros(2), rotated(np.array([[0.0, 1.0]]), -lean)[0]
    wrist = knuckle + np.array([random.uniform(0.15, 0.5), random.uniform(0.75, 1.0)])
    palm, thumb = knuckle + np.array([0.05, 0.25]), knuckle + np.array([[-0.25, 0.1], [-0.15, 0.65]])
    arm = np.radians(random.uniform(5, 45))
    elbow = wrist + 7.5 * np.array([np.sin(arm), np.cos(arm)])
    thick = random.uniform(0.8, 1.2)
    depth = [
        capsule(x * side, y, tip + 0.13 * (knuckle - tip), knuckle, 0.12 * thick, 0.18 * thick),
        capsule(x * side, y, palm, wrist, 0.42 * thick, 0.4 * thick),
        capsule(x * side, y, thumb[0], thumb[1], 0.14 * thick, 0.17 * thick),
        capsule(x * side, y, wrist, elbow, 0.33 * thick, 0.6 * thick),
    ]
    inside = np.maximum.reduce(depth)
    skin = random.uniform(70, 235) * np.array([1, random.uniform(0.68, 0.86), random.uniform(0.5, 0.78)])
    colours = shaded(skin, inside, random, levels=random.uniform(0.1, 0.3))
    if random.random() < SLEEVE_SHARE:
        along = ((x * side - wrist[0]) * np.sin(arm) + (y - wrist[1]) * np.cos(arm)) > random.uniform(0.3, 3)
        cloth = shaded(random.uniform(20, 230, 3), inside, random, levels=random.uniform(0.1, 0.6))
        if random.random() < 0.5:
            squares = (np.sin(x * random.uniform(6, 15)) * np.sin(y * random.uniform(6, 15)) > 0).astype(np.float32)
            cloth += random.normal(0, 50) * squares
        colours = np.where(along, cloth, colours)
    return Pointer(_drawn(colours, inside), elbow * (side, 1.0))


def _object(random: np.random.Generator) -> Pointer:
    """Something with texture that moves as a whole."""
    y, x = grid(_UNIT, _ABOVE, _BELOW, _BESIDE)
    wide, tall = random.uniform(0.5, 1.4, 2)
    inside = (1 - np.sqrt((x / wide) ** 2 + (y / tall) ** 2)) * min(wide, tall)
    colours = shaded(random.uniform(30, 230, 3), inside, random, levels=random.uniform(0.3, 1.5))
    return Pointer(_drawn(colours, inside), np.array([random.normal(0, 2), 9.0]))


def _drawn(colours: NDArray[np.float32], inside: NDArray[np.float32]) -> Sprite:
    return sprite(colours, inside, (_BESIDE * _UNIT, _ABOVE * _UNIT), _UNIT)


def _turns(tip: Points, elbow: NDArray[np.float64]) -> NDArray[np.float64]:
    """By which angle an arm from the elbow to each tip differs from its mean, in radians, clockwise."""
    x, y = (tip - elbow).T
    angle = np.arctan2(x, -y)
    return angle - angle.mean()


def _occluder(random: np.random.Generator, height: int, width: int) -> Tensor:
    """What stands in front: colours times opacity, and opacity, (1, 4, H, W); mostly nothing."""
    import torch

    layer = torch.zeros(1, 4, height, width)
    if random.random() < OCCLUDED_SHARE:
        left, share = int(random.uniform(0, 0.9) * width), random.uniform(0.05, 0.15)
        area = layer[..., left : left + max(2, int(share * width))]
        area[:, 3] = 1
        area[:, :3] = background(random, height, area.shape[-1])
    return layer


def _exposure(count: int, random: np.random.Generator) -> NDArray[np.float32]:
    """How bright each frame is: it wanders, and a camera may first have to find it."""
    wander = random.uniform(0, 0.06) * smooth_noise(count, 10, random)[:, 0]
    first = random.normal(0, 0.5) if random.random() < 0.3 else 0.0
    flicker = 0.005 * random.standard_normal(count)
    return np.exp(wander + flicker + first * np.exp(-np.arange(count) / random.uniform(4, 25))).astype(np.float32)
