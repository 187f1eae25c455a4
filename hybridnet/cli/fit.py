"""`hybridnet fit`."""

from __future__ import annotations

import argparse

from hybridnet.cli import arguments
from hybridnet.cli.formats import add_format, show
from hybridnet.deploy.chip import DEFAULT_CHIP


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bundle", nargs="?", type=arguments.BUNDLE, metavar="BUNDLE",
                        help="default: ./hybridnet-bundle, else the model that ships")  # fmt: skip
    parser.add_argument("--chip", type=arguments.CHIP, default=DEFAULT_CHIP, metavar="NAME_OR_YAML",
                        help=f"a chip that ships, or the profile of another (default: {DEFAULT_CHIP})")  # fmt: skip
    parser.add_argument("--chips", type=int, default=1, metavar="N", help="how many there are (default: 1)")
    parser.add_argument("--sana-fe", type=arguments.OUT_TEXT, metavar="FILE",
                        help="write chip, network and mapping as SANA-FE (pip install sanafe) reads them")  # fmt: skip
    parser.add_argument("--profile", type=arguments.PROFILE, metavar="NAME_OR_YAML",
                        help="with --sana-fe: of the energies in that file (default: loihi1)")  # fmt: skip
    add_format(parser)
    parser.add_argument("--fail-on", choices=["fit"], help="exit 3 if a rule keeps the spiking half off the chips")


def run(args: argparse.Namespace) -> int:
    """Map the spiking half, check the rules, and say what would fit."""
    from hybridnet.cli.console import EXIT_CHECK_FAILED, say
    from hybridnet.deploy.chip.advice import advise
    from hybridnet.deploy.chip.document import fit_document, to_json
    from hybridnet.deploy.chip.fit import fit, layer_demands
    from hybridnet.deploy.chip.placing import place
    from hybridnet.deploy.chip.profile import load_chip
    from hybridnet.deploy.chip.sana_fe import sana_fe
    from hybridnet.errors import ConfigError
    from hybridnet.report.pricing.profile import load_profile
    from hybridnet.support.files import write_text
    from hybridnet.workflows.simulate import load

    if args.chips < 1:
        raise ConfigError("chips", args.chips, "1 or more")
    if args.profile is not None and args.sana_fe is None:
        raise ConfigError("profile", args.profile, "with --sana-fe, whose file has the energies")
    energies = load_profile(args.profile or "loihi1")
    chip, bundle = load_chip(args.chip), load(args.bundle)
    demands = layer_demands(bundle.fixed)
    report, advice = fit(demands, chip, args.chips), advise(demands, chip, args.chips)
    show(args, fit_document(bundle.manifest.model.name, report, advice, chip), to_json(report, advice))
    if args.sana_fe is not None:
        write_text(args.sana_fe, sana_fe(bundle.fixed, place(report.layers), chip, energies))
        say(f"hybridnet: wrote {args.sana_fe}")
    return EXIT_CHECK_FAILED if args.fail_on == "fit" and report.broken else 0
