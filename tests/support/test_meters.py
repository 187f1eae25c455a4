"""Meters of made machines: a folder of powercap as Linux has it, and a library as NVIDIA's."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import pytest

from hybridnet.errors import BackendError
from hybridnet.support.meters import Meter, find_meters, gpus, rapl

RANGE = 262_143_328_850


def zone(powercap: Path, number: str, name: str, energy_uj: object) -> Path:
    folder = powercap / f"intel-rapl:{number}"
    folder.mkdir(parents=True)
    for file, content in (("name", name), ("energy_uj", energy_uj), ("max_energy_range_uj", RANGE)):
        (folder / file).write_text(f"{content}\n")
    return folder / "energy_uj"


def no_library(name: str) -> Any:
    raise OSError(f"{name}: cannot open shared object file")


def test_packages_and_their_memory_are_counted_once(tmp_path: Path) -> None:
    """Cores are a part of their package, and the platform contains it."""
    package, memory = zone(tmp_path, "0", "package-0", 1_000_000), zone(tmp_path, "0:2", "dram", 50_000)
    for number, name in (("0:0", "core"), ("0:1", "uncore"), ("1", "psys")):
        zone(tmp_path, number, name, 7)
    meters = find_meters(tmp_path, no_library)
    assert [meter.name for meter in meters.found] == ["RAPL 0 package-0", "RAPL 0:2 dram"]
    before = meters.read()
    package.write_text("3500000\n")
    memory.write_text("150000\n")
    assert meters.joules(before, meters.read()) == pytest.approx(2.5 + 0.1)
    assert len(meters.missing) == 1
    assert "NVML" in meters.missing[0]


def test_a_counter_that_starts_again() -> None:
    meter = Meter("one", lambda: 0, RANGE)
    assert meter.between(RANGE - 40, 60) == 100
    assert meter.between(60, 60) == 0
    assert Meter("never", lambda: 0).between(5, 12) == 7


def test_a_machine_without_meters(tmp_path: Path) -> None:
    meters = find_meters(tmp_path / "nothing", no_library)
    assert meters.found == ()
    assert meters.read() == ()
    assert [text.partition(":")[0] for text in meters.missing] == ["RAPL", "NVML"]


def test_a_counter_for_root_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may run as root, who may read everything."""
    counter, read_text = zone(tmp_path, "0", "package-0", 5), Path.read_text

    def refused(path: Path, *args: Any, **more: Any) -> str:
        if path == counter:
            raise PermissionError(13, "Permission denied", str(path))
        return read_text(path, *args, **more)

    monkeypatch.setattr(Path, "read_text", refused)
    (reason,) = rapl(tmp_path)
    assert isinstance(reason, str)
    assert "root alone: sudo chmod a+r" in reason
    assert str(counter) in reason


def test_a_counter_of_nonsense_and_one_that_goes(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", "many")
    kept = zone(tmp_path, "1", "package-1", 5)
    reason, meter = rapl(tmp_path)
    assert isinstance(reason, str)
    assert "intel-rapl:0 cannot be read" in reason
    assert isinstance(meter, Meter)
    kept.unlink()
    with pytest.raises(BackendError, match="cannot be read any more"):
        meter.read_uj()


class Library:
    """Two GPUs, the second of which is too old to count."""

    def __init__(self) -> None:
        self.energy_mj = 1000

    def nvmlInit_v2(self) -> int:  # noqa: N802
        return 0

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:  # noqa: N802
        count._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, device: Any) -> int:  # noqa: N802
        device._obj.value = index + 1
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, device: ctypes.c_void_p, energy: Any) -> int:  # noqa: N802
        energy._obj.value = self.energy_mj
        return 0 if device.value == 1 else 3


def test_gpus() -> None:
    library = Library()
    meter, reason = gpus(lambda _: library)
    assert isinstance(meter, Meter)
    assert meter.name == "NVML GPU 0"
    before = meter.read_uj()
    library.energy_mj += 2500
    assert meter.between(before, meter.read_uj()) == 2_500_000
    assert reason == "NVML: GPU 1: counts no energy (code 3)"


def test_a_library_without_gpus() -> None:
    library = Library()
    library.nvmlInit_v2 = lambda: 9  # type: ignore[method-assign]
    assert list(gpus(lambda _: library)) == ["NVML: no GPU answers (code 9)"]
