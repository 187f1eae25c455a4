"""Made people: the same pictures for the same seed, poses that are what the action's name says, and limbs that hold."""

from __future__ import annotations

import numpy as np
import pytest

from hybridnet.video.people import PEOPLE, poses, render_person

TIME = np.arange(100) / 25


@pytest.mark.parametrize("seed", range(3))
def test_a_pose_is_what_the_name_says(seed: int) -> None:
    pose = {action: poses(action, TIME, np.random.default_rng(seed)) for action in PEOPLE}
    travelled = {action: np.ptp(p.hip[:, 0]) for action, p in pose.items()}
    assert travelled["run"] > travelled["walk"] > 2 * max(travelled[a] for a in ("jump", "kick", "punch", "fall"))
    assert np.ptp(pose["fall"].all) > 1
    assert pose["jump"].hip[:, 1].min() < -0.15  # off the ground
    assert pose["sit"].thigh.max() > 1.2
    assert pose["kick"].thigh[0].max() > 0.8 > pose["kick"].thigh[1].max()
    assert pose["punch"].elbow.max() > 1.5 > 0.5 > pose["punch"].elbow.min()


@pytest.mark.parametrize("action", PEOPLE)
def test_every_action_is_drawn(action: str) -> None:
    pictures = render_person(action, 1, frames=2, width=64, height=48)
    assert pictures.shape == (2, 48, 64, 3)
    assert pictures.std() > 5


def test_the_seed_decides() -> None:
    first, again, other = (render_person("walk", seed, frames=2, width=64, height=48) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
