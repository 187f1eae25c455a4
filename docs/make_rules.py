"""Write docs/placement-rules.md and docs/fit-rules.md from the rules themselves, with an example of each."""

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from rule_examples import EXAMPLES, KEPT, told

from hybridnet.deploy.chip.fit import RULES as FIT_RULES
from hybridnet.deploy.chip.fit import LayerDemand, fit
from hybridnet.deploy.chip.profile import load_chip
from hybridnet.errors import PartitionError
from hybridnet.partition.arithmetic.bounds import BOUNDS, Bound
from hybridnet.partition.rules import RULES, Rule
from hybridnet.partition.splitter import partition
from hybridnet.program.layers import ConvGeometry

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent / "tests"))

HEADING = """# Placement rules

What keeps spiking layers off the chip: each rule, what it means, an example, and what to do. This page is made from the
code by `make docs`, and the examples were run.

A layer that breaks a rule stays on the host. The export goes on, and names the rule, what was found and the remedy. The
layer still computes the same, but its operations count for the host. `--strict` refuses such a model.

## Models that are read by what they compute

The examples stand in a loop over the steps t, behind `x = events[:, t]` and `current = self.conv(x)`. Potentials are v,
w and a, spikes are s, r and b; all are 0 before the first step. The model returns how often each neuron spikes.
"""

MODULES = """
## The reader by modules

A model that keeps all of these is cut along its modules, to the last bit. One that breaks any is read by what it
computes, so that these are seen by users of `hybridnet.partition` alone.

The examples change `Good`, whose `front` is a SpikingStack and whose `head` is linear; `Layers(between)` has something
between two spiking layers, and `Unrolled(synapses, neuron)` a neuron in a loop. All are in
`tests/helpers/broken_models.py`.
"""

FIT_HEADING = """# Rules of fit

What `hybridnet fit` checks, and what to do where a check fails. This page is made from the code by `make docs`. The
example is a layer that is far too large: 64 channels of 7×7 on 2×1024×1280 inputs, with weights of 12 bits and soft
reset. [Does it fit a chip?](fit.md) says what the estimate rests on.
"""

OTHERWISE = (
    "Leave the layer on the host, keep it there by name with `--keep-on-host`, or write it as one of "
    "[the equations that are read](partition.md#by-equation)."
)


def bound_section(bound: Bound) -> Iterator[str]:
    """A rule of the reader by arithmetic."""
    says = re.sub(r"{(\w+)[^}]*}", r"*\1*", bound.says)
    yield f"### {bound.id}\n\n{sentence(says)}\n"
    option = "".join(f"`--keep-on-host {pattern}` and\n\n" for pattern in KEPT.get(bound.id, ()))
    yield f"{option}```python\n{EXAMPLES[bound.id]}\n```\n\n```text\n{told(bound.id)}\n```\n"
    yield f"**What to do.** {sentence(bound.remedy) if bound.remedy else OTHERWISE}\n"


def rule_section(rule: Rule) -> Iterator[str]:
    """A rule of the reader by modules."""
    from helpers.broken_rules import BROKEN

    number, build, inputs = next((i, build, inputs) for i, (id_, build, inputs) in enumerate(BROKEN) if id_ == rule.id)
    yield f"### {rule.id}\n\n{rule.text}\n"
    try:
        partition(build(), inputs)
    except PartitionError as error:
        found = f"{error.where}: {error.what.rpartition(' (rule ')[0]}"
        yield f"```python\n{broken_source(number)}\n```\n\n```text\n{found}\n```\n"
    yield f"**What to do.** {sentence(rule.remedy)}\n"


def broken_source(number: int) -> str:
    """The model of an entry of `BROKEN` as it is written there, and its inputs where they are others than most have."""
    from helpers import broken_rules

    tree = ast.parse(inspect.getsource(broken_rules))
    entries = next(node.value for node in tree.body if isinstance(node, ast.AnnAssign))
    _, build, inputs = entries.elts[number].elts
    written = ast.unparse(inputs).replace("'", '"')
    given = "" if written == "X" else f"\n\n\ninputs = {written}"
    if isinstance(build, ast.Lambda):
        return ast.unparse(build.body) + given
    return inspect.getsource(getattr(broken_rules, ast.unparse(build))).rstrip() + given


def fit_sections() -> Iterator[str]:
    """The rules of fit, each with what it finds of a layer that is too large, and the remedy where it fails."""
    large = LayerDemand("conv1", "events", ConvGeometry((2, 1024, 1280), 64, (7, 7)), 12, "soft")
    chip = load_chip("loihi2")
    checks = {check.rule: check for check in fit([large], chip).checks}
    words, axons = (replace(limit, value=1) for limit in (chip.synapse_words_per_core, chip.axon_map_per_core))
    small = replace(chip, synapse_words_per_core=words, axon_map_per_core=axons)
    remedies = {check.rule: check.remedy for check in fit([large], small).checks}
    for rule in FIT_RULES:
        name, _, text = (rule.__doc__ or "").partition(": ")
        check = checks[name]
        yield f"## {name}\n\n{sentence(text)}\n"
        yield f"It asks for {check.title}. {'It blocks' if check.blocks else 'It warns'} if that fails.\n"
        yield f"```text\n{'fits' if check.ok else 'does not fit'}: {check.found}\n```\n"
        yield f"**What to do.** {sentence(remedies[name])}\n"
        yield f"The limit is from: {check.source}\n"


def sentence(text: str) -> str:
    """A text as a sentence."""
    text = text[0].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def placement_page() -> str:
    """The page of placement rules."""
    bounds = [line for bound in sorted(BOUNDS, key=lambda bound: bound.id) for line in bound_section(bound)]
    rules = [line for rule in RULES for line in rule_section(rule)]
    return "\n".join((HEADING, *bounds, MODULES, *rules))


if __name__ == "__main__":
    (DOCS / "fit-rules.md").write_text("\n".join((FIT_HEADING, *fit_sections())), encoding="utf-8")
    (DOCS / "placement-rules.md").write_text(placement_page(), encoding="utf-8")
