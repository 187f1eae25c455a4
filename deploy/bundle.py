"""The bundle: the folder that `hybridnet export` writes and every simulator reads.

    manifest.yaml      schema, model, labels, checksums, versions, partition, bridge, quantisation
    snn/program.npz snn/program.fixed.npz       the spiking program, float and fixed point
    snn/program.onnx snn/program.float.onnx     the same for ONNX Runtime, each a graph of all steps
    snn/step.onnx      one step in fixed point, with its state as inputs and outputs
    snn/<chain>.net    lava-dl netx HDF5 per chain; only if the program is no more than chains
    front.onnx         what the host computes before the spiking half; only if the model computes something there
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
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import yaml

from hybridnet.deploy.bundle_agreement import check_agreement
from hybridnet.deploy.bundle_files import seal_files
from hybridnet.deploy.bundle_parts import Bundle, Manifest, Parts
from hybridnet.deploy.graph_file import read_graph
from hybridnet.deploy.layout import (
    ANN,
    CHECKPOINT,
    FAMILY,
    GRAPH_FIXED,
    GRAPH_FLOAT,
    MANIFEST,
    ONNX_FIXED,
    ONNX_FLOAT,
    ONNX_STEP,
    PARITY,
    net_file,
)
from hybridnet.errors import BundleError, ConfigError
from hybridnet.program.fixed_graph import FixedGraph
from hybridnet.program.graph import GraphProgram
from hybridnet.program.spiking import SpikingHalf
from hybridnet.report.record.parity import ParityReport, to_json
from hybridnet.support.files import steady
from hybridnet.support.plain import MAX_YAML_BYTES, from_dict, read_json, read_yaml, to_dict
from hybridnet.support.sealed import EXPORT_AGAIN, SealedFile, read_file, sha256_file

SCHEMA = f"{FAMILY}5"

_REMEDY = "Write one with `hybridnet export CKPT -o DIR`"


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
    own = {GRAPH_FLOAT, GRAPH_FIXED, *map(net_file, manifest.streams)}
    required = {ONNX_FIXED, ONNX_FLOAT, ONNX_STEP, ANN, CHECKPOINT, PARITY} | own
    if not required <= set(manifest.files):
        missing = ", ".join(sorted(required - set(manifest.files)))
        raise BundleError(f"the manifest lacks {missing}", where=path, remedy=_REMEDY)
    files = seal_files(path, manifest.files, MANIFEST)
    spiking = _read_spiking(files)
    bundle = Bundle(path, manifest, spiking, _read_parity(files[PARITY]))
    check_agreement(bundle)
    return bundle


def _read_spiking(files: Mapping[str, SealedFile]) -> SpikingHalf:
    program, fixed = read_graph(files[GRAPH_FLOAT]), read_graph(files[GRAPH_FIXED])
    if not isinstance(program, GraphProgram) or not isinstance(fixed, FixedGraph):
        wrong = GRAPH_FIXED if isinstance(program, GraphProgram) else GRAPH_FLOAT
        raise BundleError("does not hold the form that its name tells", where=files[wrong], remedy=EXPORT_AGAIN)
    return SpikingHalf(program, fixed)


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
