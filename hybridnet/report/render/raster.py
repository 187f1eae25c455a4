"""Sheets of a record as small pictures: each kind of value in colours of its own, in which 0 is dark or mid-grey."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hybridnet.report.document import Image, Images, Ramp
from hybridnet.report.numbers import figure
from hybridnet.report.record.pictures import Sheet, SheetKind

Colours = npt.NDArray[np.float64]
"""Channels red, green and blue at the end, 0 to 1."""

DARK = (0.09, 0.10, 0.12)
"""What 0 looks like on a map."""

SPIKES = np.array([DARK, (0.45, 0.13, 0.36), (0.88, 0.36, 0.22), (0.99, 0.92, 0.55)])
SIGNED = np.array([(0.55, 0.80, 1.0), (0.12, 0.42, 0.80), DARK, (0.80, 0.38, 0.06), (1.0, 0.82, 0.45)])
"""Colours of a map from the lower to the upper end of its scale, at equal distances."""

RAMPS: dict[SheetKind, Ramp] = {SheetKind.RESIDUAL: "grey", SheetKind.SPIKES: "spikes"}
"""The other kinds, but frames and motion, have `signed`."""

ARROWS, DARKEST = 12, 0.12
"""Arrows along the longer side of a picture of motion, and the share of the largest below which there is none."""

HOW = "arrows point where the picture moved to; the colour is the direction, its brightness the length"


def images_of(sheet: Sheet) -> Images:
    """A sheet with its title and its scale."""
    pixels = np.rint(255 * coloured(sheet)).astype(np.uint8)
    vectors = sheet.array if sheet.kind is SheetKind.MOTION else None
    images = tuple(
        Image(label, sheet.height, sheet.width, pixels[n].tobytes(), () if vectors is None else arrows(vectors[n]))
        for n, label in enumerate(sheet.labels)
    )
    title, full = f"{sheet.name}: {sheet.what}", figure(sheet.full, ".3g", sheet.unit)
    if sheet.kind is SheetKind.FRAME:
        return Images(title, images)
    if sheet.kind is SheetKind.MOTION:
        return Images(title, images, note=f"{HOW}; the brightest is {full}")
    if _from_zero(sheet):
        return Images(title, images, "spikes", "0", full)
    return Images(title, images, RAMPS.get(sheet.kind, "signed"), f"−{full}", full)


def _from_zero(sheet: Sheet) -> bool:
    """Whether its scale begins at 0: spikes, and counts or other values of which none is negative."""
    own = (SheetKind.INPUT, SheetKind.MESSAGE, SheetKind.POTENTIAL)
    return sheet.kind is SheetKind.SPIKES or (sheet.kind in own and bool((sheet.array >= 0).all()))


def coloured(sheet: Sheet) -> Colours:
    """Colours of each pixel, (cells, H, W, 3)."""
    values = sheet.array
    if sheet.kind is SheetKind.FRAME:
        return values
    if sheet.kind is SheetKind.RESIDUAL:
        return 0.5 + values / 2
    if sheet.kind is SheetKind.MOTION:
        return directions(values)
    if _from_zero(sheet):
        return between(SPIKES, values[..., 0])
    return between(SIGNED, (values[..., 0] + 1) / 2)


def between(stops: Colours, places: npt.NDArray[np.float64]) -> Colours:
    """Colours at places from 0 to 1 on a ramp of stops (n, 3)."""
    ends = np.linspace(0, 1, len(stops))
    return np.stack([np.interp(places, ends, stops[:, channel]) for channel in range(3)], axis=-1)


def directions(vectors: npt.NDArray[np.float64]) -> Colours:
    """Vectors (…, 2) of lengths up to 1: hue for direction, brightness for length, from DARK."""
    x, y = vectors[..., 0], vectors[..., 1]
    hue = np.arctan2(-y, x)[..., None] / (2 * np.pi)
    pure = np.clip(np.abs((hue + np.array([0, 2 / 3, 1 / 3])) % 1 * 6 - 3) - 1, 0, 1)
    length = np.minimum(np.hypot(x, y), 1)[..., None]
    return np.array(DARK) * (1 - length) + pure * length


def arrows(vectors: npt.NDArray[np.float64]) -> tuple[tuple[float, float, float, float], ...]:
    """Arrows on a grid over vectors (H, W, 2): from the middle of each cell, the longest as long as a cell."""
    height, width, _ = vectors.shape
    cell = max(height, width) / ARROWS
    largest = float(np.hypot(vectors[..., 0], vectors[..., 1]).max()) or 1.0
    found = []
    for row in range(int(height / cell)):
        for column in range(int(width / cell)):
            x, y = (column + 0.5) * cell, (row + 0.5) * cell
            dx, dy = (float(v) / largest for v in vectors[int(y), int(x)])
            if np.hypot(dx, dy) > DARKEST:
                found.append((x, y, dx * cell, dy * cell))
    return tuple(found)
