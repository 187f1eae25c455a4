"""netx files: what is written is read back, stock netx runs what it can and refuses the rest, and so do we."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers import naive_program, random_programs
from helpers.chains import Program, fixed_graph_of, graph_of
from helpers.needs import needs_lava
from helpers.places import HELPERS
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hybridnet.deploy.netx.file import read_net, write_net
from hybridnet.errors import BundleError, ConfigError
from hybridnet.program.chains import netx_chains
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram
from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.emulator.graph import GraphEmulator

T = 5
FIRST = ConvGeometry((2, 7, 9), 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(2, 1), groups=2)
SECOND = ConvGeometry(FIRST.output_shape, 3, (2, 3), stride=(1, 2), padding=(0, 1))

Pair = tuple[GraphProgram, FixedGraph]


def pair_of(streams: random_programs.Streams, steps: int) -> Pair:
    """A chain in both forms."""
    return graph_of(Program(streams[:1], steps)), fixed_graph_of(Program(streams[1:], steps))


def chain(reset: str = "soft") -> Pair:
    random = np.random.default_rng(3)
    return pair_of(naive_program.random_streams(random, "mv", [FIRST, SECOND], reset=reset), T)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "mv.net"
    write_net(path, "mv", *chain())
    return path


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_what_is_written_is_read_back(tmp_path: Path, reset: str) -> None:
    written = chain(reset)
    write_net(tmp_path / "mv.net", "mv", *written)
    net = read_net(tmp_path / "mv.net")
    assert net.name == "mv"
    assert_identical(written, (net.program, net.fixed))


def assert_identical(before: Any, after: Any) -> None:
    """Every field of every node and group in both forms, types of arrays included."""
    for wrote, read in zip(before, after, strict=True):
        assert type(read) is type(wrote)
        assert read.steps == wrote.steps
        for part in ("inputs", "populations", "synapses"):
            for ours, theirs in zip(getattr(wrote, part), getattr(read, part), strict=True):
                for field, value in vars(ours).items():
                    found = getattr(theirs, field)
                    np.testing.assert_array_equal(found, value, strict=isinstance(value, np.ndarray))


def test_forms_that_differ_in_more_than_arithmetic_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mv\.0 = .*hard.* is not allowed.*soft.*as in float"):
        write_net(tmp_path / "mv.net", "mv", chain("soft")[0], chain("hard")[1])
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["", "a b", "x/y", "é"])
def test_a_name_that_could_not_be_read_back_is_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="name"):
        write_net(tmp_path / "mv.net", name, *chain())


def replace(path: str, value: Any, **options: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[path]
        file.create_dataset(path, data=value, **options)

    return change


def link(path: str, target: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[path]
        file[path] = target

    return change


def foreign_storage(file: h5py.File) -> None:
    del file["layer/1/bias"]
    file.create_dataset("layer/1/bias", (4,), "<i4", external=[("/etc/hostname", 0, 16)])


def virtual(file: h5py.File) -> None:
    del file["layer/1/bias"]
    layout = h5py.VirtualLayout((4,), "<i4")
    layout[:] = h5py.VirtualSource("other.h5", "data", (4,))
    file.create_virtual_dataset("layer/1/bias", layout)


HOSTILE: dict[str, tuple[Callable[[h5py.File], Any], str]] = {
    "a member missing": (lambda file: file.pop("layer/1/bias"), "bias"),
    "a member more": (replace("layer/1/bias", 1), "bias"),
    "an unknown member": (lambda file: file.create_dataset("layer/1/delay", data=1), "delay"),
    "a layer missing": (lambda file: file.pop("layer/1"), "members"),
    "no layers": (lambda file: [file.pop(f"layer/{index}") for index in (1, 2)], "0 layers"),
    "a wrong schema": (replace("hybridnet/schema", np.array([b"other/9"])), "schema"),
    "too many steps": (replace("hybridnet/steps", np.int64(10**9)), "1000000000"),
    "a name that is a path": (replace("hybridnet/chain", np.array([b"../../x"])), "chain"),
    "a name that is not ASCII": (replace("hybridnet/chain", np.array([b"\xff"])), "ascii"),
    "a weight of a wrong shape": (replace("layer/1/weight", np.zeros((4, 1, 3, 3), "<i4")), "weight"),
    "a weight of a wrong type": (replace("layer/1/weight", np.zeros((4, 1, 3, 2))), "weight"),
    "a weight out of range": (replace("layer/1/weight", np.full((4, 1, 3, 2), 999, "<i4")), "999"),
    "a weight that is not a number": (replace("layer/1/float/weight", np.full((4, 1, 3, 2), np.nan)), "finite"),
    "a scale of zero": (replace("layer/1/hybridnet/scale", 0.0), "scale"),
    "a threshold of zero": (replace("layer/1/neuron/vThMant", np.int64(0)), "vThMant"),
    "a current filter": (replace("layer/1/neuron/iDecay", np.int64(100)), "iDecay"),
    "an unknown neuron": (replace("layer/1/neuron/type", np.array([b"SDNN"])), "SDNN"),
    "a shape that is another's": (replace("layer/1/shape", np.array([4, 1, 1])), "shape"),
    "more weights than can be": (replace("layer/1/outChannels", np.int64(2**40)), "outChannels"),
    "a stride of zero": (replace("layer/1/stride", np.array([0, 1])), "stride"),
    "a compressed dataset": (replace("layer/1/bias", np.zeros(4, "<i4"), compression="gzip"), "plainly"),
    "a soft link": (link("layer/1/bias", h5py.SoftLink("/layer/1/float/bias")), "link"),
    "a link to another file": (link("layer", h5py.ExternalLink("other.h5", "/layer")), "link"),
    "storage in another file": (foreign_storage, "plainly"),
    "a virtual dataset": (virtual, "plainly"),
    "a group for a dataset": (lambda file: (file.pop("layer/1/bias"), file.create_group("layer/1/bias")), "bias"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_clear_error(net: Path, name: str) -> None:
    change, message = HOSTILE[name]
    with h5py.File(net, "r+") as file:
        change(file)
    with pytest.raises(BundleError, match=message) as caught:
        read_net(net)
    assert str(net) in caught.value.where


@pytest.mark.parametrize("content", [b"", b"no HDF5", None])
def test_what_is_no_hdf5_is_one_clear_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "mv.net"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BundleError, match=r"mv\.net"):
        read_net(path)


def test_a_truncated_file_is_one_clear_error(net: Path) -> None:
    whole = net.read_bytes()
    for size in range(1, len(whole), len(whole) // 7):
        net.write_bytes(whole[:size])
        with pytest.raises(BundleError, match=r"mv\.net"):
            read_net(net)


REFUSE = """
import sys
from hybridnet.simulators.lava.compat import import_lava
import_lava()
from lava.lib.dl.netx.hdf5 import Network

try:
    Network(sys.argv[1], input_message_bits=16)
except Exception as error:
    print("refused:", repr(error))
"""


def in_worker(*command: str | Path) -> str:
    """Run Lava in a process of its own and return what it says last."""
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.rstrip().rpartition("\n")[2]


@needs_lava
def test_stock_netx_refuses_soft_reset(net: Path) -> None:
    assert in_worker("-c", REFUSE, net).startswith("refused: AttributeError")


@needs_lava
def test_stock_netx_runs_hard_reset_with_the_emulators_spikes_and_potentials(tmp_path: Path) -> None:
    """Stock LIF tells v from after its reset; u, its input, and v of the step before tell v from before it."""
    windows = 3
    program, fixed = chain("hard")
    write_net(tmp_path / "hard.net", "mv", program, fixed)
    rng = np.random.default_rng(4)
    messages = rng.integers(-127, 128, (windows, T, *FIRST.input_shape), dtype=np.int32)
    drain = np.zeros((len(fixed.populations), *FIRST.input_shape), np.int32)
    np.save(tmp_path / "frames.npy", np.concatenate([*messages, drain]))
    job = {
        "net": str(tmp_path / "hard.net"),
        "frames": str(tmp_path / "frames.npy"),
        "states": str(tmp_path / "states.npz"),
        "network": {"input_message_bits": 16, "reset_interval": T, "reset_offset": 1},
    }
    (tmp_path / "jobs.json").write_text(json.dumps([job]), encoding="utf-8")
    in_worker(HELPERS / "netx_on_lava.py", tmp_path)

    inputs = {"mv_input": (messages / fixed.inputs[0].input_scale).astype(np.float32)}
    emulator = GraphEmulator(fixed).run(inputs, record_potentials=True)
    np.testing.assert_array_equal(emulator.inputs["mv_input"], messages)
    with np.load(tmp_path / "states.npz", allow_pickle=False) as states:
        for index, p in enumerate(fixed.populations):
            u, v, spikes = (
                states[f"{kind}{index}"][index + 1 :][: windows * T].reshape(windows, T, *p.shape) for kind in "uvs"
            )
            wanted, fired = emulator.potentials[p.name], emulator.spikes[p.name]
            assert fired.any()
            np.testing.assert_array_equal(spikes, fired)
            np.testing.assert_array_equal(v, np.where(fired, 0, wanted))
            before = np.concatenate([np.zeros_like(v[:, :1]), v[:, :-1]], axis=1)
            retained = np.sign(before) * ((4096 - p.decay) * np.abs(before) >> 12)
            np.testing.assert_array_equal(retained + u + (p.bias.reshape(-1, 1, 1) << 6), wanted)


@settings(deadline=None, max_examples=20)
@given(streams=random_programs.streams("s"), steps=st.integers(1, 64))
def test_any_chain_is_read_back_as_it_was_written(streams: random_programs.Streams, steps: int) -> None:
    written = pair_of(streams, steps)
    assume(netx_chains(*written))
    with tempfile.TemporaryDirectory() as folder:
        write_net(Path(folder) / "s.net", "s", *written)
        net = read_net(Path(folder) / "s.net")
    assert_identical(written, (net.program, net.fixed))
