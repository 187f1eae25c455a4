"""Making the next item while the one before is used."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """Items in order, each made in a second thread while the caller works on the one before; none may be None.

    An exception appears where its item would have. Closing this waits for the item in the making, and leaves `items`
    to be closed by the caller.
    """
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item
            del item  # the caller alone decides how long it lives
