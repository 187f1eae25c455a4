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
    "accumulated": "followed back to the I-frame over all P-frames between: Π of motion vectors, Δ of residuals",
    "advice": "what to change so that a run costs less, with the command that does it",
    "ANN": "a network without spikes, whose layers multiply numbers",
    "ANN half": "what the host computes behind the bridge, as ONNX",
    "axon map": "a core's table of where its spikes go",
    "back-end": "what runs a half: a simulator, a runtime, a chip",
    "bundle": "the folder that an export writes: both halves, the bridge and what was measured, with checksums",
    "calibration": "finding the chip's integers on clips, and measuring what they lose",
    "chain": "populations one behind the other, each feeding at most one; only chains have `.net` files for stock netx",
    "channel": "one of the C maps of an input or a population",
    "cycle": "populations that feed each other, with a delay somewhere",
    "core": "a part of a chip with some neurons, their synapses and their potentials",
    "cut": "dividing a model into the host before the chip, the spiking half and the ANN half",
    "damaged": "a frame that the decoder reports as broken, or a GOP that has one",
    "delay": "steps that a synapse group is late",
    "dropped": "a GOP of a live source that was left out because the machine was too slow",
    "equation": "how a neuron's potential follows from the last one and from what arrives",
    "estimated": "reckoned from public compiler logs, as the fit of a chip is; only Intel's compiler can be sure",
    "example inputs": "inputs that a model brings along, by which it is read; random ones say nothing of real data",
    "fit": "whether a spiking half has a place on a chip, and how many cores it takes",
    "fixed point": "the chip's integers: a number is an integer over a scale",
    "flip": "a neuron and step whose spike in fixed point differs from float",
    "GOP": "group of pictures: an I-frame and the P-frames up to the next one",
    "grade": "what a price rests on: measured, simulated, a data sheet, a secondary source, or derived",
    "head-room": "by how much the largest potential could grow before it saturates",
    "held out": "kept from the search of integers or from training, so that figures are honest",
    "host": "the machine that runs all that is not on the chip",
    "host before the chip": "what the host computes for the spiking half, as ONNX; in records, the front",
    "ideal int8 host": "one that multiplies in int8 and skips every 0 for free: the strongest rival, not to be bought",
    "I-frame, P-frame": "a picture coded by itself; one coded by motion vectors and residuals",
    "integrator": "a population that never fires, whose potential is read",
    "latency": "the time of one view through a partition; of a live source, from a GOP's last frame to its result",
    "layer": "in tables, a population of the spiking half or an operation of the ANN half",
    "leak λ": "what a step leaves of the potential, 0 to 1",
    "live source": "a camera, an address, a pipe or a growing file that `hybridnet watch` reads",
    "made clips": "clips that hybridnet draws itself, which hold nobody's footage",
    "membrane potential u": "what a neuron keeps between steps, in model units; v is it in integers",
    "mesh": "a chip's routers in rows and columns, each with a few cores",
    "motion vector": "where a block of a P-frame was one frame before, in pixels",
    "neuron": "one potential with its threshold",
    "parity": "comparing a model with what it became, step by step of the export",
    "partition": "a part of a run with its own time and energy: video reader, host before the chip, snn, bridge, ann",
    "placement": "which spiking layers go to the chip, and why the others stay on the host",
    "population": "neurons of one shape (C, H, W) with one equation",
    "price": "energy per operation, from a published source",
    "profile": "prices per operation of one technology, each with its source",
    "program": "what goes to the chip: inputs, populations, and the synapse groups between them",
    "rate": "spikes per neuron and step",
    "relay": "a population that hands on the maximum of the spikes that reach it; it stands for a pooling",
    "reset": "what a spike does to the potential: soft takes an amount off, hard sets it to zero",
    "residual": "what a motion vector leaves unexplained, in grey levels",
    "rule": "one condition that a layer must meet to go to the chip (R…) or to fit it (F…)",
    "run record": "all that a run counted, measured and priced, as JSON",
    "sample": "a row of an array file, which is run as a view is",
    "saturation": "a potential that would leave 24 bits stays at their end; it is counted",
    "scale": "what an integer is divided by to give a number in model units",
    "skipping zeros": "an ANN that multiplies only where its input is not 0",
    "snn, ann": "the spiking half and the ANN half, as tables call them",
    "spike": "the 1 that a neuron sends at a step at which its potential is above the threshold; otherwise it sends 0",
    "spiking half": "what runs on the chip, or on a simulator of it",
    "spiking pays": "the spiking half with its bridge costs less energy than the same layers as an ANN",
    "stage": "a version of the network that a calibration measures, each with one thing more in integers",
    "step": "one tick of the spiking half: what arrives is added, potentials leak, neurons may fire",
    "still input": "an input without time: the same message arrives at each step",
    "STM": "spiking temporal modulator: the reference model's stack of spiking layers",
    "stream": "a stack of spiking layers with an input of its own, such as that of motion vectors",
    "synapse group": "one convolution from an input or a population to a population",
    "term": "a kind of operation, or of cost, with a price of its own",
    "threshold vth": "above it a neuron fires",
    "tie": "a potential so near the threshold that rounding decides whether it fires",
    "tile": "the part of a layer that one core holds",
    "top-1": "the class with the highest score",
    "transcoded": "encoded again on reading, since the file as it is has no vectors that can be used",
    "video reader": "what makes inputs of a video, by decoding, accumulating and resizing; in records, the frontend",
    "weight bits": "how many bits a weight takes in the chip's memory",
    "window": "the T steps that the spiking half runs from rest, for one view",
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
