"""Learning without classes: time turned round, halves of clips, and the forecast of the next motion."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from helpers.made_views import made_views
from helpers.small_model import SMALL
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hybridnet.cli import main
from hybridnet.config import Experiment, ModelConfig, TrainingConfig
from hybridnet.configs import load_recipe
from hybridnet.errors import ConfigError, DataSetError
from hybridnet.model.checkpoint import load_checkpoint
from hybridnet.model.network import HybridNet
from hybridnet.training.data import ViewSet
from hybridnet.training.evaluate import evaluate
from hybridnet.training.forecast import LEAST_MOTION, Forecast, errors, unexplained
from hybridnet.training.group import Group
from hybridnet.training.loop import train
from hybridnet.training.pretext import CLASSES, BothWays, backwards, without_classes
from hybridnet.training.run import CHECKPOINT, RECORD
from hybridnet.training.sources import Splits, centred
from hybridnet.video import open_clip, prepare_view
from hybridnet.video.synthetic import make_clip

RECIPE = TrainingConfig(epochs=16, batch_size=16, learning_rate=0.01, eps=1e-8, warmup_epochs=0, forecast=2.0)


def view(steps: int, seed: int, largest: int) -> dict[str, Tensor]:
    """A view whose numbers are eighths, so that differences are exact."""
    g = torch.Generator().manual_seed(seed)
    maps = {"motion_vectors": 2, "residuals": 3}
    found = {n: torch.randint(-largest, largest + 1, (2, steps, c, 3, 4), generator=g) / 8 for n, c in maps.items()}
    return found | {"i_frame": torch.rand(2, 3, 3, 4, generator=g)}


@given(steps=st.integers(1, 5), seed=st.integers(0, 99), accumulated=st.booleans())
@settings(deadline=None)
def test_turned_twice_a_view_is_what_it_was(steps: int, seed: int, accumulated: bool) -> None:
    inputs = view(steps, seed, largest=4)  # no difference reaches beyond ±1
    again = backwards(backwards(inputs, accumulated=accumulated), accumulated=accumulated)
    for name, values in inputs.items():
        assert torch.equal(again[name], values), name


def test_accumulated_maps_start_from_the_other_end() -> None:
    inputs = view(4, seed=3, largest=8)
    turned = backwards(inputs, accumulated=True)
    for name in ("motion_vectors", "residuals"):
        before = [torch.zeros_like(inputs[name][:, 0]), *inputs[name].unbind(1)]
        for t in range(1, 5):
            expected = (-(before[4] - before[4 - t])).clamp(-1, 1)
            assert torch.equal(turned[name][:, t - 1], expected), (name, t)


def test_a_film_run_backwards_moves_the_other_way(tmp_path: Path) -> None:
    def vectors(motion: str) -> Tensor:
        path = make_clip(tmp_path / f"{motion}.avi", motion, 0, frames=8, width=44, height=42, gop=4)
        with open_clip(path, SMALL.preprocess) as clip:
            return torch.from_numpy(prepare_view(next(clip.sample(1)), SMALL.preprocess).motion_vectors)[None]

    left, right = vectors("pan_left"), vectors("pan_right")
    given = {"motion_vectors": left, "residuals": torch.zeros(1, 3, 3, 1, 1), "i_frame": torch.zeros(1, 3, 1, 1)}
    turned = backwards(given, accumulated=True)["motion_vectors"]
    x, other = turned[0, :, 0].mean((1, 2)).numpy(), right[0, :, 0].mean((1, 2)).numpy()
    assert np.all(np.sign(x) == np.sign(other))
    assert np.all(np.diff(np.abs(x)) > 0)  # it grows from step to step, as what is accumulated does


def clips(*lengths: int) -> ViewSet:
    """Noise in clips of so many views."""
    views = made_views(SMALL, sum(lengths))
    return dataclasses.replace(views, clip=torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths)))


@pytest.mark.parametrize("accumulate", [True, False])
@pytest.mark.parametrize("lengths", [(2,), (1, 4, 3), (5, 2)])
def test_views_are_halves_in_both_directions(lengths: tuple[int, ...], accumulate: bool) -> None:
    preprocess = dataclasses.replace(SMALL.preprocess, accumulate=accumulate)
    views, expected = clips(*lengths), []
    number = 0
    for clip, length in enumerate(lengths):
        for place in range(length):
            if 2 * place + 1 != length:
                expected.append((number + place, clip, int(2 * place + 1 > length)))
        number += length
    found = without_classes(Splits("made", ("a",), views, None, None, "made"), preprocess)
    both = found.training
    assert isinstance(both, BothWays)
    assert both.chosen.tolist() == [n for n, _, _ in expected]
    assert both.label.tolist() == [half for *_, half in expected] + [2 + half for *_, half in expected]
    groups = [(clip, label) for (_, clip, _), label in zip(2 * expected, both.label.tolist(), strict=True)]
    assert [sorted(set(groups)).index(group) for group in groups] == both.clip.tolist()
    index = torch.tensor([len(both) - 1, 0])
    batch, plain = both.batch(index), views.batch(both.chosen[[-1, 0]])
    turned = backwards(plain, accumulated=accumulate)
    for name, values in batch.items():
        assert torch.equal(values, torch.stack([turned[name][0], plain[name][1]])), name
    assert (found.classes, found.task) == (CLASSES, "self-supervised")


def test_single_views_have_no_half() -> None:
    with pytest.raises(DataSetError, match=r"made, validation split: has no clip of two views.* longer clips"):
        without_classes(Splits("made", ("a",), clips(2), clips(1, 1), None, "made"), SMALL.preprocess)


@pytest.mark.parametrize(
    "changed",
    [{}, {"order": "ls-t-gs"}, {"order": "ls-gs-t"}, {"modalities": ("r",)}, {"modalities": ("r", "mv")}],
)
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", ["decoupled", "common"])
def test_the_forecast_reads_every_stream(
    kind: Literal["decoupled", "common"], layers: int, changed: dict[str, object]
) -> None:
    stm = dataclasses.replace(SMALL.stm, kind=kind, channels=(4, 6)[:layers], strides=(2, 1)[:layers])
    config: ModelConfig = dataclasses.replace(SMALL, stm=stm, **changed)  # type: ignore[arg-type]
    torch.manual_seed(0)
    model = HybridNet(config).eval()
    forecast, inputs = Forecast(model), made_views(config, 4).batch(torch.arange(4))
    logits, found = forecast(**inputs)
    assert torch.equal(logits, model(**inputs))
    assert unexplained(found).item() == pytest.approx(1)  # the first forecast is that nothing moves
    for parameter in forecast.heads.parameters():
        nn.init.normal_(parameter)
    seen: dict[str, Tensor] = {}
    hooks = [
        stack.register_forward_pre_hook(lambda _, args, name=name: seen.__setitem__(name, args[0]))
        for name, stack in model.stacks().items()
    ]
    _, found = forecast(**inputs)
    for hook in hooks:
        hook.remove()
    coming = inputs["motion_vectors"].diff(dim=1)
    for (name, stack), row in zip(model.stacks().items(), found, strict=True):
        assert torch.allclose(row, errors(forecast.heads[name], stack.trace(seen[name])[-1].u, coming)), name
        assert not stack.layers[-1]._forward_hooks, "a hook is left behind"
    unexplained(found).backward()
    assert all(parameter.grad is not None for parameter in (*forecast.heads.parameters(), *model.stm.parameters()))


def test_what_is_unexplained_is_counted_cell_by_cell() -> None:
    g = torch.Generator().manual_seed(0)
    u, coming = torch.rand(2, 3, 4, 2, 3, generator=g), torch.rand(2, 2, 2, 4, 6, generator=g)
    head = nn.Conv2d(4, 2, 1).requires_grad_(False)
    wrong = whole = 0.0
    for b, t, c, y, x in np.ndindex(2, 2, 2, 2, 3):
        said = head.weight[c, :, 0, 0].dot(u[b, t, :, y, x]) + head.bias[c]  # type: ignore[index]
        came = coming[b, t, c, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean()
        wrong, whole = wrong + float((said - came) ** 2), whole + float(came**2)
    found = errors(head, u, coming)
    assert found.tolist() == pytest.approx([wrong, whole, 2 * 2 * 2 * 2 * 3], rel=1e-5)
    assert unexplained(found[None]).item() == pytest.approx(wrong / whole, rel=1e-5)


def test_processes_share_what_is_unexplained() -> None:
    """The mean over two processes is the share over both: their motion is added up before the division."""
    one, other = torch.tensor([[1.0, 4.0, 8.0], [3.0, 5.0, 8.0]]), torch.tensor([[2.0, 1.0, 4.0], [0.5, 2.0, 4.0]])

    class Two(Group):
        def total(self, values: Tensor) -> Tensor:
            return values.copy_((one + other)[:, 1:])

    together = unexplained(one + other).item()
    assert together == pytest.approx((3 / 5 + 3.5 / 7) / 2)
    assert (unexplained(one, Two(0, 2)) + unexplained(other, Two(1, 2))).item() / 2 == pytest.approx(together)


def test_nothing_is_asked_where_hardly_anything_moves() -> None:
    still = torch.tensor([[5.0, 100 * LEAST_MOTION, 101.0], [5.0, 102 * LEAST_MOTION, 101.0]])
    assert unexplained(still[:1]).item() == 0
    assert unexplained(still[1:]).item() == pytest.approx(5 / (102 * LEAST_MOTION))


@pytest.mark.parametrize("accumulate", [True, False])
def test_what_is_foreseen_is_what_the_next_frame_adds(accumulate: bool) -> None:
    preprocess = dataclasses.replace(SMALL.preprocess, accumulate=accumulate)
    config = dataclasses.replace(SMALL, preprocess=preprocess)
    inputs = made_views(config, 2).batch(torch.arange(2))
    vectors = inputs["motion_vectors"]
    coming = vectors[:, 1:] - vectors[:, :-1] if accumulate else vectors[:, 1:]
    _, found = Forecast(HybridNet(config))(**inputs)
    expected = F.avg_pool2d(coming.flatten(0, 1), 2).square().sum()
    assert torch.allclose(found[:, 1], expected)


def test_the_weight_of_the_forecast_counts() -> None:
    def after(forecast: float) -> list[Tensor]:
        torch.manual_seed(0)
        model = HybridNet(SMALL)
        recipe = dataclasses.replace(RECIPE, epochs=1, batch_size=4, forecast=forecast, clip_norm=1e9)
        losses = list[float]()
        train(model, recipe, made_views(SMALL, 16), None, on_epoch=lambda report: losses.append(report.train_loss))
        return [torch.tensor(losses), *(x.detach() for x in model.stm.parameters())]

    loss, *none = after(0.0)
    same_loss, *little = after(1e-9)
    _, *much = after(1e3)
    assert torch.allclose(loss, same_loss)  # what is reported is the loss of the classes
    moved = [sum((x - y).abs().sum().item() for x, y in zip(none, other, strict=True)) for other in (little, much)]
    assert moved[0] < 0.1 * moved[1]


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (dataclasses.replace(SMALL, stm=dataclasses.replace(SMALL.stm, kind="convlstm")), "without spiking layers"),
        (dataclasses.replace(SMALL, preprocess=dataclasses.replace(SMALL.preprocess, steps=1)), "one P-frame"),
    ],
)
def test_a_forecast_takes_potentials_and_a_next_frame(config: ModelConfig, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"training.forecast = 2.0 .*{reason}"):
        Experiment(config, RECIPE)
    with pytest.raises(ConfigError, match=reason):
        train(HybridNet(config), RECIPE, made_views(config, 4), None)


def test_steady_motion_is_learned_to_be_foreseen() -> None:
    """Vectors that grow evenly, each view at its own pace: the first ones tell the next."""
    pace = torch.randint(-40, 41, (64, 1, 2, 1, 1), generator=torch.Generator().manual_seed(1))
    grown = (pace * torch.arange(1, 4).view(1, 3, 1, 1, 1)).expand(64, 3, 2, 40, 40)
    views = dataclasses.replace(made_views(SMALL, 64), motion_vectors=grown.to(torch.int8))
    torch.manual_seed(0)
    model, left = HybridNet(dataclasses.replace(SMALL, modalities=("mv",))), list[float | None]()
    train(model, RECIPE, views, None, on_epoch=lambda report: left.append(report.unexplained_motion))
    first, *_, last = left
    assert first is not None
    assert last is not None
    assert last < 0.5 < first
    plain = dataclasses.replace(RECIPE, epochs=1, forecast=0.0)
    train(model, plain, views, None, on_epoch=lambda report: left.append(report.unexplained_motion))
    assert left[-1] is None


def test_a_run_without_classes_is_a_start_for_one_with_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for motion in ("pan_left", "zoom_in"):
        (tmp_path / "data" / motion).mkdir(parents=True)
        for number in range(5):
            path = tmp_path / "data" / motion / f"{number}.avi"
            make_clip(path, motion, number, frames=8, width=44, height=42, gop=4)
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"model": json.loads(json.dumps(dataclasses.asdict(SMALL))), "training": {"epochs": 1}})
    )
    first, second = tmp_path / "first", tmp_path / "second"
    common = ["train", "--config", str(tmp_path / "config.yaml"), "--epochs", "1", "--data", str(tmp_path / "data")]
    assert main([*common, "--self-supervised", "--recipe", "self-supervised", "-o", str(first)]) == 0
    told = capsys.readouterr().out
    assert "Half and direction told on 8 halves of test clips" in told
    assert f"hybridnet train --config {tmp_path / 'config.yaml'} --init {first / CHECKPOINT} --data DATA -o DIR" in told
    record = json.loads((first / RECORD).read_text())
    assert record["clips"] == {"train": 24, "validation": 8, "test": 8}
    assert "clips: each half counts, once forwards and once backwards" in record["notes"]
    assert record["epochs"][0]["unexplained_motion"] > 0
    assert load_checkpoint(first / CHECKPOINT).labels == CLASSES
    assert main([*common, "--resume", "-o", str(first)]) == 1
    assert "task = 'classes' is not allowed. Allowed: 'self-supervised' with --resume" in capsys.readouterr().err
    cache = str(first / "cache")
    assert main([*common[:-1], cache, "--init", str(first / CHECKPOINT), "-o", str(second)]) == 0
    assert load_checkpoint(second / CHECKPOINT).labels == ("pan_left", "zoom_in")


def test_the_recipe_foresees() -> None:
    assert load_recipe("self-supervised").forecast > 0
    with pytest.raises(ConfigError, match="forecast"):
        TrainingConfig(forecast=-1)


def test_halves_are_evaluated_together() -> None:
    torch.manual_seed(0)
    both = without_classes(Splits("made", ("a",), clips(4, 6), None, None, "made"), SMALL.preprocess).training
    found = evaluate(HybridNet(dataclasses.replace(SMALL, num_classes=len(CLASSES))), both)
    assert sum(map(sum, found.confusion)) == 2 * 2 * 2


def test_a_margin_is_cut_off_where_windows_do_not_move() -> None:
    larger = dataclasses.replace(SMALL, preprocess=dataclasses.replace(SMALL.preprocess, crop=42))
    splits = Splits("made", ("a",), made_views(larger, 4), None, None, "made")
    both = without_classes(splits, SMALL.preprocess).training
    inner, whole = centred(both, SMALL.preprocess).batch(torch.tensor([3])), both.batch(torch.tensor([3]))
    for name, values in inner.items():
        assert torch.equal(values, whole[name][..., 1:41, 1:41]), name
