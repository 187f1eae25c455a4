"""What can be chosen about Lava, and what is said when it cannot be had."""

from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import naive_program
from helpers.chains import write_chain
from helpers.needs import needs_lava

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import BackendError, ConfigError, HybridNetError, MissingBackendError
from hybridnet.program.layers import ConvGeometry
from hybridnet.simulators.lava.backend import LavaBackend
from hybridnet.simulators.lava.options import CHIP_MODELS
from hybridnet.simulators.registry import spiking_backend


@pytest.fixture
def nets(tmp_path: Path) -> dict[str, dict[str, Path]]:
    """One stream by reset."""
    paths = {}
    for reset in ("soft", "hard"):
        paths[reset] = {reset: tmp_path / f"{reset}.net"}
        rng, geometry = np.random.default_rng(0), ConvGeometry((1, 3, 4), 1, (1, 1))
        write_chain(paths[reset][reset], *naive_program.random_streams(rng, reset, [geometry], reset=reset), 2)
    return paths


@needs_lava
@pytest.mark.parametrize(
    ("options", "message"),
    [({"conv": "slow"}, "conv = 'slow' is not allowed. Allowed: fast, stock"), ({"run_config": "cpu"}, "loihi2-hw")],
)
def test_unknown_names_are_refused(nets: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LavaBackend(nets["hard"], **options)


@needs_lava
def test_without_intels_extension_the_chip_is_refused(nets: dict[str, Any]) -> None:
    if find_spec(CHIP_MODELS):
        pytest.skip("Intel's extension is installed")
    with pytest.raises(MissingBackendError, match=r"Intel's extension.*It is not public.*INRC.*use sim"):
        LavaBackend(nets["hard"], run_config="loihi2-hw")


@needs_lava
def test_with_it_the_chip_takes_integers_and_stock_neurons_only(
    nets: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(name: str) -> ModuleSpec | None:
        return ModuleSpec(name, None) if name == CHIP_MODELS else find_spec(name)

    monkeypatch.setattr("importlib.util.find_spec", found)
    LavaBackend(nets["hard"], run_config="loihi2-hw")
    with pytest.raises(BackendError, match=r"soft\.0: SoftResetLIF has no microcode"):
        LavaBackend(nets["soft"], run_config="loihi2-hw")
    with pytest.raises(ConfigError, match="no floating point"):
        LavaBackend(nets["hard"], run_config="loihi2-hw", fixed_point=False)
    with pytest.raises(ConfigError, match="conv = 'fast'"):
        LavaBackend(nets["hard"], run_config="loihi2-hw", conv="fast")


def test_options_of_lava_are_refused_with_another_back_end(bundle: Bundle) -> None:
    with pytest.raises(HybridNetError, match=r"lava_conv = 'stock' is not allowed\. Allowed: with lava, and not"):
        spiking_backend("emulator", bundle, {"lava_conv": "stock"})
