"""The command line chooses exactly what the options of each workflow hold, with their defaults."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from hybridnet.cli import build_parser
from hybridnet.cli.options import Adder, chosen
from hybridnet.evaluation.run import evaluate, run_evaluation
from hybridnet.workflows.calibrate import calibrate
from hybridnet.workflows.compare import compare
from hybridnet.workflows.export import export_checkpoint, export_module
from hybridnet.workflows.options import (
    CalibrateOptions,
    CompareOptions,
    EvaluateOptions,
    ExportOptions,
    SimulateOptions,
    TrainOptions,
    WatchOptions,
)
from hybridnet.workflows.simulate import Simulator, simulate
from hybridnet.workflows.train import train
from hybridnet.workflows.watch import Watcher

WORKFLOWS: dict[str, tuple[type, tuple[Callable[..., object], ...]]] = {
    "export x.pt": (ExportOptions, (export_checkpoint, export_module)),
    "calibrate x.pt": (CalibrateOptions, (calibrate,)),
    "simulate x.avi": (SimulateOptions, (simulate, Simulator, Simulator.run, Simulator.classify)),
    "watch x.avi": (WatchOptions, (Watcher, Watcher.watch)),
    "compare x.avi": (CompareOptions, (compare,)),
    "evaluate x.pt --data y": (EvaluateOptions, (evaluate, run_evaluation)),
    "train": (TrainOptions, (train,)),
}

ELSEWHERE = {
    ExportOptions: {"preprocess", "name"},
    SimulateOptions: {"pictures", "settings"},
    WatchOptions: {"keep_last", "settings"},
}
"""Fields that Python alone sets, or that the command line makes from several arguments."""


@pytest.mark.parametrize("typed", WORKFLOWS)
def test_what_is_not_typed_is_the_default_of_the_options(typed: str) -> None:
    options, _ = WORKFLOWS[typed]
    args = build_parser().parse_args(typed.split())
    args.typed = "typed"
    missing = {field.name for field in dataclasses.fields(options)} - vars(args).keys() - {"command"}
    assert missing == ELSEWHERE.get(options, set())
    assert chosen(options, args) == options(command="typed") if "command" in vars(options()) else options()


@pytest.mark.parametrize("typed", WORKFLOWS)
def test_no_signature_repeats_a_field(typed: str) -> None:
    options, functions = WORKFLOWS[typed]
    fields = {field.name for field in dataclasses.fields(options)}
    for function in functions:
        assert not fields & inspect.signature(function).parameters.keys(), function


@dataclasses.dataclass(frozen=True)
class Some:
    width: int = 3
    whole: bool = False
    name: str | None = None


def parsed(*typed: str) -> Any:
    parser = argparse.ArgumentParser()
    option = Adder(parser, Some)
    option("--width", "of it", type=int)
    option("--all", "of it", action="store_true", dest="whole")
    option("--name", "of it")
    assert "of it (default: 3)" in parser.format_help()
    assert parser.format_help().count("default") == 1
    return chosen(Some, parser.parse_args(typed, argparse.Namespace(typed="")))


def test_an_option_is_a_field() -> None:
    assert parsed() == Some()
    assert parsed("--width", "4", "--all", "--name", "n") == Some(4, True, "n")


def test_an_option_of_no_field_is_a_fault() -> None:
    with pytest.raises(KeyError, match="height"):
        Adder(argparse.ArgumentParser(), Some)("--height", "of it")
