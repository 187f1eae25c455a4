"""What a path leads to, told by its content: so that an error can say what was given, and what was wanted instead.

Nothing is decompressed, unpickled or followed; at most HEAD bytes of a regular file are looked at.
"""

from __future__ import annotations

import re
import stat
import zipfile
from enum import Enum
from pathlib import Path

HEAD = 1 << 16
"""Bytes of a file that are looked at."""

EXPORTED_NAMES = ("archive_format", "_weights_config.json", "serialized_exported_program.json")
"""Ends of names in an archive of torch.export: of today's, and the last of those before torch 2.8."""


class Kind(Enum):
    """What there may be at a path, as an error calls it."""

    NOTHING = "does not exist"
    FOLDER = "is a folder"
    BUNDLE = "is a bundle"
    CACHE = "is a cache"
    SPECIAL = "is a pipe, a socket or a device"
    EMPTY = "is empty"
    VIDEO = "is a video"
    CHECKPOINT = "is a checkpoint"
    WEIGHTS = "is a PyTorch file, and no checkpoint of hybridnet"
    SAFETENSORS = "is a file of safetensors"
    EXPORTED = "is an archive of torch.export"
    ARRAYS = "is an .npz file of arrays"
    ARRAY = "is an .npy file of one array"
    HDF5 = "is an HDF5 file, as netx and NIR use"
    PICTURE = "is a picture"
    RECORD = "is a run record"
    EVALUATION = "is the record of an evaluation"
    JSON = "is JSON, and no run record"
    MANIFEST = "is the manifest of a bundle"
    PROFILE = "is an energy profile"
    CONFIG = "is a config of a model"
    TEXT = "is text"
    UNKNOWN = "is of no kind that is known here"


_MAGIC = (
    (Kind.VIDEO, rb"RIFF.{4}(AVI|AMV)|.{4}(ftyp|moov|mdat|wide|skip)|\x1aE\xdf\xa3|FLV\x01|\x00\x00\x01[\xb0\xb3\xba]"),
    (
        Kind.VIDEO,
        rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11|\.RMF|nut/multimedia|OggS|\x00\x00(\x00)?\x01[\x67\x27\x09]|DVDVIDEO",
    ),
    (Kind.VIDEO, rb"(\x47.{187}){3}|(.{4}\x47.{187}){3}"),
    (Kind.PICTURE, rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a|BM.{4}\x00\x00\x00\x00|%PDF-"),
    (Kind.ARRAY, rb"\x93NUMPY"),
    (Kind.HDF5, rb"\x89HDF\r\n\x1a\n"),
)
_YAML = (
    (Kind.MANIFEST, r"^schema: *['\"]?hybridnet\.bundle/"),
    (Kind.PROFILE, r"^prices:"),
    (Kind.CONFIG, r"^model:"),
)
_SCHEMAS = {"run": Kind.RECORD, "evaluation": Kind.EVALUATION}


def kind_of(path: Path) -> Kind:
    """What `path` leads to.

    Raises:
        OSError: If it may not be looked at.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # a ValueError is a name that holds a NUL
        return Kind.NOTHING
    if stat.S_ISDIR(mode):
        return _folder(path)
    if not stat.S_ISREG(mode):
        return Kind.SPECIAL
    with path.open("rb") as file:
        head = file.read(HEAD)
    if head[:4] == b"PK\x03\x04":
        return _archive(path)
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= path.stat().st_size - 8:
        return Kind.SAFETENSORS
    for kind, magic in _MAGIC:
        if re.match(magic, head, re.DOTALL):
            return kind
    return _text(head) if head else Kind.EMPTY


def _folder(path: Path) -> Kind:
    if (path / "manifest.yaml").exists():
        return Kind.BUNDLE
    return Kind.CACHE if (path / "manifest.json").exists() else Kind.FOLDER


def _archive(path: Path) -> Kind:
    """torch, its exporter and NumPy write zip files."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            pickled = [name for name in names if name.endswith("data.pkl")]
            if pickled and archive.getinfo(pickled[0]).compress_type == zipfile.ZIP_STORED:
                with archive.open(pickled[0]) as file:
                    return Kind.CHECKPOINT if b"hybridnet.checkpoint/" in file.read(HEAD) else Kind.WEIGHTS
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError):  # damaged: who reads it tells
        return Kind.UNKNOWN
    if any(name.endswith(EXPORTED_NAMES) for name in names):
        return Kind.EXPORTED
    return Kind.ARRAYS if names and all(name.endswith(".npy") for name in names) else Kind.UNKNOWN


def _text(head: bytes) -> Kind:
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if len(head) < HEAD or error.start < HEAD - 4:  # and not a character that the end of the head cuts
            return Kind.UNKNOWN
        text = head[: error.start].decode()
    if re.search(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]", text):
        return Kind.UNKNOWN
    if text.lstrip()[:1] in ("{", "["):
        schema = re.search(r'"schema": *"hybridnet\.(\w+)/', text)
        return _SCHEMAS.get(schema[1], Kind.JSON) if schema else Kind.JSON
    return next((kind for kind, line in _YAML if re.search(line, text, re.MULTILINE)), Kind.TEXT)
