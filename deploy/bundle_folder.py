"""The folder that a bundle is written into, and which folders it may replace."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from hybridnet.deploy.layout import FAMILY, MANIFEST
from hybridnet.errors import ConfigError
from hybridnet.support.files import atomic_folder
from hybridnet.support.plain import MAX_YAML_BYTES, read_yaml


def bundle_folder(path: Path, *, overwrite: bool, needed_bytes: int = 0) -> AbstractContextManager[Path]:
    """A new folder for a bundle, as `hybridnet.support.files.atomic_folder`; with `overwrite` it replaces a bundle."""
    return atomic_folder(path, overwrite=overwrite, foreign=no_bundle, needed_bytes=needed_bytes)


def no_bundle(folder: Path) -> str:
    """Why a folder is more or less than a bundle, whole or damaged; empty if it is nothing else."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return f"is no bundle (it has no {MANIFEST})"
    with manifest.open("rb") as opened:
        head = opened.read(MAX_YAML_BYTES)
    try:
        content = read_yaml(head)
    except ConfigError:
        content = None
    if not isinstance(content, dict) or not str(content.get("schema")).startswith(FAMILY):
        return f"is no bundle (its {MANIFEST} is of something else)"
    files = content.get("files")
    listed = {MANIFEST, *(files if isinstance(files, dict) else ())}
    for file in sorted(folder.rglob("*")):
        if (name := file.relative_to(folder).as_posix()) not in listed and (file.is_symlink() or not file.is_dir()):
            return f"holds {name}, which is not of the bundle"
    return ""
