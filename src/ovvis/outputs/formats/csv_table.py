"""A table for spreadsheets and pandas: a row for each instance, label and frame, with its mask in the last column."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from pathlib import Path

from ovvis import masks
from ovvis.errors import InputError
from ovvis.masks import Rle
from ovvis.outputs.chosen import Chosen
from ovvis.outputs.formats.sequence import LINE
from ovvis.outputs.read_back import REMEDY, Gathered, ReadVideo, frame_files
from ovvis.plain import cell, visible

COLUMNS = ("frame", "time", "id", "label", "score", "x", "y", "width", "height", "area", "mask")
SHAPES = "further labels of an instance in a frame, left out: a track has one"


def write(chosen: Chosen, target: Path) -> None:
    """Write the table: frames by their number in the source, seconds, pixels.

    The mask is `HEIGHTxWIDTH:CODE`, COCO's compressed run-length code. A label that a spreadsheet would compute has an
    apostrophe before it.
    """
    height, width = chosen.size
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for position, shown in chosen.each_frame():
            index, time = chosen.result.frame_indices[position], chosen.result.frame_times[position]
            for track, mask in shown:
                box = [f"{value:g}" for value in masks.box(mask)]
                code = f"{height}x{width}:{mask['counts'].decode('ascii')}"
                label = cell(visible(track.label))
                row = (index, f"{time:.6f}", track.id, label, f"{track.score:.6g}", *box, masks.area(mask), code)
                writer.writerow(row)


def read(path: Path) -> list[ReadVideo]:
    """Read such a table; frames that no row names are not known to it, and are none of the video's."""
    rows = list(_rows(path))
    indices = sorted({row[1] for row in rows})
    places = {index: position for position, index in enumerate(indices)}
    times = {row[1]: row[2] for row in rows}
    size = tuple(rows[0][6]["size"]) if rows else (1, 1)
    gathered = Gathered(path, (size[0], size[1]), len(indices))
    gathered.notes["frames: those with a row; a table says nothing of others"] = len(indices)
    seen: set[tuple[int, int]] = set()
    for number, index, _, id, label, score, mask in sorted(rows, key=lambda row: -1 if row[5] is None else -row[5]):
        if (index, id) in seen:
            gathered.notes[SHAPES] += 1
            continue
        seen.add((index, id))
        gathered.add(f"line {number}", places[index], id, label, score, mask)
    files = frame_files(path.stem, indices)
    return [gathered.video(path.stem, files, indices=indices, times=[times[index] for index in indices])]


def _rows(path: Path) -> Iterator[tuple[int, int, float, int, str, float | None, Rle]]:
    """Yield of each row: line, frame, time, id, label, score, mask."""
    limit = csv.field_size_limit(LINE)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = {"frame", "id", "label", "mask"} - set(reader.fieldnames or ())
            if missing:
                raise InputError(
                    f"{path} must have columns {', '.join(COLUMNS)}; it lacks {', '.join(sorted(missing))}"
                )
            for row in reader:
                yield _row(path, reader.line_num, row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} must be a CSV table in UTF-8, and is not ({error}): {REMEDY}") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}): check the path") from error
    finally:
        csv.field_size_limit(limit)


def _row(path: Path, line: int, row: dict[str, str | None]) -> tuple[int, int, float, int, str, float | None, Rle]:
    try:
        time, score = (float(row.get(name) or 0) for name in ("time", "score"))
        frame, id = (int(row[name] or "") for name in ("frame", "id"))
        code = re.fullmatch(r"(\d{1,6})x(\d{1,6}):([0-o]*)", row["mask"] or "")
        if code is None or not (math.isfinite(time) and math.isfinite(score) and abs(frame) < 2**31):
            raise ValueError("the mask, or a number, is none")
    except ValueError as error:
        raise InputError(f"{path}: line {line} is no row of this table ({error}): {REMEDY}") from error
    label = (row["label"] or "").removeprefix("'")
    mask: Rle = {"size": [int(code[1]), int(code[2])], "counts": code[3].encode("ascii")}
    return line, frame, time, id, label, score if row.get("score") else None, mask
