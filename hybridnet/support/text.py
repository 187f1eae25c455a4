"""Text from outside, such as names of files and messages of libraries, as what people are shown: data, not commands.

A terminal obeys control characters, bidirectional marks reorder what is read, and a line break forges a line.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

ALIKE = 0.75
"""How much alike two words are, of 1, for one to be meant for the other."""

TOLD = 400
"""Most characters of a library's message that are told."""


def nearest(word: str, known: Iterable[str]) -> str:
    """The one of the known words that is most like another; empty if none is much like it."""
    return next(iter(difflib.get_close_matches(word, [*known], n=1, cutoff=ALIKE)), "")


def printable(path: object) -> str:
    """A path as text that can be encoded: bytes that are no UTF-8 are escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def visible(text: str) -> str:
    r"""The text in one line, each character that is not to be seen escaped as Python does: a line break is `\n`."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def lines_of(lines: Iterable[str]) -> str:
    """Lines as one text, each visible and ended; what holds a line break stays one line."""
    return "".join(f"{visible(line)}\n" for line in lines)


def told(error: BaseException) -> str:
    """The type of a foreign exception and what it says, in one line of bounded length."""
    name, message = type(error).__name__, said(error)
    return message if message == name or isinstance(error, SystemExit) else f"{name}: {message}"


def said(error: BaseException) -> str:
    """What a foreign exception says, in one line of bounded length; its type if it says nothing."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    try:
        message = " ".join(str(error).split())
    except Exception:  # how it tells itself is foreign too
        message = ""
    message = message if len(message) <= TOLD else f"{message[:TOLD]} …"
    return message or type(error).__name__


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
