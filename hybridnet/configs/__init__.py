"""Named configs, a model size and a training recipe each, and reading them or a user's own from YAML.

Unknown fields, wrong types and values out of range are refused with the field's name.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from hybridnet.config import Experiment, TrainingConfig
from hybridnet.errors import ConfigError, HybridNetError
from hybridnet.support.plain import from_dict, read_yaml, yaml_file


def config_names() -> list[str]:
    """Names of the configs that ship."""
    return sorted(Path(f.name).stem for f in resources.files("hybridnet.configs").iterdir() if f.name.endswith(".yaml"))


def load_experiment(name_or_path: str | Path) -> Experiment:
    """Read a shipped config by name, or a YAML file of the same form.

    Raises:
        ConfigError: If neither exists, or a field is unknown, missing, of the wrong type or out of range.
    """
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"}:
        if not path.is_file():
            raise ConfigError("config", str(path), "a YAML file that exists")
        text = yaml_file(path)
    elif str(name_or_path) in config_names():
        text = (resources.files("hybridnet.configs") / f"{name_or_path}.yaml").read_bytes()
    else:
        raise ConfigError("config", str(name_or_path), f"{', '.join(config_names())}, or a path ending in .yaml")
    try:
        return from_dict(Experiment, read_yaml(text))
    except HybridNetError as error:
        raise ConfigError("config", str(name_or_path), f"a file of the form of configs/tiny.yaml ({error})") from error


def load_recipe(name_or_path: str | Path) -> TrainingConfig:
    """Read a shipped training recipe by name, or a YAML file of its fields.

    Raises:
        ConfigError: If neither exists, or a field is unknown, of the wrong type or out of range.
    """
    folder = resources.files("hybridnet.configs") / "recipes"
    names = sorted(Path(f.name).stem for f in folder.iterdir())
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} and path.is_file():
        text = yaml_file(path)
    elif str(name_or_path) in names:
        text = (folder / f"{name_or_path}.yaml").read_bytes()
    else:
        raise ConfigError("recipe", str(name_or_path), f"{', '.join(names)}, or a YAML file that exists")
    try:
        return from_dict(TrainingConfig, read_yaml(text))
    except HybridNetError as error:
        raise ConfigError("recipe", str(name_or_path), f"a file of the form of recipes/paper.yaml ({error})") from error
