# mypy: disable-error-code="no-untyped-call"
"""Bundles whose spiking half is a graph, changed and signed again: one line says what is wrong."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.fuzz_models import Still
from helpers.spoiling import Change, described, fields, spoilt

import hybridnet
from hybridnet.deploy.bundle import read_bundle
from hybridnet.deploy.layout import GRAPH_FIXED, GRAPH_FLOAT
from hybridnet.errors import BundleError


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = Still()
    return hybridnet.export(model, model.inputs(), tmp_path_factory.mktemp("still") / "bundle").path


def renamed(tree: dict[str, Any]) -> None:
    """Population a is called z."""
    for node in tree["populations"]:
        node["name"] = node["name"].replace("a", "z")
    for group in tree["synapses"]:
        group |= {
            end: group[end] if group[end] == "image" else group[end].replace("a", "z") for end in ("source", "target")
        }


def without_populations(tree: dict[str, Any]) -> None:
    """Inputs alone."""
    tree |= {"populations": [], "synapses": []}


BOTH = (GRAPH_FLOAT, GRAPH_FIXED)
CHANGES: dict[str, tuple[Change, str]] = {
    "a name in integers": (described(renamed, GRAPH_FIXED), "another shape than in float"),
    "steps in integers": (described(lambda d: d.update(steps=2), GRAPH_FIXED), "another shape than in float"),
    "a delay in integers": (described(lambda d: d["synapses"][0].update(delay=1), GRAPH_FIXED), "another shape than"),
    "a scale beyond all numbers": (
        described(lambda d: d["populations"][0].update(scale=1e200), GRAPH_FIXED),
        "are not those of its weights in float",
    ),
    "other steps": (described(lambda d: d.update(steps=2), *BOTH), "outputs are not those|bridge tensor"),
    "no populations": (described(without_populations, *BOTH), "has no populations"),
    "not still": (described(lambda d: d["inputs"][0].update(still=False), *BOTH), "reads another image"),
    "an axis of time": (fields(feeds={"image": 0}), "reads another image"),
    "no feeds": (fields(feeds={}), "reads what no file computes"),
    "feeds of another": (fields(feeds={"image": None, "other": None}), "reads another other"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_it_is_refused_in_one_line(kind: str, still: Path, tmp_path: Path) -> None:
    change, reason = CHANGES[kind]
    folder = spoilt(still, tmp_path / "b", change)
    with pytest.raises(BundleError, match=reason) as error:
        read_bundle(folder)
    assert "\n" not in str(error.value)
