"""What `hybridnet fit --explore` tries: one thing of the spiking half changed at a time, with the weights kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from hybridnet.program.changed import with_channels, with_crop, with_steps, with_stride
from hybridnet.program.fixed_graph import WEIGHT_BITS
from hybridnet.program.graph import GraphProgram
from hybridnet.report.numbers import plural, share
from hybridnet.support.arrays import Array

AS_IT_IS = "as it is"

STRIDES, CHANNELS, BITS, STEPS, CROPS = (2, 4), (0.75, 0.5, 0.25), (6, 4, 3), (0.75, 0.5, 0.25), (0.75, 0.5)
"""Times the stride of the layers that read an input; part of the channels; bits of the weights; part of the steps; part
of the height and the width of inputs."""


@dataclass(frozen=True)
class Variant:
    """One change.

    Attributes:
        knob: What is changed; empty of the program as it is.
        change: In words.
        bits: Significant bits of the weights.
        make: Gives the program.
    """

    knob: str
    change: str
    make: Callable[[], GraphProgram]
    bits: int = WEIGHT_BITS


def variants(program: GraphProgram) -> Iterator[Variant]:
    """The program as it is, then every change by itself, from the least to the largest of each kind."""
    yield Variant("", AS_IT_IS, lambda: program)
    for factor in STRIDES:
        yield Variant("stride", f"{factor} × the stride of the first layers", partial(with_stride, program, factor))
    for part in CHANNELS:
        yield Variant("channels", f"{share(part, 0)} of the channels", partial(with_channels, program, part))
    for bits in BITS:
        yield Variant("bits", f"weights of {bits} bits", lambda: program, bits)
    for steps in dict.fromkeys(max(1, round(part * program.steps)) for part in STEPS):
        if steps < program.steps:
            yield Variant("steps", f"the first {plural(steps, 'step')}", partial(with_steps, program, steps))
    for part in CROPS:
        yield Variant("crop", f"a crop of {share(part, 0)} of each side", partial(with_crop, program, part))


def inputs_of(program: GraphProgram, whole: Mapping[str, Array]) -> dict[str, Array]:
    """What a program of smaller inputs or fewer steps is fed: the middle of the maps, the first steps.

    Args:
        program: The variant.
        whole: What the program as it is was fed: (N, T, C, H, W), or (N, C, H, W) of a still one.
    """
    found = {}
    for node in program.inputs:
        values = whole[node.name] if node.still else whole[node.name][:, : program.steps]
        top, left = ((size - own) // 2 for size, own in zip(values.shape[-2:], node.shape[1:], strict=True))
        found[node.name] = values[..., top : top + node.shape[1], left : left + node.shape[2]]
    return found
