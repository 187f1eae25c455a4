"""Our time of a step beside SANA-FE's, as a table: python benchmarks/sana_fe.py [--write docs/fit.md].

Chains of one to three convolutions, with random shapes, tiles and spikes, are placed on Loihi 1 and written as SANA-FE
reads them (`pip install sanafe`, asked in a process of its own). Its detailed model of time lets messages queue in the
mesh, its simple one does not. Each chain runs as it is, and without the messages of the host, which all enter at one
router. Takes four minutes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ablations import insert

from hybridnet.deploy.chip.placing import Tiling
from hybridnet.deploy.chip.profile import Chip, Duration, Times, load_chip
from hybridnet.deploy.chip.sana_fe import sana_fe, synapse_pairs
from hybridnet.deploy.chip.timing import steps_of
from hybridnet.deploy.chip.traffic import traffic
from hybridnet.program.fixed_graph import FixedGraph, FixedInput, FixedPopulation, FixedSynapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.program.pipeline import Pipeline
from hybridnet.report.pricing.profile import load_profile
from hybridnet.support.arrays import Array
from hybridnet.support.files import temporary_folder

MARKS = "<!-- sana-fe -->", "<!-- end of sana-fe -->"
CHAINS, STEPS, MOST_SYNAPSES = 40, 3, 150_000
INPUT = "x"
PUBLISHED_ERROR = 0.25
"""The error of SANA-FE's time, beside Loihi (Boyle et al. 2025, IEEE TCAD 44(8))."""

NOTHING = Duration(0, 0, 0, "left out")

ASK = """
import json, sys, sanafe
arch = sanafe.load_arch(sys.argv[1])
found = {}
for model in ("simple", "detailed"):
    chip = sanafe.SpikingChip(arch)
    chip.load(sanafe.load_net(sys.argv[1], arch))
    run = chip.sim(int(sys.argv[2]), perf_trace=True, timing_model=model)
    found |= {name: run[name] for name in ("neurons_fired", "packets_sent", "spikes")}
    found |= {"energy": run["energy"]["total"], "hops": sum(run["perf_trace"]["hops"])}
    found[model] = run["perf_trace"]["sim_time"]
print(json.dumps(found))
"""
"""Times in s by model of time, counts, and energy in J. In a process of its own: SANA-FE is never imported here."""

Floats = npt.NDArray[np.float64]
Events = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Chain:
    """A network, its cores and what it sends, (T, C, H, W)."""

    graph: FixedGraph
    placed: dict[str, Tiling]
    events: Events

    def without_host(self) -> Events:
        """Its events but those of the host."""
        return {name: values & (name != INPUT) for name, values in self.events.items()}


def main() -> None:
    """Compare, print the table, and put it into a document if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="DOC.md", help="put the table between its marks in a document")
    args = parser.parse_args()
    text = "\n".join(table(load_chip("loihi1")))
    print(text)
    if args.write:
        insert(args.write, text + "\n", MARKS)


def table(chip: Chip) -> Iterator[str]:
    """How far the time of each step of each chain is from SANA-FE's detailed model: the median, and the extremes."""
    random = np.random.default_rng(0)
    chains = [chain(random) for _ in range(CHAINS)]
    whole = compared(chip, [(c, c.events) for c in chains])
    neurons = compared(chip, [(c, c.without_host()) for c in chains])
    yield f"| a step of {CHAINS} chains, beside SANA-FE's detailed model | all messages | those of neurons alone |"
    yield "|---|--:|--:|"
    for name in whole:
        yield f"| {name} | {spread(whole[name])} | {spread(neurons[name])} |"


def spread(errors: Floats) -> str:
    """The median of their sizes, the least and the largest, and how many are within SANA-FE's own error."""
    within = np.mean(np.abs(errors) <= PUBLISHED_ERROR)
    return f"{np.median(np.abs(errors)):.1%} ({errors.min():+.1%} to {errors.max():+.1%}), {within:.0%} within 25 %"


def compared(chip: Chip, runs: list[tuple[Chain, Events]]) -> dict[str, Floats]:
    """The error of every step, by what models it."""
    found: dict[str, list[Floats]] = {}
    for c, events in runs:
        theirs = asked(sana_fe(c.graph, c.placed, chip, load_profile("loihi1"), events), STEPS)
        simple, detailed = (np.multiply(theirs[model], 1e9) for model in ("simple", "detailed"))
        for name, ns in {**modelled(c, events, chip), "SANA-FE's simple model": simple}.items():
            found.setdefault(name, []).append(ns / detailed - 1)
    return {name: np.concatenate(errors) for name, errors in found.items()}


def modelled(c: Chain, events: Events, chip: Chip) -> dict[str, Floats]:
    """Our time of each step in ns, and what it would be without one part of the model."""
    times = chip.times
    if not isinstance(times, Times):
        raise RuntimeError("Loihi 1 has published times")
    machine = Pipeline(1, dict.fromkeys(events, 0), ())  # SANA-FE replays: no population waits for another
    found = traffic(c.graph, c.placed, chip.mesh, machine, {name: values[None] for name, values in events.items()})
    whole = steps_of(found, times)
    receiving = dataclasses.replace(times, neuron_update=NOTHING, spike=NOTHING, message_out=NOTHING)
    sending = dataclasses.replace(times, synaptic_event=NOTHING, message_in=NOTHING)
    in_turn = steps_of(found, receiving).busy + steps_of(found, sending).busy
    return {
        "ours": whole.ns[0],
        "ours, without hops": (whole.ns - whole.travel)[0],
        "ours, if a core sent and received in turn": (in_turn.max(-1) + whole.travel + whole.barrier)[0],
    }


def asked(net: str, steps: int) -> dict[str, Any]:
    """What SANA-FE says of a network in its own form; see `ASK`."""
    with temporary_folder() as folder:
        path = folder / "net.yaml"
        path.write_text(net, encoding="utf-8")
        command = [sys.executable, "-c", ASK, str(path), str(steps)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def chain(random: np.random.Generator) -> Chain:
    """A network of at most so many synapses, each layer on tiles of its own."""
    one, side = np.array(1, np.int32), int(random.choice([12, 16, 24]))
    shape, source = (2, side, side), INPUT
    events = {INPUT: random.random((STEPS, *shape)) < random.choice([0.02, 0.1, 0.3])}
    populations, synapses, placed, first = [], [], dict[str, Tiling](), 0
    for n in range(int(random.integers(1, 4))):
        channels, stride = int(random.choice([4, 8, 16])), int(random.choice([1, 2]))
        geometry = ConvGeometry(shape, channels, (3, 3), stride=(stride, stride), padding=(1, 1))
        shape, name = geometry.output_shape, f"p{n}"
        none = np.zeros(channels, np.int32)
        populations.append(FixedPopulation(name, shape, one, one, one, "hard", one, none, 1.0))
        synapses.append(FixedSynapse(source, name, geometry, np.ones(geometry.weight_shape, np.int32)))
        rows, columns, deep = (int(random.choice(sides)) for sides in ([4, 8], [4, 8], [4, 8, 16]))
        placed[name] = Tiling(name, shape, (min(channels, deep), rows, columns), first)
        events[name] = random.random((STEPS, *shape)) < random.choice([0.01, 0.05, 0.2, 0.5])
        source, first = name, placed[name].cores.stop
    if sum(len(synapse_pairs(g)[0]) for g in synapses) > MOST_SYNAPSES:
        return chain(random)
    graph = FixedGraph((FixedInput(INPUT, (2, side, side)),), tuple(populations), tuple(synapses), STEPS)
    return Chain(graph, placed, events)


if __name__ == "__main__":
    main()
