"""What Lava would compute wrongly is refused before it runs."""

from pathlib import Path

import numpy as np
import pytest
from helpers import naive_program
from helpers.chains import write_chain
from helpers.needs import needs_lava

from hybridnet.errors import BackendError
from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.lava.backend import LavaBackend


@needs_lava
def test_what_stock_lif_would_wrap_is_refused(tmp_path: Path) -> None:
    wide = ConvGeometry((4, 3, 3), 1, (3, 3))
    weight = np.full(wide.weight_shape, 254, np.int32)
    pair = naive_program.random_streams(
        np.random.default_rng(0), "wide", [wide], reset="hard", weight=weight, input_scale=1.0
    )
    write_chain(tmp_path / "wide.net", *pair, 1)
    with pytest.raises(BackendError, match=r"wide\.0: synaptic input of 1161288 wraps"):
        LavaBackend({"wide": tmp_path / "wide.net"}).run({"wide_input": np.full((1, 1, 4, 3, 3), 127, np.float32)})


@needs_lava
def test_what_lavas_registers_do_not_hold_is_refused(tmp_path: Path) -> None:
    narrow = ConvGeometry((1, 1, 300), 1, (1, 200))
    write_chain(tmp_path / "narrow.net", *naive_program.random_streams(np.random.default_rng(0), "narrow", [narrow]), 1)
    with pytest.raises(BackendError, match=r"narrow\.0: .*200 does not fit"):
        LavaBackend({"narrow": tmp_path / "narrow.net"}).run({"narrow_input": np.zeros((1, 1, 1, 1, 300), np.float32)})
