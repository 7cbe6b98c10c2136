"""Every form that results can be taken away in: a row each, read without importing what writes it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, cast

from ovvis.errors import InputError, nearest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ovvis.outputs.chosen import Chosen
    from ovvis.outputs.read_back import ReadVideo


@dataclass(frozen=True, slots=True)
class Format:
    """One form of results on disk.

    Its module holds `write(chosen, target)` and, where `read` says so, `read(path)`; a module that serves several rows
    has `write_NAME`, with low lines for hyphens.
    """

    name: str
    summary: str  # one sentence: what it is for
    module: str  # below `ovvis.outputs.formats`
    suffix: str = ""  # of the file that it makes; empty: it makes a folder
    frames: Literal["no", "may", "must"] = "no"  # whether the video's frames can, or have to, go in
    extra: str | None = None  # the package that it needs besides this one
    several: bool = False  # whether it holds several labels of one instance
    everything: bool = False  # whether every track and label goes in unless said otherwise, as scorers want it
    reads: bool = False  # whether its module reads it back; what the datasets' readers read is not read twice
    unit: str = "frames"  # what its writer counts
    suffixes: tuple[str, ...] = ()  # others that its file may have

    @property
    def is_folder(self) -> bool:
        """Whether it makes a folder, not a file."""
        return not self.suffix

    @property
    def write(self) -> Callable[[Chosen, Path], None]:
        """What writes it: takes what was chosen, and the file to write or an empty folder to fill."""
        return cast("Callable[[Chosen, Path], None]", self._function("write"))

    @property
    def read(self) -> Callable[[Path], list[ReadVideo]] | None:
        """What reads it back; None where nothing does, or a dataset's reader."""
        return cast("Callable[[Path], list[ReadVideo]]", self._function("read")) if self.reads else None

    def _function(self, verb: str) -> Any:
        module = import_module(f"ovvis.outputs.formats.{self.module}")
        return getattr(module, f"{verb}_{self.name.replace('-', '_')}", None) or getattr(module, verb)


def _table(*formats: Format) -> dict[str, Format]:
    return {format.name: format for format in formats}


FORMATS = _table(
    Format("tracks", "this program's own tracks.json, with what was chosen", "tracks_json", ".json",
           several=True, everything=True, reads=True, unit="tracks"),
    Format("davis", "a palette PNG for each frame whose values are the instances, as DAVIS has it", "id_maps",
           frames="may"),
    Format("masks", "a black and white PNG for each instance and frame, a folder for each instance", "object_masks",
           frames="may", unit="tracks"),
    Format("coco", "COCO annotations, a frame an image, with track ids (CocoVID)", "coco", frames="may"),
    Format("coco-results", "a COCO results list, for scorers", "coco", ".json", several=True, everything=True),
    Format("youtube-vis", "YouTube-VIS annotations: a dataset to train on or to score against", "youtube_vis",
           frames="may", unit="tracks"),
    Format("youtube-vis-results", "a YouTube-VIS results list, for scorers and servers", "youtube_vis", ".json",
           several=True, everything=True, unit="tracks"),
    Format("mots", "MOTSChallenge text: a line for each instance and frame, with its mask", "mots", reads=True),
    Format("kitti-mots", "KITTI MOTS text: the same with frames from 0", "mots", reads=True),
    Format("mot", "MOTChallenge text: a line for each instance and frame, with its box", "mot"),
    Format("csv", "a table with a row for each instance and frame: box, area, score, mask", "csv_table", ".csv",
           several=True, reads=True),
    Format("yolo", "a YOLO segmentation dataset (Ultralytics): polygons, a text file for each frame", "yolo",
           frames="may", reads=True),
    Format("label-studio", "tasks for Label Studio: brush masks to correct", "label_studio", frames="may", reads=True),
    Format("cvat", "CVAT for images 1.1: masks to correct, with track ids", "cvat", frames="may", reads=True),
    Format("cvat-video", "CVAT for video 1.1: polygon tracks to correct", "cvat_video", frames="may", reads=True),
    Format("crops", "each instance cut out of each frame as a JPEG, background and all", "crops", frames="must"),
    Format("crops-transparent", "each instance cut out of each frame as a PNG, without background", "crops",
           frames="must"),
    Format("cutout", "one video of all chosen instances on nothing: WebM (VP9), or ProRes 4444 as .mov", "cutout",
           ".webm", frames="must", suffixes=(".mov",)),
    Format("cutouts", "a video on nothing for each instance (WebM, VP9)", "cutout", frames="must"),
    Format("fiftyone", "a FiftyOne dataset with frame labels", "fiftyone_dataset", frames="must", extra="fiftyone",
           several=True),
)  # fmt: skip


def find_format(name: str) -> Format:
    """Return a row by its name.

    Raises:
        InputError: there is none of that name.
    """
    if name not in FORMATS:
        raise InputError(f"format {name!r}: {nearest(name, FORMATS)}")
    return FORMATS[name]
