# mypy: disable-error-code="no-untyped-call,no-untyped-def,operator,assignment,union-attr,index,arg-type"
"""Models in which strangers found faults: each is read, or refused with the true reason and nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import hybridnet
from hybridnet.errors import ConfigError, HybridNetError, ModelError, PartitionError
from hybridnet.partition.split import split
from hybridnet.workflows.options import ExportOptions


class Indexed(torch.autograd.Function):
    """The surrogate of well-known repositories: spikes are written where the potential is above 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = torch.zeros_like(x)
        out[x > 0] = 1.0
        return out


class Net(nn.Module):
    """One convolution, one neuron, a count."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc, self.mem = nn.Conv2d(2, 4, 3, 2, 1), nn.Linear(4, 3), None
        self.conv.weight.data *= 4

    def fire(self, x: Tensor) -> Tensor:
        return Indexed.apply(x)

    def before(self, x: Tensor) -> Tensor:
        return x

    def behind(self, y: Tensor) -> Any:
        return y

    def forward(self, x: Tensor) -> Any:
        """(B, T, 2, H, W) to (B, 3)."""
        mem = count = torch.zeros(())
        for step in self.before(x).unbind(1):
            mem = 0.8 * mem + self.conv(step)
            spikes = self.fire(mem - 0.3)
            mem = mem - 0.3 * spikes
            count = count + spikes
        return self.behind(self.fc(count.mean((2, 3))))


def x(views: int = 2) -> dict[str, Tensor]:
    return {"x": torch.poisson(torch.full((views, 4, 2, 8, 10), 0.8))}


def made(**methods: Any) -> nn.Module:
    return type("Net", (Net,), methods)().eval()


def assert_placed(model: nn.Module, count: int = 1) -> None:
    found = split(model, x())
    assert (len(found.placement.placed), found.placement.staying) == (count, ())
    inputs = x(3)
    with torch.no_grad():
        torch.testing.assert_close(found.run(inputs), model(**inputs), rtol=1e-4, atol=1e-4)


def test_spikes_that_are_written_by_a_mask_are_read() -> None:
    assert_placed(made())


class Buffered(Net):
    """Its state is a buffer that nothing resets."""

    def __init__(self) -> None:
        super().__init__()
        del self.mem
        self.register_buffer("mem", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        count = torch.zeros(())
        for step in x.unbind(1):
            self.mem = 0.8 * self.mem + self.conv(step)
            spikes = self.fire(self.mem - 0.3)
            self.mem = self.mem - 0.3 * spikes
            count = count + spikes
        return self.fc(count.mean((2, 3)))


def test_a_state_in_a_buffer_is_one_line_or_read() -> None:
    model = Buffered().eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(PartitionError, match="state is carried over"):
        split(model, x())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("behind", "says"),
    [
        (lambda s, y: y.argmax(1), "is torch.int64. Return float32"),
        (lambda s, y: y.double(), "is torch.float64. Return float32"),
        (lambda s, y: y > 0, "is torch.bool. Return float32"),
        (lambda s, y: torch.fft.fft(y), "is torch.complex64. Return float32"),
    ],
)
def test_outputs_of_other_types_are_refused_before_anything_is_written(behind: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=says):
        hybridnet.export(made(behind=behind), x(), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_could_not_be_read_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(HybridNetError):
        hybridnet.export(made(behind=lambda s, y: y.sort(1).values), x(), tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_an_lstm_of_the_host_is_exported(tmp_path: Path) -> None:
    class WithLstm(Net):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(3, 5, batch_first=True)

        def behind(self, y: Tensor) -> Tensor:
            return self.lstm(y[:, None])[0][:, -1]

    assert not hybridnet.export(WithLstm().eval(), x(), tmp_path / "b").parity.failed


@pytest.mark.parametrize(
    "before",
    [lambda s, x: x + torch.rand(x.shape), lambda s, x: x + torch.randn(3).mean()],
    ids=["as the input", "of its own"],
)
def test_random_numbers_are_told_as_such(before: Any) -> None:
    with pytest.raises(PartitionError, match=r"draws anew at each run|something else for the same inputs"):
        split(made(before=before), x())


def test_weights_that_are_not_finite_are_named(tmp_path: Path) -> None:
    model = made()
    model.fc.bias.data[1] = torch.nan
    with pytest.raises(ModelError, match=r"fc\.bias holds NaN or infinity"):
        hybridnet.export(model, x(), tmp_path / "b")


@pytest.mark.parametrize("pattern", ["nosuch*", "", "["])
def test_a_pattern_that_matches_nothing_is_told(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="keep-on-host"):
        hybridnet.export(made(), x(), tmp_path / "b", ExportOptions(keep_on_host=[pattern]))


def test_a_norm_over_the_clip_is_the_fronts() -> None:
    assert_placed(made(before=lambda s, x: x / x.amax((1, 2, 3, 4), keepdim=True)))


class Rectified(Net):
    """Its potential never falls below 0, which the program cannot say; a plain neuron follows."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Conv2d(4, 4, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, 2, H, W) to (B, 3)."""
        mem = after = count = torch.zeros(())
        for step in x.unbind(1):
            mem = torch.relu(0.8 * mem + self.conv(step))
            spikes = self.fire(mem - 0.3)
            mem = mem * (1 - spikes)
            after = 0.5 * after + 3 * self.second(spikes)
            fired = self.fire(after - 0.3)
            after = after * (1 - fired)
            count = count + fired
        return self.fc(count.mean((2, 3)))


def test_a_neuron_of_which_only_the_comparison_could_be_placed_stays() -> None:
    model, inputs = Rectified().eval(), x(3)
    found = split(model, x())
    (stays,) = found.placement.staying
    assert (found.placement.placed, stays.rule) == (("second",), "R234")
    with torch.no_grad():
        torch.testing.assert_close(found.run(inputs), model(**inputs), rtol=1e-4, atol=1e-4)
