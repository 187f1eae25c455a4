# mypy: disable-error-code="override"
"""The cut: exact, for stacks anywhere in the model and whatever is read of them."""

import importlib
import re
from typing import Any

import numpy as np
import pytest
import snntorch
import torch
from helpers.small_model import SMALL
from torch import Tensor, nn

from hybridnet.errors import ModelError
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.model.neuron import ConvLIF
from hybridnet.model.stm import ReadOut, SpikingStack
from hybridnet.partition.describe import Node
from hybridnet.partition.split import split
from hybridnet.partition.splitter import Partition, partition
from hybridnet.program.layers import ConvGeometry, Reset
from hybridnet.simulators.torch.graph_step import TorchGraph

INPUT = torch.randn(2, 4, 2, 6, 5) * 2


def conv_lif(channels: int, out: int, *, threshold: float = 0.2, reset: Reset = "soft") -> ConvLIF:
    geometry = ConvGeometry((channels, 6, 5), out, (3, 3), padding=(1, 1))
    return ConvLIF(geometry, threshold=threshold, reset=reset, bias=True)


def stack(*read_out: ReadOut | int) -> SpikingStack:
    return SpikingStack([conv_lif(2, 3), conv_lif(3, 2)], read_out or (0, 1))


@torch.no_grad()
def exact(model: nn.Module, inputs: dict[str, Tensor]) -> Partition:
    """Cut, run on other windows and another batch size than the example's, compare to the last bit."""
    split = partition(model, {name: x[:1] for name, x in inputs.items()})
    whole, cut = model(**inputs), split.run(inputs)
    assert split.exact
    if isinstance(whole, Tensor):
        whole, cut = {"": whole}, {"": cut}
    elif not isinstance(whole, dict):
        whole, cut = dict(enumerate(whole)), dict(enumerate(cut))
    assert whole.keys() == cut.keys()
    assert all(torch.equal(whole[key], cut[key]) for key in whole)
    return split


def test_cut_model_equals_the_whole_one_to_the_last_bit() -> None:
    torch.manual_seed(0)
    model = HybridNet(SMALL).eval()
    split = exact(model, {name: torch.randn_like(x) for name, x in example_inputs(SMALL, batch=2).items()})
    assert split.ann_inputs == ("i_frame", "mv_0_u", "mv_1_u", "r_0_u", "r_1_u")
    assert [(g.source, g.target) for g in split.program.synapses] == [
        ("motion_vectors", "mv.0"),
        ("mv.0", "mv.1"),
        ("residuals", "r.0"),
        ("r.0", "r.1"),
    ]
    assert split.program.steps == 3


class Reads(nn.Module):
    """All kinds of read-outs, of several layers, used at several places; the input itself goes on too."""

    def __init__(self) -> None:
        super().__init__()
        self.front = stack(
            ReadOut(0), ReadOut(1, "spikes"), ReadOut(1, "spike_count"), ReadOut(1), ReadOut(0, "spikes")
        )
        self.head = nn.Conv2d(2, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        u, spikes, count, last, _ = self.front(x)
        maps = self.head(last) + u * self.head(count / x.shape[1])
        return maps + self.head(spikes.mean(1)) + x[:, -1, :1] + self.head(x.sum(1)) + u


def test_every_kind_of_read_out_and_skips_around_the_stack() -> None:
    split = exact(Reads(), {"x": INPUT})
    assert {t.name: (t.layer, t.kind, t.shape) for t in split.bridge} == {
        "front_0_u": ("front.0", "potential", (3, 6, 5)),
        "front_1_u": ("front.1", "potential", (2, 6, 5)),
        "front_1_count": ("front.1", "spike_count", (2, 6, 5)),
    }, "a mean over all steps crosses as a count; what nobody reads does not cross"
    assert split.ann_inputs[0] == "x"


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stm = stack()

    def forward(self, x: Tensor) -> Any:
        return self.stm(x)


class Nested(nn.Module):
    """Equal last names; one input feeds two of them; a list of stacks."""

    def __init__(self) -> None:
        super().__init__()
        self.enc_a, self.enc_b = Encoder(), Encoder()
        self.more = nn.ModuleList([stack(), stack()])

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.enc_a(x)[0] + self.enc_b(x)[0], self.more[0](y)[1] * self.more[1](x)[1]


def test_nested_stacks_get_names_of_their_own() -> None:
    split = exact(Nested(), {"x": INPUT, "y": INPUT.flip(0)})
    assert [(s.populations, s.input_name) for s in split.stacks] == [
        (("enc_a_stm.0", "enc_a_stm.1"), "x"),
        (("enc_b_stm.0", "enc_b_stm.1"), "x"),
        (("more_0.0", "more_0.1"), "y"),
        (("more_1.0", "more_1.1"), "x"),
    ]
    assert [node.name for node in split.program.inputs] == ["x", "y"], "an input that several read is there once"
    assert "x" not in split.ann_inputs


class Bare(nn.Module):
    """ConvLIF layers without a stack, and a stack that reads another's spikes."""

    def __init__(self, reset: Reset) -> None:
        super().__init__()
        self.first, self.second = conv_lif(2, 3, reset=reset), conv_lif(3, 2, reset=reset)
        self.third = SpikingStack([conv_lif(2, 2)], [ReadOut(0, "spike_count")])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        u, o = self.first(x.clone())
        state = self.second(o)
        return {"count": self.third(state.o)[0], "u": u[:, -1].flatten(1), "o": state.o.transpose(3, 4)}


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_bare_layers_form_one_chain_and_outputs_keep_their_names(reset: Reset) -> None:
    split = exact(Bare(reset), {"x": INPUT})
    assert [p.name for p in split.program.populations] == ["first.0", "first.1", "first.2"]
    assert split.run({"x": INPUT})["o"].shape == (2, 4, 2, 5, 6)


def test_the_program_is_the_models_spiking_half() -> None:
    model = Reads()
    split = partition(model, {"x": INPUT})
    result = TorchGraph(split.program).run({"x": INPUT.numpy()})
    for name, state in zip(("front.0", "front.1"), model.front.trace(INPUT), strict=True):
        assert np.array_equal(result.spikes[name], state.o.bool().numpy())
        np.testing.assert_allclose(result.readouts[name], state.u[:, -1].detach().numpy(), atol=1e-6)


class Alone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.only = stack(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.only(x)[0]


def test_a_spiking_half_alone_is_a_model_too() -> None:
    assert exact(Alone(), {"x": INPUT}).ann_inputs == ("only_1_u",)


def test_every_node_is_told_with_its_half_and_the_reason() -> None:
    rows = partition(Reads(), {"x": INPUT}).nodes
    nodes = {node.name: node for node in rows}
    assert nodes["x"] == Node("x", "input", "input", "an input of the model", (4, 2, 6, 5))
    assert nodes["front.layers.1"].half == "snn"
    assert "reads the spikes of front.layers.0" in nodes["front.layers.1"].why
    assert nodes["front_0_u"].bytes == 3 * 6 * 5 * 4
    assert nodes["front_1_count"].bytes == -(-2 * 6 * 5 * 3 // 8), "a count to 4 takes 3 bits"
    heads = [node for node in rows if node.name == "head"]
    assert {(node.kind, node.half, node.shape) for node in heads} == {("Conv2d", "ann", (3, 6, 5))}
    assert {"depends on front_1_u", "depends on front_1_count", "no spiking layer before it"} == {
        node.why for node in heads
    }
    assert nodes["sum_1"].why == "no spiking layer before it"


@pytest.mark.parametrize(
    ("module", "network", "inputs"),
    [("flow_network", "FlowNetwork", "moving_dots"), ("event_mlp", "EventMLP", "bars")],
)
def test_the_examples_split_exactly(
    module: str, network: str, inputs: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.syspath_prepend(str(request.config.rootpath / "examples"))
    example = importlib.import_module(module)
    torch.manual_seed(0)
    given = getattr(example, inputs)(3, seed=1)
    split = exact(getattr(example, network)().eval(), {"events": given[0] if isinstance(given, tuple) else given})
    assert {t.kind for t in split.bridge} == ({"potential"} if network == "FlowNetwork" else {"spike_count"})


class Stepped(nn.Module):
    """Synapses and a neuron of snnTorch, step by step."""

    def __init__(self, *synapses: nn.Module) -> None:
        super().__init__()
        self.synapses, self.neuron = nn.Sequential(*synapses), snntorch.Leaky(beta=0.9)

    def forward(self, x: Tensor) -> Tensor:
        potential, counts = self.neuron.init_leaky(), torch.zeros(())
        for step in x.unbind(1):
            spikes, potential = self.neuron(self.synapses(step), potential)
            counts = counts + spikes
        return counts


@pytest.mark.parametrize(
    ("synapses", "shape"),
    [
        ((nn.Conv2d(2, 4, 3),), (3, 8, 8)),
        ((nn.Conv2d(4, 4, 3, groups=2),), (6, 8, 8)),
        ((nn.Conv2d(2, 4, 9),), (2, 8, 7)),
        ((nn.Flatten(), nn.Linear(32, 4)), (2, 4, 5)),
    ],
)
def test_inputs_that_a_layer_cannot_take_are_told_with_their_shape(
    synapses: tuple[nn.Module, ...], shape: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Tracing asks no convolution for its output, so that a wrong number of channels shows in its weights alone."""
    inputs = {"x": torch.rand(2, 5, *shape)}
    with pytest.raises(ModelError, match=re.escape(f"forward fails on x {(2, 5, *shape)} (RuntimeError: ")):
        split(Stepped(*synapses).eval(), inputs)
    assert not caplog.records
