"""Bundles of graphs whose files contradict each other: checksums are right, and each is refused."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import manners
from helpers.manner import Manner

from hybridnet.deploy.bundle import checksums, read_bundle
from hybridnet.deploy.graph_file import read_graph, write_graph
from hybridnet.deploy.layout import FRONT, GRAPH_FIXED, GRAPH_FLOAT, MANIFEST
from hybridnet.errors import BundleError
from hybridnet.program.graph import GraphProgram


@pytest.fixture
def damaged(export: Any, tmp_path: Path) -> Any:
    """A copy of a bundle whose manifest, or a file, is changed; all checksums are right."""

    def copy(kind: type[Manner], change: Any) -> Path:
        _, bundle = export(kind)
        folder = tmp_path / "copy"
        shutil.copytree(bundle.path, folder)
        manifest = yaml.safe_load((folder / MANIFEST).read_text())
        change(folder, manifest)
        manifest["files"] = checksums(folder)
        (folder / MANIFEST).write_text(yaml.safe_dump(manifest, sort_keys=False))
        return folder

    return copy


def without_front(folder: Path, manifest: Any) -> None:
    (folder / FRONT).unlink()


def another_axis(folder: Path, manifest: Any) -> None:
    manifest["feeds"]["events"] = 1


def no_axis(folder: Path, manifest: Any) -> None:
    manifest["feeds"]["events"] = None


def far_axis(folder: Path, manifest: Any) -> None:
    manifest["feeds"]["events"] = 10**9


def fed_by_nothing(folder: Path, manifest: Any) -> None:
    manifest["feeds"] = {}


def float_twice(folder: Path, manifest: Any) -> None:
    shutil.copy(folder / GRAPH_FLOAT, folder / GRAPH_FIXED)


def of_another_model(folder: Path, manifest: Any) -> None:
    path = folder / GRAPH_FLOAT
    graph = read_graph(path)
    assert isinstance(graph, GraphProgram)
    others = tuple(dataclasses.replace(g, weight=-g.weight) for g in graph.synapses)
    write_graph(path, GraphProgram(graph.inputs, graph.populations, others, graph.steps))


def as_chains(folder: Path, manifest: Any) -> None:
    manifest["streams"] = ["net"]


def another_kind(folder: Path, manifest: Any) -> None:
    manifest["bridge"][0]["kind"] = "spikes"


def ann_as_front(folder: Path, manifest: Any) -> None:
    shutil.copy(folder / "ann.onnx", folder / FRONT)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (manners.PoolBeforeNeuron, without_front),
        (manners.PoolBeforeNeuron, ann_as_front),
        *((manners.Residual, change) for change in (
            another_axis, no_axis, far_axis, fed_by_nothing, float_twice, of_another_model, as_chains, another_kind,
            ann_as_front,
        )),
    ],
)  # fmt: skip
def test_files_that_contradict_each_other_are_refused(kind: type[Manner], change: Any, damaged: Any) -> None:
    with pytest.raises(BundleError):
        read_bundle(damaged(kind, change))
