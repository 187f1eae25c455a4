# mypy: disable-error-code="override,comparison-overlap,no-untyped-call"
"""What the host computes before the chip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.cutting import assert_same
from helpers.stepped_nets import Windows, one, x
from torch import Tensor, nn

import hybridnet
from hybridnet.partition.arithmetic.halves import cut
from hybridnet.partition.arithmetic.read import read
from hybridnet.workflows.options import ExportOptions


def test_a_front_with_a_norm_over_each_frame_is_the_hosts() -> None:
    class Front(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.GroupNorm(2, 4)
            self.next, self.lif = nn.Conv2d(4, 4, 3, 2), Windows()

        def forward(self, x: Tensor) -> Tensor:
            y = torch.relu(self.norm(self.conv(x.float().flatten(0, 1))))
            return self.lif(2 * self.next(y).unflatten(0, x.shape[:2]), 1).sum(1)

    _, reading = one(Front(), {"x": torch.randint(0, 3, (2, 4, 2, 9, 8), dtype=torch.uint8)})
    assert reading.program is not None
    assert [(n.name, n.shape) for n in reading.program.inputs] == [("front", (4, 9, 8))]
    assert len(reading.hosts["front"]) == 4


def test_a_stream_beside_joins_what_is_placed_behind_a_front() -> None:
    class Streams(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = (nn.Conv2d(2, 2, 3, padding=1) for _ in range(4))
            self.lif_a, self.lif_b, self.lif_c, self.lif_d = (Windows() for _ in range(4))

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            def layer(conv: nn.Module, lif: nn.Module, z: Tensor, *, pooled: bool = False) -> Tensor:
                current = 3 * conv(z.flatten(0, 1))
                current = nn.functional.max_pool2d(current, 3, 1, 1) if pooled else current
                return lif(current.unflatten(0, z.shape[:2]), 1)

            behind = layer(self.c, self.lif_c, layer(self.b, self.lif_b, layer(self.a, self.lif_a, x), pooled=True))
            return behind.sum(1) + layer(self.d, self.lif_d, y).sum(1)

    _, reading = one(Streams(), {"x": torch.randn(2, 4, 2, 6, 5), "y": torch.randn(2, 4, 2, 6, 5)})
    assert set(reading.placed) == {"lif_b", "lif_c", "lif_d"}
    assert [o.name for o in reading.obstacles] == ["lif_a"]


class OverTheClip(nn.Module):
    """Each test writes what it does with all steps at once, before one convolution and its neurons."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv3, self.norm3, self.conv, self.lif = nn.Conv3d(2, 2, 3, 1, 1), nn.BatchNorm3d(2), *layer()
        self.norm3.bias.data += 0.1
        self.eval()

    def clip(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 2, H, W) to (B, 3, H, W)."""
        y = self.clip(x)
        return self.lif(torch.stack([self.conv(frame) for frame in y.unbind(1)]), 0).sum(0)


def layer() -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(2, 3, 3, padding=1)
    conv.weight.data *= 4
    return conv, Windows()


CLIPS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "a convolution over time": lambda net, x: net.conv3(x.transpose(1, 2)).transpose(1, 2),
    "a norm and a rectifier behind it": lambda net, x: net.norm3(net.conv3(x.transpose(1, 2))).relu().transpose(1, 2),
    "the largest of the clip": lambda net, x: x / x.amax((1, 2, 3, 4), keepdim=True),
    "differences of steps and their softmax": lambda net, x: (x - x.mean(1, keepdim=True)).softmax(1),
}


@pytest.mark.parametrize("name", CLIPS)
def test_a_front_over_the_clip_runs_once_and_crosses_step_by_step(name: str) -> None:
    model = type("OverTheClip", (OverTheClip,), {"clip": CLIPS[name]})()
    halves = cut(read(model, x()), model, x())
    assert halves.reading.placed == ("lif",)
    assert [len(steps) for steps in halves.reading.hosts.values()] == [5]
    assert halves.reading.program is not None
    assert [(n.shape, n.still) for n in halves.reading.program.inputs] == [((2, 6, 5), False)]
    for batch in (1, 3):
        assert_same(halves, model, {"x": torch.rand(batch, 5, 2, 6, 5)})


@pytest.mark.slow
def test_a_front_over_the_clip_is_simulated_and_reported(tmp_path: Path) -> None:
    model = type("OverTheClip", (OverTheClip,), {"clip": CLIPS["a convolution over time"]})()
    result = hybridnet.export(model, x(), tmp_path / "b", ExportOptions(strict=True))
    assert not result.parity.failed
    np.savez(tmp_path / "x.npz", x=x()["x"].numpy())
    record = hybridnet.simulate(tmp_path / "x.npz", tmp_path / "b").record
    front = next(p for p in record.partitions if p.name == "front")
    assert front.ops is not None
    assert front.ops.macs == 2 * 5 * sum(2 * 2 * 3 * 3 * 3 for _ in range(6 * 5))
