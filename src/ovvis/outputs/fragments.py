"""An mp4 in fragments whose writing broke off: what is whole of it is kept."""

from __future__ import annotations

import os
from pathlib import Path

_KNOWN = {b"ftyp", b"moov", b"moof", b"mdat", b"free", b"sidx", b"styp", b"mfra"}


def keep_whole(path: Path) -> None:
    """Cut a file off behind its last whole fragment, in place, so that every player takes it.

    A fragment is a box `moof` with the box `mdat` behind it. Freeing space needs none, so this works on a full disk.

    Raises:
        OSError: the file cannot be read or changed.
    """
    size = path.stat().st_size
    end = place = 0
    with path.open("r+b") as file:
        while place + 8 <= size:
            file.seek(place)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:  # too large for four bytes
                length = int.from_bytes(head[8:16], "big")
            if kind not in _KNOWN or length < 8 or place + length > size:
                break
            place += length
            if kind != b"moof":
                end = place
        if end < size:
            os.ftruncate(file.fileno(), end)
