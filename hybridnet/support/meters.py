"""Energy meters that a machine has: RAPL of its processors by Linux powercap, NVML of NVIDIA's GPUs. Counters, in µJ.

RAPL counts a whole package, or its memory, whatever runs there. A counter starts again behind its range; one that has
gone round twice between two readings cannot be told from one that has done so once: at 300 W a range of 262 kJ lasts
for a quarter of an hour.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridnet.errors import BackendError

POWERCAP = Path("/sys/class/powercap")
ZONE = re.compile(r"intel-rapl:\d+(:\d+)?")
COUNTED = re.compile(r"package-\d+|dram")
"""Zones that contain no other of these: cores and graphics are a part of their package."""

NVML = "libnvidia-ml.so.1"


@dataclass(frozen=True)
class Meter:
    """One counter.

    Attributes:
        name: What it counts the energy of.
        read_uj: Its reading in µJ.
        range_uj: Behind which it starts again at 0; None if it never does.
    """

    name: str
    read_uj: Callable[[], int]
    range_uj: int | None = None

    def between(self, before: int, after: int) -> int:
        """What was used between two readings, in µJ."""
        around = self.range_uj if self.range_uj is not None and after < before else 0
        return after - before + around


@dataclass(frozen=True)
class Meters:
    """What a machine has.

    Attributes:
        found: Those that can be read.
        missing: Why others cannot, in words.
    """

    found: tuple[Meter, ...]
    missing: tuple[str, ...]

    def read(self) -> tuple[int, ...]:
        """All readings."""
        return tuple(meter.read_uj() for meter in self.found)

    def joules(self, before: tuple[int, ...], after: tuple[int, ...]) -> float:
        """What all of them counted between two readings."""
        return sum(m.between(a, b) for m, a, b in zip(self.found, before, after, strict=True)) / 1e6


def find_meters(powercap: Path = POWERCAP, nvml: Callable[[str], Any] = ctypes.CDLL) -> Meters:
    """All meters of this machine.

    Args:
        powercap: The folder of powercap.
        nvml: Opens NVIDIA's library by its name.
    """
    found: list[Meter] = []
    missing: list[str] = []
    for one in (*rapl(powercap), *gpus(nvml)):
        (found if isinstance(one, Meter) else missing).append(one)  # type: ignore[arg-type]
    return Meters(tuple(found), tuple(missing))


def rapl(powercap: Path) -> Iterator[Meter | str]:
    """The packages and memories of the processors, or why one cannot be read."""
    zones = sorted(path for path in powercap.glob("intel-rapl:*") if ZONE.fullmatch(path.name))
    if not zones:
        yield f"RAPL: {powercap} has no zone of a processor: no Linux, a virtual machine, or no driver (intel_rapl)"
    for zone in zones:
        try:
            name = (zone / "name").read_text().strip()
            if COUNTED.fullmatch(name):
                counter, whole = zone / "energy_uj", int((zone / "max_energy_range_uj").read_text())
                int(counter.read_text())
                yield Meter(f"RAPL {zone.name.removeprefix('intel-rapl:')} {name}", _reader(counter), whole)
        except PermissionError as error:
            yield f"RAPL: {error.filename} may be read by root alone: sudo chmod a+r {powercap}/intel-rapl:*/energy_uj"
        except (OSError, ValueError) as error:
            yield f"RAPL: {zone.name} cannot be read ({error})"


def gpus(load: Callable[[str], Any]) -> Iterator[Meter | str]:
    """NVIDIA's GPUs, or why there is none."""
    try:
        library = load(NVML)
        count = ctypes.c_uint()
        failed = library.nvmlInit_v2() or library.nvmlDeviceGetCount_v2(ctypes.byref(count))
    except (OSError, AttributeError):
        yield f"NVML: {NVML} is not installed, so that no NVIDIA GPU can be asked"
        return
    if failed or not count.value:
        yield f"NVML: no GPU answers (code {failed})"
    for index in range(0 if failed else count.value):
        device = ctypes.c_void_p()
        meter = Meter(f"NVML GPU {index}", _gpu_reader(library, device, index))
        try:
            if failed := library.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)):
                raise BackendError(f"has no handle (code {failed})", where=meter.name)
            meter.read_uj()
            yield meter
        except BackendError as error:
            yield f"NVML: {error}"


def _reader(counter: Path) -> Callable[[], int]:
    def read() -> int:
        try:
            return int(counter.read_text())
        except (OSError, ValueError) as error:
            raise BackendError(f"cannot be read any more ({error})", where=counter) from error

    return read


def _gpu_reader(library: Any, device: ctypes.c_void_p, index: int) -> Callable[[], int]:
    def read() -> int:
        energy_mj = ctypes.c_ulonglong()
        failed = library.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(energy_mj))
        if failed:
            raise BackendError(f"counts no energy (code {failed})", where=f"GPU {index}")
        return int(energy_mj.value) * 1000

    return read
