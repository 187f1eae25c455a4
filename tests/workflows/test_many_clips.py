"""Many clips through one simulator, the stages overlapping."""

from pathlib import Path

import numpy as np
import pytest

from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.errors import VideoError
from hybridnet.video import make_clip
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import Simulator


def test_many_clips_are_classified_as_one_by_one(tmp_path: Path, bundle: Bundle) -> None:
    size = bundle.preprocess
    clips = [
        make_clip(tmp_path / f"{n}.avi", motion, n, frames=24, width=size.frame_width, height=size.frame_height)
        for n, motion in enumerate(("pan_left", "zoom_in", "shake"))
    ]
    simulator = Simulator(bundle, SimulateOptions(views=2, parity=False))
    alone = [simulator.run(clip).run.logits for clip in clips]
    for classified, clip, logits in zip(simulator.classify(clips), clips, alone, strict=True):
        assert classified.video.path == str(clip)
        np.testing.assert_allclose(classified.outputs["logits"], logits, rtol=0, atol=1e-5)
        assert classified.index == logits.mean(0).argmax()


def test_a_clip_that_cannot_be_read_stops_the_others_at_its_place(tmp_path: Path, bundle: Bundle, clip: Path) -> None:
    results = Simulator(bundle, SimulateOptions(views=1)).classify([clip, tmp_path / "missing.avi", clip])
    assert next(results).video.path == str(clip)
    with pytest.raises(VideoError, match="does not exist"):
        next(results)
