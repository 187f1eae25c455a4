"""What Lava would compute wrongly, or has no memory for, is refused before it runs."""

import re
import subprocess
import sys
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


TINY = """
from pathlib import Path
import sys
import numpy as np
from hybridnet.errors import BackendError
from hybridnet.simulators.lava.backend import LavaBackend

try:
    LavaBackend({"wide": Path(sys.argv[1])}).run({"wide_input": np.zeros((1, 1, 1, 200, 200), np.float32)})
except BackendError as error:
    print(error)
"""


@needs_lava
@pytest.mark.slow
def test_a_tiny_shared_memory_is_one_clear_error(tmp_path: Path) -> None:
    """In a mount namespace of its own, whose /dev/shm has 1 MB."""
    inside = "mount -t tmpfs -o size=1m tmpfs /dev/shm && exec"
    if subprocess.run(["unshare", "-m", "sh", "-c", f"{inside} true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount")
    wide = ConvGeometry((1, 200, 200), 1, (1, 1))
    write_chain(tmp_path / "wide.net", *naive_program.random_streams(np.random.default_rng(0), "wide", [wide]), 1)
    script = tmp_path / "tiny.py"
    script.write_text(TINY, encoding="utf-8")
    run = f'{inside} "{sys.executable}" "{script}" "{tmp_path}/wide.net"; '
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", run.replace("exec", "") + "ls /dev/shm"],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert re.fullmatch(
        r"lava: needs [\d,]+ bytes of shared memory, and /dev/shm has [\d,]+ free\. Free space in /dev/shm .*\n",
        done.stdout,
    ), done.stdout + done.stderr
