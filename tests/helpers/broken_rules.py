# mypy: disable-error-code="override"
"""Which model, with which inputs, breaks which placement rule."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from helpers.broken_models import (
    INPUT,
    AllPotentials,
    AnnFirst,
    Backwards,
    Branches,
    Concatenates,
    ConvAndReluFirst,
    DataDependent,
    FirstPotential,
    Forgets,
    Good,
    HalfWindow,
    HeadStart,
    InPlace,
    Layers,
    Loops,
    LoopsBack,
    MeanOverBatch,
    Nested,
    NoStack,
    Residual,
    Selects,
    StaysRandom,
    TakesAll,
    TimeFirst,
    Twice,
    TwoLengths,
    Unrolled,
    WithConvLstm,
    WithLstm,
    WrittenBatch,
    leaky,
    snn,
)
from torch import Tensor, nn


def half_precision() -> nn.Module:
    model = Good()
    model.head.half()
    return model


def not_finite() -> nn.Module:
    model = Good()
    model.front.layers[0].conv.weight.data[0, 0, 0, 0] = float("nan")
    return model


def batch_statistics() -> nn.Module:
    model = Good()
    model.head = nn.Sequential(nn.BatchNorm1d(60, track_running_stats=False), nn.Linear(60, 4))  # type: ignore[assignment]
    return model


X = {"x": INPUT}


BROKEN: list[tuple[str, Callable[[], nn.Module], dict[str, Tensor]]] = [
    ("R101", NoStack, X),
    ("R102", AnnFirst, X),
    ("R102", ConvAndReluFirst, X),
    ("R103", Good, {"x": INPUT.transpose(3, 4)}),
    ("R103", Unrolled, {"x": INPUT[0]}),
    ("R104", TwoLengths, X | {"y": INPUT[:, :2]}),
    ("R105", TakesAll, X),
    ("R106", Twice, X),
    ("R107", DataDependent, X),
    ("R107", Loops, X),
    ("R107", InPlace, X),
    ("R108", WithLstm, X),
    ("R108", WithConvLstm, X),
    ("R109", lambda: Layers(nn.MaxPool2d(2, ceil_mode=True), side=(3, 3)), X),
    ("R109", lambda: Layers(lambda o: F.avg_pool2d(o, 2), side=(3, 2)), X),
    ("R109", lambda: Unrolled(nn.Sequential(nn.Conv2d(2, 3, 3), nn.MaxPool2d(2))), X),
    ("R110", lambda: Layers(nn.ReLU()), X),
    ("R110", lambda: Layers(lambda o: o * 0.5), X),
    ("R110", lambda: Layers(lambda o: o[:, [1, 0, 2]]), X),
    ("R110", lambda: Layers(lambda o: o.roll(1, 3)), X),
    ("R114", lambda: Layers(lambda o: o[[0, 2, 1, 3, 4, 5, 6, 7]]), X),
    ("R111", lambda: Layers(nn.BatchNorm2d(3)), X),
    ("R111", lambda: Unrolled(nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4))), X),
    ("R112", Residual, X),
    ("R112", Branches, X),
    ("R112", Concatenates, X),
    ("R113", LoopsBack, X),
    ("R114", lambda: Unrolled(nn.Conv2d(2, 3, 3, padding=1, padding_mode="reflect")), X),
    ("R114", lambda: Unrolled(nn.Conv2d(2, 3, 2, padding="same")), X),
    ("R114", lambda: Unrolled(nn.ConvTranspose2d(2, 3, 3)), X),
    ("R114", lambda: Unrolled(nn.Linear(5, 4)), X),
    ("R114", lambda: Unrolled(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Conv2d(3, 3, 1))), X),
    ("R114", lambda: Unrolled(nn.Identity()), X),
    ("R115", lambda: Unrolled(neuron=snn.Alpha(0.9, 0.8)), X),
    ("R115", lambda: Unrolled(neuron=snn.Synaptic(0.9, 0.8)), X),
    ("R115", lambda: Unrolled(neuron=leaky(reset_delay=False)), X),
    ("R115", lambda: Unrolled(neuron=leaky(reset_mechanism="none")), X),
    ("R115", lambda: Unrolled(neuron=leaky(spike_grad=torch.sigmoid)), X),
    ("R115", lambda: Unrolled(neuron=snn.Leaky(0.9, threshold=torch.tensor([[[0.5]], [[0.6]], [[0.5]]]))), X),
    ("R115", lambda: Unrolled(neuron=leaky(graded_spikes_factor=2.0)), X),
    ("R116", half_precision, X),
    ("R116", not_finite, X),
    ("R116", Good, {"x": INPUT.double()}),
    ("R117", Backwards, X),
    ("R117", Forgets, X),
    ("R117", HeadStart, X),
    ("R117", HalfWindow, X),
    ("R118", AllPotentials, X),
    ("R118", FirstPotential, X),
    ("R119", StaysRandom, X),
    ("R119", batch_statistics, X),
    ("R120", Nested, X),
    ("R120", TimeFirst, X),
    ("R120", MeanOverBatch, X),
    ("R121", WrittenBatch, X),
    ("R121", Selects, X),
]
