"""Files that are hostile, damaged or beyond us are one clear error that names the layer; nothing is skipped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers.foreign_nets import SMALL, write

from hybridnet.deploy.netx.foreign import read_foreign_net
from hybridnet.errors import BundleError, ConfigError

Change = Callable[[h5py.File], Any]


def replace(name: str, value: Any, **options: Any) -> Change:
    def change(file: h5py.File) -> None:
        file.pop(f"layer/{name}", None)
        file.create_dataset(f"layer/{name}", data=value, **options)

    return change


def link(name: str, target: Any) -> Change:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = target

    return change


def huge(file: h5py.File) -> None:
    del file["layer/3/weight"]
    file.create_dataset("layer/3/weight", (2**20, 2**20), "<f8")  # of which nothing is stored


def claimed(file: h5py.File) -> None:
    del file["layer/3/weight"]
    file.create_dataset("layer/3/weight", (4, 36), "<f8")


def no_flatten(file: h5py.File) -> None:
    del file["layer/2"]
    file.move("layer/3", "layer/2")


def elsewhere(file: h5py.File) -> None:
    del file["layer/1/bias"]
    file.create_dataset("layer/1/bias", (3,), "<i4", external=[("/etc/hostname", 0, 12)])


REFUSED: dict[str, tuple[Change, str]] = {
    **{
        f"a layer {kind}": (replace("3/type", np.array([kind.encode()])), rf"/layer/3: type '{kind}'")
        for kind in ("pool", "convT", "unpool", "average", "concat", "dense_rec", "dense_comp", "something")
    },
    **{
        f"neurons {kind}": (replace("3/neuron/type", kind), rf"/layer/3/neuron: neurons of type '{kind}'")
        for kind in ("ALIF", "SDNN", "RF_PHASE", "ADRF_IZHIKEVICH", "STM_SOFT", "LIF")
    },
    "a second input": (replace("3/type", b"input"), "/layer/3: type 'input' after"),
    "complex weights": (
        lambda file: (file.pop("layer/3/weight"), file.create_group("layer/3/weight")),
        "/layer/3: complex",
    ),
    "graded spikes of a bits' number": (replace("1/neuron/messageBits", 8), "/layer/1/neuron: holds messageBits"),
    "a recurrent weight": (replace("3/weight_rec", np.ones((4, 4))), "/layer/3: holds weight_rec"),
    "a conv without neurons": (lambda file: file.pop("layer/1/neuron"), "/layer/1: lacks neuron"),
    "a dense without a flatten": (no_flatten, "/layer/2: behind a layer of shape"),
    "a conv behind a flatten": (lambda file: swap(file, "1", "2"), "/layer/2: a conv behind a flatten"),
    "a flatten of features": (replace("0/shape", [40]), "/layer/1: a conv behind"),
    "a gap in the layers": (lambda file: file.move("layer/3", "layer/7"), "/layer: lacks 3"),
    "no layer": (lambda file: file.pop("layer"), "/: lacks layer"),
    "an input only": (lambda file: [file.pop(f"layer/{index}") for index in (1, 2, 3)], "no layer of neurons"),
    "weights of zero": (replace("3/weight", np.zeros((4, 36))), "/layer/3: all weights are zero"),
    "weights that netx zeroes": (replace("3/weight", np.full((4, 36), 300)), "/layer/3: weights from 300 to 300"),
    "a weight of a wrong shape": (replace("3/weight", np.ones((4, 35))), "/layer/3: a weight of shape"),
    "a kernel of a wrong shape": (replace("1/weight", np.ones((3, 1, 2, 2))), "/layer/1: weight"),
    "a weight that is no number": (replace("1/weight", np.full((3, 2, 2, 2), np.nan)), "weight is not finite"),
    "a weight beyond 32 bits": (replace("1/weight", np.full((3, 2, 2, 2), 1e12)), "/layer/1: weight does not fit"),
    "a bias beyond 16 bits": (replace("1/bias", [40000, 0, 0]), "/layer/1: a bias of 40000"),
    "a bias of a wrong shape": (replace("1/bias", [1]), "/layer/1: a bias of shape"),
    "a delay that is negative": (replace("3/delay", [-1, 0, 0, 0]), "/layer/3: a delay of -1"),
    "a delay of a wrong shape": (replace("3/delay", [1, 2]), "/layer/3: a delay of shape"),
    "a decay of more than all": (replace("1/neuron/iDecay", 4097), "/layer/1/neuron: iDecay from 4097"),
    "a decay of a wrong shape": (replace("1/neuron/vDecay", [1, 2]), "/layer/1/neuron: vDecay of shape"),
    "a fractional threshold": (replace("1/neuron/vThMant", 1.5), "/layer/1/neuron: vThMant is float64"),
    "a stride of zero": (replace("1/stride", [1, 0]), "/layer/1: stride"),
    "a stride beyond 8 bits": (replace("1/stride", 200), "/layer/1: stride"),
    "groups that do not divide": (replace("1/groups", 2), "/layer/1: groups = 2"),
    "a kernel larger than its input": (replace("1/dilation", 9), "/layer/1: input_shape"),
    "a weight that is claimed only": (claimed, "/layer/3: weight is not stored in full"),
    "a shape of nothing": (replace("1/shape", [3, 0, 4]), "/layer/1: shape"),
    "another number of channels": (replace("1/inChannels", 7), "/layer/1: inChannels is 7"),
    "a type that is a number": (replace("1/type", 5), "/layer/1: type is not a short text"),
    "a type that is not ASCII": (replace("1/type", np.array([b"\xff"])), "ascii"),
    "a long type": (replace("1/type", "x" * 500), "/layer/1: type is not a short text"),
    "a weight of texts": (replace("1/weight", b"text"), "/layer/1: weight is"),
    "an empty weight": (replace("1/weight", h5py.Empty("f4")), "/layer/1: weight is"),
    "more weights than can be": (huge, "/layer/3: weight has shape"),
    "more neurons than can be": (replace("0/shape", [60000, 60000, 2]), "/layer/0: shape"),
    "a compressed weight": (replace("1/weight", np.ones((3, 2, 2, 2)), compression="gzip"), "weight is not stored"),
    "storage in another file": (elsewhere, "/layer/1: bias is not stored"),
    "a soft link": (link("layer/1/bias", h5py.SoftLink("/layer/1/shape")), "/layer/1: bias is a link"),
    "a link to another file": (link("layer/1", h5py.ExternalLink("other.h5", "/layer")), "/layer: 1 is a link"),
}  # fmt: skip


def swap(file: h5py.File, one: str, other: str) -> None:
    file.move(f"layer/{one}", "layer/x")
    file.move(f"layer/{other}", f"layer/{one}")
    file.move("layer/x", f"layer/{other}")


@pytest.mark.parametrize("name", REFUSED)
def test_what_we_cannot_run_is_one_clear_error(tmp_path: Path, name: str) -> None:
    change, message = REFUSED[name]
    path = write(tmp_path / "a.net", SMALL)
    assert not read_foreign_net(path).notes
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(BundleError, match=message) as caught:
        read_foreign_net(path)
    assert str(path) in caught.value.where


@pytest.mark.parametrize("content", [b"", b"no HDF5", None])
def test_what_is_no_hdf5_is_one_clear_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.net"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BundleError, match=r"a\.net"):
        read_foreign_net(path)


def test_a_truncated_file_is_one_clear_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", SMALL)
    whole = path.read_bytes()
    for size in range(1, len(whole), len(whole) // 9):
        path.write_bytes(whole[:size])
        with pytest.raises(BundleError, match=r"a\.net"):
            read_foreign_net(path)


def test_a_file_that_begins_with_a_conv_needs_its_input_shape(tmp_path: Path) -> None:
    tree = {f"{int(name[0]) - 1}{name[1:]}": value for name, value in SMALL.items() if name[0] != "0"}
    path = write(tmp_path / "a.net", tree)
    with pytest.raises(BundleError, match=r"/layer/0: .*Pass input_shape"):
        read_foreign_net(path)
    assert read_foreign_net(path, input_shape=(2, 4, 5)).layers[0].output_shape == (3, 3, 4)
    with pytest.raises(ConfigError, match="num_layers"):
        read_foreign_net(path, num_layers=0)
    with pytest.raises(BundleError, match=r"not \(9, 9, 9\)"):
        read_foreign_net(write(tmp_path / "b.net", SMALL), input_shape=(9, 9, 9))
