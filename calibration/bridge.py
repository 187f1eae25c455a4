"""The fewest bits per bridge tensor that keep the class of every clip, with something to spare for others."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from hybridnet.calibration.limits import HEADROOM
from hybridnet.calibration.stages import Bench, Outputs, keep_classes
from hybridnet.program.bridge import ANALOG, BridgeTensor, FixedEncoding
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.simulators.bridge import shorten
from hybridnet.support.arrays import Array
from hybridnet.support.statistics import outputs_sqnr_db

BITS = (16, 8, 4)
"""Tried in turn for each tensor, after the 24 of the whole potential."""

TIGHTER = 2
"""Bits by which a range may be chosen smaller than what calibration saw, if that costs less than coarse steps do."""

LEAST_DB = 20.0
"""SQNR that outputs must keep against whole potentials. Top-1 alone would let bits go until the clips of the search
just keep it: at 4 bits for all tensors the shipped model keeps all 20 of them, and loses one of ten others."""

Encodings = dict[str, FixedEncoding]


def search_bits(bench: Bench, program: FixedGraph, whole: Mapping[str, FixedEncoding]) -> Encodings:
    """Lower the bits of one tensor after another, the largest first, as long as the clips of the search keep top-1.

    Args:
        bench: The pipeline and its clips.
        program: The spiking half in integers.
        whole: The encodings of whole potentials.

    Returns:
        The encoding of every tensor; spikes and their counts stay as they are.
    """
    encodings = dict(whole)
    potentials = sorted((t for t in bench.bundle.bridge if t.kind in ANALOG), key=lambda t: (-t.elements, t.name))
    wanted = [bench.ann.run(bench.fed(clip, program, whole)) for clip in bench.clips.searched]
    for number, tensor in enumerate(potentials):
        bench.progress("searching bits of the bridge", number, len(potentials))
        for bits in BITS:
            tried = encodings | {tensor.name: _encoding(bench, program, tensor, whole[tensor.name], bits)}
            if not _kept(bench, program, tried, wanted):
                break
            encodings = tried
    bench.progress("searching bits of the bridge", len(potentials), len(potentials))
    return encodings


def _kept(bench: Bench, program: FixedGraph, encodings: Encodings, wanted: list[Outputs]) -> bool:
    """Whether every clip of the search keeps its class, and all together their numbers to LEAST_DB."""
    got = [bench.ann.run(bench.fed(clip, program, encodings)) for clip in bench.clips.searched]
    if not keep_classes(bench, got, wanted):
        return False
    return all(kept is None or kept >= LEAST_DB for kept in outputs_sqnr_db(got, wanted).values())


def _encoding(
    bench: Bench, program: FixedGraph, tensor: BridgeTensor, whole: FixedEncoding, bits: int
) -> FixedEncoding:
    """The shift that loses least in so many bits, on the clips of the search."""
    runs = [bench.spiking(clip, program) for clip in bench.clips.searched]
    v = np.concatenate([(r.readouts if tensor.kind == "potential" else r.potentials)[tensor.layer] for r in runs])
    room = max(1.0, HEADROOM * float(np.abs(v).max()) / (2 ** (bits - 1) - 1))
    widest = max(1, math.ceil(math.log2(room)))
    shifts = range(max(1, widest - TIGHTER), widest + 1)
    return min((whole.shifted(shift, bits) for shift in shifts), key=lambda encoding: _noise(v, encoding))


def _noise(v: Array, encoding: FixedEncoding) -> float:
    """Σ of the squared error, in units of v."""
    sent, _ = shorten(v, encoding)
    return float(np.square((sent << encoding.shift) - v.astype(np.int64), dtype=np.float64).sum())
