"""Rules once kept and once broken, and advice that does what it says."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
import yaml
from helpers.places import ROOT

import hybridnet.deploy.chip.profiles
from hybridnet.cli import main
from hybridnet.config import ModelConfig
from hybridnet.configs import load_experiment
from hybridnet.deploy.bundle_parts import Bundle
from hybridnet.deploy.chip.advice import ACCURACY, advise, halo
from hybridnet.deploy.chip.fit import RULES, LayerDemand, fit, layer_demands
from hybridnet.deploy.chip.profile import Chip, Limit, Times, chip_names, load_chip
from hybridnet.errors import ConfigError
from hybridnet.program.layers import ConvGeometry
from hybridnet.report.render.formats import rendered
from hybridnet.support.plain import MAX_YAML_BYTES
from hybridnet.workflows.options import SimulateOptions
from hybridnet.workflows.simulate import simulate

CHIP = load_chip("loihi2")
TIMES = [field.name for field in dataclasses.fields(Times)]


def plans_of(config: ModelConfig) -> tuple[LayerDemand, ...]:
    """The STMs of a config, of both streams."""
    demands, side = [], config.preprocess.crop
    for stream, channels in (("mv", 2), ("r", 3)):
        shape = (channels, side, side)
        for i, (c, s) in enumerate(zip(config.stm.channels, config.stm.strides, strict=True)):
            k = config.stm.kernel
            geometry = ConvGeometry(shape, c, (k, k), (s, s), (k // 2, k // 2))
            demands.append(LayerDemand(f"{stream}.{i}", stream, geometry, 8, "soft"))
            shape = geometry.output_shape
    return tuple(demands)


BASE = plans_of(load_experiment("base").model)


def broken_by(rule: str, demands: tuple[LayerDemand, ...], chip: Chip = CHIP, chips: int = 1) -> bool:
    return not next(check for check in fit(demands, chip, chips).checks if check.rule == rule).ok


def one(channels: int = 4, side: int = 8, **changes: object) -> tuple[LayerDemand, ...]:
    demand = LayerDemand("s.0", "s", ConvGeometry((2, side, side), channels, (3, 3), (1, 1), (1, 1)), 8, "hard")
    return (dataclasses.replace(demand, **changes),)  # type: ignore[arg-type]


def limited(**limits: int) -> Chip:
    return dataclasses.replace(CHIP, **{name: Limit(value, "a test") for name, value in limits.items()})  # type: ignore[arg-type]


def test_every_rule_once_kept_and_once_broken() -> None:
    broken = {
        "F101": broken_by("F101", BASE),
        "F102": broken_by("F102", one(), limited(synapse_words_per_core=17)),
        "F103": broken_by("F103", one(weight_bits=9)),
        "F104": broken_by("F104", one(), limited(axon_map_per_core=63)),
        "F105": broken_by("F105", one(side=257)),
        "F106": broken_by("F106", one(side=64), limited(cores=1), chips=99),
        "F107": broken_by("F107", one(reset="soft")),
    }
    assert all(broken.values()), broken
    assert not any(broken_by(rule, one()) for rule in broken)
    assert len(RULES) == len(broken)
    assert all(rule.__doc__ and rule.__doc__[:4] in broken for rule in RULES)


def test_the_documented_sizes_are_these() -> None:
    page = (ROOT / "docs" / "fit.md").read_text(encoding="utf-8")
    tiny, edge, base = (fit(plans_of(load_experiment(name).model), CHIP).cores for name in ("tiny", "edge", "base"))
    assert f"`tiny` takes {tiny} cores, `edge` {edge}, `base` {base}" in page


def test_every_broken_rule_has_a_remedy_and_every_rule_a_source() -> None:
    for check in fit(BASE, CHIP).checks:
        assert check.ok or check.remedy
        assert check.source


def test_base_takes_four_chips_and_the_advice_fits() -> None:
    report = fit(BASE, CHIP)
    assert (report.neurons, report.cores, report.chips) == (4 * 8 * 224 * 224, 4 * 112, 4)
    assert report.broken == ("F101",)
    assert fit(BASE, CHIP, 4).broken == ()
    advice = advise(BASE, CHIP)
    assert {a.change.split()[0] for a in advice} == {"stride", "2", "a"}
    assert all(a.chips == 1 and a.cores <= 120 and a.accuracy == ACCURACY for a in advice)
    kept = next(a for a in advice if "channels" in a.change)
    assert kept.change.startswith("2 channels instead of 8")


def test_advice_is_the_least_change() -> None:
    """Three channels of base do not fit a chip, two do; a stride of 2 does."""

    def cores(channels: int, stride: int) -> int:
        model = load_experiment("base").model
        stm = dataclasses.replace(model.stm, channels=(channels, channels), strides=(stride, 1))
        return fit(plans_of(dataclasses.replace(model, stm=stm)), CHIP).cores

    assert cores(3, 1) > 120 >= cores(2, 1)
    assert cores(8, 2) <= 120
    stride = next(a for a in advise(BASE, CHIP) if a.change.startswith("stride"))
    assert (stride.change, stride.cores) == ("stride 2 in the first layer of each stream", cores(8, 2))


def test_streams_by_turns_and_tiles() -> None:
    demands = plans_of(load_experiment("base").model)
    turns = next(a for a in advise(demands, CHIP, 2) if "one stream" in a.change)
    assert (turns.cores, turns.chips, turns.passes) == (224, 2, 2)
    tiles = next(a for a in advise(demands, CHIP) if "tiles" in a.change)
    assert tiles.passes == int(tiles.change[0]) ** 2


def test_tiles_overlap_by_the_longer_reach() -> None:
    """A kernel of 1×31 sees 15 positions to each side along the second axis."""
    geometry = ConvGeometry((1, 16, 4096), 8, (1, 31), (1, 1), (0, 15))
    stream = (
        LayerDemand("s.0", "s", geometry, 8, "hard"),
        LayerDemand("s.1", "s", ConvGeometry((8, 16, 4096), 8, (3, 3), (1, 2), (1, 1), (1, 2)), 8, "hard"),
    )
    assert halo(stream) == 15 + 2
    assert halo((stream[1],)) == 2
    assert (
        halo((dataclasses.replace(stream[1], geometry=dataclasses.replace(geometry, stride=(1, 3))), stream[1]))
        == 15 + 6
    )


def test_what_fits_needs_no_advice(bundle: Bundle) -> None:
    demands = layer_demands(bundle.fixed)
    assert fit(demands, CHIP).broken == ()
    assert advise(demands, CHIP) == ()
    assert {demand.stream for demand in demands} == {"mv.0", "r.0"}


def test_edge_fits_one_chip_by_this_estimate() -> None:
    """As its config promises."""
    assert fit(plans_of(load_experiment("edge").model), CHIP).broken == ()


def test_a_chip_without_a_source_does_not_load() -> None:
    with pytest.raises(ConfigError, match="source"):
        Limit(3, " ")
    with pytest.raises(ConfigError, match="loihi2"):
        load_chip("loihi3")
    assert "loihi2" in chip_names()


def test_the_command(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", str(bundle.path), "--full"]) == 0
    text = capsys.readouterr().out
    assert "estimate from public compiler logs" in text
    assert "F107" in text
    assert re.search(
        r"It fits, .*\nA core is filled most by its neurons: [\d.]+ % of what it holds, in ", text, re.DOTALL
    )
    assert main(["fit", str(bundle.path), "--format", "json", "-o", str(tmp_path / "fit.json")]) == 0
    content = json.loads((tmp_path / "fit.json").read_text())
    assert content["cores"] == sum(layer["cores"] for layer in content["layers"])
    assert main(["fit", str(bundle.path), "--chips", "0"]) == 1


def made_chip(folder: Path, **changes: object) -> Path:
    """The profile of a second chip: one YAML file."""
    content = yaml.safe_load((Path(hybridnet.deploy.chip.profiles.__path__[0]) / "loihi2.yaml").read_text())
    path = folder / "made.yaml"
    path.write_text(yaml.safe_dump({**content, "description": "a made chip", **changes}))
    return path


def test_a_second_chip_is_one_file(
    bundle: Bundle, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = {"source": "a test"}
    path = made_chip(tmp_path, basis="guess", authority="nobody", cores={"value": 7, **source},
                     exact_width=None, input_chips=None, neurons=None,
                     mesh={"width": 2, "height": 2, "cores_per_tile": 2, **source},
                     times={name: {"low": 1, "reference": 2, "high": 3, **source} for name in TIMES}
                     | {"barrier": [{"routers": 1, "low": 1, "reference": 2, "high": 3, **source}]})  # fmt: skip
    assert main(["fit", str(bundle.path), "--chip", str(path), "--chips", "9", "--full"]) == 0
    text = capsys.readouterr().out
    assert "9 × a made chip" in text
    assert "Basis: guess; only nobody can say that a network fits" in text
    assert not any(rule in text for rule in ("F105", "F106", "F107"))
    record = simulate(clip, bundle, SimulateOptions(chip=str(path), views=1, parity=False)).record
    assert record.fit is not None
    assert record.timing.chip is not None
    assert (record.fit.chip, record.fit.cores_per_chip, record.fit.basis) == (str(path), 7, "guess")
    assert record.timing.chip.chip == str(path)
    assert record.timing.chip.host_ms is not None
    assert len(record.timing.chip.cores) == record.fit.cores
    assert f"hybridnet fit {bundle.path} --chip {path}" in rendered([record], "text")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cores": {"value": 7, "source": ""}}, "positive number with its source"),
        ({"cores": 7}, "cores = 7 is not allowed"),
        ({"colour": "red"}, "colour"),
        ({"name": "made"}, "without a name"),
        ({"mesh": {"width": 0, "height": 1, "cores_per_tile": 1, "source": "a test"}}, "three numbers of 1 to"),
        ({"times": {"reason": " "}}, "why no time"),
        ({"times": {"spike": 1}}, "spike = 1"),
        ({"neurons": {"resets": ["slow"], "remedy": "", "source": ""}}, "Allowed: soft, hard"),
    ],
)
def test_a_damaged_profile_is_refused(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=f"(?s)made.yaml.*{message}"):
        load_chip(str(made_chip(tmp_path, **changes)))


def test_a_requested_check(bundle: Bundle, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = (["fit", str(bundle.path), "--fail-on", "fit"],
                ["simulate", str(clip), "--bundle", str(bundle.path), "--no-parity", "--fail-on", "fit"])  # fmt: skip
    assert [main(command) for command in commands] == [0, 0]
    small = made_chip(tmp_path, cores={"value": 1, "source": "a test"})
    assert [main([*command, "--chip", str(small)]) for command in commands] == [3, 3]
    assert "hybridnet fit" in capsys.readouterr().err


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = made_chip(tmp_path)
    with path.open("ab") as file:
        file.write(b"#" * MAX_YAML_BYTES)
    with pytest.raises(ConfigError, match="is larger than"):
        load_chip(str(path))
