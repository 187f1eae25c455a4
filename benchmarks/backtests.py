"""Our model of a chip beside what others measured, as tables: python benchmarks/backtests.py [--write docs/fit.md].

Networks are rebuilt from the shapes that Intel's notebooks print (lava-dl, tutorials/lava/lib/dl/netx). Nothing is
tuned to what was measured. Cores are those that Intel's compiler printed. Time and energy of PilotNet were measured on
Loihi 2; no time or energy of an event on Loihi 2 is published, and neither is how often its neurons fired. So each is
modelled with the published events of Loihi 1 at several spike rates, of which one must hold for both if the model is
any good. Takes half a minute.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ablations import insert

from hybridnet.deploy.chip.fit import LayerDemand, fit
from hybridnet.deploy.chip.placing import place
from hybridnet.deploy.chip.profile import Limit, Times, load_chip
from hybridnet.deploy.chip.timing import steps_of
from hybridnet.deploy.chip.traffic import traffic
from hybridnet.program.graph import GraphProgram, Input, Population, Shape, Synapse
from hybridnet.program.layers import ConvGeometry
from hybridnet.program.pipeline import pipeline
from hybridnet.report.numbers import share
from hybridnet.report.pricing.profile import load_profile, price
from hybridnet.report.quantities import Ops

MARKS = "<!-- back-tests -->", "<!-- end of back-tests -->"
EARLY_2023 = Limit(12000, "the compiler's own log, lava-dl tutorials/netx/pilotnet_snn/benchmark.ipynb")
STEPS_A_VIEW, STEPS = 16, 48
"""Steps of one inference of PilotNet; and how many are run here, for the last layers to be fed."""

RATES = (0.02, 0.05, 0.10, 0.20, 0.30)


@dataclass(frozen=True)
class Measured:
    """PilotNet LIF on one Loihi 2 (lava-dl, pilotnet_snn/benchmark.ipynb): 408.9 inferences a second of 16 steps."""

    step_us: float = 1e6 / (408.9 * STEPS_A_VIEW)
    dynamic_mj: float = 1.094
    total_mj: float = 1.661
    static_w: float = 0.232


@dataclass(frozen=True)
class Layer:
    """A layer as a notebook prints it.

    Attributes:
        cores: That the compiler gave it.
    """

    channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    cores: int


def conv(channels: int, stride: int | tuple[int, int], cores: int, padding: tuple[int, int] = (0, 0)) -> Layer:
    """A convolution of 3×3."""
    return Layer(channels, (3, 3), (stride, stride) if isinstance(stride, int) else stride, padding, cores)


PILOTNET = (
    conv(24, 2, 25), conv(36, 2, 13), conv(48, 2, 3), conv(64, (2, 1), 3, (1, 0)), conv(64, 1, 2),
    Layer(100, (2, 20), (1, 1), (0, 0), 12), *(Layer(n, (1, 1), (1, 1), (0, 0), 1) for n in (50, 10, 1)),
)  # fmt: skip
YOLO_KP = (
    *(conv(n, 2, cores, (1, 1)) for n, cores in ((16, 224), (32, 112), (64, 56), (128, 28))),
    conv(256, 1, 56, (1, 1)), conv(256, 2, 16, (1, 1)), conv(512, 1, 32, (1, 1)),
)  # fmt: skip


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="DOC.md", help="put the tables between their marks in a document")
    args = parser.parse_args()
    text = "\n".join((*cores_table(), "", *pilotnet_table())) + "\n"
    print(text)
    if args.write is not None:
        insert(args.write, text, MARKS)


def cores_table() -> Iterator[str]:
    """Cores by the compiler's log and by the mapper."""
    now = load_chip("loihi2")
    then = dataclasses.replace(now, synapse_words_per_core=EARLY_2023)
    yield "| network, layers | the compiler's log | our mapper | error |"
    yield "|---|--:|--:|--:|"
    for name, layers, shape, chip, given in (
        ("PilotNet LIF", PILOTNET, (3, 66, 200), then, 13),
        ("YOLO-KP, first seven", YOLO_KP, (3, 448, 448), now, None),
    ):
        demands = layer_demands_of(network(shape, layers, neurons_in=given is not None))
        printed = [*([] if given is None else [given]), *(layer.cores for layer in layers)]
        ours = [layer.cores for layer in fit(demands, chip, 99).layers]
        dense = [layer.dense for layer in fit(demands, chip, 99).layers]
        for what, chosen in (("convolutions", False), ("dense layers", True)):
            pairs = [(a, b) for a, b, is_dense in zip(printed, ours, dense, strict=True) if is_dense is chosen]
            if pairs:
                one, other = (sum(pair[n] for pair in pairs) for n in (0, 1))
                yield f"| {name}: {len(pairs)} {what} | {one} | {other} | {other / one - 1:+.0%} |"


def pilotnet_table() -> Iterator[str]:
    """Time and energy at several rates, and the rate at which each is what was measured."""
    measured, found = Measured(), [modelled(rate) for rate in RATES]
    yield "| PilotNet LIF, one Loihi 2 | µs of a step | error | dynamic mJ of an inference | error |"
    yield "|---|--:|--:|--:|--:|"
    yield f"| measured (lava-dl) | {measured.step_us:.1f} | | {measured.dynamic_mj:.3f} | |"
    for rate, (us, mj) in zip(RATES, found, strict=True):
        time, energy = us / measured.step_us - 1, mj / measured.dynamic_mj - 1
        yield f"| modelled, {share(rate, 0)} of the neurons fire | {us:.1f} | {time:+.0%} | {mj:.3f} | {energy:+.0%} |"
    rate = float(np.interp(measured.step_us, [us for us, _ in found], RATES))
    mj = float(np.interp(rate, RATES, [mj for _, mj in found]))
    energy = mj / measured.dynamic_mj - 1
    yield f"| modelled, {share(rate)}, where the time agrees | {measured.step_us:.1f} | | {mj:.3f} | {energy:+.0%} |"
    static = measured.static_w * STEPS_A_VIEW * measured.step_us / 1e3
    rest = measured.total_mj - measured.dynamic_mj
    yield f"| measured, total − dynamic | | | {rest:.3f} | |"
    yield f"| static power × measured steps | | | {static:.3f} | {static / rest - 1:+.1%} |"


def modelled(rate: float) -> tuple[float, float]:
    """The time of a step in µs and the energy of an inference in mJ if neurons fire at random at this rate."""
    loihi1, chip = load_chip("loihi1"), dataclasses.replace(load_chip("loihi2"), synapse_words_per_core=EARLY_2023)
    graph = network((3, 66, 200), PILOTNET, neurons_in=True)
    placed = place(fit(layer_demands_of(graph), chip, 99).layers)
    random = np.random.default_rng(0)
    events: dict[str, np.ndarray] = {p.name: random.random((1, STEPS, *p.shape)) < rate for p in graph.populations}
    events |= {node.name: np.zeros((1, STEPS, *node.shape), np.int32) for node in graph.inputs}  # a bias on the chip
    done = traffic(graph, placed, chip.mesh, pipeline(graph), events)
    times = loihi1.times
    if not isinstance(times, Times):
        raise RuntimeError("Loihi 1 has published times")
    ns = steps_of(done, times).ns[0]
    fed = ns[len(PILOTNET) + 1 : STEPS]  # all layers at work
    sent = list(done.sent.values())
    ops = Ops(
        acs=int(done.synaptic_events.sum()),
        neuron_updates=int(done.updates.sum()),
        spikes=int(done.spikes.sum()),
        messages=sum(one.total for one in sent),
        hops_ew=sum(one.hops[0] for one in sent),
        hops_ns=sum(one.hops[1] for one in sent),
    )
    energy = price(ops, load_profile("loihi1"))
    if energy is None:
        raise RuntimeError("Loihi 1 has prices")
    return float(np.median(fed)) / 1e3, energy.reference / STEPS * STEPS_A_VIEW / 1e9


def network(shape: Shape, layers: Sequence[Layer], *, neurons_in: bool) -> GraphProgram:
    """A chain; before it, if so asked, neurons that hold the input, one for each value."""
    inputs, source = (Input("image", shape),), "image"
    geometries = [ConvGeometry(shape, shape[0], (1, 1), groups=shape[0])] if neurons_in else []
    for layer in layers:
        before = geometries[-1].output_shape if geometries else shape
        geometries.append(ConvGeometry(before, layer.channels, layer.kernel, layer.stride, layer.padding))
    populations, synapses = [], []
    for n, geometry in enumerate(geometries):
        one, none = np.array(1.0), np.array(0.0)
        bias = np.zeros(geometry.out_channels)
        populations.append(Population(f"{n}", geometry.output_shape, one, none, one, "hard", one, bias))
        synapses.append(Synapse(source, f"{n}", geometry, np.ones(geometry.weight_shape)))
        source = f"{n}"
    return GraphProgram(inputs, tuple(populations), tuple(synapses), STEPS)


def layer_demands_of(graph: GraphProgram) -> tuple[LayerDemand, ...]:
    """Its layers, of 8-bit weights."""
    return tuple(LayerDemand(g.target, g.target, g.geometry, 8, "hard") for g in graph.synapses)


if __name__ == "__main__":
    main()
