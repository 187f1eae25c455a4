"""Run a `.net` file of lava-dl's slayer without Lava: python examples/run_netx.py FILE.net [FRAMES.npy].

FRAMES.npy is (T, C, H, W) or (T, features) of integers; without it, random input of 64 steps is made.
"""

import sys
from pathlib import Path

import numpy as np

from hybridnet.deploy.netx.foreign import read_foreign_net
from hybridnet.simulators.netx.network import NetxNetwork


def main(net: str, frames_file: str | None = None) -> None:
    """Print what netx ignores or changes of the file, and how often the neurons of each layer spike."""
    description = read_foreign_net(Path(net))
    for note in description.notes:
        print(f"note: {note}")

    if frames_file:
        frames = np.load(frames_file, allow_pickle=False)
    else:
        frames = np.random.default_rng(0).random((64, *description.input_shape)) < 0.2
        if description.input_neuron:  # it takes a current, in the units of the file
            frames = description.input_neuron.transform(frames)

    network = NetxNetwork(description)
    traces = network.run(frames[None], steps=len(frames) + network.latency)  # until the last frame is through
    for trace in traces:
        print(f"{trace.name:10} {trace.spikes.shape[2:]!s:16} {trace.spikes.mean():7.2%} of neuron-steps spike")
    print(f"spikes per output neuron: {traces[-1].spikes[0].sum(axis=0).ravel()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
