"""`hybridnet fit`."""

from __future__ import annotations

import argparse

from hybridnet.cli import arguments
from hybridnet.cli.formats import add_format, show
from hybridnet.config import DEFAULT_VIEWS
from hybridnet.deploy.chip import DEFAULT_CHIP
from hybridnet.report.pricing import DEFAULT_PROFILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("bundle", nargs="?", type=arguments.BUNDLE, metavar="BUNDLE",
                        help="default: ./hybridnet-bundle, else the model that ships")  # fmt: skip
    parser.add_argument("--chip", type=arguments.CHIP, default=DEFAULT_CHIP, metavar="NAME_OR_YAML",
                        help=f"a chip that ships, or the profile of another (default: {DEFAULT_CHIP})")  # fmt: skip
    parser.add_argument("--chips", type=int, default=1, metavar="N", help="how many there are (default: 1)")
    parser.add_argument("--sana-fe", type=arguments.OUT_TEXT, metavar="FILE",
                        help="write chip, network and mapping as SANA-FE (pip install sanafe) reads them")  # fmt: skip
    parser.add_argument("--explore", type=arguments.VIDEO_OR_ARRAYS, metavar="SOURCE",
                        help="change stride, channels, bits, steps and crop, one at a time and without training; count,"
                             " map and price each on this video, or .npz file of the model's inputs")  # fmt: skip
    parser.add_argument("--evaluate", type=arguments.VIDEOS_OR_ARRAYS, metavar="DIR_OR_NPZ",
                        help="with --explore: calibrate anew and measure accuracy on these clips, in folders named as"
                             " the classes, or arrays, where that needs no training")  # fmt: skip
    parser.add_argument("--labels", type=arguments.ARRAY, metavar="FILE.npy",
                        help="with --evaluate: the class of each row of the .npz file, unless it has an array"
                             " `labels`")  # fmt: skip
    parser.add_argument("--views", type=int, metavar="N",
                        help=f"with --explore: GOPs sampled of the video (default: {DEFAULT_VIEWS})")  # fmt: skip
    parser.add_argument("--profile", type=arguments.PROFILE, metavar="NAME_OR_YAML",
                        help="with --sana-fe: of the energies in that file (default: loihi1); with --explore: of"
                             f" its prices (default: {DEFAULT_PROFILE})")  # fmt: skip
    add_format(parser)
    parser.add_argument("--fail-on", choices=["fit"], help="exit 3 if a rule keeps the spiking half off the chips")


def run(args: argparse.Namespace) -> int:
    """Map the spiking half, check the rules, and say what would fit; or what each change would take."""
    from hybridnet.cli.console import EXIT_CHECK_FAILED, say
    from hybridnet.deploy.chip.advice import advise
    from hybridnet.deploy.chip.document import fit_document, to_json
    from hybridnet.deploy.chip.fit import fit, layer_demands
    from hybridnet.deploy.chip.placing import place
    from hybridnet.deploy.chip.profile import load_chip
    from hybridnet.deploy.chip.sana_fe import sana_fe
    from hybridnet.report.pricing.profile import load_profile
    from hybridnet.support.files import write_text
    from hybridnet.workflows.simulate import load

    _check(args)
    if args.explore is not None:
        return _explore(args)
    energies = load_profile(args.profile or "loihi1")
    chip, bundle = load_chip(args.chip), load(args.bundle)
    demands = layer_demands(bundle.fixed)
    report, advice = fit(demands, chip, args.chips), advise(demands, chip, args.chips)
    show(args, fit_document(bundle.manifest.model.name, report, advice, chip), to_json(report, advice))
    if args.sana_fe is not None:
        write_text(args.sana_fe, sana_fe(bundle.fixed, place(report.layers), chip, energies))
        say(f"hybridnet: wrote {args.sana_fe}")
    return EXIT_CHECK_FAILED if args.fail_on == "fit" and report.broken else 0


def _explore(args: argparse.Namespace) -> int:
    from hybridnet.cli.console import progress_on_stderr
    from hybridnet.workflows.explore import explore
    from hybridnet.workflows.explore_document import explore_document, to_json
    from hybridnet.workflows.options import ExploreOptions
    from hybridnet.workflows.simulate import load

    options = ExploreOptions(
        chip=args.chip,
        profile=args.profile or DEFAULT_PROFILE,
        views=args.views,
        evaluate=args.evaluate,
        labels=args.labels,
    )
    with progress_on_stderr() as progress:
        found = explore(load(args.bundle), args.explore, options, progress=progress)
    show(args, explore_document(found), to_json(found))
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse options that say nothing beside the others."""
    from hybridnet.errors import ConfigError

    if args.chips < 1:
        raise ConfigError("chips", args.chips, "1 or more")
    if args.profile is not None and args.sana_fe is None and args.explore is None:
        raise ConfigError("profile", args.profile, "with --sana-fe, whose file has the energies, or --explore")
    for name, needed in (("evaluate", "explore"), ("views", "explore"), ("labels", "evaluate")):
        if getattr(args, name) is not None and getattr(args, needed) is None:
            raise ConfigError(name, str(getattr(args, name)), f"with --{needed}")
    alone = [name for name in ("sana-fe", "fail-on") if getattr(args, name.replace("-", "_")) is not None]
    if args.explore is not None and (alone or args.chips != 1):
        raise ConfigError("explore", str(args.explore), f"without --{alone[0] if alone else 'chips'}")
