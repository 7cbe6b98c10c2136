"""What a comparison leaves in a folder: a painted video, pictures of its moments, the viewer, tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ovvis.comparing.compare import Comparison
from ovvis.comparing.measure import BY
from ovvis.comparing.page import write_page
from ovvis.comparing.panels import BACKGROUND, MARK, Layout, Panels, Pixels, curve
from ovvis.comparing.said import KINDS
from ovvis.comparing.sheet import make_sheet
from ovvis.comparing.sources import Pictures, pictures_of
from ovvis.files.output import OutputFolder
from ovvis.outputs.render import VideoWriter, is_variable
from ovvis.outputs.style import Style, find_style
from ovvis.plain import cell
from ovvis.version import __version__

VIDEO, SHEET, PAGE = "compare.mp4", "moments.png", "viewer.html"
MOMENTS, FRAMES, FACTS = "moments.csv", "frames.csv", "compare.json"
WRITTEN = (VIDEO, SHEET, PAGE, "viewer.mp4", MOMENTS, FRAMES, FACTS)
"""Every file that may be written."""

WIDEST = 1920  # pixels of the video
STRIP = 30  # pixels of the curve below it

Step = Callable[[int, int, str], None]
"""Called with what is done, how much there is, and what is being done."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    path: Path  # the folder
    files: tuple[str, ...]
    says: tuple[str, ...]  # what a person should know


def write(
    comparison: Comparison,
    folder: str | PathLike[str],
    *,
    source: str | PathLike[str] | None = None,
    style: Style | str | None = None,
    video: bool = True,
    page: bool = True,
    overwrite: bool = False,
    another: bool = False,
    on_step: Step | None = None,
) -> Written:
    """Write a comparison: the painted video, the moments' pictures, the viewer's page, tables.

    `compare.mp4`, `moments.png`, `viewer.html`, `moments.csv`, `frames.csv` (every frame's numbers), `compare.json`.

    Args:
        comparison: what to write.
        folder: the folder.
        source: the video; None: where the results, or the dataset, say that it lies. If it is not there, masks are
            shown on grey.
        style: how instances are painted: "masks" (None too), "outlines", "fills", "boxes", or a `Style`.
        video: whether the video is written.
        page: whether the viewer is.
        overwrite: whether older files of these names may be replaced.
        another: take the next free folder of that name instead of refusing.
        on_step: told how far the work is.

    Raises:
        InputError: the source is not the results', or the folder holds such files already.
    """
    look = find_style(style)
    pictures = pictures_of(comparison.aligned, source)
    output = OutputFolder(Path(folder), WRITTEN, overwrite=overwrite, another=another)
    with output:
        panels = Panels(comparison, look)
        kept = _each_frame(comparison, panels, pictures, output.file(VIDEO) if video else None, on_step)
        if kept:
            sheet = make_sheet(comparison, Panels(comparison, look, boxes=True), kept)
            sheet.save(output.file(SHEET), format="PNG")
        write_tables(comparison, output)
    files = [name for name in (VIDEO if video else "", SHEET if kept else "", MOMENTS, FRAMES, FACTS) if name]
    says = list(pictures.says)
    if page:
        written = write_page(comparison, output.path / PAGE, pictures, on_step)
        files.append(PAGE)
        says += written.says
    return Written(output.path, tuple(files), tuple(says))


def _each_frame(
    comparison: Comparison, panels: Panels, pictures: Pictures, video: Path | None, on_step: Step | None
) -> dict[int, Pixels | None]:
    """Write the video and return the frames of the moments."""
    wanted = {moment.position for moment in comparison.moments}
    kept: dict[int, Pixels | None] = {}
    count = len(comparison.values)
    if video is None:
        for position, image in pictures.each(wanted):
            kept[position] = image
        return kept
    layout = Layout.of(len(comparison.sides), panels.shape, WIDEST)
    times, fps = comparison.times, _rate(comparison)
    timed = is_variable(times, fps)
    strip = curve(comparison.values.tolist(), (layout.size[0], STRIP), sorted(wanted))
    size = layout.size[1] + STRIP, layout.size[0]
    with VideoWriter(video, fps, size) as writer:
        for position, image in pictures.each():
            if position in wanted:
                kept[position] = image
            whole = Image.new("RGB", size[::-1], BACKGROUND)
            whole.paste(panels.picture(position, image, layout), (0, 0))
            at = round((position + 0.5) * size[1] / count)
            whole.paste(strip, (0, layout.size[1]))
            whole.paste(MARK, (max(at - 1, 0), layout.size[1], at + 1, size[0]))
            writer.write(np.asarray(whole), times[position] - times[0] if timed else None)
            if on_step is not None:
                on_step(position + 1, count, "painting")
    return kept


def _rate(comparison: Comparison) -> float:
    """Return frames a second of the compared frames: every second one plays at half the rate."""
    first = comparison.aligned.first.result
    steps = [b - a for a, b in zip(comparison.aligned.indices, comparison.aligned.indices[1:], strict=False)]
    own = [b - a for a, b in zip(first.frame_indices, first.frame_indices[1:], strict=False)]
    if not steps or not own:
        return first.fps
    return first.fps * sorted(own)[len(own) // 2] / sorted(steps)[len(steps) // 2]


def write_tables(comparison: Comparison, output: OutputFolder) -> None:
    """Write the moments with what differs, every frame's numbers, and all of it as JSON."""
    with output.file(MOMENTS).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["frame", "time", "difference", "what", "in words"])
        for moment in comparison.moments:
            for said in moment.said:
                row = [moment.frame, round(moment.time, 4), round(moment.value, 4), KINDS[said.kind], said.text]
                rows.writerow(map(cell, row))
    with output.file(FRAMES).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["frame", "time", "difference", "first", "second", *BY, "objects"])
        for position, (frame, time) in enumerate(zip(comparison.aligned.indices, comparison.times, strict=True)):
            for first, second, found in _pairs(comparison, position):
                numbers = [round(found.by(what), 6) for what in BY]
                value = round(float(comparison.values[position]), 6)
                rows.writerow(map(cell, [frame, round(time, 4), value, first, second, *numbers, found.objects]))
    output.file(FACTS).write_text(json.dumps(facts(comparison), indent=1) + "\n", encoding="utf-8")


def _pairs(comparison: Comparison, position: int) -> Iterator[tuple[str, str, Any]]:
    for pair in comparison.pairs:
        names = comparison.sides[pair.first].name, comparison.sides[pair.second].name
        yield *names, pair.differences.frames[position]


def facts(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison in numbers and words, as JSON knows them."""
    names = [side.name for side in comparison.sides]
    return {
        "format": "ovvis-comparison",
        "version": 1,
        "ovvis": __version__,
        "sides": [{"name": s.name, "truth": s.is_truth, "tracks": len(s.tracks)} for s in comparison.sides],
        "by": comparison.by,
        "min_score": comparison.min_score,
        "frames": list(comparison.aligned.indices),
        "difference": [round(float(value), 6) for value in comparison.values],
        "pairs": [
            {
                "first": names[pair.first],
                "second": names[pair.second],
                "mean": {what: round(comparison.mean(pair, what), 6) for what in BY},
            }
            for pair in comparison.pairs
        ],
        "moments": [
            {
                "frame": moment.frame,
                "time": moment.time,
                "difference": round(moment.value, 6),
                "what": [{"kind": KINDS[said.kind], "text": said.text} for said in moment.said],
            }
            for moment in comparison.moments
        ],
        "notes": list(comparison.notes),
    }
