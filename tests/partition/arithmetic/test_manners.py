# mypy: disable-error-code="comparison-overlap,no-untyped-call"
"""Each manner of writing a spiking network is read as what it computes, whatever its sizes, steps and batch."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import manners, own_neurons
from helpers.manner import Manner
from helpers.own_neurons import BatchAsTime, FunctionIF, PerChannel, PLIFDetector
from helpers.places import ROOT

from hybridnet.errors import PartitionError
from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.reading import Reading, Role
from hybridnet.program.graph import GraphProgram, Population
from hybridnet.program.transposed import TransposedGeometry

NEEDED = {
    manners.Pools: "spikingjelly.activation_based", manners.Residual: "spikingjelly.activation_based",
    manners.PoolBeforeNeuron: "snntorch", manners.StillImage: "snntorch", manners.Cuba: "snntorch",
    manners.HostChipHost: "snntorch", manners.SharedWeights: "snntorch",
}  # fmt: skip
PLACED = {
    FunctionIF: ("c1", "c2", "c3"),
    PLIFDetector: ("lif.0", "lif.1"),
    manners.Pools: ("net.2", "net.6", "net.11", "net.13", "net.3"),
    manners.PoolBeforeNeuron: ("lif2", "lif3"),
    manners.StillImage: ("lif1", "lif2", "lif3"),
    manners.Residual: ("n.0", "n.1", "n.2", "n.3"),
    manners.SpikingUNet: ("e1", "e2", "d1", "d2", "out"),
    PerChannel: ("l1", "l2"),
    manners.Cuba: ("n1", "n2"),
    manners.HostChipHost: ("lif.0", "lif.1"),
    manners.NormFirst: ("lif1", "lif2"),
    manners.SharedWeights: ("lif", "lif#2"),
}


def read_manner(
    kind: type[Manner], batch: int = 2, size: tuple[int, int] | None = None, steps: int | None = None
) -> tuple[Reading, GraphProgram]:
    if kind in NEEDED:
        pytest.importorskip(NEEDED[kind], exc_type=ImportError)
    torch.manual_seed(0)
    model = kind(size, steps)
    reading = read(model, model.inputs(batch))
    assert reading.program is not None
    return reading, reading.program


def population(program: GraphProgram, name: str) -> Population:
    return next(p for p in program.populations if p.name == name)


@pytest.mark.parametrize("kind", PLACED)
def test_each_manner_is_placed(kind: type[Manner]) -> None:
    reading, program = read_manner(kind)
    assert reading.placed == PLACED[kind]
    assert program.steps == 4
    assert not reading.ties


def test_the_readme_says_how_many_styles_go_through() -> None:
    written = [*vars(manners).values(), *vars(own_neurons).values()]
    held = {k for k in written if isinstance(k, type) and issubclass(k, Manner)}
    right = held - {Manner, BatchAsTime}  # which no chip can take: its neurons step through the batch
    told = f"{len(right & PLACED.keys())} of the {len(right)} styles that the tests hold go through"
    assert told in " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize(
    ("kind", "batch", "size", "steps"),
    [
        (FunctionIF, 1, (11, 14), 7),
        (PLIFDetector, 3, (13, 7), 2),
        (manners.SpikingUNet, 1, (6, 12), 3),
        (PerChannel, 1, (5, 8), 12),
        (manners.NormFirst, 3, (9, 15), 3),
        (manners.Residual, 1, (10, 15), 2),
        (manners.Cuba, 2, (13, 10), 3),
        (manners.Pools, 1, (8, 20), 3),
    ],
)
def test_sizes_steps_and_batch_change_nothing(
    kind: type[Manner], batch: int, size: tuple[int, int], steps: int
) -> None:
    reading, program = read_manner(kind, batch, size, steps)
    assert reading.placed == PLACED[kind]
    assert program.steps == steps


@pytest.mark.parametrize("kind", [FunctionIF, PLIFDetector, PerChannel, manners.NormFirst])
def test_a_single_step_is_a_program_too(kind: type[Manner]) -> None:
    reading, program = read_manner(kind, steps=1)
    assert len(reading.placed) == len(PLACED[kind])
    assert program.steps == 1


@pytest.mark.slow
@pytest.mark.parametrize("steps", range(1, 13))
@pytest.mark.parametrize("kind", PLACED)
def test_all_steps(kind: type[Manner], steps: int) -> None:
    reading, program = read_manner(kind, batch=1 + steps % 3, steps=steps)
    assert program.steps == steps
    assert steps == 1 or reading.placed == PLACED[kind]


def test_function_if_keeps_all_and_resets_hard() -> None:
    _, program = read_manner(FunctionIF)
    for name in ("c1", "c2", "c3"):
        p = population(program, name)
        assert (p.leak, p.threshold, p.reset) == (1.0, 0.75, "hard")
    assert np.array_equal(program.onto("c2")[0].weight.shape, (6, 4, 3, 3))


def test_plif_fires_at_its_threshold_too() -> None:
    _, program = read_manner(PLIFDetector)
    p = population(program, "lif.1")
    gain = torch.sigmoid(torch.tensor(0.2)).item()
    assert p.leak == pytest.approx(1 - gain)
    assert p.threshold == np.nextafter(np.float32(1), np.float32(0))
    torch.manual_seed(0)
    model = PLIFDetector()
    conv: Any = model.conv[1]
    norm: Any = model.norm[1]
    scale = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach().double()[:, None, None, None]
    np.testing.assert_allclose(program.onto("lif.1")[0].weight, 2 * gain * scale * conv.weight.detach().double(), 1e-6)


def test_maximum_of_spikes_is_a_relay_and_an_average_folds() -> None:
    _, program = read_manner(manners.Pools)
    relay = population(program, "net.3")
    assert (relay.threshold, relay.leak) == (0.5, 0.0)
    (window,) = program.onto("net.3")
    assert (window.source, window.geometry.groups, window.weight.min(), window.weight.max()) == ("net.2", 4, 1, 1)
    (dense,) = program.onto("net.11")
    assert dense.weight.shape == (12, 4, 6, 8)
    assert np.array_equal(dense.weight[..., 0, 0], dense.weight[..., 1, 1])  # both in one window of the average


def test_pooled_currents_are_the_hosts() -> None:
    reading, program = read_manner(manners.PoolBeforeNeuron)
    assert [n.name for n in program.inputs] == ["front"]
    assert not program.inputs[0].still
    (why,) = reading.obstacles
    assert str(why) == (
        "lif1: it lies before max_pool2d (conv2 → max_pool2d), which only the host computes; the chip runs once a view,"
        " and takes the larger side. Give the convolution before it a stride, or pool its spikes"
    )


def test_a_still_image_is_one_message() -> None:
    reading, program = read_manner(manners.StillImage)
    assert [(n.name, n.still) for n in program.inputs] == [("image", True)]
    assert reading.leaving == (Role("count", "lif3", (0, 1, 2, 3)),)


def test_a_sum_of_spikes_is_two_groups_with_the_same_weights() -> None:
    _, program = read_manner(manners.Residual)
    first, second = program.onto("n.3")
    assert {first.source, second.source} == {"n.0", "n.2"}
    assert first.weight is second.weight


def test_unet_has_split_weights_spreading_groups_and_an_integrator() -> None:
    reading, program = read_manner(manners.SpikingUNet)
    spreading, plain = program.onto("d1")
    assert isinstance(spreading.geometry, TransposedGeometry)
    assert (spreading.source, spreading.geometry.kernel, spreading.geometry.stride) == ("e2", (4, 4), (2, 2))
    assert (plain.source, plain.weight.shape) == ("e1", (4, 4, 3, 3))
    p = population(program, "d1")
    assert (float(p.leak), float(p.reset_amount)) == pytest.approx((0.9, 0.54))
    out = population(program, "out")
    assert out.threshold is None
    assert float(out.leak) == pytest.approx(0.95)
    assert reading.leaving == (Role("potential", "out", (3,)),)


def test_parameters_per_channel() -> None:
    torch.manual_seed(0)
    model = PerChannel()
    program = read(model, model.inputs()).program
    assert program is not None
    for name, layer in (("l1", model.l1), ("l2", model.l2)):
        p = population(program, name)
        assert p.reset == "hard"
        np.testing.assert_allclose(p.leak, torch.sigmoid(layer.leak).detach().flatten(), 1e-6)
        assert p.threshold is not None
        np.testing.assert_array_equal(p.threshold, layer.thresh.detach().flatten())


def test_cuba_has_two_decays_and_a_bias_in_its_current() -> None:
    reading, program = read_manner(manners.Cuba)
    p = population(program, "n2")
    assert (float(p.current_leak), float(p.leak), float(p.threshold or 0)) == pytest.approx((0.6, 0.9, 0.8))
    bias = next(s for s in program.onto("n2") if s.source == "always")
    assert np.ptp(bias.weight, axis=(2, 3)).max() == 0
    assert {role.kind for role in reading.leaving} == {"potential"}
    assert len(reading.leaving) == 4


def test_front_chip_and_head() -> None:
    reading, program = read_manner(manners.HostChipHost)
    assert [(n.name, n.shape, n.still) for n in program.inputs] == [("front.front.3", (4, 9, 12), False)]
    assert sorted(reading.hosts["front.front.3"]) == [0, 1, 2, 3]
    assert population(program, "lif.0").reset == "hard"
    assert reading.leaving == (Role("count", "lif.1", (0, 1, 2, 3)),)


def test_padding_norm_and_depthwise_fold() -> None:
    _, program = read_manner(manners.NormFirst)
    first, second = program.onto("lif1")[0], program.onto("lif2")[0]
    assert (first.weight.shape, first.geometry.padding) == ((4, 2, 3, 3), (1, 1))
    assert (second.weight.shape, second.geometry.groups) == ((5, 4, 3, 3), 1)
    assert population(program, "lif2").bias.shape == (5,)


def test_siamese_inputs_share_one_array() -> None:
    _, program = read_manner(manners.SharedWeights)
    assert [n.name for n in program.inputs] == ["left", "right"]
    assert program.onto("lif")[0].weight is program.onto("lif#2")[0].weight


def test_batch_as_time_is_refused_with_the_true_reason() -> None:
    torch.manual_seed(0)
    model = BatchAsTime()
    with pytest.raises(PartitionError, match=r"views depend on each other: model\(events\)\[:1\] differs"):
        read(model, model.inputs())


def test_no_library_is_named() -> None:
    """The reader knows no class of a library; it finds their neurons by what they compute."""
    package = importlib.import_module("hybridnet.partition.arithmetic")
    for path in sorted(p for folder in package.__path__ for p in Path(folder).glob("*.py")):
        text = path.read_text(encoding="utf-8").lower()
        assert not any(name in text for name in ("snntorch", "spikingjelly", "norse")), path
