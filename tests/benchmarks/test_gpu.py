"""`benchmarks/gpu.py` as far as a CPU goes: it runs, counts and compares, and refuses what it must not time."""

import dataclasses
import re
import sys
from collections.abc import Iterator

import numpy as np
import onnxruntime
import pytest
import torch
from helpers.graph_equality import assert_as_naive, patient
from helpers.places import ROOT
from helpers.random_graphs import graphs, random_inputs
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.configs import load_experiment
from hybridnet.errors import BackendError, RangeError
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.partition.splitter import partition
from hybridnet.program.fixed_graph import FixedGraph

sys.path.insert(0, str(ROOT / "benchmarks"))

import gpu
from gpu_halves import provider_of, verdict
from gpu_made import Case, Run, agreement, large_inputs, tried
from integers_on_device import WAYS, IntegersOnDevice
from networks import chain, in_integers


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Threads of torch wait for each other long where other work has their core."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


CPU, META = torch.device("cpu"), torch.device("meta")


@pytest.mark.usefixtures("one_thread")
@pytest.mark.slow  # a quarter of a minute of CPU
def test_all_of_it_runs_on_the_cpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--device", "cpu", "--small", "--seconds", "0"])
    monkeypatch.setattr(gpu, "LEAST_TURNS", 1)
    gpu.main()
    printed = capsys.readouterr().out
    rows = [line for line in printed.splitlines() if re.match("ANN half|spiking half|clip, from|training step", line)]
    assert len(rows) == 10 + 5 + 6 + 1
    # With oneDNN 3.12 (torch 2.13, AMX) some convolutions in bfloat16 return wrong numbers, which are refused.
    assert all("×" in row or ("bf16" in row and "refused: SQNR" in row) for row in rows), printed
    assert [" equal bits, " in row for row in rows].count(True) == 5
    nodes = re.findall(r"(\d+) of (\d+) nodes on CPUExecutionProvider", printed)
    assert len(nodes) == 5
    assert all(0 < int(here) == int(all_) for here, all_ in nodes)
    assert "no card, as asked for" in printed
    assert "16.025 clips/s" in printed


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a card")
def test_without_a_card_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit, match="torch sees no CUDA card here"):  # a text as its code means 1
        gpu.main()


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this build has it")
def test_a_provider_that_is_missing_is_a_row() -> None:
    def start() -> tuple[Run, str]:
        provider_of(torch.device("cuda"))
        raise AssertionError

    (row,) = gpu.measured([Case("ANN half", "ONNX Runtime, fp32", start)], 0)
    assert row.ms is None
    assert row.seen == "this onnxruntime has no CUDAExecutionProvider"
    assert gpu.fastest([row]) is None
    assert re.search(r"this onnxruntime has no CUDAExecutionProvider +8 +– +– +–", gpu.drawn([row]))


@settings(patient, max_examples=12)
@given(way=st.sampled_from([*WAYS]), graph=graphs(), views=st.integers(1, 3), seed=st.integers(0, 2**32 - 1))
def test_integers_in_torch_are_the_naive_loops(way: str, graph: FixedGraph, views: int, seed: int) -> None:
    inputs = random_inputs(graph, views, seed)
    result = IntegersOnDevice(graph, CPU, WAYS[way]).run(inputs, record_potentials=True)
    assert_as_naive(graph, result, inputs, views)


def test_a_bit_that_differs_is_refused() -> None:
    graph = in_integers(chain((2, 9, 7), (3, 4), (2, 1), 5))
    inputs, expected = tried(graph, large_inputs(graph))
    integers = IntegersOnDevice(graph, CPU, WAYS["float32"])
    assert verdict(integers, [(inputs, expected)] * 2).startswith("equal bits")
    assert expected.clipped_inputs["x"] > 0
    spikes = expected.spikes["s.1"].copy()
    assert 0 < spikes.mean() < 1
    spikes[0, 4, 3, 0, 0] ^= True
    with pytest.raises(BackendError, match=r"refused: 1 of [\d,]+ differ"):
        verdict(integers, [(inputs, dataclasses.replace(expected, spikes={**expected.spikes, "s.1": spikes}))])


def test_logits_that_are_others_are_refused() -> None:
    logits = np.random.default_rng(0).normal(size=(8, 10))
    assert agreement(logits, logits) == "SQNR exact"
    assert agreement(1.05 * logits, logits) == "SQNR 26.0 dB"
    with pytest.raises(BackendError, match=r"refused: SQNR 14\.0 dB"):
        agreement(1.2 * logits, logits)


def test_sums_that_might_round_are_refused() -> None:
    graph = in_integers(chain((2, 9, 7), (3,), (1,), 2))
    (group,) = graph.synapses
    wide = dataclasses.replace(group, weight=np.full_like(group.weight, 2**16), weight_bits=24)
    graph = FixedGraph(graph.inputs, graph.populations, (wide,), graph.steps)
    with pytest.raises(RangeError, match=r"x→s\.0: sums of up to .* are not exact in torch\.float32"):
        IntegersOnDevice(graph, CPU, WAYS["float32"])
    IntegersOnDevice(graph, CPU, WAYS["float64"])


@torch.no_grad()
def test_nothing_stays_on_the_cpu() -> None:
    """The meta device stands for a card: it has no numbers, and takes none from another device."""
    graph = in_integers(chain((2, 9, 7), (3, 4), (2, 1), 5))
    inputs = {name: torch.from_numpy(x).to(META) for name, x in random_inputs(graph, 2, seed=0).items()}
    _, _, traces = IntegersOnDevice(graph, META, WAYS["float32"]).trace(inputs, record=True)
    assert {x.device for trace in traces.values() for x in (trace.v, *trace.o, trace.saturated)} == {META}
    config = load_experiment("micro").model
    examples = example_inputs(config, batch=2)
    split = partition(HybridNet(config).eval(), examples)
    given = [*examples.items(), *((tensor.name, torch.zeros(2, *tensor.shape)) for tensor in split.bridge)]
    taken = {name: x.to(META, torch.float16) for name, x in given}
    logits = split.ann.to(META, torch.float16)(*(taken[name] for name in split.ann_inputs))
    whole = HybridNet(config).eval().to(META)(**{name: x.to(META) for name, x in examples.items()})
    assert (logits.shape, logits.dtype, logits.device) == ((2, config.num_classes), torch.float16, META)
    assert (whole.shape, whole.device) == (logits.shape, META)
