"""What several reports say alike: the names of partitions, and the command that finds finer scales."""

from __future__ import annotations

import shlex

from hybridnet.support.inputs import LEAST_CLIPS

READER, BEFORE = "video reader", "host before the chip"

_WORDS = {"frontend": READER, "front": BEFORE}


def partition_words(name: str) -> str:
    """What a reader of a report calls a partition: the others are called as in the record."""
    return _WORDS.get(name, name)


def calibrate_command(bundle: str, out: str, clips: str | None, *, video: bool) -> str:
    """The command that finds finer scales, into another folder.

    Args:
        bundle: Its folder.
        out: The other folder.
        clips: What to find them on; None if there is not enough, so that the command tells what it needs.
        video: Whether the model reads videos, not arrays.
    """
    needed = f"{'DIR' if video else 'FILE.npz'} ({LEAST_CLIPS} {'clips' if video else 'rows'} or more)"
    on = needed if clips is None else shlex.quote(clips)
    return f"hybridnet calibrate {shlex.quote(bundle)} -o {shlex.quote(out)} --clips {on}"
