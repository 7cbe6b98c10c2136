"""MOTS text (P. Voigtlaender et al., "MOTS", CVPR 2019): `frame id class height width code`, a line for each mask.

MOTSChallenge counts frames from 1, KITTI MOTS from 0. An id is class * 1000 + the instance's number; class 10 is what
evaluators leave out, and cars and pedestrians are their 1 and 2. Masks of a frame must share no pixel.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ovvis.masks import Rle
from ovvis.outputs.chosen import Chosen
from ovvis.outputs.formats.sequence import (
    find_files,
    read_labels,
    read_sequence,
    text_lines,
    whole_numbers,
    write_sequence,
)
from ovvis.outputs.layers import apart
from ovvis.outputs.read_back import Gathered, ReadVideo, frame_files

CLASSES = {"car": 1, "pedestrian": 2, "person": 2}
IGNORED = 10


def write_mots(chosen: Chosen, target: Path) -> None:
    """Write `VIDEO/gt/gt.txt`, with `seqinfo.ini` and `gt/labels.txt` beside it."""
    folder = target / chosen.name
    (folder / "gt").mkdir(parents=True)
    numbers = class_numbers(chosen.result.labels)
    _write(chosen, folder / "gt" / "gt.txt", numbers, first=1)
    write_sequence(chosen, folder, numbers)


def write_kitti_mots(chosen: Chosen, target: Path) -> None:
    """Write `instances_txt/VIDEO.txt` and a `seqmap.txt` for the evaluator, with labels and facts beside them."""
    folder = target / "instances_txt"
    folder.mkdir(parents=True)
    numbers = class_numbers(chosen.result.labels)
    _write(chosen, folder / f"{chosen.name}.txt", numbers, first=0)
    count = len(chosen.result.frame_indices)
    (target / "seqmap.txt").write_text(f"{chosen.name} empty {0:06d} {count:06d}\n", encoding="utf-8")
    write_sequence(chosen, target, numbers)


def class_numbers(labels: Iterable[str]) -> dict[str, int]:
    """Return the class number of each label.

    >>> class_numbers(["dog", "person", "cat"])
    {'dog': 3, 'person': 2, 'cat': 4}
    """
    out: dict[str, int] = {}
    free = (number for number in range(3, 10**9) if number != IGNORED)
    for label in labels:
        own = CLASSES.get(label.casefold())
        out[label] = own if own is not None and own not in out.values() else next(free)
    return out


def _write(chosen: Chosen, path: Path, numbers: dict[str, int], first: int) -> None:
    step = 1000
    while chosen.tracks and max(track.id for track in chosen.tracks) >= step:
        step *= 10
    if step > 1000:
        chosen.notes[f"instances whose id is class * {step} + their number: 1000 hold too few"] = len(chosen.tracks)
    with path.open("w", encoding="ascii") as file:
        for position, shown in chosen.each_frame():
            for track, mask in apart(chosen, shown):
                number, (height, width) = numbers[track.label], mask["size"]
                code = mask["counts"].decode("ascii")
                file.write(f"{position + first} {number * step + track.id} {number} {height} {width} {code}\n")


def read_mots(path: Path) -> list[ReadVideo]:
    """Read a `gt.txt`, or the folders that `write_mots` made."""
    return [
        _read(file, file.parent.parent, first=1) for file in find_files(path, ("*/gt/gt.txt", "gt/gt.txt", "gt.txt"))
    ]


def read_kitti_mots(path: Path) -> list[ReadVideo]:
    """Read a text file, or a folder of some."""
    return [_read(file, file.parent.parent, first=0) for file in find_files(path, ("instances_txt/*.txt", "*.txt"))]


def _read(path: Path, beside: Path, first: int) -> ReadVideo:
    rows: list[tuple[int, int, int, int, Rle]] = []
    size: list[int] = []
    for number, line in text_lines(path):
        parts = line.split()
        frame, id, kind, height, width = whole_numbers(path, number, parts, 6)[:5]
        size = size or [height, width]
        mask: Rle = {"size": [height, width], "counts": parts[5].encode("ascii", "replace")}
        rows.append((number, frame - first, id, kind, mask))
    facts, names = read_sequence(beside), read_labels(beside)
    if facts is None and not rows:
        return Gathered(path, (1, 1), 0).video(path.stem, [])
    name = facts.name if facts else path.stem
    count = facts.frames if facts else max(frame for _, frame, *_ in rows) + 1
    gathered = Gathered(path, facts.size if facts else (size[0], size[1]), count)
    by_number = {value: label for label, value in names.items()}
    for number, frame, id, kind, mask in rows:
        if kind == IGNORED:
            gathered.notes["regions to ignore, left out"] += 1
            continue
        label = by_number.get(kind) or {1: "car", 2: "pedestrian"}.get(kind, f"class {kind}")
        gathered.add(f"line {number}", frame, id, label, None, mask)
    indices = range(count) if facts is None or facts.indices is None else facts.indices
    fps = facts.fps if facts else 24.0
    return gathered.video(name, frame_files(name, indices), labels=names, indices=indices, fps=fps)
