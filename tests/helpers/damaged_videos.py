"""Seed videos of several codecs, and copies of them damaged by a fixed random generator."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from hybridnet.config import PreprocessConfig

PREPROCESS = PreprocessConfig(frame_width=96, frame_height=64, crop=64)
FRAMES = 40
WITHOUT_VECTORS = ("vp8.webm", "vp9.ivf", "av1.mkv", "moving.gif", "intra.avi")
PIXELS = {"gif": "rgb8", "mjpeg": "yuvj420p"}

Damage = Callable[[bytearray, bytes, np.random.Generator], bytearray]


@dataclass(frozen=True)
class Damaged:
    """A file to read and how it came to be."""

    number: int
    seed: str
    damage: str
    path: Path


def make_seeds(folder: Path) -> list[Path]:
    """Write one file of each kind: textures moving over each other, 96×64."""
    kinds = {
        "mpeg4.avi": ("mpeg4", 0),
        "mpeg4-b.mp4": ("mpeg4", 2),
        "h264.mp4": ("libx264", 0),
        "h264-b.mp4": ("libx264", 2),
        "mpeg2.ts": ("mpeg2video", 0),
        "vp8.webm": ("libvpx", 0),
        "vp9.ivf": ("libvpx-vp9", 0),
        "av1.mkv": ("libsvtav1", 0),
        "moving.gif": ("gif", 0),
        "intra.avi": ("mjpeg", 0),
    }
    kinds = {name: kind for name, kind in kinds.items() if kind[0] in av.codecs_available}
    return [_encode(folder / name, codec, b_frames) for name, (codec, b_frames) in kinds.items()]


def _encode(path: Path, codec: str, b_frames: int) -> Path:
    width, height = PREPROCESS.frame_width, PREPROCESS.frame_height
    texture = np.random.default_rng(0).integers(0, 256, (height // 4 + 40, width // 4 + 40, 3), np.uint8)
    texture = texture.repeat(4, axis=0).repeat(4, axis=1)
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, PIXELS.get(codec, "yuv420p")
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = PREPROCESS.steps + 1, b_frames
        for t in range(FRAMES):
            picture = np.ascontiguousarray(texture[t : t + height, 2 * t : 2 * t + width])
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def flip(content: bytearray, other: bytes, random: np.random.Generator) -> bytearray:
    """Change 1 to 200 bytes."""
    for _ in range(round(math.exp(random.uniform(0, math.log(200))))):
        content[_place(content, random)] ^= int(random.integers(1, 256))
    return content


def cut(content: bytearray, other: bytes, random: np.random.Generator) -> bytearray:
    """Drop the end, or a piece in the middle."""
    begin = _place(content, random)
    end = len(content) if random.random() < 0.5 else begin + _length(content, random)
    del content[max(begin, 1) : end]
    return content


def zero(content: bytearray, other: bytes, random: np.random.Generator) -> bytearray:
    """Overwrite a piece with zeros."""
    begin, length = _place(content, random), _length(content, random)
    content[begin : begin + length] = bytes(min(length, len(content) - begin))
    return content


def splice(content: bytearray, other: bytes, random: np.random.Generator) -> bytearray:
    """Insert a piece of another file, or put it over what is there."""
    begin, length, source = _place(content, random), _length(content, random), _place(other, random)
    piece = other[source : source + length]
    content[begin : begin + (len(piece) if random.random() < 0.5 else 0)] = piece
    return content


DAMAGES: dict[str, Damage] = {"flip": flip, "cut": cut, "zero": zero, "splice": splice}


def _place(content: bytes | bytearray, random: np.random.Generator) -> int:
    """Anywhere; a sixth of the time among the first 512 bytes, where headers are."""
    return int(random.integers(min(len(content), 512) if random.random() < 1 / 6 else len(content)))


def _length(content: bytes | bytearray, random: np.random.Generator) -> int:
    return round(math.exp(random.uniform(0, math.log(max(len(content) / 2, 2)))))


def damaged_files(seeds: list[Path], folder: Path, count: int, seed: int) -> Iterator[Damaged]:
    """Write damaged files one by one, as they are asked for: all kinds of damage to all seeds in turn."""
    contents = [path.read_bytes() for path in seeds]
    names = list(DAMAGES)
    for number in range(count):
        random = np.random.default_rng([seed, number])
        which = number % len(seeds)
        damages = [names[number // len(seeds) % len(names)], *random.choice(names, int(random.integers(3)))]
        content = bytearray(contents[which])
        for name in damages:
            content = DAMAGES[name](content, contents[int(random.integers(len(seeds)))], random)
        path = folder / f"{number:05d}-{'-'.join(damages)}-{seeds[which].name}"
        path.write_bytes(content)
        yield Damaged(number, seeds[which].name, "+".join(damages), path)
