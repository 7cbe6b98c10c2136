"""One video of a dataset with what a model found in it, as the result that a person looks at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from ovvis.datasets.annotations import Annotations, Video
from ovvis.errors import InputError
from ovvis.evaluation.records import ResultTrack
from ovvis.masks import Rle
from ovvis.predictions.result_files import ResultFiles
from ovvis.predictions.track_files import chosen_video
from ovvis.sources.frames import read_image
from ovvis.sources.source import DEFAULT_FPS
from ovvis.structures import Frame, Track, VideoResult


def result_of_video(dataset: Annotations, results: str | Path, given: str | None) -> tuple[VideoResult, Video]:
    """Return what a model found in one video, from result files of a dataset.

    Results with the same masks are one tube under several labels. A dataset's frames have no times: they are shown
    at 24 a second, and the result's notes say so.

    Args:
        dataset: whose results they are.
        results: what `find_results` takes.
        given: the video's name or id; None where the dataset has one alone.

    Raises:
        InputError: there is no such video, or a result is not as it must be.
    """
    if given is None and len(dataset.videos) != 1:
        names = ", ".join(video.name for video in dataset.videos[:5])
        raise InputError(
            f"{dataset.name} has {len(dataset.videos):,} videos: say with --video which, by its name or id"
            f" ({names}, ...)"
        )
    video = dataset.videos[0] if given is None else chosen_video(dataset, given)
    found = [track for tracks in ResultFiles(results, dataset).some({video.id}) for track in tracks]
    labels = tuple(category.name for category in dataset.categories)
    place = {category.id: i for i, category in enumerate(dataset.categories)}
    notes = [f"The dataset's frames have no times: they are shown at {DEFAULT_FPS:g} a second."]
    beyond = sum(not 0 <= track.score <= 1 for track in found)
    if beyond:
        notes.append(f"{beyond} of {len(found)} scores lie outside 0 to 1.")
    count = len(video.files)
    result = VideoResult(
        tracks=list(_tracks(found, labels, place)),
        source=video.name,
        height=video.height,
        width=video.width,
        fps=DEFAULT_FPS,
        frame_indices=list(range(count)),
        frame_times=[i / DEFAULT_FPS for i in range(count)],
        labels=labels,
        notes=notes,
    )
    return result, video


def _tracks(found: Iterable[ResultTrack], labels: tuple[str, ...], place: dict[int, int]) -> Iterator[Track]:
    tubes: dict[tuple[bytes, ...], int] = {}
    held: dict[int, list[Rle | None]] = {}
    named = []
    for track in sorted(found, key=lambda track: -track.score):
        codes = [track.masks[i] for i in range(len(track.masks))]
        key = tuple(b"" if code is None else code["counts"] for code in codes)
        id = tubes.setdefault(key, len(tubes) + 1)
        held.setdefault(id, codes)
        named.append((id, place[track.category_id], track.score))
    for id, index, score in named:
        names = tuple((labels[i], value) for other, i, value in named if other == id)
        yield Track(id, labels[index], index, score, names, held[id])


def frames_of_video(dataset: Annotations, video: Video) -> Iterator[Frame] | None:
    """Return the frames of a dataset's video as they are read; None if not all of them are here."""
    paths = dataset.paths(video)
    if not all(Path(path).is_file() for path in paths):
        return None
    return (Frame(read_image(path), i, i / DEFAULT_FPS) for i, path in enumerate(paths))
