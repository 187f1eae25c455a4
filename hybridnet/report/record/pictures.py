"""What a run looked like, small enough for its record: one view's inputs, spikes and potentials, 8 bits a value.

Values are stored, not pictures: who draws a page chooses the colours, and a stranger's record brings no image file.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from hybridnet.errors import ConfigError
from hybridnet.support.arrays import Array

MAX_SIDE, MAX_CELLS, MAX_SHEETS = 112, 8, 32
"""Pixels of a side, small pictures of a sheet, and sheets of a record."""

MAX_BYTES = 600_000
"""Values of all sheets of a record together."""

MAX_LAYERS, MAX_STEPS = 64, 64
"""Layers and steps whose spike rates are kept."""

ZERO, LEVELS = 128, 127
"""What a signed value of 0 is stored as, and the levels to either side of it."""


class SheetKind(StrEnum):
    """What a sheet shows, which decides its channels, its sign and its colours."""

    FRAME = "frame"
    MOTION = "motion"
    RESIDUAL = "residual"
    INPUT = "input"
    MESSAGE = "message"
    SPIKES = "spikes"
    POTENTIAL = "potential"


CHANNELS = {SheetKind.FRAME: 3, SheetKind.MOTION: 2, SheetKind.RESIDUAL: 3}
"""Each value of the other kinds is one channel."""

UNSIGNED = (SheetKind.FRAME, SheetKind.SPIKES)


@dataclass(frozen=True)
class Sheet:
    """Small pictures of one kind beside each other.

    Attributes:
        name: The model's input, the layer, or the tensor that crosses.
        what: What one value is, in words.
        labels: The label of each small picture.
        height: Pixels of each.
        width: Pixels of each.
        full: What the largest stored value stands for, greater than 0; of signed kinds the smallest is its negative.
        unit: The unit of the values; empty if they have none.
        values: Bytes (cells, height, width, channels) in base64; signed kinds have 0 at ZERO.
    """

    kind: SheetKind
    name: str
    what: str
    labels: tuple[str, ...]
    height: int
    width: int
    full: float
    unit: str
    values: str

    def __post_init__(self) -> None:
        if not 1 <= len(self.labels) <= MAX_CELLS:
            raise ConfigError("labels", len(self.labels), f"1 to {MAX_CELLS}")
        if not (1 <= self.height <= MAX_SIDE and 1 <= self.width <= MAX_SIDE):
            raise ConfigError("height, width", (self.height, self.width), f"1 to {MAX_SIDE}")
        if self.full <= 0:
            raise ConfigError("full", self.full, "greater than 0")
        if len(self.values) != -(-self.size // 3) * 4:
            raise ConfigError("values", f"{len(self.values)} characters", f"{self.size} bytes in base64")
        try:
            content = base64.b64decode(self.values, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ConfigError("values", str(error), "base64") from error
        if len(content) != self.size:
            raise ConfigError("values", f"{len(content)} bytes", f"{self.size} bytes in base64")

    @property
    def channels(self) -> int:
        """Values of a pixel."""
        return CHANNELS.get(self.kind, 1)

    @property
    def size(self) -> int:
        """Bytes of all values."""
        return len(self.labels) * self.height * self.width * self.channels

    @property
    def array(self) -> npt.NDArray[np.float64]:
        """The values, (cells, H, W, channels): 0 to 1 of unsigned kinds, −1 to 1 of the others; 1 is `full`."""
        shape = (len(self.labels), self.height, self.width, self.channels)
        stored = np.frombuffer(base64.b64decode(self.values), np.uint8).reshape(shape).astype(np.float64)
        return stored / 255 if self.kind in UNSIGNED else np.maximum((stored - ZERO) / LEVELS, -1.0)


@dataclass(frozen=True)
class LayerRates:
    """How often the neurons of one layer fired, step by step, over all views: shares, 0 to 1.

    Attributes:
        rates: One per step, or per stretch of steps if there are more than MAX_STEPS.
    """

    name: str
    rates: tuple[float, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.rates) <= MAX_STEPS or not all(0 <= rate <= 1 for rate in self.rates):
            raise ConfigError("rates", len(self.rates), f"1 to {MAX_STEPS} shares from 0 to 1")


@dataclass(frozen=True)
class Pictures:
    """What one view of a run looked like.

    Attributes:
        view: Its number, from 0: the one with the most spikes.
        steps: T, steps of a view.
        layers: How many spiking layers there are; those of `sheets` and `rates` may be fewer.
        sheets: Inputs, spikes, and what crosses the bridge, in the order of the data.
        rates: Spike rates of the layers in the order of the program.
    """

    view: int
    steps: int
    layers: int
    sheets: tuple[Sheet, ...]
    rates: tuple[LayerRates, ...]

    def __post_init__(self) -> None:
        if self.view < 0 or self.steps < 1 or self.layers < 0:
            raise ConfigError("view, steps, layers", (self.view, self.steps, self.layers), "counts")
        if len(self.sheets) > MAX_SHEETS or len(self.rates) > MAX_LAYERS:
            raise ConfigError("sheets, rates", (len(self.sheets), len(self.rates)), f"{MAX_SHEETS}, {MAX_LAYERS}")
        if sum(sheet.size for sheet in self.sheets) > MAX_BYTES:
            raise ConfigError("sheets", sum(sheet.size for sheet in self.sheets), f"up to {MAX_BYTES} bytes")

    def of_kind(self, *kinds: SheetKind) -> tuple[Sheet, ...]:
        """The sheets of some kinds."""
        return tuple(sheet for sheet in self.sheets if sheet.kind in kinds)


def sheet_of(
    kind: SheetKind,
    name: str,
    what: str,
    labels: Sequence[str],
    cells: Array,
    full: float | None = None,
    unit: str = "",
) -> Sheet:
    """Values as a sheet, each rounded to 8 bits.

    Args:
        cells: (cells, H, W, channels), or (cells, H, W) of one channel; sides up to MAX_SIDE.
        full: What the largest stored value stands for; values beyond it are drawn as it. The largest magnitude if None.
    """
    largest = float(np.abs(cells).max(initial=0)) if full is None else full
    scale = largest or 1.0
    parts = np.asarray(cells, np.float64) / scale
    stored = parts * 255 if kind in UNSIGNED else ZERO + LEVELS * np.clip(parts, -1, 1)
    content = np.rint(np.clip(stored, 0, 255)).astype(np.uint8).tobytes()
    height, width = cells.shape[1:3]
    return Sheet(kind, name, what, tuple(labels), height, width, scale, unit, base64.b64encode(content).decode())
