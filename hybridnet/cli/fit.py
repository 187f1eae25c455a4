"""`hybridnet fit`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from hybridnet.cli import arguments
from hybridnet.deploy.chip import DEFAULT_CHIP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hybridnet.deploy.chip.advice import Advice
    from hybridnet.deploy.chip.fit import FitReport
    from hybridnet.deploy.chip.profile import Chip
    from hybridnet.report.document import Document


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bundle", nargs="?", type=arguments.BUNDLE, metavar="BUNDLE",
                        help="default: ./hybridnet-bundle, else the model that ships")  # fmt: skip
    parser.add_argument("--chip", type=arguments.CHIP, default=DEFAULT_CHIP, metavar="NAME_OR_YAML",
                        help=f"a chip that ships, or the profile of another (default: {DEFAULT_CHIP})")  # fmt: skip
    parser.add_argument("--chips", type=int, default=1, metavar="N", help="how many there are (default: 1)")
    parser.add_argument("--format", default="text", choices=["html", "json", "markdown", "text"], help="default: text")
    parser.add_argument("-o", "--out", type=arguments.OUT_TEXT, metavar="FILE", help="write here instead of stdout")
    parser.add_argument("--fail-on", choices=["fit"], help="exit 3 if a rule keeps the spiking half off the chips")


def run(args: argparse.Namespace) -> int:
    """Map the spiking half, check the rules, and say what would fit."""
    import dataclasses
    import json

    from hybridnet.cli.console import EXIT_CHECK_FAILED, write_out
    from hybridnet.cli.report import drawn
    from hybridnet.deploy.chip.advice import advise
    from hybridnet.deploy.chip.fit import fit, layer_plans
    from hybridnet.deploy.chip.profile import load_chip
    from hybridnet.errors import ConfigError
    from hybridnet.workflows.simulate import load

    if args.chips < 1:
        raise ConfigError("chips", args.chips, "1 or more")
    chip, bundle = load_chip(args.chip), load(args.bundle)
    plans = layer_plans(bundle.fixed)
    report, advice = fit(plans, chip, args.chips), advise(plans, chip, args.chips)
    if args.format == "json":
        plain = {"schema": "hybridnet.fit/1", **dataclasses.asdict(report), "broken": report.broken}
        text = json.dumps(plain | {"advice": [dataclasses.asdict(a) for a in advice]}, indent=1) + "\n"
    else:
        text = drawn([fit_document(bundle.manifest.model.name, report, advice, chip)], args.format)
    write_out(text, args.out)
    return EXIT_CHECK_FAILED if args.fail_on == "fit" and report.broken else 0


def fit_document(model: str, report: FitReport, advice: Sequence[Advice], chip: Chip) -> Document:
    """The estimate as a report."""
    from hybridnet.report.document import Document, Section, Table
    from hybridnet.report.numbers import count, shape_text, share

    room = chip.synapse_words_per_core.value
    layers = tuple(
        (
            layer.name + (" (dense: rough)" if layer.dense else ""),
            shape_text(layer.shape),
            shape_text(layer.tile),
            str(layer.cores),
            share(layer.neurons_per_core / chip.neurons_per_core.value),
            share(layer.synapse_words / room),
            share(layer.axon_map / chip.axon_map_per_core.value, 2),
            str(layer.weight_bits),
        )
        for layer in report.layers
    )
    heading = ("layer", "neurons", "tile of a core", "cores", "core's neurons", "synapses ≤", "axon map", "weight bits")
    marks = {(True, True): "ok", (True, False): "ok", (False, True): "BROKEN", (False, False): "warning"}
    rules = tuple((c.rule, marks[c.ok, c.blocks], c.title, c.found, c.remedy) for c in report.checks)
    verdict = f"Over: {', '.join(report.broken)}" if report.broken else "No rule of this estimate keeps it off the chip"
    lines = (
        f"{model} on {report.chips_allowed} × {chip.description}: {report.cores} cores of"
        f" {report.chips_allowed * report.cores_per_chip}, {count(report.neurons)} neurons,"
        f" {count(report.weights)} weights, {report.chips} chip{'s' * (report.chips != 1)} by cores",
        f"{verdict}. Basis: {report.basis}; only {chip.authority} can say that a network fits.",
    )
    suggestions = tuple((a.change, str(a.cores), str(a.chips), str(a.passes), a.accuracy) for a in advice)
    sections = [
        Section("", lines=lines),
        Section("Layers", report.basis, table=Table(heading, layers)),
        Section("Rules", "", (), Table(("rule", "", "asks", "found", "remedy"), rules, left=5)),
        Section("Sources", lines=tuple(dict.fromkeys(f"{c.rule}: {c.source}" for c in report.checks))),
    ]
    if report.broken:
        found = Table(("what would fit, one change at a time", "cores", "chips", "passes", ""), suggestions)
        none = () if suggestions else ("No single change of stride, channels, crop or order would do.",)
        sections.insert(3, Section("Advice", "mapped anew", none, found if suggestions else None))
    return Document(f"hybridnet: {model} on {chip.name}", tuple(sections))
