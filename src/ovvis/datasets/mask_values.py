"""Which values of masks are objects, and which are soft edges, void, or regions without instances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from ovvis.datasets.mask_image import (
    LOSSY,
    Form,
    black_is_elsewhere,
    common_form,
    look,
    voc_palette,
)
from ovvis.datasets.mask_study import MOST_OBJECTS, Codes, Encoding, Found, edges_of, gather
from ovvis.errors import InputError

ENCODINGS: tuple[str, ...] = get_args(Encoding)

VOID, WIDE_VOID, MOTS_VOID = 255, 65535, 10000
CLASS = 1000  # Cityscapes and KITTI MOTS: class * 1000 + instance
SMALL = 40  # ids and classes below it are counted, not measured or shaded

MOST_SHADES = 60  # of smoothed edges, where they cover more than the objects
_SOFT = 3  # values that only lie along edges, from which on a mask counts as smoothed


@dataclass
class Objects:
    """The masks of each value over a sequence."""

    form: Form
    size: tuple[int, int]  # height, width
    codes: dict[int, Codes]
    notes: list[str] = field(default_factory=list)
    binary: bool = False  # one object that was split from its background, whatever its value


def read_objects(
    paths: Sequence[Path],
    encoding: Encoding | None,
    step: Callable[[int, tuple[int, int]], object],
) -> Objects:
    """Return the masks of every value but 0 of a sequence.

    A mask of one object with smoothed edges, or from a lossy file, is split in the middle, and that is noted.

    Args:
        paths: its mask images.
        encoding: what the values are, or None; "ids" takes each as it is.
        step: called with each mask's place and size, before it is used.

    Raises:
        InputError: a mask cannot be read; several objects have smoothed edges; the values are no ids.
    """
    form = Form.COLOUR if encoding in ("colours", "step") else common_form([look(path) for path in paths])
    found = gather(paths, form, step, encoding)
    if form is Form.INDEX and len(paths) and _background_elsewhere(paths, found):
        form = Form.COLOUR
        found = gather(paths, form, step, encoding)
    values = found.values
    if form is Form.COLOUR and encoding != "step":
        _check_colours(paths, found, encoding)
        known = voc_palette()
        if values and all(value in known for value in values):
            form, found.codes = Form.INDEX, {known[value]: codes for value, codes in found.codes.items()}
        return Objects(form, found.size, found.codes)
    notes: list[str] = []
    if form is Form.GREY and encoding != "ids":
        split = _middle(paths, found, notes)
        if split is not None:
            top = values[-1]
            soft = sum(found.area[value] for value in values if value != top)
            notes.append(f"soft edges: {soft:,} pixels between 0 and {top} are split at {split}")
            found = gather(paths, form, step, encoding, split)
            if found.dim > 0.05 * found.area[1]:
                raise _smoothed(paths, "of several shades", len(values))
            codes = {top: found.codes[1]} if 1 in found.codes else {}
            return Objects(form, found.size, codes, notes, binary=True)
    return Objects(form, found.size, found.codes, notes)


def drop_void(sequences: Sequence[tuple[str, Objects]], void: int | None) -> list[str]:
    """Take void out of all sequences, and return what to say of it.

    In masks of 8 bits 255 is void beside small ids, as in DAVIS, an instance alone or as the lightest of even shades;
    in wider ones 255 is an id and 65535 void.

    Args:
        sequences: names and objects, which are changed.
        void: the value, where it was given; 0 is none.

    Raises:
        InputError: 255 may be void or an instance.
    """
    if void is not None:
        for _, objects in sequences:
            objects.codes.pop(void, None)
        return []
    said = []
    for forms, value in (((Form.INDEX, Form.GREY), VOID), ((Form.WIDE,), WIDE_VOID)):
        held = [objects for _, objects in sequences if objects.form in forms and not objects.binary]
        ids = {id for objects in held for id in objects.codes}
        others = sorted(ids - {value})
        if value not in ids or not others:
            continue
        if value == VOID and _even_shades([*others, VOID]):
            continue
        if value == VOID and others[-1] >= SMALL and others[-1] > 2 * len(others):
            shown = ", ".join(map(str, others[:5]))
            raise InputError(
                f"the masks hold {shown} and 255, which may be void or an instance: say --void 255, or --void 0 "
                "for none"
            )
        count = sum(code is not None for objects in held for code in objects.codes.pop(value, ()))
        said.append(f"{value} is taken for void in {count} masks; --void 0 makes it an instance")
    return said


def split_classes(
    sequences: Sequence[tuple[str, Objects]], encoding: Encoding | None
) -> tuple[Callable[[int], int | None], list[str]]:
    """Take regions without instances out of masks whose values hold a class, and return what to say.

    Args:
        sequences: names and objects, which are changed.
        encoding: what the values are; None finds out.

    Returns:
        The class of a value, None where values hold none; and lines.

    Raises:
        InputError: the values may be ids, or a class and an id.
    """
    if encoding == "step":
        return _take_stuff(sequences, lambda v: v & 65535 == 0 or v >> 16 == VOID, lambda v: v >> 16)
    wide = [objects for _, objects in sequences if objects.form is Form.WIDE]
    ids = {id for objects in wide for id in objects.codes}
    coded = [id for id in ids if id >= CLASS]
    if encoding == "class-id":
        return _take_stuff(sequences, lambda v: v < CLASS or v == MOTS_VOID, lambda v: v // CLASS)
    like = all(id // CLASS <= 60 and id % CLASS < 500 for id in coded)
    if encoding == "ids" or not coded or not like or max(ids) <= 4 * len(ids):
        return _no_class, []
    if any(id < CLASS for id in ids):
        small = ", ".join(str(id) for id in sorted(ids) if id < CLASS)[:40]
        raise InputError(
            f"the masks hold {min(coded)} and others of class * 1000 + instance, and {small}, which may be regions "
            "without instances or ids: say --encoding class-id, or --encoding ids"
        )
    kind, said = _take_stuff(sequences, lambda v: v == MOTS_VOID, lambda v: v // CLASS)
    return kind, ["values are read as class * 1000 + instance; --encoding ids makes them plain ids", *said]


def _middle(paths: Sequence[Path], found: Found, notes: list[str]) -> int | None:
    """Return the value from which on a pixel is the object's, where edges are soft; None where they are not.

    Raises:
        InputError: there are several objects, whose edges say nothing.
    """
    values, edges = found.values, edges_of(found)
    lossy = any(path.suffix.lower() in LOSSY for path in paths)
    if not values or (len(edges) < _SOFT and not (lossy and len(values) > 1)):
        if edges:
            shown = " and ".join(map(str, edges))
            notes.append(f"{shown} only lies in thin lines between other values: was the mask smoothed or resized?")
        return None
    top = values[-1]
    core = [value for value in values if value not in edges]
    shades = [value for value in values if 0.1 * top < value < 0.9 * top]
    shaded = sum(found.area[v] for v in shades)
    whole = sum(found.area[v] for v in values if v >= 0.9 * top or v in core)
    soft = [value for value in shades if value in edges]
    if top >= SMALL and len(soft) > MOST_SHADES and sum(found.area[v] for v in soft) > 3 * whole:
        raise InputError(
            f"{paths[0]} and the masks beside it hold {len(soft)} shades of grey, and more of them than of white: they "
            "are pictures or measurements, such as depths; give masks of ids"
        )
    one = sum(found.flat[v] for v in shades) <= 0.2 * shaded
    # What JPEG leaves of black and white is nearly black and nearly white.
    if all(value <= 0.1 * top or value >= 0.9 * top for value in core) and one and top >= 100:
        return (top + 1) // 2
    if core in ([], [top]) and one and top >= SMALL:
        return (top + 1) // 2
    raise _smoothed(paths, ", ".join(map(str, core[:5])) or "of several shades", len(edges))


def _smoothed(paths: Sequence[Path], objects: str, edges: int) -> InputError:
    lossy = any(path.suffix.lower() in LOSSY for path in paths)
    why = "they are JPEGs" if lossy else f"{edges} values only lie along edges"
    return InputError(
        f"{paths[0]} and the masks beside it: objects {objects} are smoothed ({why}), so that edges hold the ids of "
        "others: make the masks again as PNG, resized without interpolation (nearest)"
    )


def _check_colours(paths: Sequence[Path], found: Found, encoding: Encoding | None) -> None:
    """Refuse colours that are no objects.

    Raises:
        InputError: edges are soft, no pixel is black, or the channels hold numbers.
    """
    edges = edges_of(found)
    lossy = any(path.suffix.lower() in LOSSY for path in paths)
    if lossy or len(edges) >= _SOFT or len(found.values) > MOST_OBJECTS:
        why = (
            "a JPEG" if lossy else f"{max(len(edges), len(found.values)):,} colours, many of which only lie along edges"
        )
        raise InputError(
            f"{paths[0]} and the masks beside it {why}, so that a colour is not an object: make the masks again as "
            "PNG, with a colour for each object and without smoothing"
        )
    if found.values and not found.black:
        raise InputError(
            f"{paths[0]} and the masks beside it hold colours and no black, which is the background: paint it black"
        )
    numbered = [value for value in found.values if 1 <= value >> 16 <= SMALL and value & 65535 < 256]
    if encoding is None and numbered and not all(value in voc_palette() for value in found.values):
        raise InputError(
            f"{paths[0]} holds colours that are almost black, such as ({rgb(numbered[0])}): are they numbers (KITTI "
            "STEP: class in red, instance in green and blue)? Say --encoding step, or --encoding colours"
        )


def _background_elsewhere(paths: Sequence[Path], found: Found) -> bool:
    palettes = [shown.palette for shown in map(look, paths) if shown.palette]
    values = [0, *found.values] if found.black else found.values
    return bool(palettes) and black_is_elsewhere(max(palettes, key=len), values)


def _even_shades(values: Sequence[int]) -> bool:
    """Return whether values are white and shades that part grey evenly, as programs paint several objects."""
    n = len(values)
    return all(abs(value - k * VOID / n) <= 2 for k, value in enumerate(values, 1))


def _take_stuff(
    sequences: Sequence[tuple[str, Objects]], is_stuff: Callable[[int], bool], kind: Callable[[int], int]
) -> tuple[Callable[[int], int], list[str]]:
    taken: set[int] = set()
    count = 0
    for _, objects in sequences:
        for value in [value for value in objects.codes if is_stuff(value)]:
            taken.add(value)
            count += sum(code is not None for code in objects.codes.pop(value))
    noun = "region" if len(taken) == 1 else "regions"
    return kind, [f"{len(taken)} {noun} without instances or void, in {count} masks, left out"] if taken else []


def _no_class(value: int) -> None:
    """Return that a value holds no class."""


def rgb(value: int) -> str:
    """Return a packed colour as people write it."""
    return f"{value >> 16},{value >> 8 & 255},{value & 255}"
