"""A folder that several processes measure into, each its own share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ovvis.errors import InputError
from ovvis.files.lock import clear_locks, release_lock, take_lock
from ovvis.predictions.folder import PATIENCE, Shard


@contextmanager
def share_folder(output: Path, part: Shard, restart: bool) -> Iterator[None]:
    """Keep a second run of the same shard out of the folder, and others where everything begins anew."""
    there = output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
        lock = take_lock(output, part.suffix, PATIENCE)
    except OSError as error:
        raise InputError(f"{output} cannot be written ({error.strerror}): choose another --output") from error
    if lock is None:
        raise InputError(
            f"{output}: another process is measuring shard {part} in it; wait for it, or give each its own --shard i/n"
        )
    try:
        if clear_locks(output, part.suffix) and restart:
            raise InputError(f"--restart would drop what other shards are measuring in {output}: wait for them")
        yield
    finally:
        release_lock(lock)
        if not there:
            with suppress(OSError):  # what is not empty stays
                output.rmdir()


def names_in(listed: str | None) -> list[str]:
    """Return the names of a list with commas between; none of no list."""
    return [name.strip() for name in (listed or "").split(",") if name.strip()]
