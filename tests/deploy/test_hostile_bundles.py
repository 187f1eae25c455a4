# mypy: disable-error-code="no-untyped-call"
"""Hostile bundles end in one line that says what is wrong, before anything is paid for."""

import resource
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.hostile import SIGNED, UNSIGNED
from helpers.spoiling import behind, graph, spoilt
from onnx import helper

from hybridnet.cli import main
from hybridnet.deploy.bundle import read_bundle
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.layout import ANN
from hybridnet.errors import BackendError, BundleError
from hybridnet.workflows.simulate import Simulator

AT_ONCE_S = 10.0
"""Of CPU; hundreds of times less on a machine at rest."""

MANY_MB = 1000
"""Far more than a bundle needs, and less than most of these ask for."""


@pytest.mark.parametrize("kind", [*UNSIGNED, *SIGNED])
def test_it_is_refused_in_one_line_at_once(kind: str, bundle: Bundle, tmp_path: Path) -> None:
    change, reason = (UNSIGNED | SIGNED)[kind]
    folder = spoilt(bundle.path, tmp_path / "b", change, signed=kind in SIGNED)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(BundleError, match=reason) as error:
        read_bundle(folder)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000
    assert str(folder) in str(error.value)
    assert time.process_time() - began < AT_ONCE_S
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MANY_MB * 1024


def not_finite(value: float) -> object:
    """Logits times NaN, or plus infinity."""
    factor = np.array(value, np.float32)
    return graph(behind(lambda o: [helper.make_node("Mul", ["pre", "k"], [o])], {"k": factor}))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_result_that_is_not_finite_is_an_error(
    value: float, bundle: Bundle, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = spoilt(bundle.path, tmp_path / "b", not_finite(value))  # type: ignore[arg-type]
    record = tmp_path / "record.json"
    assert main(["simulate", str(clip), "--bundle", str(folder), "--json", str(record)]) == 1
    out = capsys.readouterr()
    assert "output logits holds NaN or infinity" in out.err
    assert "nan" not in out.out
    assert not record.exists()
    with pytest.raises(BackendError, match="output logits holds NaN or infinity"):
        next(iter(Simulator(folder).classify([clip])))


def test_what_changes_after_it_was_read_does_not_run(bundle: Bundle, tmp_path: Path) -> None:
    read = read_bundle(spoilt(bundle.path, tmp_path / "b", lambda _: None))
    not_finite(2.0)(read.path)  # type: ignore[operator]
    with pytest.raises(BundleError, match=rf"{ANN}: does not match its checksum"):
        Simulator(read)
