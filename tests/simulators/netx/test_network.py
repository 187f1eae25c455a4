"""Networks of `.net` files against a second implementation, and input that does not fit; without Lava."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import naive_netx, naive_program
from helpers.chains import write_chain
from helpers.foreign_nets import SMALL, cuba, write
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridnet.deploy.netx.foreign import read_foreign_net
from hybridnet.errors import BackendError, BundleError, ConfigError, RangeError
from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.netx.network import NetxNetwork


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    """A random network of an input, a conv, a flatten and two dense layers."""
    number = st.integers
    rng = np.random.default_rng(draw(number(0, 2**32)))
    channels, groups, encoded = 2 * draw(number(1, 2)), draw(number(1, 2)), draw(st.booleans())
    kernel, stride = (draw(number(1, 3)), draw(number(1, 3))), (draw(number(1, 2)), draw(number(1, 2)))
    padding, dilation = (draw(number(0, 2)), draw(number(0, 2))), (draw(number(1, 2)), draw(number(1, 2)))
    geometry = ConvGeometry((channels, 6, 7), 2, kernel, stride, padding, dilation, groups)
    features = int(np.prod(geometry.output_shape))
    largest = draw(st.sampled_from([1, 127, 256, 40000]))

    def cuba_of(layer: int, neurons: int) -> dict[str, Any]:
        current, voltage = rng.integers(0, 4097, (2, draw(st.sampled_from([1, neurons]))))
        return cuba(layer, current, voltage, draw(number(0, 2**9)))

    tree = {
        "0/type": b"input",
        "0/shape": geometry.input_shape,
        "1/type": b"conv",
        "1/shape": geometry.output_shape,
        "1/weight": rng.integers(-largest, largest + 1, geometry.weight_shape),
        "1/bias": rng.integers(-99, 99, 2),
        "1/stride": stride,
        "1/padding": padding,
        "1/dilation": dilation,
        "1/groups": groups,
        **cuba_of(1, 2),
        "2/type": b"flatten",
        "3/type": b"dense",
        "3/shape": [4],
        "3/weight": rng.integers(draw(number(-300, 0)), draw(number(1, 300)), (4, features)) | 1,
        "3/delay": rng.integers(0, draw(number(1, 70)), draw(st.sampled_from([(), (4,), (4, features)]))),
        "3/bias": rng.integers(-99, 99, 4),
        **cuba_of(3, 4),
        "4/type": b"dense",
        "4/shape": [3],
        "4/weight": rng.integers(-50, 50, (3, 4)) | 1,
    }
    return tree | (cuba_of(0, channels) if encoded else {})


@settings(max_examples=60, deadline=None)
@given(
    tree=networks(),
    seed=st.integers(0, 2**32),
    graded=st.booleans(),
    interval=st.sampled_from([None, 1, 4, 9]),
    offset=st.integers(-1, 12),
)
def test_a_second_implementation_agrees(
    tmp_path_factory: pytest.TempPathFactory,
    tree: dict[str, Any],
    seed: int,
    graded: bool,
    interval: int | None,
    offset: int,
) -> None:
    try:
        description = read_foreign_net(write(tmp_path_factory.mktemp("random") / "a.net", tree))
    except BundleError as error:
        assert "make zero, every one" in str(error)  # noqa: PT017 - weights of one sign only
        return
    encoded = description.input_neuron is not None
    rng = np.random.default_rng(seed)
    shape = (2, 14, *description.input_shape)
    frames = rng.integers(-200, 200, shape) if graded or encoded else rng.random(shape) < 0.4
    bits = 8 if graded and not encoded else 0
    network = NetxNetwork(description, input_message_bits=bits, reset_interval=interval, reset_offset=offset)
    padded = [np.concatenate([window, np.zeros((3, *shape[2:]), frames.dtype)]) for window in frames]
    try:
        naive = [naive_netx.run(description, one, reset_interval=interval, reset_offset=offset) for one in padded]
    except OverflowError:
        with pytest.raises(RangeError, match="leave the 32 bits"):
            network.run(frames, steps=17)
        return
    traces = network.run(frames, steps=17)
    without = network.run(frames, steps=17, record_states=False)
    for ours, theirs in zip(without, traces, strict=True):
        np.testing.assert_array_equal(ours.spikes, theirs.spikes)
        assert ours.u is ours.v is None
    for window in range(2):
        for trace, states in zip(traces, naive[window], strict=True):
            for kind, values in states.items():
                np.testing.assert_array_equal(getattr(trace, kind)[window], values, err_msg=f"{trace.name} {kind}")


def test_our_own_hard_reset_files_run_as_the_program_does(tmp_path: Path) -> None:
    first = ConvGeometry((2, 7, 9), 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(2, 1), groups=2)
    second = ConvGeometry(first.output_shape, 3, (2, 3), stride=(1, 2), padding=(0, 1))
    pair = naive_program.random_streams(np.random.default_rng(3), "mv", [first, second], reset="hard")
    write_chain(tmp_path / "mv.net", *pair, 6)
    frames = np.random.default_rng(4).integers(-127, 128, (3, 6, 2, 7, 9)).astype(np.int32)
    program = naive_program.run_stream(pair[1], frames)
    network = NetxNetwork(
        read_foreign_net(tmp_path / "mv.net"), input_message_bits=16, reset_interval=6, reset_offset=1
    )
    traces = network.run(frames, steps=6 + network.latency)
    for place, (trace, layer) in enumerate(zip(traces, pair[1].layers, strict=True)):
        spikes = trace.spikes[:, place + 1 : place + 7]
        np.testing.assert_array_equal(spikes, program.spikes[layer.name])
        after_reset = np.where(spikes, 0, program.potentials[layer.name])
        assert trace.v is not None
        np.testing.assert_array_equal(trace.v[:, place + 1 : place + 7], after_reset)
        assert 0 < spikes.mean() < 1


def test_input_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    description = read_foreign_net(write(tmp_path / "a.net", SMALL))
    spikes = np.ones((1, 3, 2, 4, 5), np.int32)
    assert NetxNetwork(description).run(spikes.reshape(1, 3, -1))[0].spikes.shape == (1, 3, 3, 3, 4)
    with pytest.raises(RangeError, match=r"input from 0 to 2; a spike is 0 to 1.*input_message_bits"):
        NetxNetwork(description).run(spikes * 2)
    with pytest.raises(RangeError, match="a message is -15 to 15"):
        NetxNetwork(description, input_message_bits=4).run(spikes * 16)
    for wrong in (spikes.astype(np.float32), spikes[0], spikes[:, :, :1], np.zeros(3, int)):
        with pytest.raises(BackendError, match="frames of"):
            NetxNetwork(description).run(wrong)
    for frames, steps in ((spikes, 2), (spikes[:0], 3), (spikes[:, :0], None)):
        with pytest.raises(BackendError, match="steps: no frames, or more than steps"):
            NetxNetwork(description).run(frames, steps=steps)
    for arguments in ({"input_message_bits": 99}, {"reset_interval": 0}, {"reset_offset": -2}):
        with pytest.raises(ConfigError):
            NetxNetwork(description, **arguments)


def test_sums_beyond_lavas_32_bits_are_refused_not_wrapped(tmp_path: Path) -> None:
    frames = np.full((1, 9, 2, 4, 5), 2**20, np.int32)
    tree = SMALL | {"1/weight": np.full((3, 2, 2, 2), 2**20)}
    description = read_foreign_net(write(tmp_path / "a.net", tree))
    with pytest.raises(RangeError, match=r"/layer/1: sums of input"):
        NetxNetwork(description, input_message_bits=21).run(frames)
    tree = SMALL | {"1/weight": np.full((3, 2, 2, 2), 2**20 - 1), "1/neuron/iDecay": 0}
    description = read_foreign_net(write(tmp_path / "b.net", tree))
    with pytest.raises(RangeError, match=r"/layer/1: .* currents or voltages"):
        NetxNetwork(description).run(np.ones_like(frames))


def test_neurons_at_the_input_take_a_bias_that_the_file_scales(tmp_path: Path) -> None:
    tree = SMALL | {"0/weight": np.array([40.9]), "0/bias": 36.0} | cuba(0, 4096, 0, 10**5)
    description = read_foreign_net(write(tmp_path / "a.net", tree))
    assert description.input_neuron is not None
    values = np.full((1, 3, 2, 4, 5), 0.51)
    frames = description.input_neuron.transform(values)
    assert (frames == 56).all()
    assert frames.dtype == np.int32
    trace = NetxNetwork(description).run(frames)[0]
    assert trace.v is not None
    assert (trace.v[0, :, 0, 0, 0] == [56 << 6, 2 * 56 << 6, 3 * 56 << 6]).all()
    with pytest.raises(RangeError, match="the bias of an input neuron"):
        NetxNetwork(description).run(frames * 1000)
    with pytest.raises(ConfigError, match="input_message_bits"):
        NetxNetwork(description, input_message_bits=8)
