"""MOTChallenge text (A. Milan et al., "MOT16", 2016): `frame, id, left, top, width, height, ...`; boxes, from 1.

Trackers' files end in `score, -1, -1, -1`, the truth's in `1, class, visibility`; both are written.
"""

from __future__ import annotations

from pathlib import Path

from ovvis import masks
from ovvis.outputs.chosen import Chosen
from ovvis.outputs.formats.sequence import write_sequence

MASKS = "masks written as their boxes alone: the format has none"


def write(chosen: Chosen, target: Path) -> None:
    """Write `VIDEO.txt` with scores, `VIDEO/gt/gt.txt` with classes, and `VIDEO/seqinfo.ini`."""
    folder = target / chosen.name
    (folder / "gt").mkdir(parents=True)
    numbers = {label: number for number, label in enumerate(chosen.result.labels, 1)}
    with (
        (target / f"{chosen.name}.txt").open("w", encoding="ascii") as found,
        (folder / "gt" / "gt.txt").open("w", encoding="ascii") as truth,
    ):
        for position, shown in chosen.each_frame():
            for track, mask in shown:
                left, top, width, height = masks.box(mask)
                head = f"{position + 1},{track.id},{left + 1:g},{top + 1:g},{width:g},{height:g}"
                found.write(f"{head},{track.score:.6g},-1,-1,-1\n")
                truth.write(f"{head},1,{numbers[track.label]},1\n")
    if chosen.written:
        chosen.notes[MASKS] = chosen.written
    write_sequence(chosen, folder, numbers)
