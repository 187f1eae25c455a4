"""The mapper against every layer-to-core table that Intel's compiler printed in lava-dl's notebooks."""

import dataclasses

import numpy as np
import pytest

from hybridnet.deploy.chip.mapper import map_layer, significant_bits, synapse_words
from hybridnet.deploy.chip.profile import Limit, load_chip
from hybridnet.program.layers import ConvGeometry

CHIP = load_chip("loihi2")
EARLY_2023 = dataclasses.replace(CHIP, synapse_words_per_core=Limit(12000, "the compiler's own log"))

PILOTNET = [  # in (C, H, W), out (C, H, W), kernel, stride, padding; cores and words of both logs (SNN, SDNN)
    ((3, 66, 200), 24, (3, 3), (2, 2), (0, 0), (24, 32, 99), 25, (81, 81)),
    ((24, 32, 99), 36, (3, 3), (2, 2), (0, 0), (36, 15, 49), 13, (864, 864)),
    ((36, 15, 49), 48, (3, 3), (2, 2), (0, 0), (48, 7, 24), 3, (1620, 1620)),
    ((48, 7, 24), 64, (3, 3), (2, 1), (1, 0), (64, 4, 22), 3, (2160, 2592)),
    ((64, 4, 22), 64, (3, 3), (1, 1), (0, 0), (64, 2, 20), 2, (2880, 2880)),
]
YOLO_KP = [  # in, out channels, kernel, stride, padding, out, cores, synapses in % of a core
    ((3, 448, 448), 16, 3, 2, (16, 224, 224), 224, 0.34),
    ((16, 224, 224), 32, 3, 2, (32, 112, 112), 112, 3.60),
    ((32, 112, 112), 64, 3, 2, (64, 56, 56), 56, 10.80),
    ((64, 56, 56), 128, 3, 2, (128, 28, 28), 28, 39.60),
    ((128, 28, 28), 256, 3, 1, (256, 28, 28), 56, 79.20),
    ((256, 28, 28), 256, 3, 2, (256, 14, 14), 16, 72.00),
    ((256, 14, 14), 512, 3, 1, (512, 14, 14), 32, 86.40),
    ((512, 14, 14), 256, 1, 1, (256, 14, 14), 14, 67.20),
    ((256, 14, 14), 512, 3, 1, (512, 14, 14), 32, 86.40),
    ((512, 14, 14), 48, 1, 1, (48, 14, 14), 4, 19.20),
]


def yolo(shape: tuple[int, int, int], channels: int, kernel: int, stride: int) -> ConvGeometry:
    return ConvGeometry(shape, channels, (kernel,) * 2, (stride,) * 2, (kernel // 2,) * 2)


@pytest.mark.parametrize(("shape", "channels", "kernel", "stride", "padding", "out", "cores", "words"), PILOTNET)
def test_pilotnet(shape, channels, kernel, stride, padding, out, cores, words) -> None:  # type: ignore[no-untyped-def]
    geometry = ConvGeometry(shape, channels, kernel, stride, padding)
    assert geometry.output_shape == out
    fit = map_layer("conv", (geometry,), 8, EARLY_2023)
    assert fit.cores == cores
    assert all(word <= synapse_words(geometry, channels, 8, CHIP) for word in words)


@pytest.mark.parametrize("bits", [6, 8])
@pytest.mark.parametrize(("shape", "channels", "kernel", "stride", "out", "cores", "percent"), YOLO_KP)
def test_yolo_kp(shape, channels, kernel, stride, out, cores, percent, bits) -> None:  # type: ignore[no-untyped-def]
    """Its weights' bits were not printed; the cores are the same for whatever the words allow."""
    geometry = yolo(shape, channels, kernel, stride)
    assert geometry.output_shape == out
    assert map_layer("conv", (geometry,), bits, CHIP).cores == cores
    words = percent / 100 * 16000
    assert abs(words - round(words)) < 0.8  # rounded to two decimals
    if cores != 32 and cores != 16 and shape != (128, 28, 28):  # there a core holds a part of the channels
        assert round(words) <= synapse_words(geometry, channels, 8, CHIP)


def test_the_input_layer_of_pilotnet_holds_neurons_alone() -> None:
    """Thirteen cores of (16, 66, 3): the fifteenth row."""
    geometry = ConvGeometry((3, 66, 200), 3, (1, 1), groups=3)
    assert map_layer("input", (geometry,), 1, EARLY_2023).cores == 13


def test_axon_map_is_one_entry_per_position_of_the_tile() -> None:
    """As yolo_kp prints: 1.40, 0.70, 0.35 and 0.17 % of 16000 for its first four layers."""
    for (shape, channels, kernel, stride, _, _, _), printed in zip(YOLO_KP, (1.40, 0.70, 0.35, 0.17), strict=False):
        fit = map_layer("conv", (yolo(shape, channels, kernel, stride),), 8, CHIP)
        assert fit.axon_map / 16000 * 100 == pytest.approx(printed, abs=0.006)


def test_words_of_dense_layers_bound_what_was_printed() -> None:
    """Oxford 256 inputs to 100 neurons a core: 8064 words; PilotNet 2560 to 8: 7253, 100 to 50: 1300 and 1500."""
    for inputs, outputs, printed in ((256, 100, 8064), (200, 85, 5400), (2560, 8, 7253), (100, 50, 1500)):
        assert printed <= synapse_words(ConvGeometry((inputs, 1, 1), outputs, (1, 1)), outputs, 8, CHIP)


def test_groups_need_fewer_words() -> None:
    whole, grouped = (synapse_words(ConvGeometry((8, 9, 9), 16, (3, 3), groups=g), 16, 8, CHIP) for g in (1, 4))
    assert (whole, grouped) == (8 * 9 * 3, 8 * 9 * 1)


def test_significant_bits() -> None:
    assert significant_bits(np.array([-256, 254], np.int32)) == 8
    assert significant_bits(np.array([0, 2, 4], np.int32)) == 2
    assert significant_bits(np.array([-2, 2], np.int32)) == 2
    assert significant_bits(np.array([0], np.int32)) == 1
    assert significant_bits(np.array([-127, 127], np.int32)) == 8
