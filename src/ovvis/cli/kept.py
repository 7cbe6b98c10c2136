"""What a command says when it ends early and keeps what is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ovvis.cli.process import Interrupted
from ovvis.errors import DISK_FULL, ResourceError
from ovvis.files.output import OutputFolder, disk_full


@contextmanager
def kept(folder: Path, state: Callable[[], str]) -> Iterator[None]:
    """Have everything that ends the work early say what stays and how to go on.

    Args:
        folder: that the work is written to.
        state: returns what is done, where it is kept, and how to go on.

    Raises:
        Interrupted: Ctrl-C, or a polite end from outside.
        ResourceError: the disk is full, or something else ran out.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped; {state()}") from error
    except ResourceError as error:
        raise ResourceError(f"{error}; {state()}") from error
    except OSError as error:
        if error.errno in DISK_FULL:
            raise ResourceError(f"{disk_full(error, folder)}; {state()}") from error
        raise


@contextmanager
def told(folder: OutputFolder) -> Iterator[None]:
    """Have what ends the command after its results are in place say that they are."""
    try:
        yield
    except KeyboardInterrupt as error:
        if not folder.whole:
            raise
        raise Interrupted(f"stopped; the results are in {folder.path}, whole") from error
