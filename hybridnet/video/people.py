"""Clips of a person who moves: limbs of two bones before a background, the pictures before the encoder.

A pose is the place of the hip and an angle for every bone; an action is how these change over time. Angles are in
radians from hanging down, positive to the front; the person faces right, or left in half of the clips.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hybridnet.video.gestures import Points, rotated, smooth_noise
from hybridnet.video.sprites import Sprite, capsule, grid, moved, over, placed, shaded, sprite
from hybridnet.video.textures import background

Angles = NDArray[np.float64]
"""(n,), one per frame."""

PEOPLE = ("fall", "jump", "kick", "punch", "run", "sit", "walk")
"""The classes, in the order of their labels."""

PEOPLE_FRAMES = 48
"""Frames of a clip unless another number is asked for."""

HEIGHTS = (0.45, 0.85)
"""Range of a person's height in heights of the picture."""

HEAD_HEIGHTS = 0.012
"""Largest standard deviation of where the camera looks, in heights of the picture."""

NOISE_LEVELS = 2.0
"""Largest standard deviation of the sensor's noise in grey levels."""

RATES_FPS = (12.5, 25.0, 30.0)
"""Frame rates of the cameras."""

_UNIT = 160  # pixels of a drawn person's height
_TOGETHER = 32  # frames that are drawn at once
_THIGH, _SHIN, _TORSO, _UPPER, _LOWER = 0.25, 0.25, 0.3, 0.17, 0.17  # in heights of the person


@dataclass(frozen=True, eq=False)
class Poses:
    """A person over n frames; limbs are near, then far, each (2, n).

    Attributes:
        hip: In heights of the person from where it begins, y down, (n, 2).
        torso: How far the trunk leans to the front, (n,).
        thigh: The angle of each thigh.
        knee: By how much each shin is behind its thigh.
        upper: The angle of each upper arm.
        elbow: By how much each forearm is before its upper arm.
        all: By how much the whole body is turned to the front, about the feet, (n,).
    """

    hip: Points
    torso: Angles
    thigh: Angles
    knee: Angles
    upper: Angles
    elbow: Angles
    all: Angles


@dataclass(frozen=True, eq=False)
class Bone:
    """A drawn part of the body that hangs from a joint: where that is, and how far it is turned clockwise."""

    drawn: Sprite
    joint: Points
    turn: Angles


def render_person(action: str, seed: int, *, frames: int | None, width: int, height: int) -> NDArray[np.uint8]:
    """Draw the pictures of an action, RGB, (n, H, W, 3); arguments as of `hybridnet.video.synthetic.make_clip`."""
    import torch

    random = np.random.default_rng([2, PEOPLE.index(action), seed])
    count = PEOPLE_FRAMES if frames is None else frames
    pose = poses(action, np.arange(count) / random.choice(RATES_FPS), random)
    tall, side = random.uniform(*HEIGHTS) * height, random.choice((-1.0, 1.0))
    feet = np.array([width * random.normal(0.5, 0.1), height * random.uniform(0.85, 1.0)])
    head = random.uniform(0, HEAD_HEIGHTS) * height * smooth_noise(count, 12, random)
    scene = background(random, height + height // 4, width + width // 4)
    body = _body(pose, random)
    scale = np.full(count, tall / _UNIT)
    sigma, pictures = random.uniform(0.3, NOISE_LEVELS), []
    for part in np.array_split(np.arange(count), -(-count // _TOGETHER)):
        shown = moved(scene, head[part], height, width)
        for bone in body:
            at = feet + tall * bone.joint[part] * (side, 1.0) + head[part]
            shown = over(placed(bone.drawn, at, side * bone.turn[part], scale[part], height, width), shown)
        noise = sigma * random.standard_normal((len(part), 1, height, width), np.float32)
        shown = (shown + torch.from_numpy(noise)).clamp_(0, 255).byte()
        pictures.append(shown.permute(0, 2, 3, 1).numpy())
    return np.ascontiguousarray(np.concatenate(pictures))


def _body(pose: Poses, random: np.random.Generator) -> list[Bone]:
    """The parts of a body, the far ones first; joints are in heights of the person from between the feet."""
    along = pose.hip - pose.hip.mean(axis=0) * (1, 0)
    hip = along - (0, _THIGH + _SHIN)
    neck = hip + _TORSO * np.stack([np.sin(pose.torso), -np.cos(pose.torso)], axis=1)
    shoulder = hip + 0.88 * (neck - hip)
    skin, shirt, trousers = random.uniform(70, 230) * np.array([1, 0.78, 0.65]), *random.uniform(20, 235, (2, 3))
    clothes = random.uniform(0.1, 0.8)

    def limb(joint: Points, angles: Angles, lengths: tuple[float, float], colours: tuple[Angles, Angles], thick: float,
             light: float) -> list[Bone]:  # fmt: skip
        end = joint + lengths[0] * np.stack([np.sin(angles[0]), np.cos(angles[0])], axis=1)
        upper = _bar(light * colours[0], lengths[0], thick, thick, clothes, random)
        lower = _bar(light * colours[1], lengths[1], 0.9 * thick, 0.7 * thick, clothes, random)
        return [Bone(upper, joint, -angles[0]), Bone(lower, end, -angles[1])]

    def side(number: int, light: float) -> list[list[Bone]]:
        leg = limb(hip, np.stack([pose.thigh[number], pose.thigh[number] - pose.knee[number]]), (_THIGH, _SHIN),
                   (trousers, trousers), 0.055, light)  # fmt: skip
        arm = limb(shoulder, np.stack([pose.upper[number], pose.upper[number] + pose.elbow[number]]), (_UPPER, _LOWER),
                   (shirt, skin), 0.035, light)  # fmt: skip
        return [arm, leg]

    trunk = Bone(_bar(shirt, _TORSO, 0.085, 0.075, clothes, random), neck, pose.torso)
    face = Bone(_bar(skin, 0.07, 0.05, 0.065, 0.2, random), neck - (0, 0.11), pose.torso)
    far, near = side(1, 0.75), side(0, 1.0)
    parts = [*far[0], *far[1], trunk, face, *near[1], *near[0]]
    return [Bone(b.drawn, _about_feet(b.joint, along, pose.all), b.turn + pose.all) for b in parts]


def _about_feet(joints: Points, along: Points, turn: Angles) -> Points:
    """Joints (n, 2) turned clockwise about where the feet are."""
    feet = along * (1, 0)
    return np.stack([rotated((j - f)[None], t)[0] + f for j, f, t in zip(joints, feet, turn, strict=True)])


def _bar(
    colour: Angles, length: float, first: float, last: float, levels: float, random: np.random.Generator
) -> Sprite:
    """A bone that hangs down from its joint; lengths and radii in heights of the person."""
    reach = first + 0.02
    y, x = grid(_UNIT, reach, length + last + 0.02, reach + 0.02)
    inside = capsule(x, y, np.zeros(2), np.array([0.0, length]), first, last)
    drawn = shaded(np.clip(colour, 0, 255), 8 * inside, random, levels=levels)
    return sprite(drawn, inside, (int((reach + 0.02) * _UNIT), int(reach * _UNIT)), _UNIT)


def poses(action: str, time: Angles, random: np.random.Generator) -> Poses:
    """The poses of an action at each time, in seconds."""
    rate = _RATES[action] * np.exp(random.normal(0, 0.2))
    phase = 2 * np.pi * (rate * time + random.random())
    return _ACTIONS[action](phase, rate, np.exp(random.normal(0, 0.12)))


def _steps(phase: Angles, rate: float, size: float, *, running: bool) -> Poses:
    both = np.stack([phase, phase + np.pi])
    swing, lift, speed = (0.75, 1.5, 1.3) if running else (0.42, 0.8, 0.75)
    thigh = size * swing * np.sin(both)
    knee = size * (0.15 + lift * np.clip(np.cos(both), 0, 1) ** 2)
    hip = np.stack([speed * size * phase / (2 * np.pi), -0.03 * np.abs(np.cos(phase)) * (2 if running else 1)], axis=1)
    elbow = np.full_like(both, 1.5 if running else 0.3)
    return Poses(hip, np.full_like(phase, 0.2 if running else 0.03), thigh, knee, -0.9 * thigh, elbow, 0 * phase)


def _jump(phase: Angles, rate: float, size: float) -> Poses:
    cycle = np.mod(phase, 2 * np.pi) / (2 * np.pi)
    crouch = np.exp(-(((cycle - 0.25) / 0.1) ** 2)) + np.exp(-(((cycle - 0.78) / 0.08) ** 2))
    flight = np.clip((cycle - 0.35) / 0.35, 0, 1)
    up = size * 0.35 * 4 * flight * (1 - flight)
    bend = np.stack([crouch, crouch])
    hip = np.stack([0 * phase, 0.22 * crouch - up], axis=1)
    arms = np.stack([2.6 * np.sin(np.pi * flight) - 0.6 * crouch] * 2)
    return Poses(hip, 0.5 * crouch, 0.95 * bend, 1.9 * bend, arms, 0.2 + 0 * bend, 0 * phase)


def _kick(phase: Angles, rate: float, size: float) -> Poses:
    cycle = np.mod(phase, 2 * np.pi) / (2 * np.pi)
    back, out = np.exp(-(((cycle - 0.3) / 0.1) ** 2)), np.exp(-(((cycle - 0.5) / 0.09) ** 2))
    thigh = np.stack([size * (1.5 * out - 0.6 * back), 0.05 + 0 * phase])
    knee = np.stack([1.3 * back + 0.1, 0.1 + 0 * phase])
    arms = np.stack([-0.6 * out, 0.8 * out])
    return Poses(np.stack([0 * phase, 0 * phase], axis=1), -0.3 * out, thigh, knee, arms, 0.7 + 0 * arms, 0 * phase)


def _punch(phase: Angles, rate: float, size: float) -> Poses:
    out = np.stack([np.clip(np.sin(phase), 0, 1) ** 2, np.clip(-np.sin(phase), 0, 1) ** 2])
    legs = np.stack([0.3 + 0 * phase, -0.3 + 0 * phase])
    hip = np.stack([0.03 * np.sin(phase), 0 * phase], axis=1)
    return Poses(hip, 0.1 + 0.15 * out.sum(axis=0), legs, 0.2 + 0 * legs, size * (0.3 + 1.25 * out), 2 - 1.9 * out,
                 0 * phase)  # fmt: skip


def _sit(phase: Angles, rate: float, size: float) -> Poses:
    down = 0.5 - 0.5 * np.cos(np.clip(np.mod(phase, 2 * np.pi) * 1.6 - 1, 0, 2 * np.pi))
    legs = np.stack([1.5 * down, 1.5 * down])
    hip = np.stack([-0.2 * down, 0.25 * down], axis=1) * size
    return Poses(hip, 0.9 * np.sin(np.pi * down) + 0.05, legs, legs, 0.5 * legs, 0.4 + 0 * legs, 0 * phase)


def _fall(phase: Angles, rate: float, size: float) -> Poses:
    fallen = np.clip(np.mod(phase, 2 * np.pi) / np.pi - 0.4, 0, 1) ** 2
    legs = np.stack([0.25 * fallen, -0.15 * fallen])
    arms = np.stack([2 * fallen, 1.2 * fallen])
    hip = np.stack([0 * phase, 0 * phase], axis=1)
    return Poses(hip, 0.2 * fallen, legs, 0.4 * np.abs(legs), arms, 0.3 + 0 * arms, size * 1.45 * fallen)


_ACTIONS: Mapping[str, Callable[[Angles, float, float], Poses]] = {
    "fall": _fall,
    "jump": _jump,
    "kick": _kick,
    "punch": _punch,
    "run": lambda phase, rate, size: _steps(phase, rate, size, running=True),
    "sit": _sit,
    "walk": lambda phase, rate, size: _steps(phase, rate, size, running=False),
}

_RATES: Mapping[str, float] = {"fall": 0.5, "jump": 0.8, "kick": 0.8, "punch": 1.3, "run": 1.4, "sit": 0.4, "walk": 0.9}
"""Repetitions a second; two steps of a walk are one."""
