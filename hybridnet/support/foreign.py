"""What code that is not ours raises, turned into one error of ours."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from hybridnet.errors import HybridNetError
from hybridnet.support.text import told

NO_MEMORY = (
    "can't allocate memory",  # torch's allocator
    "could not create a primitive",  # oneDNN, which torch computes with; it has no other words for it
    "can't start new thread",  # Python, whose threads need a stack
    "out of memory",  # CUDA
)


def lacks_memory(error: BaseException) -> bool:
    """Whether an exception says that memory ran out, of which libraries tell in several ways."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in told(error) for words in NO_MEMORY)
    )


@contextmanager
def foreign_code(error: type[HybridNetError], what: str, *, where: object = "", remedy: str = "") -> Iterator[None]:
    """Turn whatever a library's or a user's code raises in the block, `sys.exit` included, into one error of ours.

    Our own errors and an interrupt pass as they are; a lack of memory passes too, as a MemoryError.

    Args:
        error: What is raised; takes the arguments of `HybridNetError`.
        what: What was wrong; what the foreign exception says follows in brackets.
    """
    try:
        yield
    except (HybridNetError, MemoryError):
        raise
    except (Exception, SystemExit) as cause:
        if lacks_memory(cause):
            raise MemoryError(told(cause)) from cause
        raise error(f"{what} ({told(cause)})", where=where, remedy=remedy) from cause
