"""Guards of the layout: see pyproject.toml, [tool.setuptools]."""

import os
import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest
from helpers.places import ROOT

SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
OUTSIDE = ("deploy", "simulators", "calibration")


def test_declared_packages_are_the_folders() -> None:
    inside = {p.parent.relative_to(ROOT) for p in (ROOT / "hybridnet").rglob("__init__.py")}
    inside |= {
        Path("hybridnet") / p.parent.relative_to(ROOT) for name in OUTSIDE for p in (ROOT / name).rglob("__init__.py")
    }
    assert set(SETUP["packages"]) == {".".join(p.parts) for p in inside}


def test_no_module_lies_outside_a_package() -> None:
    for folder in ("hybridnet", *OUTSIDE):
        for module in (ROOT / folder).rglob("*.py"):
            assert (module.parent / "__init__.py").exists(), module


def test_links_point_at_the_folders() -> None:
    for name in OUTSIDE:
        assert (ROOT / "hybridnet" / name).resolve() == ROOT / name
        assert SETUP["package-dir"][f"hybridnet.{name}"] == name


def test_data_files_are_found_where_they_are_installed() -> None:
    for package, suffix in (
        ("hybridnet.configs", ".yaml"),
        ("hybridnet.deploy.chip.profiles", ".yaml"),
        ("hybridnet.report.pricing.profiles", ".yaml"),
        ("hybridnet.report.pricing.tables", ".csv"),
    ):
        assert any(f.name.endswith(suffix) for f in resources.files(package).iterdir()), package
    for model in ("gestures", "tiny-motion"):
        assert (resources.files("hybridnet.assets") / f"{model}.bundle" / "manifest.yaml").is_file()


@pytest.mark.parametrize("command", ["import hybridnet", "import hybridnet.cli; hybridnet.cli.build_parser()"])
def test_importing_is_light(command: str) -> None:
    code = (
        f"{command}; import sys; print(*[m for m in sys.modules if m.split('.')[0] in ('torch', 'lava', 'onnx', 'av')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == ""


@pytest.mark.parametrize(("typed", "kept"), [({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")])
def test_onnx_runtime_is_told_to_report_nothing_unless_the_user_says_otherwise(
    typed: dict[str, str], kept: str
) -> None:
    others = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    code = "import hybridnet.simulators.onnxruntime.session, os; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    done = subprocess.run([sys.executable, "-c", code], env=others | typed, check=True, capture_output=True, text=True)
    assert done.stdout == f"{kept}\n"


def test_no_module_has_more_than_300_lines() -> None:
    folders = ("hybridnet", *OUTSIDE, "tests", "benchmarks", "docs", "examples", "runtime")
    paths = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if not path.is_symlink()]
    assert len(paths) > 700
    assert [str(path) for path in paths if len(path.read_text(encoding="utf-8").splitlines()) > 300] == []


def test_public_names_resolve() -> None:
    import hybridnet

    for name in hybridnet.__all__:
        assert getattr(hybridnet, name).__doc__
    assert sorted(hybridnet.__all__) == sorted(hybridnet._HOME)
    with pytest.raises(AttributeError):
        _ = hybridnet.nonsense


def test_no_text_names_the_machine_that_made_it() -> None:
    ours = [p for p in ROOT.rglob("*") if p.suffix in {".py", ".md", ".yaml", ".toml", ".json", ".txt"} and p.is_file()]
    kept = [
        p
        for p in ours
        if not any(part.startswith(".") or part in ("demo", "runs", "build") for part in p.relative_to(ROOT).parts)
    ]
    assert [p for p in kept if "/" + "work/" in p.read_text(encoding="utf-8")] == []
