"""Weights are found in every usual wrapping, exactly or not at all, and what was done is told."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from helpers.wrapped import HOLDERS, PREFIXES, lightning, prefixed, small_net
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from hybridnet.errors import CheckpointError
from hybridnet.model.addresses import MAX_TENSORS
from hybridnet.model.wrappings import find_weights

OWN = small_net(0).state_dict()
TRAINED = small_net(1).state_dict()


def assert_same(found: Any, expected: Any) -> None:
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def refused(content: object, own: Any = OWN, wanted: str | None = None) -> str:
    with pytest.raises(CheckpointError) as error:
        find_weights(content, own, wanted)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("holder", HOLDERS)
def test_every_wrapping_is_found_and_told(holder: str, prefix: str) -> None:
    found = find_weights(HOLDERS[holder](prefixed(TRAINED, prefix)), OWN)
    assert_same(found.weights, TRAINED)
    where = {"alone": "", "Lightning": "'state_dict'"}.get(holder, f"'{holder}'")
    removed = f"prefix '{prefix}' removed" if prefix else ""
    assert found.note == ", ".join(part for part in (where, removed) if part)


parts = st.sampled_from(["module", "_orig_mod", "model", "net", "state_dict", "ema", "x", "conv"])


@given(st.lists(parts, max_size=5), st.lists(parts, max_size=4), st.booleans())
def test_wrapping_then_finding_gives_the_same_tensors(keys: list[str], prefix: list[str], beside: bool) -> None:
    content: Any = prefixed(TRAINED, "".join(f"{part}." for part in prefix))
    for key in keys:
        content = {key: content}
        if beside:
            content |= {"optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}}, "epoch": 1, "why": None}
    assert_same(find_weights(content, OWN).weights, TRAINED)


def compiled(module: nn.Module) -> Any:
    """Nothing is compiled before it runs."""
    return torch.compile(module, backend="eager")


@pytest.mark.parametrize("wrap", [nn.DataParallel, compiled, torch.optim.swa_utils.AveragedModel])
def test_what_the_wrappers_of_torch_save(wrap: Any) -> None:
    wrapped = wrap(small_net(1))
    found = find_weights({"model_state_dict": wrapped.state_dict()}, OWN)
    assert_same(found.weights, TRAINED)
    assert "removed" in found.note


def test_a_compiled_part_is_found_and_a_compiled_model_takes_weights() -> None:
    net: Any = small_net(1)
    net["head"] = compiled(net["head"])
    found = find_weights({"model": net.state_dict()}, OWN)
    assert_same(found.weights, TRAINED)
    assert found.note == "'model'; '_orig_mod.' within names removed"
    own = compiled(small_net(0)).state_dict()
    assert_same(find_weights(TRAINED, own).weights, prefixed(TRAINED, "_orig_mod."))


def test_distributed_data_parallel(tmp_path: Any) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        state = nn.parallel.DistributedDataParallel(small_net(1)).state_dict()
    finally:
        torch.distributed.destroy_process_group()
    assert_same(find_weights({"net": state}, OWN).weights, TRAINED)


def test_of_a_larger_module_the_part_that_fits_is_taken_and_the_rest_is_told() -> None:
    state = prefixed(TRAINED, "model.") | {"loss.weight": torch.zeros(2), "metric.total": torch.zeros(1)}
    found = find_weights(lightning(state), OWN)
    assert_same(found.weights, TRAINED)
    assert found.note.endswith("'model.' removed; not used: state_dict.loss.weight, state_dict.metric.total")


def test_two_that_fit_are_listed_and_the_choice_is_asked_for() -> None:
    content = {"model": TRAINED, "ema": {"module": small_net(2).state_dict()}}
    message = refused(content)
    assert "holds different weights that fit the model: 'model', 'ema.module'. " in message
    assert message.endswith("Say which: --weights model")
    for wanted in ("ema", "ema.module", "ema.module."):
        assert_same(find_weights(content, OWN, wanted).weights, small_net(2).state_dict())
    assert_same(find_weights(content, OWN, "model").weights, TRAINED)
    twins = {"state_dict": prefixed(TRAINED, "student.") | prefixed(OWN, "teacher.")}
    assert "'state_dict.student', 'state_dict.teacher'" in refused(twins)
    assert_same(find_weights(twins, OWN, "state_dict.teacher").weights, OWN)
    assert "holds no tensors at 'emma'. It has tensors in: ema.module, model" in refused(content, wanted="emma")


def test_two_that_are_equal_are_one() -> None:
    copied = {name: tensor.clone() for name, tensor in TRAINED.items()}
    assert find_weights({"model": TRAINED, "last": copied}, OWN).note == "'model'"


def test_what_does_not_fit_is_told_in_the_users_names() -> None:
    nearest = {"model": prefixed(TRAINED, "module."), "small": {"conv.bias": torch.zeros(3)}}
    del nearest["model"]["module.conv.bias"]
    nearest["model"]["module.extra.weight"] = torch.zeros(1)
    nearest["model"]["module.head.linear.bias"] = torch.zeros(7)
    message = refused(nearest)
    assert "nearest: 'model', prefix 'module.' removed" in message
    assert "it lacks conv.bias; the model has no extra.weight; head.linear.bias is (7,), the model's (2,)" in message
    other = refused({"state_dict": {"fc.weight": torch.zeros(2)}, "z": torch.zeros(1)})
    assert "and 6 more" in other
    assert "holds no tensors" in refused([1, 2, "three", None])
    assert "holds no tensors" in refused("text")
    assert "it lacks" in refused(torch.zeros(3))
    assert "holds no tensors" in refused({})
    assert "the model has no conv.weight" in refused(TRAINED, {})
    assert find_weights({"epoch": 3}, {}).weights == {}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_taken_if_every_number_is_kept(dtype: torch.dtype) -> None:
    state = {n: t.to(dtype) if t.is_floating_point() else t for n, t in TRAINED.items()}
    found = find_weights(state, OWN)
    assert_same(found.weights, {name: tensor.to(OWN[name].dtype) for name, tensor in state.items()})
    assert found.note == f"8 of 9 tensors in {str(dtype)[6:]} taken as float32, which keeps every number"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("conv.bias", torch.full((3,), 0.1, dtype=torch.float64), "with numbers that float32 does not hold"),
        ("conv.bias", torch.full((3,), torch.finfo(torch.float64).max, dtype=torch.float64), "does not hold"),
        ("conv.bias", torch.ones(3, dtype=torch.int8), "in int8, the model in float32"),
        ("conv.bias", torch.ones(3, dtype=torch.complex64), "in complex64, the model in float32"),
        ("norm.num_batches_tracked", torch.tensor(3.5), "in float32, with numbers that int64 does not hold"),
        ("norm.num_batches_tracked", torch.tensor(float("nan")), "with numbers that int64 does not hold"),
        ("norm.num_batches_tracked", torch.tensor(float("inf")), "with numbers that int64 does not hold"),
        ("norm.num_batches_tracked", torch.tensor(True), "in bool, the model in int64"),
    ],
)
def test_what_would_change_a_number_is_refused(name: str, value: Tensor, reason: str) -> None:
    assert name in refused(TRAINED | {name: value})
    assert reason in refused(TRAINED | {name: value})


def test_a_count_that_an_average_made_a_float_is_taken() -> None:
    found = find_weights(TRAINED | {"norm.num_batches_tracked": torch.tensor(3.0)}, OWN)
    assert found.weights["norm.num_batches_tracked"].dtype == torch.int64
    assert found.note == "1 of 9 tensors in float32 taken as int64, which keeps every number"


def test_integers_that_wrap_are_refused_and_not_finite_numbers_are_kept() -> None:
    own = {"x": torch.zeros(2, dtype=torch.int8)}
    assert "uint8" in refused({"x": torch.tensor([200, 1], dtype=torch.uint8)}, own)
    odd = torch.tensor([float("nan"), float("inf"), -1.5], dtype=torch.float16)
    assert torch.equal(
        find_weights({"x": odd}, {"x": torch.zeros(3)}).weights["x"].nan_to_num(), odd.float().nan_to_num()
    )


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)
        self.last.weight = self.first.weight


def test_a_tensor_that_the_model_has_twice_may_be_there_once() -> None:
    state = Tied().state_dict()
    one = {name: tensor for name, tensor in state.items() if name != "first.weight"}
    assert_same(find_weights(one, Tied().state_dict()).weights, state)
    two = dict(state) | {"last.weight": torch.zeros(3, 3)}
    assert "first.weight and last.weight apart, which are one tensor in the model" in refused(two, Tied().state_dict())


def deep(levels: int) -> Any:
    content: Any = TRAINED
    for _ in range(levels):
        content = {"x": content}
    return content


def cyclic() -> Any:
    content: dict[str, Any] = {"model": TRAINED}
    content["self"] = content
    return content


def doubling() -> Any:
    content: Any = {"w": torch.zeros(1)}
    for _ in range(30):
        content = {"a": content, "b": content}
    return content


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (deep(40), "very deep"),
        (deep(100_000), "very deep"),
        (cyclic(), "contain themselves"),
        (doubling(), "very many"),
        ({"x" * 5000: torch.zeros(1)}, "a name that is too long"),
        ({"x." * 100: torch.zeros(1)}, "of too many parts"),
        ({("a", 1): TRAINED}, "holds no tensors"),
        ({"_orig_mod.conv.bias": torch.zeros(3), "conv.bias": torch.ones(3)}, "it lacks"),
        ({"a": {"b": TRAINED["conv.bias"]}, "a.b": TRAINED["conv.bias"]}, "it lacks"),
    ],
    ids=["40 levels", "many levels", "cyclic", "doubling", "long", "parts", "tuples", "twice", "twice with a dot"],
)
def test_hostile_content_ends_in_one_line(content: object, reason: str) -> None:
    assert reason in refused(content)


@pytest.mark.slow
def test_the_largest_that_is_read_takes_seconds() -> None:
    """Every tensor fits, or every part of every name is one of the model's."""
    own = {"w": torch.zeros(1)}
    many = {f"k{n}": {"w": torch.full((1,), float(n))} for n in range(MAX_TENSORS)}
    parts = {".".join(["w"] * (n % 60) + [str(n), "w"]): torch.zeros(1) for n in range(MAX_TENSORS)}
    began = time.process_time()
    assert "'k0', 'k1', 'k2', 'k3', 'k4', 'k5', 'k6', 'k7', …. Say which: --weights k0" in refused(many, own)
    find_weights(parts, own)
    assert "very many" in refused(many | {"more": {"w": torch.zeros(1)}}, own)
    assert time.process_time() - began < 30


def test_names_that_meet_are_not_taken_for_one() -> None:
    own = {"b": torch.zeros(1)}
    assert "the model has no b" in refused({"a": {"b": torch.zeros(1)}, "a.b": torch.ones(1)}, own)
