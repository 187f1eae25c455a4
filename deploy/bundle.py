"""The bundle: the folder that `hybridnet export` writes and every simulator reads.

    manifest.yaml      schema, model, labels, checksums, versions, partition, bridge, quantisation
    snn/<stream>.net   lava-dl netx HDF5 per stream
    snn/program.npz    the spiking program, float and fixed point
    ann.onnx           the ANN half, batch dimension free
    model.pt           the checkpoint it was made from: the reference that back-end `torch` runs
    parity.json        the model against its exported parts

Written into a temporary folder and renamed: it is whole or absent. Every file is checked against its SHA-256 when read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hybridnet.config import ModelConfig, PreprocessConfig, from_dict, to_dict
from hybridnet.deploy.netx import write_net
from hybridnet.deploy.program_file import read_program, write_program
from hybridnet.errors import BundleError, ConfigError
from hybridnet.files import sha256_file
from hybridnet.partition.bridge import BridgeTensor, FixedEncoding
from hybridnet.partition.program import FixedProgram, FloatProgram

SCHEMA = "hybridnet.bundle/1"
MANIFEST = "manifest.yaml"
PROGRAM = "snn/program.npz"
ANN = "ann.onnx"
CHECKPOINT = "model.pt"
PARITY = "parity.json"

MAX_MANIFEST_BYTES = 2**20
_REMEDY = "Write one with `hybridnet export CKPT -o DIR`"


@dataclass(frozen=True)
class BridgeEntry:
    """One bridge tensor with its fixed-point encoding."""

    name: str
    layer: str
    shape: tuple[int, ...]
    scale: float
    bits: int


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
        ann_inputs: Inputs of ann.onnx in order.
        files: SHA-256 of every other file of the bundle, by relative path.
    """

    schema: str
    model: ModelConfig
    labels: tuple[str, ...]
    versions: dict[str, str]
    opset: int
    streams: tuple[str, ...]
    ann_inputs: tuple[str, ...]
    bridge: tuple[BridgeEntry, ...]
    quantisation: Quantisation
    files: dict[str, str]


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that was read and checked.

    Attributes:
        path: Its folder.
        parity: The content of parity.json.
    """

    path: Path
    manifest: Manifest
    program: FloatProgram
    fixed: FixedProgram
    parity: dict[str, Any]

    @property
    def ann_path(self) -> Path:
        """The ANN half."""
        return self.path / ANN

    @property
    def checkpoint_path(self) -> Path:
        """The checkpoint that the bundle was made from."""
        return self.path / CHECKPOINT

    @property
    def net_paths(self) -> dict[str, Path]:
        """The netx file of each stream."""
        return {stream.name: self.path / net_file(stream.name) for stream in self.program.streams}

    @property
    def preprocess(self) -> PreprocessConfig:
        """How clips become inputs."""
        return self.manifest.model.preprocess

    @property
    def bridge(self) -> tuple[BridgeTensor, ...]:
        """What crosses."""
        return tuple(BridgeTensor(e.name, e.layer, (e.shape[0], e.shape[1], e.shape[2])) for e in self.manifest.bridge)

    @property
    def encodings(self) -> dict[str, FixedEncoding]:
        """How it crosses in fixed point."""
        return {e.name: FixedEncoding(e.scale, e.bits) for e in self.manifest.bridge}


def net_file(stream: str) -> str:
    """Relative path of a stream's netx file."""
    return f"snn/{stream}.net"


def write_spiking_half(folder: Path, program: FloatProgram, fixed: FixedProgram) -> None:
    """Write program.npz and one netx file per stream."""
    (folder / "snn").mkdir()
    write_program(folder / PROGRAM, program, fixed)
    for stream, fixed_stream in zip(program.streams, fixed.streams, strict=True):
        write_net(folder / net_file(stream.name), stream, fixed_stream, program.steps)


def write_parity(folder: Path, parity: dict[str, Any]) -> None:
    """Write parity.json."""
    (folder / PARITY).write_text(json.dumps(parity, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of the bundle but the manifest, by relative path."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != MANIFEST)
    return {p.relative_to(folder).as_posix(): sha256_file(p) for p in files}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write manifest.yaml, the last file of a bundle."""
    text = yaml.safe_dump(to_dict(manifest), sort_keys=False, allow_unicode=True)
    (folder / MANIFEST).write_text(text, encoding="utf-8")


def read_bundle(path: Path) -> Bundle:
    """Read and check a bundle.

    Raises:
        BundleError: If the folder or a file is missing, of another schema, or does not match its checksum.
    """
    manifest = _read_manifest(path)
    _check_files(path, manifest.files)
    program, fixed = read_program(path / PROGRAM)
    if tuple(stream.name for stream in program.streams) != manifest.streams:
        raise BundleError("the spiking program has other streams than the manifest", where=path, remedy=_REMEDY)
    parity = json.loads((path / PARITY).read_text(encoding="utf-8"))
    return Bundle(path, manifest, program, fixed, parity)


def _read_manifest(path: Path) -> Manifest:
    file = path / MANIFEST
    if not file.is_file():
        raise BundleError("no bundle here (manifest.yaml is missing)", where=path, remedy=_REMEDY)
    if file.stat().st_size > MAX_MANIFEST_BYTES:
        raise BundleError(f"is larger than {MAX_MANIFEST_BYTES} bytes", where=file)
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BundleError("is no YAML", where=file, remedy=_REMEDY) from error
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise BundleError(f"has schema {schema!r}, this version reads {SCHEMA!r}", where=file, remedy=_REMEDY)
    try:
        return from_dict(Manifest, content)
    except ConfigError as error:
        raise BundleError(f"is damaged ({error})", where=file, remedy=_REMEDY) from error


def _check_files(path: Path, files: dict[str, str]) -> None:
    required = {PROGRAM, ANN, CHECKPOINT, PARITY}
    if not required <= set(files):
        raise BundleError(f"the manifest lacks {', '.join(sorted(required - set(files)))}", where=path, remedy=_REMEDY)
    for name, expected in files.items():
        file = path / name
        if not file.resolve().is_relative_to(path.resolve()):
            raise BundleError(f"the manifest names a file outside the bundle: {name}", where=path)
        if not file.is_file():
            raise BundleError("is missing", where=file, remedy="Export the bundle again")
        if sha256_file(file) != expected:
            raise BundleError(
                "does not match its checksum in the manifest", where=file, remedy="Export the bundle again"
            )
