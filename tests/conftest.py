"""Tests have no package: this puts their helpers, such as `naive_program`, on the path. And what many tests share."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from helpers.places import SHARED
from helpers.small_model import small_checkpoint

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.model.checkpoint import save_checkpoint
from hybridnet.report.record.data import RunRecord
from hybridnet.video.synthetic import make_clip
from hybridnet.workflows.export import export
from hybridnet.workflows.options import ExportOptions
from hybridnet.workflows.simulate import simulate

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in what it runs in the background

REAL_CLIPS = SHARED / "data" / "clips"


@pytest.fixture(scope="session")
def checkpoint_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small untrained model as a file."""
    path = tmp_path_factory.mktemp("checkpoint") / "small.pt"
    save_checkpoint(path, small_checkpoint())
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made clip of three GOPs of the small model's length, 44×42."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    return make_clip(path, "rotate_cw", 5, frames=12, width=44, height=42, gop=4)


@pytest.fixture(scope="session")
def bundle(checkpoint_path: Path, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The small model exported, calibrated on the made clip."""
    return export(checkpoint_path, tmp_path_factory.mktemp("bundle") / "bundle", options=ExportOptions(calibrate=clip))


@pytest.fixture(scope="session")
def record(bundle: Bundle, clip: Path) -> RunRecord:
    """The record of the small model on the made clip."""
    return simulate(clip, bundle).record


@pytest.fixture
def real_clips() -> Path:
    """The folder of real clips; tests skip where it is not beside the repository."""
    if not REAL_CLIPS.is_dir():
        pytest.skip(f"no real clips at {REAL_CLIPS}")
    return REAL_CLIPS
