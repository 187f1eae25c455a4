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
from hybridnet.video.textures import OCTAVES, background, colour_noise

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
_REACH = (3.0, 9.0)  # of a drawn hand beside and below its fingertip, in lengths of its finger
_TOGETHER = 32  # frames that are drawn at once


@dataclass(frozen=True, eq=False)
class Pointer:
    """A drawn hand: what points, and where in the drawing its tip is.

    Attributes:
        drawing: Colours from 0 to 255 and opacity from 0 to 1, (1, 4, h, w), `_UNIT` pixels per finger.
        elbow: From the tip, in lengths of the finger; about it the hand turns.
    """

    drawing: Tensor
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
        shown = _moved(scene, head[part], height, width)
        over = _placed(pointer, tip[part], turn[part], scale[part], height, width)
        if shutter:  # two moments of an exposure
            blurred = tip[part] + shutter * (tip[np.minimum(part + 1, len(tip) - 1)] - tip[part])
            over = (over + _placed(pointer, blurred, turn[part], scale[part], height, width)) / 2
        shown = shown * (1 - over[:, 3:]) + over[:, :3]
        shown = shown * (1 - before[:, 3:]) + before[:, :3]
        shown = shown * torch.from_numpy(light[part])[:, None, None, None]
        noise = sigma * random.standard_normal((len(part), 1, height, width), np.float32)
        shown = (shown + torch.from_numpy(noise)).clamp_(0, 255).byte()
        pictures.append(shown.permute(0, 2, 3, 1).numpy())
    return np.ascontiguousarray(np.concatenate(pictures))


def _hand(random: np.random.Generator) -> Pointer:
    """A finger, a fist and a forearm, bare or in a sleeve; mirrored for a left hand."""
    side = -1.0 if random.random() < LEFT_SHARE else 1.0
    y, x = _grid()
    lean = np.radians(random.uniform(-10, 35))
    tip, knuckle = np.zeros(2), rotated(np.array([[0.0, 1.0]]), -lean)[0]
    wrist = knuckle + np.array([random.uniform(0.15, 0.5), random.uniform(0.75, 1.0)])
    palm, thumb = knuckle + np.array([0.05, 0.25]), knuckle + np.array([[-0.25, 0.1], [-0.15, 0.65]])
    arm = np.radians(random.uniform(5, 45))
    elbow = wrist + 7.5 * np.array([np.sin(arm), np.cos(arm)])
    thick = random.uniform(0.8, 1.2)
    depth = [
        _capsule(x * side, y, tip + 0.13 * (knuckle - tip), knuckle, 0.12 * thick, 0.18 * thick),
        _capsule(x * side, y, palm, wrist, 0.42 * thick, 0.4 * thick),
        _capsule(x * side, y, thumb[0], thumb[1], 0.14 * thick, 0.17 * thick),
        _capsule(x * side, y, wrist, elbow, 0.33 * thick, 0.6 * thick),
    ]
    inside = np.maximum.reduce(depth)
    skin = random.uniform(70, 235) * np.array([1, random.uniform(0.68, 0.86), random.uniform(0.5, 0.78)])
    colours = _shaded(skin, inside, random, levels=random.uniform(0.1, 0.3))
    if random.random() < SLEEVE_SHARE:
        along = ((x * side - wrist[0]) * np.sin(arm) + (y - wrist[1]) * np.cos(arm)) > random.uniform(0.3, 3)
        cloth = _shaded(random.uniform(20, 230, 3), inside, random, levels=random.uniform(0.1, 0.6))
        if random.random() < 0.5:
            squares = (np.sin(x * random.uniform(6, 15)) * np.sin(y * random.uniform(6, 15)) > 0).astype(np.float32)
            cloth += random.normal(0, 50) * squares
        colours = np.where(along, cloth, colours)
    return Pointer(_drawing(colours, inside), elbow * (side, 1.0))


def _object(random: np.random.Generator) -> Pointer:
    """Something with texture that moves as a whole."""
    y, x = _grid()
    wide, tall = random.uniform(0.5, 1.4, 2)
    inside = (1 - np.sqrt((x / wide) ** 2 + (y / tall) ** 2)) * min(wide, tall)
    colours = _shaded(random.uniform(30, 230, 3), inside, random, levels=random.uniform(0.3, 1.5))
    return Pointer(_drawing(colours, inside), np.array([random.normal(0, 2), 9.0]))


def _grid() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Y and x of a drawing's pixels in lengths of the finger; the tip is at 0."""
    beside, below = _REACH
    y = np.arange(int(-1.5 * _UNIT), int(below * _UNIT), dtype=np.float32) / _UNIT
    x = np.arange(int(-2 * beside * _UNIT), int(2 * beside * _UNIT), dtype=np.float32) / _UNIT
    return y[:, None], x[None, :]


def _capsule(
    x: NDArray[np.float32], y: NDArray[np.float32], start: NDArray[np.float64], end: NDArray[np.float64],
    first: float, last: float,
) -> NDArray[np.float32]:  # fmt: skip
    """How deep each point is in a bar with round ends whose radius goes from `first` to `last`; negative outside."""
    (ax, ay), (dx, dy) = start, end - start
    share = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0, 1)
    distance = np.hypot(x - ax - share * dx, y - ay - share * dy)
    return (first + share * (last - first) - distance).astype(np.float32)


def _shaded(
    colour: NDArray[np.float64], inside: NDArray[np.float32], random: np.random.Generator, *, levels: float
) -> NDArray[np.float32]:
    """A colour with texture, darker towards the edge, (3, h, w)."""
    height, width = inside.shape
    texture = colour_noise(random, height, width, {4 * cells: own for cells, own in OCTAVES.items()})[0].numpy()
    light = 0.6 + 0.4 * np.clip(inside / 0.25, 0, 1)
    return (colour[:, None, None] * light + levels * texture).astype(np.float32)


def _drawing(colours: NDArray[np.float32], inside: NDArray[np.float32]) -> Tensor:
    """Colours times opacity, and opacity, (1, 4, h, w)."""
    import torch

    opacity = np.clip(inside * _UNIT / 2 + 0.5, 0, 1)[None]
    return torch.from_numpy(np.concatenate([np.clip(colours, 0, 255) * opacity, opacity])[None].astype(np.float32))


def _turns(tip: Points, elbow: NDArray[np.float64]) -> NDArray[np.float64]:
    """By which angle an arm from the elbow to each tip differs from its mean, in radians, clockwise."""
    x, y = (tip - elbow).T
    angle = np.arctan2(x, -y)
    return angle - angle.mean()


def _placed(
    pointer: Pointer, tip: Points, turn: NDArray[np.float64], scale: NDArray[np.float64], height: int, width: int
) -> Tensor:
    """The drawing in each of n pictures, (n, 4, H, W): its tip, its turn clockwise, picture pixels per drawn pixel."""
    import torch
    import torch.nn.functional as F

    rows, columns = pointer.drawing.shape[-2:]
    origin = np.array([columns / 2, 1.5 * _UNIT])  # of the tip
    # A picture's pixel p shows the drawing's point origin + R(−turn) (p − tip) / scale; both in −1 to 1 below.
    cos, sin = np.cos(turn) / scale, np.sin(turn) / scale
    matrix = np.stack([np.stack([cos, sin], axis=-1), np.stack([-sin, cos], axis=-1)], axis=-2)
    half = np.array([width, height]) / 2
    size = np.array([columns, rows]) / 2
    shift = origin + np.einsum("nij,nj->ni", matrix, half - tip)
    theta = np.concatenate([matrix * half / size[:, None], (shift / size - 1)[..., None]], axis=-1)
    grid = F.affine_grid(torch.from_numpy(theta.astype(np.float32)), [len(tip), 4, height, width], align_corners=False)
    return F.grid_sample(pointer.drawing.expand(len(tip), -1, -1, -1), grid, "bilinear", "zeros", align_corners=False)


def _moved(scene: Tensor, head: Points, height: int, width: int) -> Tensor:
    """The part of a scene that is seen, (n, 3, H, W); `head` shifts it, in pixels."""
    import torch
    import torch.nn.functional as F

    rows, columns = scene.shape[-2:]
    theta = np.zeros((len(head), 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = width / columns, height / rows
    theta[:, :, 2] = -2 * head / (columns, rows)
    grid = F.affine_grid(torch.from_numpy(theta), [len(head), 3, height, width], align_corners=False)
    return F.grid_sample(scene.expand(len(head), -1, -1, -1), grid, "bilinear", "reflection", align_corners=False)


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
