"""What a bundle consists of, as data: its manifest, its programs, and its files, which read as what was checked."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from hybridnet.config import ModelConfig, PreprocessConfig
from hybridnet.deploy.layout import ANN, CHECKPOINT, FRONT, net_file
from hybridnet.errors import BundleError, ModelError
from hybridnet.program.bridge import BridgeKind, BridgeTensor, FixedEncoding
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram
from hybridnet.program.placement import Placement
from hybridnet.program.spiking import SpikingHalf
from hybridnet.report.record.parity import ParityReport
from hybridnet.support.sealed import EXPORT_AGAIN, SealedFile


@dataclass(frozen=True)
class ModelEntry:
    """The model that a bundle was made from.

    Attributes:
        name: The name in its config; for a model that is not ours, its factory or class.
        inputs: Shape of each input without the views, by argument of `forward`.
        outputs: Names of what it returns.
        preprocess: How clips become its inputs; None if it takes arrays alone.
        config: What it was built from; None if it is not ours.
    """

    name: str
    inputs: dict[str, tuple[int, ...]]
    outputs: tuple[str, ...]
    preprocess: PreprocessConfig | None
    config: ModelConfig | None


@dataclass(frozen=True)
class BridgeEntry:
    """One bridge tensor with its fixed-point encoding; see `hybridnet.program.bridge.FixedEncoding`."""

    name: str
    layer: str
    shape: tuple[int, ...]
    kind: BridgeKind
    scale: float
    bits: int
    shift: int

    @classmethod
    def of(cls, tensor: BridgeTensor, encoding: FixedEncoding) -> BridgeEntry:
        """The entry of a tensor that crosses in this encoding."""
        return cls(tensor.name, tensor.layer, tensor.shape, tensor.kind, **dataclasses.asdict(encoding))


@dataclass(frozen=True)
class Quantisation:
    """How the integers were found."""

    rule: str
    calibrated_on: str
    views: int


@dataclass(frozen=True)
class Manifest:
    """The content of manifest.yaml.

    Attributes:
        labels: One name per class; None if the model is no classifier, or nobody named its classes.
        placement: Which spiking layers are on the chip, and why the others are not.
        streams: Names of its netx files, one for each chain; empty where the spiking half is more than chains.
        feeds: Per input of the spiking half that is one of the model's, the axis of time in one view of it; None of one
            that is the same at each step. The other inputs are what front.onnx returns.
        ann_inputs: Inputs of ann.onnx in order.
        files: SHA-256 of every other file of the bundle, by relative path.
    """

    schema: str
    model: ModelEntry
    labels: tuple[str, ...] | None
    versions: dict[str, str]
    opset: int
    placement: Placement
    streams: tuple[str, ...]
    feeds: dict[str, int | None]
    ann_inputs: tuple[str, ...]
    bridge: tuple[BridgeEntry, ...]
    quantisation: Quantisation
    files: dict[str, str]


@dataclass(frozen=True, eq=False)
class Parts:
    """What back-ends are built from: all of a bundle but its parity, which is measured with them.

    Attributes:
        path: Its folder.
    """

    path: Path
    manifest: Manifest
    spiking: SpikingHalf

    @property
    def program(self) -> GraphProgram:
        """The spiking half in float."""
        return self.spiking.program

    @property
    def fixed(self) -> FixedGraph:
        """The spiking half in the chip's integers."""
        return self.spiking.fixed

    @property
    def front_path(self) -> SealedFile | None:
        """The ANN before the chip; None if there is none."""
        return self.file(FRONT) if FRONT in self.manifest.files else None

    @property
    def messages(self) -> tuple[str, ...]:
        """Inputs of the spiking half that the front computes, in order."""
        return tuple(node.name for node in self.program.inputs if node.name not in self.manifest.feeds)

    def file(self, name: str, remedy: str = EXPORT_AGAIN) -> SealedFile:
        """One of its files, by the path within the folder; see `hybridnet.deploy.layout`.

        Reading it gives what the manifest's checksum is of, or an error.

        Raises:
            BundleError: If the bundle has none, with the remedy.
        """
        if name not in self.manifest.files:
            raise BundleError(f"has no {name}", where=self.path, remedy=remedy)
        return SealedFile(self.path / name, self.manifest.files[name])

    @property
    def ann_path(self) -> SealedFile:
        """The ANN half."""
        return self.file(ANN)

    @property
    def checkpoint_path(self) -> SealedFile:
        """The checkpoint that the bundle was made from."""
        return self.file(CHECKPOINT)

    @property
    def net_paths(self) -> dict[str, SealedFile]:
        """The netx file of each stream."""
        return {name: self.file(net_file(name)) for name in self.manifest.streams}

    @property
    def preprocess(self) -> PreprocessConfig:
        """How clips become inputs.

        Raises:
            ModelError: If the model takes arrays alone.
        """
        preprocess = self.manifest.model.preprocess
        if preprocess is None:
            inputs = ", ".join(self.manifest.model.inputs)
            raise ModelError(
                f"reads no video: its inputs are {inputs}", where=self.path, remedy="Give a .npz file of these arrays"
            )
        return preprocess

    @property
    def reads_residuals(self) -> bool:
        """Whether the network looks at a clip's residuals, whatever it is handed; a front is taken to look at them."""
        manifest = self.manifest
        return FRONT in manifest.files or "residuals" in {*manifest.feeds, *manifest.ann_inputs}

    @property
    def bridge(self) -> tuple[BridgeTensor, ...]:
        """What crosses."""
        return tuple(BridgeTensor(e.name, e.layer, e.shape, e.kind) for e in self.manifest.bridge)

    @property
    def encodings(self) -> dict[str, FixedEncoding]:
        """How it crosses in fixed point."""
        return {e.name: FixedEncoding(e.scale, e.bits, e.shift) for e in self.manifest.bridge}


@dataclass(frozen=True, eq=False)
class Bundle(Parts):
    """A bundle that was read and checked.

    Attributes:
        parity: What the export lost.
    """

    parity: ParityReport
