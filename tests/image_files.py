"""Image files made byte by byte, of kinds that Pillow does not write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np


def png_file(chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a PNG of chunks, each a kind and its data."""
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def png16(values: np.ndarray, bits: int | None = None) -> bytes:
    """Return a PNG of 16 bits: H x W (grey), or H x W x 2, 3, 4."""
    channels = 1 if values.ndim == 2 else values.shape[2]
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0))]
    chunks += [] if bits is None else [(b"sBIT", bytes([bits] * channels))]
    return png_file([*chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")])


def gif(parts: list[tuple[tuple[int, int, int, int], int, int, int | None]], size: tuple[int, int]) -> bytes:
    """Return a GIF of one-colour parts: (left, top, width, height), colour, disposal, transparent colour.

    Colours 0 to 3 are black, red, green, blue; `size` is the width and height of the whole.
    """
    data = b"GIF89a" + struct.pack("<HHBBB", *size, 0x91, 0, 0) + bytes([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    for (left, top, width, height), colour, disposal, clear in parts:
        flags = disposal << 2 | (clear is not None)
        data += b"\x21\xf9\x04" + struct.pack("<BHBB", flags, 10, clear or 0, 0)
        data += b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0) + b"\x02"
        bits = "".join(format(code, "03b")[::-1] for _ in range(width * height) for code in (4, colour)) + "101"
        packed = bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))
        data += b"".join(bytes([len(packed[i : i + 255])]) + packed[i : i + 255] for i in range(0, len(packed), 255))
        data += b"\0"
    return data + b";"


def tiff(values: np.ndarray, extra: dict[int, int] | None = None, photometric: int | None = None, **tags: Any) -> bytes:
    """Return an uncompressed TIFF of any kind of number; `low` and `high` are SMinSampleValue and SMaxSampleValue."""
    order = ">" if values.dtype.byteorder == ">" else "<"
    height, width = values.shape[:2]
    channels = 1 if values.ndim == 2 else values.shape[2]
    colour = photometric if photometric is not None else 2 if channels >= 3 else 1
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    data = values.tobytes() + b"\0" * (values.nbytes % 2)
    found: dict[int, tuple[str, list[float]]] = {
        256: ("I", [width]), 257: ("I", [height]), 258: ("H", [values.dtype.itemsize * 8] * channels),
        259: ("H", [1]), 262: ("H", [colour]), 273: ("I", [8]), 277: ("H", [channels]), 278: ("I", [height]),
        279: ("I", [values.nbytes]), 339: ("H", [kind] * channels),
    }  # fmt: skip
    if channels in (2, 4):
        found[338] = "H", [2]
    for tag, number in (extra or {}).items():
        found[tag] = "H", [number]
    for name, tag in (("low", 340), ("high", 341)):
        if name in tags:
            found[tag] = ("f" if kind == 3 else "H"), [tags[name]] * channels
    entries, far, behind = b"", b"", 8 + len(data) + 2 + 12 * len(found) + 4
    for tag, (letter, numbers) in sorted(found.items()):
        packed = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        entries += struct.pack(order + "HHI", tag, {"H": 3, "I": 4, "f": 11}[letter], len(numbers))
        entries += packed.ljust(4, b"\0") if len(packed) <= 4 else struct.pack(order + "I", behind + len(far))
        far += packed + b"\0" * (len(packed) % 2) if len(packed) > 4 else b""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    return head + data + struct.pack(order + "H", len(found)) + entries + bytes(4) + far
