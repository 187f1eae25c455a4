"""From a finished run to the pictures of its record: one view, the one with the most spikes, made small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.program.bridge import ANALOG
from hybridnet.report.numbers import plural
from hybridnet.report.record.pictures import (
    MAX_LAYERS,
    MAX_SIDE,
    MAX_STEPS,
    LayerRates,
    Pictures,
    Sheet,
    SheetKind,
    sheet_of,
)
from hybridnet.simulators.hybrid import HybridRun
from hybridnet.support.arrays import Array
from hybridnet.support.statistics import evenly
from hybridnet.video.views import PIXEL_MEAN, PIXEL_STD
from hybridnet.workflows.sources import Read

STEPS, MOTION_SIDE, RESIDUAL_SIDE = 3, 48, 64
"""Steps of motion and residuals that are shown, and the sides of their pictures."""

CELLS, SIDE, ROWS = 4, 40, 64
"""Channels that have a map each, the side of such a map, and neurons that are lines of one."""

LAYERS, INPUTS = 12, 3
"""How many layers and inputs have sheets."""

SCALE_PERCENTILE = 99.5
"""Residuals beyond this are drawn as this."""


def pictures_of(bundle: Bundle, read: Read, run: HybridRun) -> Pictures:
    """What the busiest view of a run looked like."""
    spikes = run.spiking.spikes
    view = int(sum(o.reshape(len(o), -1).sum(axis=1) for o in spikes.values()).argmax()) if spikes else 0
    inputs = {name: values[view] for name, values in read.views.arrays.items()}
    sheets = (
        *(_clip(inputs, bundle) if read.is_clip else _arrays(inputs, bundle)),
        *(_messages(run, view) if bundle.front_path is not None else ()),
        *_crossing(bundle, run, view),
    )
    names = list(spikes)
    rates = tuple(LayerRates(names[n], _rates(spikes[names[n]])) for n in evenly(len(names), MAX_LAYERS))
    return Pictures(view, bundle.program.steps, len(spikes), sheets, rates)


def _clip(inputs: dict[str, Array], bundle: Bundle) -> Iterator[Sheet]:
    """The I-frame, and motion vectors and residuals of a few steps."""
    preprocess = bundle.preprocess
    frame = (inputs["i_frame"] * PIXEL_STD + PIXEL_MEAN).transpose(1, 2, 0)[None]
    yield sheet_of(SheetKind.FRAME, "i_frame", "I-frame", ("t = 0",), shrink(frame, MAX_SIDE), 1.0)
    steps = evenly(len(inputs["motion_vectors"]), STEPS)
    labels = [f"t = {step + 1}" for step in steps]
    since = "since the I-frame" if preprocess.accumulate else "since the frame before"
    motion = shrink(inputs["motion_vectors"][steps].transpose(0, 2, 3, 1), MOTION_SIDE) * preprocess.motion_clip_px
    yield sheet_of(SheetKind.MOTION, "motion_vectors", f"motion {since}", labels, motion, unit="px")
    if "residuals" not in inputs:  # the model reads none
        return
    residuals = shrink(inputs["residuals"][steps].transpose(0, 2, 3, 1), RESIDUAL_SIDE) * preprocess.residual_clip
    full = float(np.percentile(np.abs(residuals), SCALE_PERCENTILE))
    yield sheet_of(SheetKind.RESIDUAL, "residuals", f"residual {since}", labels, residuals, full, "grey levels")


def _arrays(inputs: dict[str, Array], bundle: Bundle) -> Iterator[Sheet]:
    """Inputs of any other model, their time axis, where it is known, apart."""
    feeds = bundle.manifest.feeds
    for name, values in list(inputs.items())[:INPUTS]:
        axis = feeds.get(name)
        stepped = values[None] if axis is None else np.moveaxis(values, axis, 0)
        yield _sheet(SheetKind.INPUT, name, "value", as_maps(stepped))


def _messages(run: HybridRun, view: int) -> Iterator[Sheet]:
    """What the front sends into the chip."""
    for name, values in list(run.spiking.inputs.items())[:INPUTS]:
        yield _sheet(SheetKind.MESSAGE, name, "message", as_maps(values[view]))


def _crossing(bundle: Bundle, run: HybridRun, view: int) -> Iterator[Sheet]:
    """The spikes of layers, and behind them the potentials that cross of them, in the same channels."""
    pooled = {p.name for p in bundle.program.populations} - {*bundle.manifest.placement.placed}
    firing = {p.name for p in bundle.program.populations if p.threshold is not None}
    tensors = {tensor.layer: tensor for tensor in bundle.bridge if tensor.kind in ANALOG}
    layers = list(run.spiking.spikes)
    for layer in [layers[n] for n in evenly(len(layers), LAYERS)]:
        o = run.spiking.spikes[layer][view]
        if layer in firing:
            spikes = "pooled spikes" if layer in pooled else "spikes"
            yield _sheet(SheetKind.SPIKES, layer, spikes if o.any() else f"no {spikes}", as_maps(o))
        if (tensor := tensors.get(layer)) is not None:
            last = tensor.kind == "potential"
            u, what = run.crossing.values[tensor.name][view], f"potential, {'last step' if last else 'all steps'}"
            yield _sheet(
                SheetKind.POTENTIAL, layer, what, as_maps(u[None] if last else u, o if layer in firing else None)
            )


@dataclass(frozen=True, eq=False)
class Maps:
    """A few small maps of values: (cells, H, W), the label of each, and what runs down and across."""

    cells: Array
    labels: tuple[str, ...]
    axes: str


def as_maps(x: Array, busiest: Array | None = None) -> Maps:
    """Values with a time axis as maps.

    Vectors become one map, neurons down and steps across; channels along one axis one map, channels down; else up
    to CELLS maps (H, W) of channels, the mean over steps.

    Args:
        x: (T, C, H, W), or fewer axes behind the first.
        busiest: The same with any T: the channels with the largest sums of magnitudes are shown; those of `x` if None.
    """
    x = _in_four_axes(x)
    weights = np.abs(_in_four_axes(x if busiest is None else busiest), dtype=np.float64).sum(axis=(0, 2, 3))
    steps, channels, height, width = x.shape
    is_map = height > 1 and width > 1
    chosen = np.sort(np.argsort(-weights, kind="stable")[: CELLS if is_map else ROWS])
    part = x[:, chosen].astype(np.float64)
    counted = plural(channels, "neuron" if height * width == 1 else "channel")
    some = counted if len(chosen) == channels else f"{len(chosen)} of {counted}"
    mean = "" if steps == 1 else ", mean over steps"
    if is_map:
        return Maps(shrink(part.mean(axis=0), SIDE), tuple(f"channel {channel}" for channel in chosen), some + mean)
    if height * width > 1:
        lines = part.mean(axis=0).reshape(1, len(chosen), -1)
        return Maps(shrink(lines, MAX_SIDE), (some,), f"channels down, place across{mean}")
    lines = part[:, :, 0, 0].T[None] if steps > 1 else part[:, :, 0, 0][None]
    return Maps(shrink(lines, MAX_SIDE), (some,), "neurons down, steps across" if steps > 1 else "neurons across")


def _sheet(kind: SheetKind, name: str, what: str, maps: Maps) -> Sheet:
    unit = "a step" if kind is SheetKind.SPIKES else ""
    return sheet_of(kind, name, f"{what}, {maps.axes}", maps.labels, maps.cells[..., None], unit=unit)


def _rates(o: npt.NDArray[np.bool_]) -> tuple[float, ...]:
    """The spike rate of each step of spikes (N, T, C, H, W), or of stretches of steps."""
    rates = o.reshape(len(o), o.shape[1], -1).mean(axis=(0, 2))
    return tuple(float(stretch.mean()) for stretch in np.array_split(rates, min(len(rates), MAX_STEPS)))


def _in_four_axes(x: Array) -> Array:
    """(T, C, H, W) of values with fewer axes, ones added, or more, the first of them put together."""
    inner = x.shape[1:]
    if len(inner) > 3:
        return x.reshape(len(x), -1, *inner[-2:])
    return x.reshape(len(x), *inner[:1], *(1,) * (3 - len(inner)), *inner[1:]) if inner else x.reshape(len(x), 1, 1, 1)


def shrink(values: Array, side: int) -> Array:
    """Values (N, H, W) or (N, H, W, channels) with each side at most so long: the means of what falls together."""
    for axis in (1, 2):
        length = values.shape[axis]
        if length > side:
            starts = np.arange(side) * length // side
            sums = np.add.reduceat(values, starts, axis=axis)
            counts = np.diff(np.append(starts, length))
            values = sums / counts.reshape(-1, *(1,) * (values.ndim - axis - 1))
    return values
