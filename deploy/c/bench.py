"""NAME_test.c and its Makefile: three windows of made messages, and checksums of what the emulator makes of them.

Messages come of a hash of their place, half of them 0, so that a large network needs no large file. A checksum is
Σ (2n + 1)·x_n modulo 2³² over all steps and neurons of a population: one wrong number is always seen, since odd
factors have inverses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.c.header import MARK
from hybridnet.deploy.c.parts import Neurons, Plan, Source
from hybridnet.deploy.c.text import comment, times
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import AnyArray
from hybridnet.program.layers import IntArray

WINDOWS = 3

UInt32 = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Sums:
    """Checksums of one population over one window.

    Attributes:
        c: That of its synaptic currents; 0 if it keeps none.
        v: That of its potentials.
        o: That of its spikes.
    """

    c: int
    v: int
    o: int


def bench_messages(graph: FixedGraph) -> list[dict[str, IntArray]]:
    """By window and input, (T, C, H, W), or (C, H, W) of a still one."""
    windows, first = [], 0
    for _ in range(WINDOWS):
        window = {n.name: np.zeros((1 if n.still else graph.steps, *n.shape), np.int32) for n in graph.inputs}
        for step in range(graph.steps):
            for node in graph.inputs:
                if step == 0 or not node.still:
                    window[node.name][step] = _drawn(first, node.shape, node.message_max)
                    first += math.prod(node.shape)
        windows.append({n.name: window[n.name][0] if n.still else window[n.name] for n in graph.inputs})
    return windows


def checksum(values: AnyArray) -> int:
    """The checksum of one number of all neurons and steps, (T, C, H, W)."""
    odd = 2 * np.arange(values.size, dtype=np.uint32) + np.uint32(1)
    found = (odd * values.ravel().astype(np.int32).view(np.uint32)).sum(dtype=np.uint64)
    return int(found) % 2**32


def bench_text(plan: Plan, expected: Sequence[Mapping[str, Sums]]) -> str:
    """NAME_test.c.

    Args:
        plan: Plan of the program.
        expected: By window and population, of `bench_messages`.
    """
    name, count = plan.name, len(plan.neurons)
    rows = ",\n".join(
        f"    {{{', '.join(_row(window[n.population.name]) for n in plan.neurons)}}}" for window in expected
    )
    buffers = "\n".join(
        f"static {source.kind} {source.name}[{times(*node.shape)}];"
        for node, source in zip(plan.graph.inputs, plan.inputs.values(), strict=True)
    )
    draws = "\n".join(
        _draw(source, math.prod(node.shape), node.message_max, node.still)
        for node, source in zip(plan.graph.inputs, plan.inputs.values(), strict=True)
    )
    sums = "\n".join(_added(n, index) for index, n in enumerate(plan.neurons))
    fed = "".join(f", {source.name}" for source in plan.inputs.values())
    return f"""\
{comment(f"{MARK}: {name}.c on windows of made messages, against checksums of hybridnet's emulator.")}
#include "{name}.h"

#include <stdio.h>
#include <string.h>

/* Sums of (2 n + 1) x[n] modulo 2^32 over the steps and neurons of a window. */
struct sums {{
    uint32_t c, v, o;
}};

static const char *const names[{count}] = {{{", ".join(f'"{n.name}"' for n in plan.neurons)}}};
static const struct sums expected[{WINDOWS}][{count}] = {{
{rows}
}};

static {name}_state state;
{buffers}

/* The next message: 0, or one from -largest to largest. */
static int32_t message(int32_t largest)
{{
    static uint32_t place;
    uint32_t r = place++;
    r = (r ^ r >> 16) * UINT32_C(0x7feb352d);
    r = (r ^ r >> 15) * UINT32_C(0x846ca68b);
    r ^= r >> 16;
    return r & 1 ? (int32_t)((r >> 1) % (2 * (uint32_t)largest + 1)) - largest : 0;
}}

static void draw(uint32_t step)
{{
{draws}
    (void)step;
}}

static void add(struct sums *sums, uint32_t step)
{{
{sums}
}}

int main(void)
{{
    int wrong = 0;
    for (int window = 0; window < {WINDOWS}; ++window) {{
        struct sums sums[{count}];
        memset(sums, 0, sizeof sums);
        {name}_reset(&state);
        for (uint32_t step = 0; step < {name.upper()}_STEPS; ++step) {{
            draw(step);
            {name}_step(&state{fed});
            add(sums, step);
        }}
        for (int p = 0; p < {count}; ++p) {{
            if (memcmp(&sums[p], &expected[window][p], sizeof sums[p]) != 0) {{
                printf("window %d: %s differs from the emulator\\n", window, names[p]);
                wrong = 1;
            }}
        }}
    }}
    if (!wrong) {{
        printf("{WINDOWS} windows, {count} populations: equal\\n");
    }}
    return wrong;
}}
"""


BUILT = ("_test", "_sanitized", ".o")
"""Endings of what the Makefile makes, and cleans up."""


def makefile_text(name: str) -> str:
    """The Makefile."""
    return f"""\
# {MARK}. `make check` compares {name}.c with the emulator, `make sanitize` does so under the sanitizers.
CFLAGS = -std=c11 -O2 -Wall -Wextra -Werror

check: {name}_test
	./{name}_test

{name}_test: {name}_test.c {name}.c {name}.h
	$(CC) $(CFLAGS) -o $@ {name}_test.c {name}.c

sanitize: {name}_test.c {name}.c {name}.h
	$(CC) $(CFLAGS) -g -fsanitize=address,undefined -fno-sanitize-recover=all -o {name}_sanitized {name}_test.c {name}.c
	./{name}_sanitized

size: {name}.c {name}.h
	$(CC) $(CFLAGS) -c -o {name}.o {name}.c
	size {name}.o

clean:
	rm -f {" ".join(name + ending for ending in BUILT)}

.PHONY: check sanitize size clean
"""


def _drawn(first: int, shape: tuple[int, ...], largest: int) -> IntArray:
    """As `message` in C, of the places from `first` on."""
    r: UInt32 = (np.arange(math.prod(shape), dtype=np.uint64) + np.uint64(first)).astype(np.uint32)
    r = (r ^ r >> np.uint32(16)) * np.uint32(0x7FEB352D)
    r = (r ^ r >> np.uint32(15)) * np.uint32(0x846CA68B)
    r ^= r >> np.uint32(16)
    values = (r >> np.uint32(1)) % np.uint32(2 * largest + 1)
    return np.where(r & np.uint32(1), values.astype(np.int32) - largest, 0).astype(np.int32).reshape(shape)


def _row(sums: Sums) -> str:
    return f"{{{sums.c}u, {sums.v}u, {sums.o}u}}"


def _draw(source: Source, count: int, largest: int, still: bool) -> str:
    when = " && step == 0" if still else ""
    return f"""\
    for (int32_t n = 0; n < {count}{when}; ++n) {{
        {source.name}[n] = ({source.kind})message({largest});
    }}"""


def _added(n: Neurons, index: int) -> str:
    store, count = f"state.{n.name}", math.prod(n.population.shape)
    frame = f"o[{store}.now]" if n.source.depth > 1 else "o"
    lines = [f"        sums[{index}].c += odd * (uint32_t){store}.c[n];"] * n.population.keeps_current
    lines.append(f"        sums[{index}].v += odd * (uint32_t){store}.v[n];")
    lines += [f"        sums[{index}].o += odd * {store}.{frame}[n];"] * (n.threshold is not None)
    return "\n".join([
        f"    for (uint32_t n = 0; n < {count}; ++n) {{",
        f"        const uint32_t odd = 2 * (step * {count} + n) + 1;",
        *lines,
        "    }",
    ])  # fmt: skip
