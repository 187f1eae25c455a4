"""What a back-end says of itself. Commands, export, parity, evaluation and `doctor` know no more of it than this.

An entry is cheap: what it builds is imported when it is opened.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from hybridnet.deploy.layout import ANN
from hybridnet.simulators.options import NO_SETTINGS, NoOptions, Option, Settings, options_of
from hybridnet.support.sealed import EXPORT_AGAIN

if TYPE_CHECKING:
    from hybridnet.deploy.bundle_parts import Parts
    from hybridnet.program.spiking import SpikingHalf
    from hybridnet.simulators.interface import AnnBackend, SpikingBackend  # noqa: F401 - named in quotes
    from hybridnet.support.arrays import Array

Backend = TypeVar("Backend")


@dataclass(frozen=True, kw_only=True)
class Entry(ABC, Generic[Backend]):
    """One back-end, of either half.

    Attributes:
        name: How the command line calls it.
        title: How reports call it.
        help: A few words for users.
        build: Makes it of a bundle and its options.
        options: A dataclass of what can be chosen about it; see `hybridnet.simulators.options`.
        files: What it reads of a bundle beside the manifest and the programs; `{stream}` stands for each stream's name.
        remedy: What to do if a bundle lacks one of these.
        packages: Distributions whose versions bear on its results.
        home: The module of `hybridnet.simulators` that its class is in; a wheel without it does not offer the back-end.
        optional: Whether these need not be installed, so that `doctor` does not fail where it cannot run.
    """

    name: str
    title: str
    help: str
    build: Callable[[Parts, Any], Backend]
    options: type[Any] = NoOptions
    files: tuple[str, ...] = ()
    remedy: str = EXPORT_AGAIN
    packages: tuple[str, ...] = ()
    home: str = ""
    optional: bool = False

    @property
    def choices(self) -> tuple[Option, ...]:
        """What can be chosen about it."""
        return options_of(self.options)

    def chosen(self, settings: Settings) -> Any:
        """Its options; of the settings it takes those that it has.

        Raises:
            ConfigError: If a value is not allowed.
        """
        from hybridnet.support.plain import from_dict

        names = {option.name for option in self.choices}
        return from_dict(self.options, {name: value for name, value in settings.items() if name in names})

    def open(self, parts: Parts, settings: Settings = NO_SETTINGS) -> Backend:
        """Build it of a bundle.

        Raises:
            HybridNetError: If the bundle has not what it needs, an option is not allowed, or it cannot run here.
        """
        options = self.chosen(settings)
        for pattern in self.files:
            streams = parts.manifest.streams if "{stream}" in pattern else ("",)
            for name in (pattern.format(stream=stream) for stream in streams):
                parts.file(name, self.remedy)
        return self.build(parts, options)

    @abstractmethod
    def attempt(self, parts: Parts) -> None:
        """Run one view of zeros, as `doctor` does.

        Raises:
            HybridNetError: If it does not work here.
        """


@dataclass(frozen=True, kw_only=True)
class SpikingEntry(Entry["SpikingBackend"]):
    """A back-end of the spiking half.

    Attributes:
        fixed_point: Whether it computes in the chip's integers.
        exact: Whether it promises the emulator's bits, which parity then checks; for fixed point alone.
        on_request: Whether parity runs it only when asked to, as it takes long.
        write: Writes `files` at export, into the folder of the bundle, of the halves that it can run.
    """

    fixed_point: bool
    exact: bool = False
    on_request: bool = False
    write: Callable[[Path, SpikingHalf], None] | None = None

    def attempt(self, parts: Parts) -> None:
        """See `Entry.attempt`."""
        from hybridnet.program.spiking import input_shapes

        self.open(parts).run(_zeros(input_shapes(parts.program)))


@dataclass(frozen=True, kw_only=True)
class AnnEntry(Entry["AnnBackend"]):
    """A back-end of the ANN half.

    Attributes:
        counted: The ONNX file of the bundle that holds the operations it computes.
        tolerance: Largest difference from the half in torch on every output, which parity checks; None if it promises
            nothing.
    """

    counted: str = ANN
    tolerance: float | None = None

    def attempt(self, parts: Parts) -> None:
        """See `Entry.attempt`."""
        crossing = {tensor.name: tensor.shape for tensor in parts.bridge}
        self.open(parts).run(_zeros(parts.manifest.model.inputs | crossing))


def _zeros(shapes: dict[str, tuple[int, ...]]) -> dict[str, Array]:
    """One view of each."""
    import numpy as np

    return {name: np.zeros((1, *shape), np.float32) for name, shape in shapes.items()}
