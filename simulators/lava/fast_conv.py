"""A faster model of Lava's `Conv` process: stock, but for the function that adds up.

In fixed point the sums are equal bit for bit, Lava's wrap at 24 bits included.
"""

from __future__ import annotations

import numpy as np

from hybridnet.simulators.lava.compat import import_lava
from hybridnet.simulators.lava.convolution import convolve

import_lava()  # mends what the imports below need

from lava.magma.core.decorator import implements, requires  # noqa: E402
from lava.magma.core.resources import CPU  # noqa: E402
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol  # noqa: E402
from lava.proc.conv.models import AbstractPyConvModel, PyConvModelFixed, PyConvModelFloat  # noqa: E402
from lava.proc.conv.process import Conv  # noqa: E402


class _FastConv(AbstractPyConvModel):  # type: ignore[misc]
    """Stock, but for the function that adds up."""

    def run_spk(self) -> None:
        """Send the sums of the step before, then add up those of this step."""
        self.a_out.send(self.a_buf)  # type: ignore[has-type]
        x = self.s_in.recv()
        if not self.num_message_bits.item():
            x = x.astype(bool)
        sums = convolve(x, self.weight, self.stride, self.padding, self.dilation, self.groups[0])
        self.a_buf = self.clamp_precision(sums)


@implements(proc=Conv, protocol=LoihiProtocol)
@requires(CPU)
class PyFastConvFixed(_FastConv, PyConvModelFixed):  # type: ignore[misc]
    """Int32, wrapped at 24 bits."""


@implements(proc=Conv, protocol=LoihiProtocol)
@requires(CPU)
class PyFastConvFloat(_FastConv, PyConvModelFloat):  # type: ignore[misc]
    """Float64."""


def fast_model(*, fixed_point: bool) -> type[_FastConv]:
    """The model of one arithmetic; its loop is compiled here, once, before Lava forks a process per layer."""
    model, dtype = (PyFastConvFixed, np.int32) if fixed_point else (PyFastConvFloat, np.float64)
    convolve(np.zeros((1, 1, 1), dtype), np.zeros((1, 1, 1, 1), dtype), (1, 1), (0, 0), (1, 1), 1)
    return model
