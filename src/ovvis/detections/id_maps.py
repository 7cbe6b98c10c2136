"""PNG id maps: an image a frame, whose values are the things; 0 is background. Nobody scores or names them."""

from __future__ import annotations

from pathlib import Path

from ovvis.datasets.mask_values import drop_void, read_objects
from ovvis.detections.sheet import UNSCORED, Sheet, Thing, Video, frames_of_names
from ovvis.errors import InputError
from ovvis.sources.listing import natural_key


def read_id_maps(path: Path, video: Video, first: int | None = None) -> Sheet:
    """Read a folder of such images; a value means a thing of its own in each.

    Args:
        path: the folder.
        video: what is known of the video.
        first: the number of the first frame; None finds out.

    Raises:
        InputError: there is none, one is no map of ids or of another size, or which frame it is of cannot be told.
    """
    files = sorted(path.rglob("*.png"), key=natural_key)
    files = [file for file in files if not file.name.startswith(".")]
    if len({file.parent for file in files}) != 1:
        what = "holds none" if not files else f"holds some in {len({f.parent for f in files})} folders"
        raise InputError(f"{path} must hold a PNG for each frame of one video, and {what}: give the folder of the PNGs")
    frames, guessed = frames_of_names([file.stem for file in files], video, first, path)
    sheet = Sheet(path, video.size)
    if guessed:
        sheet.notes[guessed] = len(files)

    def step(i: int, size: tuple[int, int]) -> None:
        if size != video.size:
            raise InputError(
                f"{files[i]} is {size[1]} x {size[0]} pixels where the video has {video.size[1]} x {video.size[0]}: "
                "give the video that the detector saw"
            )

    objects = read_objects(files, None, step)
    for said in (*objects.notes, *drop_void([(path.name, objects)], None)):
        sheet.notes[said] += 1
    for value, codes in objects.codes.items():
        for frame, file, code in zip(frames, files, codes, strict=True):
            if code is not None:
                sheet.notes[UNSCORED] += 1
                sheet.add(f"{file.name}, value {value}", frame, Thing(lambda code=code: code, 1.0))  # type: ignore[misc]
    return sheet
