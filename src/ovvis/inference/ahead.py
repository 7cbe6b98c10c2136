"""Reads ahead in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Made(Generic[Item]):
    """What the thread has to say: an item, or why there are no more."""

    item: Item | None = None
    error: BaseException | None = None
    end: bool = False


def read_ahead(items: Iterable[Item], depth: int) -> Generator[Item]:
    """Yield items in their order, of which up to `depth` are made in a thread before they are asked for.

    An error comes where its item would have come. Whoever stops early ends the thread: it makes the item that it is at,
    then closes the iterator that it reads.

    Args:
        items: are made in the thread; nothing else may touch what makes them meanwhile.
        depth: at least 1.
    """
    made: queue.Queue[_Made[Item]] = queue.Queue(depth)
    stopped = threading.Event()

    def put(what: _Made[Item]) -> bool:
        while not stopped.is_set():
            try:
                made.put(what, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        iterator: Any = iter(items)
        try:
            for item in iterator:
                if not put(_Made(item)):
                    break
        except BaseException as error:  # told to who asks, who raises it
            put(_Made(error=error))
        else:
            put(_Made(end=True))
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    thread = threading.Thread(target=work, name="ovvis-ahead", daemon=True)
    thread.start()
    try:
        while True:
            what = made.get()
            if what.error is not None:
                raise what.error
            if what.end:
                return
            yield what.item  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
