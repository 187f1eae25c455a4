"""Foreign `.net` files run as in stock netx on Lava's CPU simulator, bit for bit."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.foreign_nets import edges, quirks, recorded, shipped
from helpers.needs import needs_lava
from helpers.places import HELPERS

from hybridnet.deploy.netx.foreign import read_foreign_net
from hybridnet.deploy.netx.weights import store_weights
from hybridnet.errors import BundleError
from hybridnet.simulators.netx.network import LayerTrace, NetxNetwork


@dataclass
class Case:
    """One run of stock netx: which file, what is fed, and netx's arguments."""

    net: str
    shape: tuple[int, ...]
    steps: int
    arguments: dict[str, int] = field(default_factory=dict)
    density: float = 0.4
    largest: int = 0
    """Bits of graded input; 0 for spikes."""
    constant: bool = False
    """The frames are one bias for all steps."""

    def frames(self) -> Any:
        rng = np.random.default_rng(self.steps)
        shape = self.shape if self.constant else (self.steps, *self.shape)
        if self.largest:
            return rng.integers(-self.largest, self.largest + 1, shape).astype(np.int32)
        return (rng.random(shape) < self.density).astype(np.int32)


CASES = {
    "conv": Case("conv", (2, 7, 9), 20, {"reset_interval": 6, "reset_offset": 1}),
    "graded": Case("graded", (1, 5, 6), 16, {"input_message_bits": 8, "reset_interval": 5}, largest=100),
    "delays": Case("delays", (12,), 75, {"reset_interval": 33, "reset_offset": -1}),
    "quirks": Case("quirks", (2, 4, 5), 75, {"input_message_bits": 16}, largest=400),
    "edges": Case("edges", (1, 1, 3), 12),
    "encoded": Case("encoded", (2, 6, 5), 24, {"reset_interval": 9}, largest=60, constant=True),
}
MORE_CASES = {
    "conv without reset": Case("conv", (2, 7, 9), 60),
    "delays without reset": Case("delays", (12,), 150),
    "encoded currents": Case("encoded", (2, 6, 5), 60, {"reset_interval": 16, "reset_offset": 4}, largest=60),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The networks, and the states of all cases in Lava."""
    folder = tmp_path_factory.mktemp("netx")
    quirks(folder / "quirks.net")
    edges(folder / "edges.net")
    script("slayer_nets.py", folder)
    on_lava(folder, CASES)
    return folder


def on_lava(folder: Path, cases: dict[str, Case]) -> None:
    jobs = []
    for name, case in cases.items():
        frames = folder / f"{name}.npy"
        np.save(frames, case.frames(), allow_pickle=False)
        job = {"net": str(folder / f"{case.net}.net"), "frames": str(frames), "network": case.arguments}
        steps = {"steps": case.steps} if case.constant else {}
        jobs.append(job | steps | {"states": str(folder / f"{name}.npz")})
    (folder / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    script("netx_on_lava.py", folder)


def script(name: str, folder: Path) -> None:
    command = [sys.executable, "-P", str(HELPERS / name), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]


def run(folder: Path, case: Case) -> tuple[LayerTrace, ...]:
    frames = case.frames()
    if case.constant:
        frames = np.broadcast_to(frames, (case.steps, *case.shape))
    description = read_foreign_net(folder / f"{case.net}.net")
    return NetxNetwork(description, **case.arguments).run(frames[None])


@needs_lava
@pytest.mark.parametrize("name", CASES)
def test_every_state_of_every_layer_and_step_equals_lavas(folder: Path, name: str) -> None:
    traces = run(folder, CASES[name])
    compare(traces, folder / f"{name}.npz")
    assert all(trace.spikes.any() for trace in traces[:-1])
    assert not all(trace.spikes.all() for trace in traces)


@needs_lava
@pytest.mark.slow
def test_more_cases_equal_lava(folder: Path) -> None:
    on_lava(folder, MORE_CASES)
    for name, case in MORE_CASES.items():
        # Where a current decays at once, it is to the voltage what a bias is; but there is one.
        unlike = {"u0"} if name == "encoded currents" else set()
        compare(run(folder, case), folder / f"{name}.npz", unlike)


def compare(traces: tuple[LayerTrace, ...], path: Path, unlike: set[str] | None = None) -> None:
    with np.load(path, allow_pickle=False) as lava:
        assert len(lava.files) == 3 * len(traces)
        for index, trace in enumerate(traces):
            for kind, values in (("s", trace.spikes), ("u", trace.u), ("v", trace.v)):
                assert values is not None
                if f"{kind}{index}" not in (unlike or ()):
                    np.testing.assert_array_equal(values[0], lava[f"{kind}{index}"], err_msg=f"{trace.name} {kind}")


@needs_lava
def test_the_strange_network_is_strange(folder: Path) -> None:
    traces = run(folder, CASES["quirks"])
    assert traces[0].wrapped_sums > 0
    assert traces[0].wrapped_currents > 0
    assert traces[0].saturated_voltages > 0
    notes = "\n".join(read_foreign_net(folder / "quirks.net").notes)
    for text in (
        "/layer/1: 24 values of weight are no integers",
        "/layer/1: the delay is ignored",
        "/layer/1/neuron: refDelay is ignored",
        "/layer/1/neuron: gradedSpike is ignored",
        "weights are changed to fit a synapse",
        "/layer/4: 2 delays above 62 are cut to 62",
    ):
        assert text in notes, notes


@needs_lava
@pytest.mark.slow
def test_shipped_networks_equal_lava(tmp_path: Path) -> None:
    jobs, traces = [], {}
    for name, file, constant, steps in (
        ("tiny", "tiny.net", np.load(shipped("gts/tinynet/input_bias.npy")).T, 40),
        ("mnist", "mnist.net", np.random.default_rng(0).integers(0, 76, 784), 40),
        ("pilotnet", "gts/pilotnet_lif/network.net", recorded("pilotnet_lif/image.npy"), 24),
    ):
        frames = constant.astype(np.int32)
        np.save(tmp_path / f"{name}.npy", frames)
        arguments = {"reset_interval": 16}
        job = {"net": str(shipped(file)), "frames": str(tmp_path / f"{name}.npy"), "steps": steps}
        jobs.append(job | {"network": arguments, "states": str(tmp_path / f"{name}.npz")})
        network = NetxNetwork(read_foreign_net(shipped(file)), reset_interval=16)
        traces[name] = network.run(np.broadcast_to(frames, (1, steps, *frames.shape)))
    (tmp_path / "jobs.json").write_text(json.dumps(jobs), encoding="utf-8")
    script("netx_on_lava.py", tmp_path)
    for name, ours in traces.items():
        compare(ours, tmp_path / f"{name}.npz")


@needs_lava
@pytest.mark.slow
def test_dense_weights_are_stored_as_netx_and_lava_do(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cases = 20000
    low = rng.choice([-600, -300, -257, -256, -255, -128, -127, -100, -7, -1, 0], cases)
    high = rng.choice([-1, 0, 1, 3, 100, 127, 128, 200, 253, 254, 255, 256, 300], cases)
    low = np.minimum(low, high)
    weights = rng.integers(low[:, None, None], high[:, None, None] + 1, (cases, 2, 3)) * rng.choice(
        [1, 1, 2, 4], (cases, 1, 1)
    )
    np.save(tmp_path / "weights.npy", weights, allow_pickle=False)
    script("netx_weights_in_lava.py", tmp_path)
    stored, shifts = (np.load(tmp_path / f"{name}.npy", allow_pickle=False) for name in ("stored", "shift"))
    refused = changed = 0
    for weight, values, shift in zip(weights, stored, shifts, strict=True):
        try:
            ours = store_weights(weight.astype(np.int32))
        except BundleError:
            refused += 1
            assert shift == -1 or not values.any()
            continue
        np.testing.assert_array_equal(ours.values, values)
        assert ours.shift == shift
        changed += ours.changed > 0
    assert refused > 1000
    assert changed > 1000
