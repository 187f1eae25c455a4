"""Small `.net` files, written by hand; and those that lava-dl's wheel ships, with what it recorded of them."""

import importlib.util
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def shipped(name: str) -> Path:
    """A file of the tests that lava-dl's wheel carries."""
    spec = importlib.util.find_spec("lava.lib.dl")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    site_packages = Path(next(iter(spec.submodule_search_locations))).parents[2]
    return site_packages / "tests/lava/lib/dl/netx" / name


def recorded(name: str) -> Any:
    """Time first, channels before height before width: Lava's files hold (W, H, C, T) or (features, T)."""
    return np.load(shipped(f"gts/{name}"), allow_pickle=False).T


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
    weak = rng.choice([-128, -1, 0], (5, 6))  # of the sign that netx and Lava see differently, and round
    weak[0, :3] = -128, -1, 0
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


def edges(path: Path) -> Path:
    """Currents at, and one step of 2^6 beyond, what 24 bits hold; voltages at the threshold, and beyond."""
    weight = np.array([2**17, -(2**17), 2**17 + 1, -(2**17) - 1, 10, 11]).reshape(6, 1, 1, 1)
    tree = {
        "0/type": b"input",
        "0/shape": [1, 1, 3],
        "1/type": b"conv",
        "1/shape": [6, 1, 3],
        "1/weight": weight,
        "1/stride": [1, 1],
        "1/padding": [0, 0],
        "1/dilation": [1, 1],
        "1/groups": 1,
    }
    return write(path, tree | cuba(1, [4096, 4096, 4095, 4095, 4096, 4096], 4096, [2**17, 5, 5, 5, 10, 10]))


SMALL: dict[str, Any] = {
    "0/type": np.array([b"input"]),
    "0/shape": [2, 4, 5],
    "1/type": np.array([b"conv"]),
    "1/shape": [3, 3, 4],
    "1/weight": np.full((3, 2, 2, 2), 10.0, np.float32),
    "1/bias": [1.0, 2.0, 3.0],
    "1/stride": 1,
    "1/padding": 0,
    "1/dilation": 1,
    "1/groups": 1,
    **cuba(1, 1024, 100, 80),
    "2/type": np.array([b"flatten"]),
    "3/type": np.array([b"dense"]),
    "3/shape": [4],
    "3/weight": np.full((4, 36), 10.0, np.float32),
    **cuba(3, 1024, 100, 80),
}
