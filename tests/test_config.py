"""Configs: strict in, the same out."""

from pathlib import Path

import pytest
import yaml

from hybridnet.config import Experiment, ModelConfig
from hybridnet.configs import config_names, load_experiment
from hybridnet.errors import ConfigError
from hybridnet.support.plain import from_dict, to_dict


@pytest.mark.parametrize("name", config_names())
def test_shipped_configs_survive_the_round_trip(name: str, tmp_path: Path) -> None:
    experiment = load_experiment(name)
    assert experiment.model.name == name
    assert from_dict(Experiment, to_dict(experiment)) == experiment
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(to_dict(experiment)))
    assert load_experiment(path) == experiment


def test_fields_that_an_older_file_lacks_have_their_defaults() -> None:
    plain = to_dict(ModelConfig())
    for old in ("modalities", "order", "encoder", "mixer", "skips", "pooling"):
        del plain[old]
    for old in ("kind", "learn_leak", "learn_threshold"):
        del plain["stm"][old]
    del plain["preprocess"]["accumulate"]
    assert from_dict(ModelConfig, plain) == ModelConfig()


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"colour": 3}, "colour"),
        ({"width": "wide"}, "width"),
        ({"width": True}, "width"),
        ({"width": 0}, "width"),
        ({"heads": 7}, "heads"),
        ({"depth": 10**9}, "depth"),
        ({"stm": {"leak": 1.0}}, "leak"),
        ({"stm": {"threshold": float("inf")}}, "a finite number"),
        ({"stm": {"kernel": 1001}}, "kernel"),
        ({"stm": {"reset": "medium"}}, "reset"),
        ({"stm": {"kind": "lstm"}}, "kind"),
        ({"modalities": ["i", "flow"]}, "modalities"),
        ({"modalities": []}, "modalities"),
        ({"order": "gs-ls-t"}, "order"),
        ({"encoder": "late"}, "encoder"),
        ({"pooling": "max"}, "pooling"),
        ({"mixer": 1}, "mixer"),
        ({"preprocess": {"accumulate": "no"}}, "accumulate"),
        ({"stm": {"strides": [3, 1]}}, "strides"),
        ({"stm": {"channels": [8]}}, "strides"),
        ({"stm": 3}, "stm"),
        ({"preprocess": {"crop": 999}}, "crop"),
        ({"preprocess": {"frame_width": 341}}, "frame_width"),
        ("text", "a mapping of fields"),
    ],
)
def test_a_wrong_field_is_named(data: object, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        from_dict(ModelConfig, data)


@pytest.mark.parametrize(
    "content", ["model: [", "- 1", "model: {}", "model: {}\ntraining: {speed: 9}", "[" * 5000, "\xff"]
)
def test_a_wrong_file_is_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError):
        load_experiment(path)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"depth": 300}, "depth = 300 is not allowed. Allowed: at most 256 layers"),
        ({"rrdb_blocks": 1000}, "rrdb_blocks = 1000 is not allowed"),
        ({"stm": {"channels": [8] * 258, "strides": [1] * 258}}, "stm.channels = 258 is not allowed"),
    ],
)
def test_too_many_layers_are_told_as_they_were_typed(data: object, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_dict(ModelConfig, data)
    assert told in str(caught.value)


def test_a_copy_is_a_whole_multiple_of_the_frame_with_enough_lines() -> None:
    sizes = {name: load_experiment(name).model.preprocess.copy_size for name in ("base", "tiny", "micro", "gesture")}
    assert sizes == {"base": (340, 256), "tiny": (170, 128), "micro": (222, 168), "gesture": (168, 168)}
