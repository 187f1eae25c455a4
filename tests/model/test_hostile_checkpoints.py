"""Hostile checkpoints end in one line, before anything is computed."""

import resource
import time
from pathlib import Path

import pytest
import torch
from helpers.hostile_checkpoints import CHECKPOINTS

from hybridnet.errors import CheckpointError, HybridNetError, ModelError
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.workflows.foreign import load_weights


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_it_is_refused_in_one_line_at_once(kind: str, checkpoint_path: Path, tmp_path: Path) -> None:
    change, reason = CHECKPOINTS[kind]
    path = tmp_path / "x.pt"
    path.write_bytes(change(checkpoint_path.read_bytes()))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(HybridNetError, match=reason) as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)
    assert time.process_time() - began < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1000 * 1024


def test_weights_of_other_models_are_read_with_the_same_suspicion(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(1).expand(1 << 40), "bias": torch.zeros(2)}, tmp_path / "x.pt")
    with pytest.raises(ModelError, match="whose numbers it does not hold"):
        load_weights(torch.nn.Linear(2, 2), tmp_path / "x.pt")


def test_a_tensor_past_the_end_of_its_storage_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(4)}, tmp_path / "x.pt")
    content = (tmp_path / "x.pt").read_bytes()
    shape = b"K\x04\x85"  # the pickle of (4,)
    assert content.count(shape) == 1
    (tmp_path / "x.pt").write_bytes(content.replace(shape, b"K\x7f\x85"))
    with pytest.raises(HybridNetError):
        load_weights(torch.nn.Linear(2, 2), tmp_path / "x.pt")


def test_a_folder_a_device_and_nothing_are_no_checkpoints(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero"), tmp_path / "none"):
        with pytest.raises(CheckpointError, match=r"no regular file|no such file"):
            load_checkpoint(path)
