"""Foreign `.net` files run as in stock netx on Lava's CPU simulator, and as in what lava-dl recorded, bit for bit."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import naive_netx
import naive_program
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.deploy.netx import write_net
from hybridnet.deploy.netx_foreign import read_foreign_net
from hybridnet.errors import BackendError, BundleError, ConfigError, RangeError
from hybridnet.partition.program import ConvGeometry
from hybridnet.simulators.lava.compat import lava_is_installed
from hybridnet.simulators.netx_network import LayerTrace, NetxNetwork

needs_lava = pytest.mark.skipif(not lava_is_installed(), reason="Lava is not installed")
HERE = Path(__file__).parent


def shipped(name: str) -> Path:
    """A file of the tests that lava-dl's wheel carries."""
    spec = importlib.util.find_spec("lava.lib.dl")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    site_packages = Path(next(iter(spec.submodule_search_locations))).parents[2]
    return site_packages / "tests/lava/lib/dl/netx" / name


def write(path: Path, tree: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for name, value in tree.items():
            file[f"layer/{name}"] = value
    return path


def cuba(layer: int, current_decay: Any, voltage_decay: Any, threshold: Any) -> dict[str, Any]:
    values = {"type": b"CUBA", "iDecay": current_decay, "vDecay": voltage_decay, "vThMant": threshold}
    return {f"{layer}/neuron/{key}": value for key, value in values.items()}


def quirks(path: Path) -> Path:
    """Everything that netx and Lava do in a strange way, in one network."""
    rng = np.random.default_rng(1)
    clipped = rng.integers(-300, 300, (6, 36))
    clipped[0, :2] = -300, 300
    weak = np.where(rng.random((5, 6)) < 0.7, -128, 0)  # of the sign that netx and Lava see differently
    weak[0, 0] = -128
    return write(
        path,
        {
            "0/type": np.array([b"input"]),
            "0/shape": [2, 4, 5],
            "1/type": np.array([b"conv"]),
            "1/shape": [3, 3, 4],
            "1/weight": rng.integers(-60000, 60000, (3, 2, 2, 2, 1)).astype(float) + 0.7,
            "1/bias": [32000.9, -32000, 0],
            "1/stride": 1,
            "1/padding": 0,
            "1/dilation": 1,
            "1/groups": 1,
            "1/delay": [1.0, 2, 3],
            **cuba(1, [2048, 4096, 3000], [0, 4096, 77], [2**17 - 1, 2**16, 0]),
            "1/neuron/refDelay": 5,
            "1/neuron/gradedSpike": True,
            "2/type": np.array([b"flatten"]),
            "3/type": b"dense",
            "3/shape": [6, 1, 1],
            "3/weight": clipped.reshape(-1),
            "3/delay": rng.integers(0, 9, (6, 36)) + 0.6,
            "3/bias": rng.integers(-90, 90, 6),
            **cuba(3, rng.integers(0, 4097, 6), 300, rng.integers(50, 500, 6)),
            "4/type": np.array([b"dense"]),
            "4/shape": [5],
            "4/weight": weak,
            "4/delay": np.arange(6) * 20.0,  # one per input; the last are cut
            "4/bias": [500, 400, 300, 200, 100],
            **cuba(4, 512, 128, 150),
            "5/type": np.array([b"dense"]),
            "5/shape": [2],
            "5/weight": [[3, -7, 0, 11, 1], [0, 0, 0, 0, -5]],  # and no neuron
        },
    )


@dataclass
class Case:
    """One run of stock netx: which file, what is fed, and netx's arguments."""

    net: str
    shape: tuple[int, ...]
    steps: int
    arguments: dict[str, int] = field(default_factory=dict)
    density: float = 0.4
    largest: int = 0
    """Of graded input; 0 for spikes."""
    constant: bool = False
    """The frames are one bias for all steps."""

    def frames(self) -> Any:
        rng = np.random.default_rng(self.steps)
        shape = self.shape if self.constant else (self.steps, *self.shape)
        if self.largest:
            return rng.integers(-self.largest, self.largest + 1, shape).astype(np.int32)
        return (rng.random(shape) < self.density).astype(np.int32)


SPIKES: dict[str, Case] = {
    "conv": Case("conv", (2, 7, 9), 20),
    "conv, reset": Case("conv", (2, 7, 9), 20, {"reset_interval": 6, "reset_offset": 1}),
    "graded": Case("graded", (1, 5, 6), 16, {"input_message_bits": 8, "reset_interval": 5}, largest=100),
    "delays": Case("delays", (12,), 80),
    "delays, reset": Case("delays", (12,), 80, {"reset_interval": 33, "reset_offset": -1}),
    "quirks": Case("quirks", (2, 4, 5), 40, {"input_message_bits": 16}, largest=400),
    "encoded, of a constant": Case("encoded", (2, 6, 5), 24, {"reset_interval": 9}, largest=60, constant=True),
}
CURRENTS = {"encoded, of currents": Case("encoded", (2, 6, 5), 24, {"reset_offset": 4}, largest=60)}
CASES = SPIKES | CURRENTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The networks, and the states of all cases in Lava."""
    folder = tmp_path_factory.mktemp("netx")
    quirks(folder / "quirks.net")
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
    command = [sys.executable, "-P", str(HERE / name), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]


def run(folder: Path, case: Case) -> tuple[LayerTrace, ...]:
    frames = case.frames()
    if case.constant:
        frames = np.broadcast_to(frames, (case.steps, *case.shape))
    description = read_foreign_net(folder / f"{case.net}.net")
    return NetxNetwork(description, **case.arguments).run(frames[None])  # type: ignore[arg-type]


@needs_lava
@pytest.mark.parametrize("name", CASES)
def test_every_state_of_every_layer_and_step_equals_lavas(folder: Path, name: str) -> None:
    traces = run(folder, CASES[name])
    with np.load(folder / f"{name}.npz", allow_pickle=False) as lava:
        assert len(lava.files) == 3 * len(traces)
        for index, trace in enumerate(traces):
            np.testing.assert_array_equal(trace.spikes[0], lava[f"s{index}"], err_msg=trace.name)
            np.testing.assert_array_equal(trace.v[0], lava[f"v{index}"], err_msg=trace.name)  # type: ignore[index]
            if index or name in SPIKES:  # currents, where the file has no decay of them, are what a bias is
                np.testing.assert_array_equal(trace.u[0], lava[f"u{index}"], err_msg=trace.name)  # type: ignore[index]
    assert all(trace.spikes.any() for trace in traces[:-1])
    assert not all(trace.spikes.all() for trace in traces)


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


# ---- what lava-dl's wheel carries: networks, and what slayer and Loihi made of them


def recorded(name: str) -> Any:
    """Time first, channels before height before width: Lava's files hold (W, H, C, T) or (features, T)."""
    return np.load(shipped(f"gts/{name}"), allow_pickle=False).T


@needs_lava
def test_pilotnets_recorded_states_are_reproduced_in_full() -> None:
    """24 steps of Loihi: spikes, u and v of each layer. The chip was reset every 17 steps, not 16 as the file's name
    for the length of a sample says; and its v is 128 where there was a spike, where Lava's CPU simulator has 0."""
    image = recorded("pilotnet_lif/image.npy")
    network = NetxNetwork(read_foreign_net(shipped("gts/pilotnet_lif/network.net")), reset_interval=17)
    traces = network.run(np.broadcast_to(image, (1, 24, *image.shape)))
    np.testing.assert_array_equal(traces[0].spikes[0], recorded("pilotnet_lif/input.npy"))
    names = [f"conv-{index}" for index in range(5)] + [f"fc-{index}" for index in range(3)]
    for name, trace in zip(names, traces[1:9], strict=True):
        assert trace.u is not None
        assert trace.v is not None
        assert trace.spikes.any()
        np.testing.assert_array_equal(trace.spikes[0], recorded(f"pilotnet_lif/{name}.npy"), err_msg=name)
        np.testing.assert_array_equal(trace.u[0], recorded(f"pilotnet_lif/{name}-u.npy"), err_msg=name)
        at_spikes = np.where(trace.spikes[0], 128, trace.v[0])
        np.testing.assert_array_equal(at_spikes, recorded(f"pilotnet_lif/{name}-v.npy"), err_msg=name)


@needs_lava
def test_pilotnets_output_was_recorded_in_another_run() -> None:
    """Its 25 steps are those of resets every 16 steps, one step before where netx's default puts them."""
    image = recorded("pilotnet_lif/image.npy")
    description = read_foreign_net(shipped("gts/pilotnet_lif/network.net"))
    frames = np.broadcast_to(image, (1, 25, *image.shape))
    trace = NetxNetwork(description, reset_interval=16, reset_offset=-1).run(frames)[-1]
    np.testing.assert_array_equal(trace.u[0], recorded("pilotnet_lif/fc-3-u.npy"))  # type: ignore[index]
    np.testing.assert_array_equal(trace.v[0], recorded("pilotnet_lif/fc-3-v.npy"))  # type: ignore[index]
    np.testing.assert_array_equal(trace.spikes[0], recorded("pilotnet_lif/fc-3-s.npy"))
    assert np.count_nonzero(trace.v) > 10


@needs_lava
def test_pilotnets_other_input_differs_from_step_17_on() -> None:
    """input-s.npy was recorded with resets every 16 steps, input.npy every 17."""
    image = recorded("pilotnet_lif/image.npy")
    frames = np.broadcast_to(image, (1, 24, *image.shape))
    description = read_foreign_net(shipped("gts/pilotnet_lif/network.net"), num_layers=1)
    every_16 = NetxNetwork(description, reset_interval=16).run(frames)[0].spikes[0]
    np.testing.assert_array_equal(every_16, recorded("pilotnet_lif/input-s.npy"))
    differs = (every_16 != recorded("pilotnet_lif/input.npy")).any((1, 2, 3))
    assert not differs[:17].any()
    assert differs[17:].all()


@needs_lava
def test_tinynets_recorded_states_are_reproduced() -> None:
    """16 steps of slayer. It shows nothing at its step 0, where the layers of Lava integrate their bias already; and it
    counts a layer's steps from where the layer before sends: layer l's step t is Lava's t + l - 1."""
    bias = recorded("tinynet/input_bias.npy").astype(np.int32)
    network = NetxNetwork(read_foreign_net(shipped("tiny.net")), reset_interval=17)
    traces = network.run(np.broadcast_to(bias, (1, 17, *bias.shape)))

    def slayers(name: str) -> Any:
        return np.moveaxis(np.load(shipped(f"gts/tinynet/{name}.npy"), allow_pickle=False)[0], -1, 0)

    np.testing.assert_array_equal(traces[1].u[0, :16], 64 * slayers("current"))  # type: ignore[index]
    for place, name in enumerate(("input", "layer1", "output")):
        assert not slayers(name)[0].any()
        np.testing.assert_array_equal(traces[place].spikes[0, place : place + 15], slayers(name)[1:], err_msg=name)


@needs_lava
def test_ntidigits_with_its_axonal_delays_is_reproduced() -> None:
    """3000 steps of slayer, one later than Lava's. Its last layer, an average, is none that netx can build."""
    path = shipped("gts/ntidigits/ntidigits.net")
    with pytest.raises(BundleError, match=r"/layer/5: type 'average'"):
        read_foreign_net(path)
    description = read_foreign_net(path, num_layers=5)
    frames = recorded("ntidigits/input.npy").astype(np.int32)
    spikes = NetxNetwork(description).run(frames[None], record_states=False)[-1].spikes[0]
    np.testing.assert_array_equal(spikes[:-1], recorded("ntidigits/output.npy")[1:])
    assert spikes.sum() == 22572


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
        with np.load(tmp_path / f"{name}.npz", allow_pickle=False) as lava:
            for index, trace in enumerate(ours):
                for kind, values in (("s", trace.spikes), ("u", trace.u), ("v", trace.v)):
                    np.testing.assert_array_equal(values[0], lava[f"{kind}{index}"], err_msg=f"{name} {trace.name}")  # type: ignore[index]
