"""What is measured: rows, and how lists of sizes, words, lengths and precisions become them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Annotated, Any, Literal

import msgspec

from ovvis.errors import InputError, nearest
from ovvis.models.export.names import exported_path, is_exported
from ovvis.models.zoo import find_model

Task = Literal["video", "network", "text", "yardstick"]

AXES = ("size", "words", "frames", "precision", "device")
"""What a row may differ in, the model aside; each is a list of which the first value is the base."""
STEPS: dict[str, tuple[Any, ...]] = {
    "size": ((240, 427), (480, 853), (720, 1280)),
    "words": (80, 1196, 10_000, 100_000),
    "frames": (20, 100, 400),
    "precision": ("float32", "auto"),
}
"""What an axis is swept over where its values are not given."""
SIDES = (32, 8192)  # pixels of a frame's edge
MOST = 1_000_000  # words, frames


Edge = Annotated[int, msgspec.Meta(ge=0, le=SIDES[1])]
Count = Annotated[int, msgspec.Meta(ge=0, le=MOST)]


class Row(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that is measured, in a process of its own; two runs with equal rows can be compared."""

    model: str  # of the zoo, or a file of `ovvis models export`
    task: Task = "video"  # a whole video; its windows through the network alone; texts alone; work that is none of ours
    height: Edge = 0  # pixels of the frames
    width: Edge = 0
    words: Count = 1196  # labels, a synonym each
    frames: Count = 20  # of a video
    device: str = "cpu"
    precision: str = "float32"
    batch: Count = 0  # windows that go through the network together; 0: the model's own number
    short_edge: Edge = 0  # pixels of a frame's short edge in the network; 0: the frame's own
    tracker: str = ""  # of `settings.TRACKERS`; empty: the model's own
    weights: str = "untrained"  # or "own": those in the package, or published
    accelerate: str = ""  # of `accelerations.ACCELERATIONS`, with commas between
    way: str = "ovvis"  # another way through the same network, which a program in benchmarks/ knows

    @property
    def size(self) -> str:
        """Height and width as people write them."""
        return f"{self.height}x{self.width}"


YARDSTICK = Row(model="", task="yardstick", words=0, frames=0)
"""Work that is none of ours, done in turn with the rows: what changed in it, the machine did."""


def parse_sizes(text: str) -> tuple[tuple[int, int], ...]:
    """Return heights and widths of "480x853,720x1280".

    Raises:
        InputError: one is no such pair, or out of range.
    """
    return tuple(dict.fromkeys(parse_size(word) for word in _words(text, "size")))


def parse_size(text: str) -> tuple[int, int]:
    """Return height and width of "480x853".

    Raises:
        InputError: it is no such pair, or out of range.
    """
    height, _, width = text.strip().lower().partition("x")
    if not (height.isascii() and height.isdigit() and width.isascii() and width.isdigit()):
        raise InputError(f"--size {text!r}: it must be HEIGHTxWIDTH in pixels, such as 480x864")
    pair = int(height), int(width)
    if min(pair) < SIDES[0] or max(pair) > SIDES[1]:
        raise InputError(f"--size {text!r}: each edge must be {SIDES[0]} to {SIDES[1]} pixels")
    return pair


def parse_counts(text: str, option: str, least: int, most: int) -> tuple[int, ...]:
    """Return the numbers of "80,1196,10_000".

    Raises:
        InputError: one is no whole number, or out of range.
    """
    counts = []
    for word in _words(text, option):
        digits = word.replace("_", "")
        if not (digits.isascii() and digits.isdigit()) or not least <= int(digits) <= most:
            raise InputError(f"--{option} {word!r}: it must be a whole number from {least:,} to {most:,}")
        counts.append(int(digits))
    return tuple(dict.fromkeys(counts))


def parse_names(text: str, option: str, choices: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the names of "float32,auto".

    Raises:
        InputError: one is none of the choices, where there are any.
    """
    names = tuple(dict.fromkeys(_words(text, option)))
    for name in names:
        if choices and name not in choices:
            raise InputError(f"--{option} {name!r}: {nearest(name, choices)}")
    return names


def own_size(model: str) -> tuple[int, int]:
    """Return height and width of a frame of 16:9 with the short edge that a model was made for."""
    return _wide(find_model(model).config.short_edge)


def _wide(edge: int) -> tuple[int, int]:
    return edge, round(edge * 16 / 9)


def _own(model: str) -> dict[str, tuple[Any, ...]]:
    """Return what a model takes where nothing else is asked for, and what a file takes whatever is asked for."""
    if not is_exported(model):
        return {"size": (own_size(model),)}
    from ovvis.models.export.header import read_header

    header = read_header(exported_path(model))[1]
    size = (header.height, header.width) if header.height else _wide(header.config["short_edge"])
    return {"size": (size,), "precision": (header.precision,)}


def grid(models: Sequence[str], axes: Mapping[str, Sequence[Any]], combine: bool, **shared: Any) -> list[Row]:
    """Return the rows: of each model its base, and from there each axis by itself, or all combinations.

    Args:
        models: names of the zoo, or files of `ovvis models export`, which have the precision of their export.
        axes: values of each of `AXES`, the base first; no size: the model's own.
        combine: whether every combination is a row.
        shared: fields of all rows.
    """
    rows: list[Row] = []
    for model in models:
        values = {axis: tuple(axes.get(axis) or ()) for axis in AXES}
        own = _own(model)
        values["size"] = values["size"] or own["size"]
        values["precision"] = own.get("precision", values["precision"])
        if combine:
            points = [dict(zip(AXES, point, strict=True)) for point in product(*(values[axis] for axis in AXES))]
        else:
            base = {axis: values[axis][0] for axis in AXES}
            points = [base, *(base | {axis: value} for axis in AXES for value in values[axis][1:])]
        weighted = is_exported(model) or find_model(model).packaged
        for point in points:
            (height, width), rest = point.pop("size"), {"weights": "own"} if weighted else {}
            rows.append(Row(model=model, height=height, width=width, **{**point, **rest, **shared}))
    return list(dict.fromkeys(rows))


def _words(text: str, option: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise InputError(f"--{option} {text!r}: give values with commas between")
    return words
