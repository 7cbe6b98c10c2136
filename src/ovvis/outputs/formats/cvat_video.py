"""CVAT for video 1.1 (https://docs.cvat.ai/docs/other/xml_format): a polygon track for each instance.

Every frame is a key frame, so that CVAT guesses none between; where an instance is not seen, the track is outside.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

from ovvis import masks
from ovvis.errors import InputError
from ovvis.outputs.chosen import NO_PIXEL, Chosen
from ovvis.outputs.formats.cvat import shape_mask
from ovvis.outputs.formats.cvat_xml import Xml, frame_count, number, parsed, writing
from ovvis.outputs.formats.yolo import outline
from ovvis.outputs.pictures import write_frames
from ovvis.outputs.read_back import REMEDY, Gathered, ReadVideo, frame_files
from ovvis.plain import visible
from ovvis.structures import Track

BETWEEN = "frames between those that were looked at, where CVAT draws on the polygons of the last one"
KEPT = "frames between key frames, where the polygon of the last one is taken"
OTHERS = "shapes that are no masks or polygons, left out"


def write(chosen: Chosen, target: Path) -> None:
    """Write `annotations.xml`, with frames by their number in the source, and the frames where they go in."""
    indices = chosen.result.frame_indices
    if skipped := (indices[-1] - indices[0] + 1 - len(indices) if indices else 0):
        chosen.notes[BETWEEN] = skipped
    labels = sorted({visible(track.label) for track in chosen.tracks})
    with writing(chosen, target / "annotations.xml", labels, "interpolation") as xml:
        for place, track in enumerate(chosen.each_track()):
            with xml.element("track", id=place, label=visible(track.label), source="auto"):
                _shapes(chosen, track, xml)
    write_frames(chosen, target / "images" / chosen.name)


def _shapes(chosen: Chosen, track: Track, xml: Xml) -> None:
    before: str | None = None  # the last outline; None where the track is outside already
    for position, mask in enumerate(track.masks):
        frame = chosen.result.frame_indices[position]
        seen = mask is not None and masks.area(mask) > 0
        if mask is not None and not seen:
            chosen.notes[NO_PIXEL] += 1
            chosen.written -= 1
        if mask is not None and seen:
            before = ";".join(f"{x},{y}" for x, y in outline(chosen, mask).tolist())
        elif before is None:
            continue
        points = before or ""
        fields = {"frame": frame, "keyframe": 1, "outside": int(not seen), "occluded": 0, "points": points}
        with xml.element("polygon", **fields, z_order=0):
            pass
        if not seen:
            before = None


def read(path: Path) -> list[ReadVideo]:
    """Read such a file; between key frames the last polygon or mask counts. Tracks count from 1."""
    file = path / "annotations.xml" if path.is_dir() else path
    root = parsed(file)
    size = root.find("meta//original_size")
    if size is None:
        raise InputError(f"{file} must state original_size, as CVAT for video does; for images use --from cvat")
    height, width = ((size.findtext(name) or "").strip() for name in ("height", "width"))
    if not (height.isdigit() and width.isdigit() and len(height + width) < 12):
        raise InputError(f"{file}: original_size must be whole numbers: {REMEDY}")
    tracks = list(root.iterfind("track"))
    frames = [number(file, shape, "frame") for track in tracks for shape in track]
    stated = (root.findtext("meta//size") or "").strip()
    last = max(frames, default=-1) + 1
    count = max(last, int(stated) if stated.isdigit() and len(stated) < 9 else 0)
    gathered = Gathered(file, (int(height), int(width)), frame_count(file, count))
    for id, track in enumerate(tracks, 1):
        _take(gathered, id, track)
    name = (root.findtext("meta//name") or file.stem).strip()
    return [gathered.video(name, frame_files(name, range(count)))]


def _take(gathered: Gathered, id: int, track: Element) -> None:
    path = gathered.path
    shapes = sorted(track, key=lambda shape: number(path, shape, "frame"))
    for i, shape in enumerate(shapes):
        if shape.tag not in ("polygon", "mask"):
            gathered.notes[OTHERS] += 1
            continue
        if shape.get("outside") == "1":
            continue
        frame = number(path, shape, "frame")
        mask = shape_mask(path, f"track {id}, frame {frame}", shape, gathered.size)
        end = number(path, shapes[i + 1], "frame") if i + 1 < len(shapes) else frame + 1
        for at in range(frame, end):
            gathered.add(f"track {id}, frame {at}", at, id, track.get("label", "object"), None, mask)
        gathered.notes[KEPT] += max(end - frame - 1, 0)
