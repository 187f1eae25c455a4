"""What code that is not ours raises, turned into one error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hybridnet.errors import HybridNetError
from hybridnet.support.text import told


@contextmanager
def foreign_code(error: type[HybridNetError], what: str, *, where: object = "", remedy: str = "") -> Iterator[None]:
    """Turn whatever a library's or a user's code raises in the block, `sys.exit` included, into one error of ours.

    Our own errors, an interrupt and a lack of memory pass as they are.

    Args:
        error: What is raised; takes the arguments of `HybridNetError`.
        what: What was wrong; what the foreign exception says follows in brackets.
    """
    try:
        yield
    except (HybridNetError, MemoryError):
        raise
    except (Exception, SystemExit) as cause:
        raise error(f"{what} ({told(cause)})", where=where, remedy=remedy) from cause
