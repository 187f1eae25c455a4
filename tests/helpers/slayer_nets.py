"""Makes networks of lava-dl's own slayer blocks and exports them: `python slayer_nets.py FOLDER` writes *.net there."""

import sys
from pathlib import Path
from typing import Any

import h5py

from hybridnet.simulators.lava.compat import import_lava

import_lava()

import torch  # noqa: E402
from lava.lib.dl import slayer  # noqa: E402

cuba = slayer.block.cuba


def neuron(current_decay: float, voltage_decay: float, *, bias: bool = False, **more: Any) -> dict[str, Any]:
    norm = {"norm": slayer.neuron.norm.MeanOnlyBatchNorm} if bias else {}  # its mean becomes the bias
    return {"threshold": 0.5, "current_decay": current_decay, "voltage_decay": voltage_decay} | norm | more


def networks() -> dict[str, tuple[tuple[int, ...], list[Any]]]:
    """Per name, the shape of the input without time and the blocks."""
    strong = {"weight_scale": 3}
    return {
        "conv": (
            (2, 7, 9),
            [
                cuba.Input(None, delay_shift=False),
                cuba.Conv(
                    neuron(0.3, 0.1, bias=True), 2, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(2, 1), groups=2,
                    **strong,
                ),
                cuba.Conv(neuron(1.0, 0.02), 4, 3, (2, 3), padding=(0, 1), delay=True, **strong),
                cuba.Flatten(),
                cuba.Dense(neuron(0.6, 0.9, bias=True), 3 * 2 * 8, 10, **strong),
                cuba.Affine(neuron(0.5, 0.03), 10, 5),
            ],
        ),
        "encoded": (
            (2, 6, 5),
            [
                cuba.Input(neuron(1.0, 0.25), weight=1, bias=0.5),
                cuba.Conv(neuron(0.5, 0.25, bias=True), 2, 3, 3, stride=(1, 2), **strong),
                cuba.Flatten(),
                cuba.Dense(neuron(0.25, 0.1), 3 * 4 * 2, 7, weight_norm=True, **strong),
            ],
        ),
        "delays": (
            (12,),
            [
                cuba.Dense(neuron(0.25, 0.03), 12, 9, delay=True, **strong),
                cuba.Dense(neuron(0.25, 0.03, bias=True, shared_param=False), 9, 8, delay=True, **strong),
                cuba.Dense(neuron(0.05, 0.5), 8, 4, **strong),
            ],
        ),
        "graded": (
            (1, 5, 6),
            [
                cuba.Input(None, delay_shift=False),
                cuba.Conv(neuron(0.4, 0.2, bias=True), 1, 4, 3, **strong),
                cuba.Flatten(),
                cuba.Dense(neuron(0.0, 1.0), 4 * 3 * 4, 6),
            ],
        ),
    }  # fmt: skip


def export(path: Path, shape: tuple[int, ...], blocks: list[Any]) -> None:
    """Run the blocks, in which they learn their shapes and biases, and write them as lava-dl's tutorials do."""
    x = (torch.rand(1, *shape, 20) < 0.5).float()
    for block in blocks:
        x = block(x)
        if getattr(block, "delay", None) is not None:
            # As many as the block has channels, as training with one delay per neuron gives.
            count = x.shape[1]
            block.delay.delay.data = torch.arange(count, dtype=torch.float) * 7.3
    with h5py.File(path, "w") as file:
        for index, block in enumerate(blocks):
            block.export_hdf5(file.create_group(f"layer/{index}"))


def main(folder: Path) -> None:
    torch.manual_seed(5)
    for name, (shape, blocks) in networks().items():
        export(folder / f"{name}.net", shape, blocks)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
