"""The bundle: the folder that `hybridnet export` writes and every simulator reads.

    manifest.yaml      schema, model, labels, checksums, versions, partition, bridge, quantisation
    snn/<stream>.net   lava-dl netx HDF5 per stream
    snn/program.npz    the spiking program, float and fixed point
    snn/program.onnx snn/program.float.onnx     the same for ONNX Runtime, each a graph of all steps
    ann.onnx           the ANN half, batch dimension free
    model.pt           the checkpoint it was made from, which back-end `torch` runs; of a model that is not ours its
                       weights alone, a state dict
    parity.json        the model against its exported parts
    calibration.json   what calibration found and lost; of a calibrated bundle alone
    ann.int8.onnx      the ANN half in int8; of a bundle calibrated with it alone

It is written elsewhere and put in place in one step, so that it is whole or absent. It is read if the manifest lists
every file, each is what its SHA-256 says, now and later when it is used, and none contradicts another.
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from hybridnet.config import ModelConfig, PreprocessConfig
from hybridnet.deploy.bundle_agreement import check_agreement
from hybridnet.deploy.bundle_files import seal_files
from hybridnet.deploy.layout import (
    ANN,
    CHECKPOINT,
    MANIFEST,
    ONNX_FIXED,
    ONNX_FLOAT,
    PARITY,
    PROGRAM,
    net_file,
)
from hybridnet.deploy.program_file import read_program
from hybridnet.errors import BundleError, ConfigError, ModelError
from hybridnet.program.bridge import BridgeKind, BridgeTensor, FixedEncoding
from hybridnet.program.layers import FixedProgram, FloatProgram
from hybridnet.report.record.parity import ParityReport, to_json
from hybridnet.support.files import steady
from hybridnet.support.plain import MAX_YAML_BYTES, from_dict, read_json, read_yaml, to_dict
from hybridnet.support.sealed import EXPORT_AGAIN, SealedFile, read_file, sha256_file

SCHEMA = "hybridnet.bundle/3"

_REMEDY = "Write one with `hybridnet export CKPT -o DIR`"


@dataclass(frozen=True)
class ModelEntry:
    """The model that a bundle was made from.

    Attributes:
        name: Of its config; of a model that is not ours, its factory or class.
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
        ann_inputs: Inputs of ann.onnx in order.
        files: SHA-256 of every other file of the bundle, by relative path.
    """

    schema: str
    model: ModelEntry
    labels: tuple[str, ...] | None
    versions: dict[str, str]
    opset: int
    streams: tuple[str, ...]
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
    program: FloatProgram
    fixed: FixedProgram

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
        return {stream.name: self.file(net_file(stream.name)) for stream in self.program.streams}

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


def finish(parts: Parts, parity: ParityReport) -> None:
    """Write parity.json and the manifest with its checksum beside the others: the last files of a bundle."""
    (parts.path / PARITY).write_text(to_json(parity), encoding="utf-8")
    files = {**parts.manifest.files, PARITY: sha256_file(parts.path / PARITY)}
    write_manifest(parts.path, replace(parts.manifest, files=dict(sorted(files.items()))))


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of the bundle but the manifest, by relative path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    return {p.relative_to(folder).as_posix(): sha256_file(p) for p in files}


class _WithoutAliases(yaml.SafeDumper):
    """Writes what is there twice twice, as `read_yaml` reads no aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.yaml."""
    text = yaml.dump(to_dict(manifest), Dumper=_WithoutAliases, sort_keys=False, allow_unicode=True)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


@steady
def read_bundle(path: Path) -> Bundle:
    """Read and check a bundle: every file of it against the manifest, and all of them against each other.

    Raises:
        BundleError: If the folder or a file is missing, of another schema, unlisted, does not match its checksum, or
            contradicts another.
    """
    manifest = _read_manifest(path)
    required = {PROGRAM, ONNX_FIXED, ONNX_FLOAT, ANN, CHECKPOINT, PARITY, *map(net_file, manifest.streams)}
    if not required <= set(manifest.files):
        missing = ", ".join(sorted(required - set(manifest.files)))
        raise BundleError(f"the manifest lacks {missing}", where=path, remedy=_REMEDY)
    files = seal_files(path, manifest.files, MANIFEST)
    program, fixed = read_program(files[PROGRAM])
    bundle = Bundle(path, manifest, program, fixed, _read_parity(files[PARITY]))
    check_agreement(bundle)
    return bundle


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    try:
        content = read_yaml(read_file(file, MAX_YAML_BYTES))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BundleError("no bundle here (manifest.yaml is missing)", where=path, remedy=_REMEDY) from error
    except OSError as error:
        raise BundleError(f"cannot be read ({error.strerror})", where=file, remedy=_REMEDY) from error
    except ConfigError as error:
        raise BundleError(f"is no YAML that is read ({error.what})", where=file, remedy=_REMEDY) from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        found = reprlib.repr(schema)
        raise BundleError(f"has schema {found}, this version reads {SCHEMA!r}", where=file, remedy=_REMEDY)
    try:
        return from_dict(Manifest, content)
    except ConfigError as error:
        raise BundleError(f"is damaged ({error})", where=file, remedy=_REMEDY) from error


def _read_parity(file: SealedFile) -> ParityReport:
    try:
        return from_dict(ParityReport, read_json(file.read_bytes()))
    except ConfigError as error:
        raise BundleError(f"is damaged ({error})", where=file, remedy=_REMEDY) from error
