"""What the emulator computes of a stream and of its layers, over all views; arrays lie channels-last in memory."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hybridnet.program.layers import DECAY_ONE, POTENTIAL_SHIFT, FixedConvLIF, Stream
from hybridnet.simulators.emulator.exact_conv import ExactConv
from hybridnet.simulators.emulator.scan import integrate
from hybridnet.simulators.quantise import quantise_frames
from hybridnet.support.arrays import Array


class StreamTrace:
    """One stream.

    Attributes:
        messages: What is fed to the first layer, int32 (N, T, H, W·C).
        clipped: How many messages were clipped so far.
        layers: What its layers do.

    Args:
        stream: The stream.
        convs: The convolution of each of its layers, by name.
        frames: (N, T).
        record: Keep the potentials of all steps.
    """

    def __init__(
        self, stream: Stream[FixedConvLIF], convs: Mapping[str, ExactConv], frames: tuple[int, int], *, record: bool
    ) -> None:
        self.stream, self.clipped = stream, 0
        self.messages = np.empty(_rows(frames, stream.input_shape), np.int32)
        self.layers: list[LayerTrace] = []
        source: Array = self.messages
        for layer in stream.layers:
            self.layers.append(LayerTrace(layer, convs[layer.name], source, record=record))
            source = self.layers[-1].spikes

    def quantise(self, values: Array, view: int, steps: slice) -> int:
        """Fill `messages` in some steps of one view from the model's input, (N, T, C, H, W).

        Returns:
            How many were clipped.
        """
        channels, height, width = self.stream.input_shape
        messages = self.messages[view, steps].reshape(-1, height, width, channels)
        return quantise_frames(values[view, steps], self.stream.layers[0], messages)


class LayerTrace:
    """One layer.

    Attributes:
        spikes: o of all steps, bool (N, T, H, W·C).
        potentials: v of the last K steps, int32 (N, K, H, W·C): of all when they are recorded, else of the last one if
            it is read out.
        saturated: How many potentials saturated so far.
    """

    def __init__(self, layer: FixedConvLIF, conv: ExactConv, source: Array, *, record: bool) -> None:
        views, steps = source.shape[:2]
        kept = steps if record else int(layer.read_out)
        self.layer, self.conv, self.saturated = layer, conv, 0
        self.spikes = np.empty(_rows((views, steps), layer.geometry.output_shape), np.bool_)
        self.potentials = np.empty(_rows((views, kept), layer.geometry.output_shape), np.int32)
        self._source = source

    def compute(self, view: int, band: slice) -> int:
        """Fill a band of rows in all steps of one view.

        Returns:
            How many potentials saturated.
        """
        return integrate(
            self.conv(self._source[view], band),
            DECAY_ONE - self.layer.decay,
            self.layer.input_shift,
            self.layer.threshold << POTENTIAL_SHIFT,
            self.layer.reset == "soft",
            band.start,
            self.spikes[view],
            self.potentials[view],
        )


def channels_first(rows: Array, shape: tuple[int, int, int]) -> Array:
    """(…, H, W·C) seen as (…, C, H, W), in place."""
    channels, height, width = shape
    return np.moveaxis(rows.reshape(*rows.shape[:-2], height, width, channels), -1, -3)


def _rows(frames: tuple[int, int], shape: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """The shape of maps, (…, C, H, W), that lie channels-last, a row in one piece."""
    channels, height, width = shape
    return *frames, height, width * channels
