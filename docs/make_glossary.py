"""Write docs/glossary.md: the words of reports, the terms of the energy, and the words of the pages, each once."""

from pathlib import Path

from hybridnet.report.pricing.profile import TERMS
from hybridnet.report.render.sections import GLOSSARY

HEADING = """# Glossary

Each word has one meaning, in reports, messages and pages. This page is made by `make docs`.

## Words

"""

ENERGY = """
## Terms of the energy

As reports and price profiles name them; [counts and energy](energy.md) says how each is counted.

"""

WORDS = {
    "ANN half": "what the host computes behind the bridge, as ONNX",
    "back-end": "what runs a half: a simulator, a runtime, a chip",
    "bundle": "the folder that an export writes: both halves, the bridge and what was measured, with checksums",
    "calibration": "finding the chip's integers on clips, and measuring what they lose",
    "circle": "populations that feed each other, with a delay somewhere",
    "core": "a part of a chip that holds some neurons, their synapses and their potentials",
    "delay": "steps that a synapse group is late",
    "fixed point": "the chip's integers: a number is an integer over a scale",
    "front": "what the host computes before the chip, as ONNX",
    "GOP": "group of pictures: an I-frame and the P-frames up to the next one",
    "I-frame, P-frame": "a picture coded by itself; one coded by motion vectors and residuals",
    "integrator": "a population that never fires, whose potential is read",
    "leak λ": "what a step leaves of the potential, 0 to 1",
    "membrane potential u": "what a neuron keeps between steps, in model units; v is it in integers",
    "motion vector": "where a block of a P-frame was one frame before, in pixels",
    "parity": "comparing a model with what it became, step by step of the export",
    "placement": "which spiking layers go to the chip, and why the others stay on the host",
    "population": "neurons of one shape (C, H, W) with one equation",
    "profile": "prices per operation of one technology, each with its source",
    "program": "what goes to the chip: inputs, populations, and the synapse groups between them",
    "rate": "spikes per neuron and step",
    "relay": "a population that hands on the maximum of the spikes that reach it; it stands for a pooling",
    "reset": "what a spike does to the potential: soft takes an amount off, hard sets it to zero",
    "residual": "what a motion vector leaves unexplained, in grey levels",
    "run record": "all that a run counted, measured and priced, as JSON",
    "saturation": "a potential that would leave 24 bits stays at their end; it is counted",
    "spiking half": "what runs on the chip, or on a simulator of it",
    "STM": "spiking temporal modulator: the reference model's stack of spiking layers",
    "synapse group": "one convolution from an input or a population to a population",
    "threshold vth": "above it a neuron fires",
    "tie": "a potential so near the threshold that rounding decides whether it fires",
}


def glossary_page() -> str:
    """The page."""
    if double := WORDS.keys() & GLOSSARY.keys():
        raise ValueError(f"said twice: {', '.join(double)}")
    words = sorted((GLOSSARY | WORDS).items(), key=lambda entry: entry[0].lower())
    return HEADING + table(dict(words)) + ENERGY + table({f"`{name}`": term.meaning for name, term in TERMS.items()})


def table(entries: dict[str, str]) -> str:
    """A line per word."""
    rows = (f"| {word} | {meaning} |" for word, meaning in entries.items())
    return "\n".join(("| word | means |", "|---|---|", *rows)) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("glossary.md").write_text(glossary_page(), encoding="utf-8")
