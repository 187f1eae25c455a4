"""netx files: what is written is read back, stock netx runs what it can and refuses the rest, and so do we."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import naive_program
import numpy as np
import pytest

from hybridnet.deploy.netx import read_net, write_net
from hybridnet.errors import BundleError, ConfigError
from hybridnet.partition.program import ConvGeometry, ConvLIFLayer, FixedConvLIF, Stream
from hybridnet.simulators.lava.compat import lava_is_installed

T = 5
FIRST = ConvGeometry((2, 7, 9), 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(2, 1), groups=2)
SECOND = ConvGeometry(FIRST.output_shape, 3, (2, 3), stride=(1, 2), padding=(0, 1))

Streams = tuple[Stream[ConvLIFLayer], Stream[FixedConvLIF]]


def streams(reset: str = "soft", **fixed: Any) -> Streams:
    return naive_program.random_streams(np.random.default_rng(3), "mv", [FIRST, SECOND], reset=reset, **fixed)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "mv.net"
    write_net(path, *streams(), T)
    return path


@pytest.mark.parametrize("reset", ["soft", "hard"])
def test_what_is_written_is_read_back(tmp_path: Path, reset: str) -> None:
    written = streams(reset)
    write_net(tmp_path / "mv.net", *written, T)
    in_float, in_integers, steps = read_net(tmp_path / "mv.net")
    assert steps == T
    pairs: list[tuple[Any, Any]] = [(written[0], in_float), (written[1], in_integers)]
    for before, after in pairs:
        assert (after.name, after.input_name) == (before.name, before.input_name)
        for wrote, read in zip(before.layers, after.layers, strict=True):
            assert vars(wrote).keys() == vars(read).keys()
            for field, value in vars(wrote).items():
                np.testing.assert_array_equal(getattr(read, field), value, strict=isinstance(value, np.ndarray))


def test_streams_that_differ_in_more_than_arithmetic_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mv\.0\.reset"):
        write_net(tmp_path / "mv.net", streams("soft")[0], streams("hard")[1], T)


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
    "a name that is a path": (replace("hybridnet/stream", np.array([b"../../x"])), "stream"),
    "a name that is not ASCII": (replace("hybridnet/stream", np.array([b"\xff"])), "ascii"),
    "a weight of a wrong shape": (replace("layer/1/weight", np.zeros((4, 1, 3, 3), "<i4")), "weight"),
    "a weight of a wrong type": (replace("layer/1/weight", np.zeros((4, 1, 3, 2))), "weight"),
    "a weight out of range": (replace("layer/1/weight", np.full((4, 1, 3, 2), 999, "<i4")), "999"),
    "a weight that is not a number": (replace("layer/1/float/weight", np.full((4, 1, 3, 2), np.nan)), "finite"),
    "a scale of zero": (replace("layer/1/hybridnet/weight_scale", 0.0), "scale"),
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


STOCK = """
import json, sys
import numpy as np
from hybridnet.simulators.lava.compat import import_lava
import_lava()
from lava.lib.dl.netx.hdf5 import Network
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.proc.io.source import RingBuffer
from lava.proc.monitor.process import Monitor

if __name__ == "__main__":
    folder, steps = sys.argv[1], int(sys.argv[2])
    network = Network(f"{folder}/hard.net", input_message_bits=16)
    source = RingBuffer(data=np.load(f"{folder}/input.npy"))
    source.s_out.connect(network.inp)
    monitors = [Monitor() for _ in network.layers]
    for monitor, layer in zip(monitors, network.layers):
        monitor.probe(layer.neuron.s_out, steps)
    network.run(RunSteps(num_steps=steps), Loihi2SimCfg(select_tag="fixed_pt"))
    for index, (monitor, layer) in enumerate(zip(monitors, network.layers)):
        np.save(f"{folder}/{index}.npy", monitor.get_data()[layer.neuron.name]["s_out"])
    network.stop()
    try:
        Network(f"{folder}/soft.net", input_message_bits=16)
    except Exception as error:
        print(json.dumps({"refused": repr(error)}))
"""


@pytest.mark.skipif(not lava_is_installed(), reason="Lava is not installed")
def test_stock_netx_runs_hard_reset_like_the_program_and_refuses_soft_reset(tmp_path: Path) -> None:
    in_float, hard = streams("hard")
    # No bias: stock netx knows no windows, and a bias would charge the neurons before the first frame.
    layers = tuple(dataclasses.replace(layer, bias=np.zeros_like(layer.bias)) for layer in hard.layers)
    hard = Stream(hard.name, hard.input_name, layers)
    write_net(tmp_path / "hard.net", in_float, hard, T)
    write_net(tmp_path / "soft.net", *streams("soft"), T)

    frames = np.random.default_rng(4).integers(-127, 128, (1, T, *FIRST.input_shape), dtype=np.int32)
    steps = T + len(layers)
    data = np.zeros((*FIRST.input_shape[::-1], steps), np.int32)
    data[..., :T] = frames[0].T
    np.save(tmp_path / "input.npy", data)
    script = tmp_path / "stock.py"
    script.write_text(STOCK, encoding="utf-8")
    done = subprocess.run([sys.executable, script, tmp_path, str(steps)], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert "AttributeError" in json.loads(done.stdout.splitlines()[-1])["refused"]
    wanted = naive_program.run_stream(hard, frames)
    for index, layer in enumerate(layers):
        spikes = np.load(tmp_path / f"{index}.npy")[index + 1 :][:T].transpose(0, 3, 2, 1)
        assert wanted.spikes[layer.name].any()
        np.testing.assert_array_equal(spikes, wanted.spikes[layer.name][0])
