"""The sum of a synapse group at one neuron, as a C function: a convolution, or a transposed one read from its target.

A transposed group spreads input (h, w) over its outputs; seen from output row y it is tap i of input row
h = (y + padding − i·dilation) / stride, where that is whole and in the map; likewise for columns.
"""

from __future__ import annotations

import math

from hybridnet.deploy.c.parts import Group
from hybridnet.deploy.c.text import comment, quoted
from hybridnet.program.graph import Geometry
from hybridnet.program.layers import ConvGeometry, Pair


def sum_function(group: Group) -> str:
    """What a group adds at (channel, row, column), before it is multiplied by 2 << s."""
    g = group.synapse.geometry
    (channels, height, width), (_, taps_x) = g.input_shape, g.kernel
    taps = math.prod(g.kernel)
    inner, outer = channels // g.groups, g.output_shape[0] // g.groups
    grouped = g.groups > 1
    first = "first" if grouped else "0"
    if isinstance(g, ConvGeometry):
        row, column = _read("y", "row", "i", g, 0), _read("x", "column", "j", g, 1)
        kernel = f"channel * {inner} + c{' - first' * grouped}"
    else:
        row, column = _origin("y", "row", "i", g, 0), _origin("x", "column", "j", g, 1)
        kernel = f"c * {outer} + channel{f' % {outer}' * grouped}"
    stop = f"first + {inner}" if grouped else f"{inner}"
    lines = [
        comment(*_about(group)),
        f"static {group.sum_kind} {group.name}_sum(const {group.source.kind} *from,"
        " int32_t channel, int32_t row, int32_t column)",
        "{",
        *[f"    const int32_t first = channel / {outer} * {inner};"] * grouped,
        f"    {group.sum_kind} sum = 0;",
        f"    for (int32_t c = {first}; c < {stop}; ++c) {{",
        f"        const {group.weights.kind} *const w = {group.weights.name} + ({kernel}) * {taps};",
        f"        for (int32_t i = 0; i < {g.kernel[0]}; ++i) {{",
        *(f"            {line}" for line in row),
        f"            if (y < 0 || y >= {height}) {{",
        "                continue;",
        "            }",
        f"            for (int32_t j = 0; j < {taps_x}; ++j) {{",
        *(f"                {line}" for line in column),
        f"                if (x >= 0 && x < {width}) {{",
        f"                    sum += ({group.sum_kind})w[i * {taps_x} + j] * from[(c * {height} + y) * {width} + x];",
        "                }",
        "            }",
        "        }",
        "    }",
        "    return sum;",
        "}",
    ]
    return "\n".join(lines)


def _read(name: str, at: str, tap: str, g: Geometry, axis: int) -> list[str]:
    """Which input a tap of a convolution reads."""
    place = f"{_times(at, g.stride[axis])} + {_times(tap, g.dilation[axis])}"
    return [f"const int32_t {name} = {place}{_plus(-g.padding[axis])};"]


def _origin(name: str, at: str, tap: str, g: Geometry, axis: int) -> list[str]:
    """Which input a tap of a transposed convolution came from; -1 if from none."""
    place, stride = f"{at}{_plus(g.padding[axis])} - {_times(tap, g.dilation[axis])}", g.stride[axis]
    if stride == 1:
        return [f"const int32_t {name} = {place};"]
    return [
        f"const int32_t {name}_spread = {place};",
        f"const int32_t {name} = {name}_spread % {stride} == 0 ? {name}_spread / {stride} : -1;",
    ]


def _times(name: str, factor: int) -> str:
    return name if factor == 1 else f"{name} * {factor}"


def _plus(number: int) -> str:
    return f" {'-' if number < 0 else '+'} {abs(number)}" if number else ""


def _about(group: Group) -> tuple[str, ...]:
    s = group.synapse
    late = f", {s.delay} {'step' if s.delay == 1 else 'steps'} late" if s.delay else ""
    return (
        f"{group.name}: {quoted(s.source)} to {quoted(s.target)}{late}: {_geometry(s.geometry)}.",
        f"|sum| <= {group.largest}; it counts {group.factor}-fold.",
    )


def _geometry(g: Geometry) -> str:
    """`convolution 3x3, stride 2x2`: what is not there is not told."""
    kind = "convolution" if isinstance(g, ConvGeometry) else "transposed convolution"
    told = [f"{kind} {_pair(g.kernel)}"]
    told += [f"stride {_pair(g.stride)}"] * (g.stride != (1, 1))
    told += [f"padding {_pair(g.padding)}"] * (g.padding != (0, 0))
    told += [f"dilation {_pair(g.dilation)}"] * (g.dilation != (1, 1))
    told += [f"{g.groups} groups"] * (g.groups > 1)
    return ", ".join(told)


def _pair(pair: Pair) -> str:
    return f"{pair[0]}x{pair[1]}"
