"""What int8 weights cost: the same search with weights of more bits, which no chip here has."""

from __future__ import annotations

from functools import cache
from typing import ClassVar

from hybridnet.calibration.observers import Observation
from hybridnet.calibration.search import RunLayer
from hybridnet.calibration.sequence import Searched, SearchView, search_program
from hybridnet.program.layers import FixedConvLIF, FixedProgram, FloatProgram


@cache
def layer_of_bits(bits: int) -> type[FixedConvLIF]:
    """A layer in integers whose weights have so many bits, 8 or more; even, as those of the chip."""

    class Wide(FixedConvLIF):
        """A layer that exists on paper alone."""

        weight_min: ClassVar[int] = -(2**bits)
        weight_max: ClassVar[int] = 2**bits - 2

    return Wide


def search_with_bits(
    bits: int, program: FloatProgram, seen: Observation, views: list[SearchView], run: RunLayer
) -> Searched[FixedProgram]:
    """`search_program` with weights of so many bits; every other register is the chip's."""
    wide = layer_of_bits(bits)
    return search_program(program, seen, views, run, weight_max=wide.weight_max, make=wide)
