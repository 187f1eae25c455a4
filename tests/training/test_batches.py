"""Examples of one view and of a clip: every one once, the mean over its own views, and shares that cover a batch."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from helpers.made_views import made_views
from helpers.small_model import SMALL

from hybridnet.config import TrainingConfig
from hybridnet.model.network import HybridNet
from hybridnet.training.batches import Examples, Order, mean_logits
from hybridnet.training.data import ViewSet
from hybridnet.training.group import Group
from hybridnet.training.loop import train

RECIPE = TrainingConfig(epochs=1, batch_size=6, learning_rate=0.003, eps=1e-8, warmup_epochs=0)


def order(views: ViewSet, views_per_clip: int) -> list[Examples]:
    recipe = dataclasses.replace(RECIPE, views_per_clip=views_per_clip)
    drawn = Order(views, recipe, torch.Generator().manual_seed(0))
    found = list(drawn.epoch())
    assert len(found) == drawn.steps
    return found


@pytest.fixture(scope="module")
def views() -> ViewSet:
    """Five clips of one to five views, in no order."""
    clip = torch.tensor([4, 1, 2, 4, 3, 2, 4, 3, 0, 1, 4, 2, 3, 3, 4])
    made = made_views(SMALL, len(clip))
    return dataclasses.replace(made, clip=clip, label=clip % SMALL.num_classes)


def test_without_a_number_every_view_is_an_example(views: ViewSet) -> None:
    batches = order(views, 0)
    assert sorted(torch.cat([b.views for b in batches]).tolist()) == list(range(15))
    assert [b.count for b in batches] == [6, 6, 3]
    assert all(torch.equal(b.first(), b.views) for b in batches)


def test_a_clip_is_an_example_of_some_of_its_views(views: ViewSet) -> None:
    batches = order(views, 3)
    assert [b.count for b in batches] == [2, 2, 1]
    for batch in batches:
        for number in range(batch.count):
            clips = views.clip[batch.views[batch.owner == number]]
            assert len(clips.unique()) == 1
            assert len(clips) == min(3, int((views.clip == clips[0]).sum()))
    assert sorted(c for b in batches for c in views.clip[b.first()].tolist()) == [0, 1, 2, 3, 4]


def test_logits_are_averaged_over_the_views_of_an_example() -> None:
    examples = Examples(torch.tensor([7, 8, 3]), torch.tensor([0, 0, 1]), 2)
    mean = mean_logits(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), examples)
    assert mean.tolist() == [[2, 3], [5, 6]]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_processes_share_a_batch(views: ViewSet, size: int) -> None:
    whole = order(views, 3)[0]
    shares = [whole.share(Group(rank, size)) for rank in range(size)]
    counted = [own for rank, (own, _) in enumerate(shares) if rank < whole.count]
    assert sorted(torch.cat([own.views for own in counted]).tolist()) == sorted(whole.views.tolist())
    for own, share in shares:
        assert own.first().tolist() == whole.first()[share].tolist()


def test_a_training_on_clips_learns(views: ViewSet) -> None:
    recipe = dataclasses.replace(RECIPE, views_per_clip=3, epochs=4)
    losses: list[float] = []
    torch.manual_seed(0)
    train(HybridNet(SMALL), recipe, views, views, on_epoch=lambda report: losses.append(report.train_loss))
    assert losses[-1] < losses[0]
