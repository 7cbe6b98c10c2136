"""Records kept in memory while they are few, in a temporary file once they are many."""

from __future__ import annotations

import pickle
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ovvis.errors import DISK_FULL, InputError, ResourceError

DEFAULT_LIMIT = 32 * 2**20  # bytes of records that stay in memory


class Spill:
    """A list of byte strings that outgrows memory without a word.

    The file has no name on POSIX systems: nothing is left of it, however the program ends.

    Args:
        limit: bytes that stay in memory; above it all goes to a temporary file.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=max(limit, 1))  # noqa: SIM115 (closed by `close`)
        self._starts = array("q", [0])

    def __len__(self) -> int:
        return len(self._starts) - 1

    def append(self, record: bytes) -> int:
        """Keep a record and return its number.

        Raises:
            ResourceError: the disk of the temporary folder is full.
        """
        with _disk_errors():
            self._file.seek(self._starts[-1])
            self._file.write(record)
        self._starts.append(self._starts[-1] + len(record))
        return len(self) - 1

    def __getitem__(self, number: int) -> bytes:
        start, end = self._starts[number], self._starts[number + 1]
        with _disk_errors():  # the seek writes out what still waits in the buffer
            self._file.seek(start)
            return self._file.read(end - start)

    def append_object(self, value: Any) -> int:
        """Keep a picklable value and return its number."""
        return self.append(pickle.dumps(value, protocol=5))

    def objects(self) -> Iterator[Any]:
        """Yield the kept values in order. Only what `append_object` wrote is ever read."""
        for number in range(len(self)):
            yield pickle.loads(self[number])

    def check_open(self) -> None:
        """Refuse to read a result's masks that were let go.

        Raises:
            InputError: it is closed.
        """
        if self._file.closed:
            raise InputError("the result is closed: its masks are gone; ask before close(), or save() what is wanted")

    def close(self) -> None:
        """Free the memory or the file."""
        # Closing writes out what waits in the buffer: on a full disk that fails again, and no one needs it.
        with suppress(OSError):
            self._file.close()

    def __del__(self) -> None:
        self.close()


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Turn a full disk into an error that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise ResourceError(
            f"no space left in the temporary folder {tempfile.gettempdir()}: free some, or set TMPDIR to a folder on a "
            "larger disk"
        ) from error
