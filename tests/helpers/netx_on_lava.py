"""Runs `.net` files in stock netx on Lava's CPU simulator and keeps every state: `python netx_on_lava.py FOLDER`.

FOLDER/jobs.json lists runs, each {"net": path, "frames": path of .npy, "states": path of .npz to write, "network":
arguments of `lava.lib.dl.netx.hdf5.Network`}. Frames are (S, C, H, W) or (S, features), integers: what is sent at each
time step to the first synapse or, if the file has input neurons, to these; or the constant bias of input neurons,
(C, H, W) or (features,), with "steps" in the job. States are u<l>, v<l> and s<l> of layer l, (S, C, H, W) or
(S, features), after each time step.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from hybridnet.simulators.lava.compat import import_lava

import_lava()

from lava.lib.dl.netx import hdf5  # noqa: E402
from lava.magma.core.run_conditions import RunSteps  # noqa: E402
from lava.magma.core.run_configs import Loihi2SimCfg  # noqa: E402
from lava.proc.io.extractor import VarWire  # noqa: E402
from lava.proc.io.sink import RingBuffer as Sink  # noqa: E402
from lava.proc.io.source import RingBuffer as Source  # noqa: E402


def main(folder: Path) -> None:
    for job in json.loads((folder / "jobs.json").read_text(encoding="utf-8")):
        frames = np.load(job["frames"], allow_pickle=False).astype(np.int32)
        np.savez(job["states"], **run(job["net"], frames, job["network"], job.get("steps")))


def run(net: str, frames: Any, arguments: dict[str, Any], steps: int | None) -> dict[str, Any]:
    """One run; returns the states by name."""
    network = hdf5.Network(net, **arguments)
    if steps is None:
        steps = len(frames)
        source = Source(data=np.ascontiguousarray(frames.T))  # (W, H, C, S)
        first = network.in_layer
        source.s_out.connect(network.inp if hasattr(first, "synapse") else first.neuron.a_in)
    else:
        network.in_layer.neuron.bias_mant.init = np.ascontiguousarray(frames.T)
    wires: dict[str, Any] = {}
    for index, layer in enumerate(network.layers):
        sink = Sink(shape=layer.neuron.s_out.shape, buffer=1)
        layer.neuron.s_out.connect(sink.a_in)
        for kind, var in (("u", layer.neuron.u), ("v", layer.neuron.v), ("s", sink.data)):
            wires[f"{kind}{index}"] = VarWire(buffer_size=2)
            wires[f"{kind}{index}"].connect_var(var)
    network.create_runtime(Loihi2SimCfg(select_tag="fixed_pt"), compile_config={"pypy_channel_size": 2})
    network.run(RunSteps(num_steps=steps, blocking=False))
    states: dict[str, list[Any]] = {name: [] for name in wires}
    for _ in range(steps):
        for name, wire in wires.items():
            values = wire.receive()
            states[name].append((values[..., 0] if name[0] == "s" else values).T)
    network.wait()
    network.stop()
    return {name: np.array(values).astype(np.int64) for name, values in states.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
