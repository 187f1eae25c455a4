"""A hybrid of a few thousand parameters with awkward sizes, and random programs, shared by the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from helpers.chains import ConvLIFLayer, FixedConvLIF, Stream
from torch.utils.flop_counter import FlopCounterMode

from hybridnet.calibration.limits import HEADROOM
from hybridnet.config import ModelConfig, PreprocessConfig, STMConfig
from hybridnet.deploy.onnx.export import export_ann
from hybridnet.model.checkpoint import Checkpoint
from hybridnet.model.network import HybridNet, example_inputs
from hybridnet.partition.splitter import partition
from hybridnet.program.layers import BIAS_MAX, POTENTIAL_MAX, THRESHOLD_MAX, WEIGHT_MAX, ConvGeometry, Reset
from hybridnet.report.counting.onnx import GraphCount, count_graph

SMALL = ModelConfig(
    name="small",
    num_classes=3,
    preprocess=PreprocessConfig(frame_width=44, frame_height=42, crop=40, steps=3),
    stm=STMConfig(channels=(4, 6), strides=(2, 1)),
    patch=16,
    patch_overlap=2,
    width=12,
    depth=1,
    heads=2,
    mixer_width=8,
    rrdb_growth=4,
)


def small_checkpoint(seed: int = 0) -> Checkpoint:
    """An untrained model as a checkpoint."""
    torch.manual_seed(seed)
    return Checkpoint(HybridNet(SMALL).eval(), ("a", "b", "c"), {})


def counted_ann(model: HybridNet, path: Path) -> tuple[GraphCount, FlopCounterMode]:
    """A model's ANN half, exported and counted, and what torch counts when one view runs through it."""
    inputs = example_inputs(model.config, batch=2)
    split = partition(model, inputs)
    values = inputs | {t.name: torch.randn(2, *t.shape) for t in split.bridge}
    export_ann(split, values, path)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        split.ann(*(values[name][:1] for name in split.ann_inputs))
    return count_graph(path), counter


def random_layer(
    name: str, geometry: ConvGeometry, random: np.random.Generator, *, reset: Reset = "soft", analog: bool = True
) -> ConvLIFLayer:
    """A layer with weights around 0.3 that spikes now and then."""
    return ConvLIFLayer(
        name=name,
        geometry=geometry,
        weight=random.normal(0, 0.3, geometry.weight_shape),
        bias=random.normal(0, 0.01, geometry.out_channels),
        leak=float(random.uniform(0.2, 0.95)),
        threshold=float(random.uniform(0.1, 0.6)),
        reset=reset,
        input_kind="analog" if analog else "spike",
        read_out=True,
    )


def fixed_stream(stream: Stream[ConvLIFLayer], potential_max: float = 4.0) -> Stream[FixedConvLIF]:
    """The stream in integers, in scales as large as the registers allow, for inputs in [−1, 1]."""
    layers = tuple(
        _rounded(layer, 127.0 if layer.input_kind == "analog" else 1.0, potential_max) for layer in stream.layers
    )
    return Stream(stream.name, stream.input_name, layers)


def _rounded(layer: ConvLIFLayer, sent: float, potential_max: float) -> FixedConvLIF:
    unit = min(
        WEIGHT_MAX * sent / np.abs(layer.weight).max(),
        POTENTIAL_MAX / (HEADROOM * potential_max * 64),
        THRESHOLD_MAX / layer.threshold,
        BIAS_MAX / np.abs(layer.bias).max(),
    )
    shared: dict[str, Any] = {f: getattr(layer, f) for f in ("name", "geometry", "reset", "input_kind", "read_out")}
    return FixedConvLIF(
        **shared,
        weight=(2 * np.rint(layer.weight * unit / sent / 2)).astype(np.int32),
        bias=np.rint(layer.bias * unit).astype(np.int32),
        decay=round((1 - layer.leak) * 4096),
        threshold=round(layer.threshold * unit),
        weight_scale=float(unit / sent),
        input_scale=sent,
    )
