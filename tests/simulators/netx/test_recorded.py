"""The states that lava-dl's wheel carries, recorded of Loihi and of slayer, come out of the files that it carries."""

from typing import Any

import numpy as np
import pytest
from helpers.foreign_nets import recorded, shipped
from helpers.needs import needs_lava

from hybridnet.deploy.netx.foreign import read_foreign_net
from hybridnet.errors import BundleError
from hybridnet.simulators.netx.network import NetxNetwork

pytestmark = needs_lava


def test_pilotnets_recorded_states_are_reproduced_in_full() -> None:
    """24 steps of Loihi: spikes, u and v of each layer. The chip was reset every 17 steps, not 16 as the file's name
    for the length of a sample says; and its v is 128 where there was a spike, where Lava's CPU simulator has 0."""
    image = recorded("pilotnet_lif/image.npy")
    network = NetxNetwork(read_foreign_net(shipped("gts/pilotnet_lif/network.net")), reset_interval=17)
    traces = network.run(np.broadcast_to(image, (1, 24, *image.shape)))
    np.testing.assert_array_equal(traces[0].spikes[0], recorded("pilotnet_lif/input.npy"))
    names = [f"conv-{index}" for index in range(5)] + [f"fc-{index}" for index in range(3)]
    for name, trace in zip(names, traces[1:9], strict=True):
        assert trace.u is not None
        assert trace.v is not None
        assert trace.spikes.any()
        np.testing.assert_array_equal(trace.spikes[0], recorded(f"pilotnet_lif/{name}.npy"), err_msg=name)
        np.testing.assert_array_equal(trace.u[0], recorded(f"pilotnet_lif/{name}-u.npy"), err_msg=name)
        at_spikes = np.where(trace.spikes[0], 128, trace.v[0])
        np.testing.assert_array_equal(at_spikes, recorded(f"pilotnet_lif/{name}-v.npy"), err_msg=name)


def test_pilotnets_output_was_recorded_in_another_run() -> None:
    """Its 25 steps are those of resets every 16 steps, one step before where netx's default puts them."""
    image = recorded("pilotnet_lif/image.npy")
    description = read_foreign_net(shipped("gts/pilotnet_lif/network.net"))
    frames = np.broadcast_to(image, (1, 25, *image.shape))
    trace = NetxNetwork(description, reset_interval=16, reset_offset=-1).run(frames)[-1]
    np.testing.assert_array_equal(trace.u[0], recorded("pilotnet_lif/fc-3-u.npy"))  # type: ignore[index]
    np.testing.assert_array_equal(trace.v[0], recorded("pilotnet_lif/fc-3-v.npy"))  # type: ignore[index]
    np.testing.assert_array_equal(trace.spikes[0], recorded("pilotnet_lif/fc-3-s.npy"))
    assert trace.v.any()  # type: ignore[union-attr]


def test_pilotnets_other_input_differs_from_step_17_on() -> None:
    """input-s.npy was recorded with resets every 16 steps, input.npy every 17."""
    image = recorded("pilotnet_lif/image.npy")
    frames = np.broadcast_to(image, (1, 24, *image.shape))
    description = read_foreign_net(shipped("gts/pilotnet_lif/network.net"), num_layers=1)
    every_16 = NetxNetwork(description, reset_interval=16).run(frames)[0].spikes[0]
    np.testing.assert_array_equal(every_16, recorded("pilotnet_lif/input-s.npy"))
    differs = (every_16 != recorded("pilotnet_lif/input.npy")).any((1, 2, 3))
    assert not differs[:17].any()
    assert differs[17:].all()


def test_tinynets_recorded_states_are_reproduced() -> None:
    """16 steps of slayer. It shows nothing at its step 0, where the layers of Lava integrate their bias already; and it
    counts a layer's steps from where the layer before sends: layer l's step t is Lava's t + l - 1."""
    bias = recorded("tinynet/input_bias.npy").astype(np.int32)
    network = NetxNetwork(read_foreign_net(shipped("tiny.net")), reset_interval=17)
    traces = network.run(np.broadcast_to(bias, (1, 17, *bias.shape)))

    def slayers(name: str) -> Any:
        return np.moveaxis(np.load(shipped(f"gts/tinynet/{name}.npy"), allow_pickle=False)[0], -1, 0)

    np.testing.assert_array_equal(traces[1].u[0, :16], 64 * slayers("current"))  # type: ignore[index]
    for place, name in enumerate(("input", "layer1", "output")):
        assert not slayers(name)[0].any()
        np.testing.assert_array_equal(traces[place].spikes[0, place : place + 15], slayers(name)[1:], err_msg=name)


def test_ntidigits_with_its_axonal_delays_is_reproduced() -> None:
    """3000 steps of slayer, one later than Lava's. Its last layer, an average, is none that netx can build."""
    path = shipped("gts/ntidigits/ntidigits.net")
    with pytest.raises(BundleError, match=r"/layer/5: type 'average'"):
        read_foreign_net(path)
    description = read_foreign_net(path, num_layers=5)
    frames = recorded("ntidigits/input.npy").astype(np.int32)
    spikes = NetxNetwork(description).run(frames[None], record_states=False)[-1].spikes[0]
    np.testing.assert_array_equal(spikes[:-1], recorded("ntidigits/output.npy")[1:])
    assert spikes.sum() == 22572
