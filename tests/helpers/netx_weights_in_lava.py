"""What netx's and Lava's own functions make of dense weights: `python netx_weights_in_lava.py FOLDER`.

FOLDER/weights.npy, (cases, out, in), becomes stored.npy of its shape, and shift.npy, (cases,): -1 where netx fails.
"""

import sys
from pathlib import Path

import numpy as np

from hybridnet.simulators.lava.compat import import_lava

import_lava()

from lava.lib.dl.netx.utils import optimize_weight_bits  # noqa: E402
from lava.utils import weightutils  # noqa: E402


def main(folder: Path) -> None:
    weights = np.load(folder / "weights.npy", allow_pickle=False)
    stored, shifts = np.zeros_like(weights), np.full(len(weights), -1)
    for case, weight in enumerate(weights):
        try:
            spread, bits, exponent, _ = optimize_weight_bits(weight)
        except OverflowError:
            continue
        spread = spread.astype(np.int32)
        sign = weightutils.determine_sign_mode(spread)
        clipped = weightutils.clip_weights(spread, sign, num_bits=8)
        stored[case], shifts[case] = weightutils.truncate_weights(clipped, sign, bits), max(-exponent, 0)
    np.save(folder / "stored.npy", stored)
    np.save(folder / "shift.npy", shifts)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
