"""NAME.h: the state, its reset and its step, and the equations that they compute."""

from __future__ import annotations

from hybridnet.deploy.c.parts import Plan, Store
from hybridnet.deploy.c.text import comment, quoted, times

MARK = "Written by hybridnet"
"""How every file begins that is written here."""

_EQUATIONS = """
Each step of a population computes, with tz truncating toward zero and sat24 clipping to +-(2^23 - 1),

    a[t] = tz((4096 - dc) c[t-1] / 4096) + sum over groups g of 2^s syn_g(x_g[t - d_g])
    c[t] = sat24(a[t])
    v[t] = sat24(tz((4096 - dv) v[t-1] / 4096) + a[t] + 64 b - 64 r o[t-1])         soft reset
    v[t] = sat24(tz((4096 - dv) v[t-1] (1 - o[t-1]) / 4096) + a[t] + 64 b)          hard reset
    o[t] = v[t] > 64 vth

Maps lie channel by channel, row by row. Weights are even: the tables hold their halves, and a group counts
2^(s + 1)-fold. Thresholds and r are held 64-fold. No sum overflows: it has 32 bits where its weights prove that
they are enough, else 64."""


def header_text(plan: Plan) -> str:
    """The whole file."""
    name, upper = plan.name, plan.name.upper()
    members = "\n".join(_member(store, upper) for store in plan.stores)
    return f"""\
{comment(f"{MARK}: the spiking half of a network, in the chip's integers.", *_EQUATIONS.splitlines())}
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

/* Steps of a window. */
#define {upper}_STEPS {plan.graph.steps}

/* All that changes: {plan.ram_bytes} bytes. After a step it holds what that step computed.
 * With {upper}_TRACE defined, for {name}.c too, it also holds currents that no population keeps. */
typedef struct {{
{members}
}} {name}_state;

#ifdef __cplusplus
extern "C" {{
#endif

/* Go to rest, as before each window. */
void {name}_reset({name}_state *s);

{comment("Advance by one step. Messages:", *_messages(plan))}
void {name}_step({parameters(plan)});

#ifdef __cplusplus
}}
#endif

#endif
"""


def parameters(plan: Plan) -> str:
    """What a step takes, as it is declared."""
    fed = (
        f"const {source.kind} {source.name}[{times(*node.shape)}]"
        for node, source in zip(plan.graph.inputs, plan.inputs.values(), strict=True)
    )
    return ", ".join([f"{plan.name}_state *s", *fed])


def _messages(plan: Plan) -> list[str]:
    """What each input is, and how the host makes it of the model's."""
    return [
        f"    {source.name}: {quoted(node.name)}, {'x'.join(map(str, node.shape))},"
        f" round({float(node.input_scale)!r} x) clipped to +-{node.message_max}{', the same at each step' * node.still}"
        for node, source in zip(plan.graph.inputs, plan.inputs.values(), strict=True)
    ]


def _member(store: Store, upper: str) -> str:
    lines = [f"    struct {{ {comment(quoted(store.node))}"]
    for f in store.fields:
        dims = "".join(f"[{n}]" for n in f.dims)
        line = f"        {f.kind} {f.name}{dims}; {comment(f.about)}"
        lines += [f"#ifdef {upper}_TRACE", line, "#endif"] if f.traced else [line]
    return "\n".join([*lines, f"    }} {store.name};"])
