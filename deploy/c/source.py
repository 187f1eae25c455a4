"""NAME.c: tables, a function per synapse group and a step per population, as written for a microcontroller."""

from __future__ import annotations

from collections.abc import Iterator

from hybridnet.deploy.c.groups import sum_function
from hybridnet.deploy.c.header import MARK, parameters
from hybridnet.deploy.c.parts import Group, Neurons, Parameter, Plan, Source, Table
from hybridnet.deploy.c.text import comment, quoted, rows_of, times
from hybridnet.program.layers import DECAY_ONE, POTENTIAL_MAX

LINE = 96
"""Longest sum that stands in one line."""

_DECAYED = """\
/* tz((4096 - decay) * x / 4096), |x| < 2^23: quotient and remainder are scaled apart, so that 32 bits do. */
static int32_t decayed(int32_t x, int32_t decay)
{
    const int32_t left = 4096 - decay;
    return x / 4096 * left + x % 4096 * left / 4096;
}"""

_SAT24 = """\
/* Clips to 24 bits. */
static int32_t sat24(KIND x)
{
    return x > LARGEST ? LARGEST : x < -LARGEST ? -LARGEST : (int32_t)x;
}""".replace("LARGEST", str(POTENTIAL_MAX))

_FRAME = """\
/* Where a ring of frames has the one of `delay` steps before `now`. */
static uint32_t frame(uint32_t now, uint32_t frames, uint32_t delay)
{
    return (now + frames - delay) % frames;
}"""


def source_text(plan: Plan) -> str:
    """The whole file."""
    return "\n\n".join(_parts(plan)) + "\n"


def _parts(plan: Plan) -> Iterator[str]:
    name = plan.name
    yield f'{comment(f"{MARK}; {name}.h has the equations.")}\n#include "{name}.h"\n\n#include <string.h>'
    if any(n.remembers or n.population.keeps_current for n in plan.neurons):
        yield _DECAYED
    yield _SAT24.replace("KIND", "int64_t" if any(n.kind == "int64_t" for n in plan.neurons) else "int32_t")
    if any(source.depth > 1 for source in plan.sources):
        yield _FRAME
    for n in plan.neurons:
        yield from map(_table, n.tables)
        yield from map(sum_function, n.groups)
        yield _step_of(plan, n)
    yield f"void {name}_reset({name}_state *s)\n{{\n    memset(s, 0, sizeof *s);\n}}"
    yield _step(plan)


def _table(table: Table) -> str:
    shape = times(*table.values.shape)
    return f"static const {table.kind} {table.name}[{shape}] = {{\n{rows_of(table.values)}\n}};"


def _step(plan: Plan) -> str:
    """A step of all: delays advance, then populations in causal order."""
    rings = [source for source in plan.sources if source.depth > 1]
    lines = [f"    s->{r.name}.now = (s->{r.name}.now + 1) % {r.depth};" for r in rings]
    for source in plan.inputs.values():
        if source.depth > 1:
            lines.append(f"    memcpy({source.frame(0)}, {source.name}, sizeof s->{source.name}.m[0]);")
        elif not any(source in _fed(n) for n in plan.neurons):
            lines.append(f"    (void){source.name};")
    lines += [f"    step_{n.name}({', '.join(['s', *(source.name for source in _fed(n))])});" for n in plan.neurons]
    return "\n".join([f"void {plan.name}_step({parameters(plan)})", "{", *lines, "}"])


def _fed(n: Neurons) -> list[Source]:
    """Inputs that a population reads as they arrive."""
    return list(dict.fromkeys(g.source for g in n.groups if not g.source.kept))


def _step_of(plan: Plan, n: Neurons) -> str:
    """A step of one population."""
    fed = (f", const {source.kind} *{source.name}" for source in _fed(n))
    channels, height, width = n.population.shape
    return "\n".join([
        _about(n),
        f"static void step_{n.name}({plan.name}_state *s{''.join(fed)})",
        "{",
        *(f"    const {g.source.kind} *const {g.name}_x = {g.source.frame(g.synapse.delay)};" for g in n.groups),
        *_frames(n),
        "    int32_t n = 0;",
        f"    for (int32_t channel = 0; channel < {channels}; ++channel) {{",
        f"        for (int32_t row = 0; row < {height}; ++row) {{",
        f"            for (int32_t column = 0; column < {width}; ++column, ++n) {{",
        *(line if line.startswith("#") else f"{' ' * 16}{line}" for line in _neuron(plan, n)),
        "            }",
        "        }",
        "    }",
        "}",
    ])  # fmt: skip


def _about(n: Neurons) -> str:
    """The population and its equation, with what is one number for all its neurons."""
    p, shape = n.population, "x".join(map(str, n.population.shape))
    current = [_decay(n.current_decay, "c[t-1]")] * p.keeps_current
    current += [f"{g.factor} {g.name}({g.source.name}[t{-g.synapse.delay or ''}])" for g in n.groups]
    rested = "v[t-1] (1 - o[t-1])" if n.hears_reset and p.reset == "hard" else "v[t-1]"
    terms = [_decay(n.decay, rested)] * n.remembers
    terms += ["a[t]", *[f"64 {_letter(n.bias, 'b')}"] * bool(n.bias.values.any())]
    soft = f" - {_letter(n.reset_amount, 'r')} o[t-1]" if n.hears_reset and p.reset == "soft" else ""
    return comment(
        f"{n.name}: {quoted(p.name)}, {shape} neurons; v / {float(p.scale)!r} is in units of the model.",
        "",
        f"    a[t] = {' + '.join(current) or '0'}",
        *["    c[t] = sat24(a[t])"] * p.keeps_current,
        f"    v[t] = sat24({' + '.join(terms)}{soft})",
        f"    o[t] = v[t] > {_letter(n.threshold, 'vth')}" if n.threshold else "    it never fires",
    )


def _decay(decay: Parameter, what: str) -> str:
    return f"tz((4096 - {_letter(decay, 'd')}) {what} / 4096)"


def _letter(parameter: Parameter, letter: str) -> str:
    """A number, or a letter for a table."""
    return letter if parameter.table else parameter.text


def _frames(n: Neurons) -> Iterator[str]:
    """Where the spikes of this step go; those of the step before lie there too where nothing is late."""
    if n.hears_reset and n.source.depth > 1:
        yield f"    const uint8_t *const before = {n.source.frame(1)};"
    if n.threshold is not None:
        yield f"    uint8_t *const o = {n.source.frame(0)};"


def _neuron(plan: Plan, n: Neurons) -> Iterator[str]:
    """What the innermost loop does."""
    v, c = f"s->{n.name}.v[n]", f"s->{n.name}.c[n]"
    yield from _assign(f"const {n.kind} a", _current(n))
    if n.population.keeps_current:
        yield f"{c} = sat24(a);"
        kept = f"{n.current_decay.text} < {DECAY_ONE} && " if (n.current_decay.values == DECAY_ONE).any() else ""
        yield f"s->{n.name}.saturated_currents += {kept}{c} != a;"
    else:
        yield from (f"#ifdef {plan.name.upper()}_TRACE", f"{c} = sat24(a);", "#endif")
    yield from _assign(f"const {n.kind} v", _potential(n))
    yield f"{v} = sat24(v);"
    yield f"s->{n.name}.saturated += {v} != v;"
    if n.threshold is not None:
        yield f"o[n] = {v} > {n.threshold.text};"


def _current(n: Neurons) -> list[str]:
    """The terms of a[t], each with its sign."""
    kept = [f"+ decayed(s->{n.name}.c[n], {n.current_decay.text})"] * n.population.keeps_current
    return [*kept, *(_sum(group, n.kind) for group in n.groups)] or ["+ 0"]


def _sum(group: Group, kind: str) -> str:
    factor = str(group.factor) if kind == "int32_t" else f"INT64_C({group.factor})"
    return f"+ {factor} * {group.name}_sum({group.name}_x, channel, row, column)"


def _potential(n: Neurons) -> list[str]:
    """The terms of v[t] before it saturates, each with its sign."""
    before, v = "before[n]" if n.source.depth > 1 else "o[n]", f"s->{n.name}.v[n]"
    rested = f"{before} ? 0 : {v}" if n.hears_reset and n.population.reset == "hard" else v
    terms = [f"+ decayed({rested}, {n.decay.text})"] * n.remembers
    terms.append("+ a")
    if n.bias.table:
        terms.append(f"+ 64 * (int32_t){n.bias.text}")
    elif n.bias.first:
        terms.append(f"{'-' if n.bias.first < 0 else '+'} {64 * abs(n.bias.first)}")
    if n.hears_reset and n.population.reset == "soft":
        terms.append(f"- {n.reset_amount.text} * {before}")
    return terms


def _assign(left: str, terms: list[str]) -> list[str]:
    """A sum in one line, or a term a line."""
    first, *rest = terms
    start = f"{left} = {first.removeprefix('+ ')}"
    if len(line := " ".join([start, *rest])) <= LINE:
        return [f"{line};"]
    return [start, *(f"    {term}" for term in rest[:-1]), f"    {rest[-1]};"] if rest else [f"{start};"]
