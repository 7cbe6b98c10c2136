"""What is common to all that `fuzz.py` feeds: how it is bent by random numbers, and what a reader may answer."""

from __future__ import annotations

import copy
import json
import math
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovvis import masks
from ovvis.errors import OvvisError

HEIGHT, WIDTH = 24, 32  # of the pictures

ODD: list[Any] = [
    None, True, False, 0, -1, 1, 7, 255, 2**31, 2**63, 2**64, 10**30, -(2**63) - 1, 0.0, -0.0, 0.5, 1e308, math.nan,
    math.inf, -math.inf, "", " ", "a", "\ud800", "a\0b", "..", "/", "\\", "é", "\u202e", "\x1b[31m", "P" * 30, "1",
    "1.0",
    [], {}, [None], [[]], [0, 0, 1, 1], "x" * 100_000, [0] * 100_000, {"size": [10**9, 10**9], "counts": "0"},
    {"size": [3, 2], "counts": [10**12]}, {"size": [HEIGHT, WIDTH], "counts": "O" * 5000}, {"size": None, "counts": 3},
]  # fmt: skip
KEYS = [
    "id",
    "size",
    "counts",
    "rle",
    "height",
    "width",
    "name",
    "video_id",
    "images",
    "videos",
    "annotations",
    "score",
]


def deep(random: random.Random) -> Any:
    """Return lists or objects inside each other."""
    value: Any = 1
    for _ in range(random.choice([50, 150])):
        value = [value] if random.random() < 0.5 else {"a": value}
    return value


def odd(random: random.Random) -> Any:
    """Return a value of any kind."""
    what = random.random()
    if what < 0.02:
        return deep(random)
    if what < 0.1:
        return {random.choice(KEYS): copy.deepcopy(random.choice(ODD)) for _ in range(random.randrange(4))}
    if what < 0.18:
        return [copy.deepcopy(random.choice(ODD)) for _ in range(random.randrange(5))]
    # A copy: what is bent later must not bend the list itself.
    return copy.deepcopy(random.choice(ODD)) if what < 0.9 else random.randrange(-5, 300)


def places(root: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every value in a document."""
    items = root.items() if isinstance(root, dict) else enumerate(root) if isinstance(root, list) else ()
    return [path, *(place for key, value in items for place in places(value, (*path, key)))]


def bent_document(random: random.Random, root: Any) -> Any:
    """Return a document with one to four things changed, left out, twice, or under another name."""
    root = json.loads(json.dumps(root))  # no part of it stands in two places
    for _ in range(random.randint(1, 4)):
        inner = [path for path in places(root) if path]
        if not inner:
            break
        *parents, name = random.choice(inner)
        part = root
        for parent in parents:
            part = part[parent]
        what = random.choice("ssssdtk")
        if what == "s":
            part[name] = odd(random)
        elif what == "d":
            part.pop(name)
        elif isinstance(part, list):
            part.append(copy.deepcopy(part[name]))
        elif what == "k":
            part[random.choice(KEYS)] = part.pop(name)
    return root


def bent_bytes(random: random.Random, data: bytes, most: int = 6) -> bytes:
    """Return bytes that were cut, flipped, overwritten, inserted, moved, or had a number made large."""
    out = bytearray(data)
    for _ in range(random.randint(1, most)):
        if not out:
            break
        at = min(int(len(out) * random.random() ** random.choice([1, 1, 3])), len(out) - 1)  # headers more often
        what = random.randrange(8)
        if what == 0 and random.random() < 0.4:
            del out[at:]
        elif what == 1:
            out[at] ^= 1 << random.randrange(8)
        elif what == 2:
            out[at : at + random.randrange(1, 9)] = random.randbytes(random.randrange(9))
        elif what == 3:
            out[at : at + 4] = random.choice(
                [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x00\x00\x00\x01"]
            )
        elif what == 4:
            out[at:at] = random.randbytes(random.randrange(1, 40))
        elif what == 5:
            del out[at : at + random.randrange(1, max(len(out) // 8, 2))]
        elif what == 6:
            size = random.randrange(1, 200)
            other = random.randrange(len(out))
            out[at : at + size] = out[other : other + size]
        else:
            out[at : at + 8] = struct.pack("<Q", random.choice([2**31, 2**40, 2**63, 10**9]))
    return bytes(out)


def as_json(random: random.Random, root: Any) -> bytes:
    """Return a document as bytes, bent once more now and then."""
    text = json.dumps(root).encode(random.choice(["utf-8"] * 8 + ["utf-8-sig", "utf-16"]))
    return bent_bytes(random, text, 3) if random.random() < 0.3 else text


@dataclass(frozen=True)
class Kind:
    """A kind of input.

    Attributes:
        share: of the inputs, before they are scaled to what is asked for.
        bend: writes an input, made of random numbers, into an empty folder.
        use: reads it as a command would.
    """

    share: int
    bend: Callable[[random.Random, Path], Any]
    use: Callable[[Any], object]


def read_masks(read: Any) -> None:
    """Decode every mask of a dataset."""
    for truth in getattr(read, "truths", ()):
        for mask in truth.masks:
            if mask is not None:
                masks.area(mask)


def attempts(calls: list[Callable[[], object]]) -> None:
    """Make every call; raise the last refusal if none was used, and any other error at once."""
    refused: list[OvvisError] = []
    for call in calls:
        try:
            call()
        except OvvisError as error:
            assert_line(error)
            refused.append(error)
    if len(refused) == len(calls):
        raise refused[-1]


def assert_line(error: Exception) -> None:
    """Hold that a refusal is one line of a readable length."""
    text = str(error)
    assert text and "\n" not in text and len(text) < 4000, f"no line: {text[:200]!r} of {len(text)} characters"
