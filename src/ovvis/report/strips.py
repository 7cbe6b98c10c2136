"""A few frames of a video with what was found and what is true, as the report's page takes them."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovvis import masks
from ovvis.datasets.annotations import Annotations, Video
from ovvis.errors import InputError
from ovvis.evaluation.error_types import KINDS, MISSED
from ovvis.evaluation.explanation import Explanation
from ovvis.evaluation.records import Masks, ResultTrack, TruthTrack
from ovvis.evaluation.temporal_iou import volume
from ovvis.evaluation.track_overlap import track_overlaps
from ovvis.outputs.painting import colour
from ovvis.sources.frames import read_image
from ovvis.viewer.timeline import timeline_of

FRAMES = 4  # in a strip
LEAST_SHOWN = 3  # found tracks, where there are fewer truths
WIDTH = 480  # pixels of a frame that is shown, at most
QUALITY = 82  # of its JPEG
ALIKE = 0.75  # share of a track's largest overlap from which on another is almost alike
PLAIN = 150  # grey of a frame that is not there


@dataclass(frozen=True, slots=True)
class Shown:
    """One track that is shown."""

    id: int  # of a truth that of its annotation; of what was found its rank among those shown
    colour: str  # as CSS writes it
    name: str
    kind: str  # of error at an overlap of 0.5; "" for none
    codes: tuple[str, ...] = field(repr=False)  # its mask in each frame shown, at their size; "" where it is not seen
    timeline: dict[str, Any] = field(repr=False)  # of all frames, as the viewer's rows draw it
    score: float | None = None  # of what was found
    passed: bool = False  # neither right nor wrong: on a crowd, or beyond the results that count


@dataclass(frozen=True, slots=True)
class Strip:
    """A video as its report shows it."""

    name: str
    folder: str  # of its first frame, where the name does not tell
    loss: float  # AP that it takes
    size: tuple[int, int]  # height and width of a frame as it is shown, pixels
    length: int  # frames of the video
    frames: tuple[int, ...]  # numbers of the frames shown, from 0
    images: tuple[str, ...] = field(repr=False)  # these frames, as data URIs
    found: tuple[Shown, ...]
    true: tuple[Shown, ...]
    hidden: int  # results that are not shown
    wrong: tuple[tuple[str, int], ...]  # how many results have an error of each kind at an overlap of 0.5
    plain: bool  # whether frames are missing, and their masks shown on grey


def make_strip(
    explanation: Explanation, annotations: Annotations, video: Video, loss: float, results: Sequence[ResultTrack]
) -> Strip:
    """Return what is shown of a video.

    Of results with the same masks only the best-scored is shown, and of these the best-scored: as many as there are
    truths, `LEAST_SHOWN` at least. A track has the colour of the truth that it overlaps most.

    Args:
        explanation: made from the truths of `annotations`, in their order.
        annotations: the data set.
        video: one of its videos.
        loss: what AP loses to it.
        results: the video's results, in the order in which the explanation has them.
    """
    truths = annotations.truths_of(video)
    numbers = np.flatnonzero(explanation.truths.video == video.id).tolist()
    entries = np.flatnonzero(explanation.results.video == video.id).tolist()
    shown = _best_tubes(explanation, entries, max(len(truths), LEAST_SHOWN))
    tracks = [results[entries.index(n)] for n in shown]
    colours = _colours(tracks, truths)
    frames = _frames([truth.masks for truth in truths] or [track.masks for track in tracks], len(video.files))
    kinds = _kinds(explanation, entries)
    names = {category.id: category.name for category in annotations.categories}
    paths, images, plain, size = annotations.paths(video), list[str](), False, _size(video)
    for frame in frames:
        try:
            image = read_image(paths[frame])
        except InputError:
            image, plain = np.full((video.height, video.width, 3), PLAIN, dtype=np.uint8), True
        images.append(_image(image, size))
    found = [
        Shown(
            id=rank,
            colour=colour(c),
            name=names[t.category_id],
            kind=kinds.get(n, ""),
            codes=_codes(t.masks, frames, size),
            timeline=timeline_of(_whole(t.masks, video)),
            score=t.score,
            passed=n not in kinds and not explanation.right[0, n],
        )
        for rank, (t, n, c) in enumerate(zip(tracks, shown, colours, strict=True), 1)
    ]
    true = [
        Shown(
            id=truth.id,
            colour=colour(i),
            name=names[truth.category_id],
            kind=_fate(explanation, g),
            codes=_codes(truth.masks, frames, size),
            timeline=timeline_of(_whole(truth.masks, video)),
            passed=bool(explanation.truths.ignored[g]),
        )
        for i, (truth, g) in enumerate(zip(truths, numbers, strict=True))
    ]
    return Strip(
        name=video.name,
        folder=_folder(video),
        loss=loss,
        size=size,
        length=len(video.files),
        frames=tuple(frames),
        images=tuple(images),
        found=tuple(found),
        true=tuple(true),
        hidden=len(entries) - len(shown),
        wrong=tuple(Counter(kinds.values()).most_common()),
        plain=plain,
    )


def _folder(video: Video) -> str:
    folder = PurePath(video.files[0]).parent.as_posix() if video.files else ""
    return "" if folder in (".", video.name) else folder


def _best_tubes(explanation: Explanation, entries: Iterable[int], count: int) -> list[int]:
    """Return the entries of the best-scored results, each tube under its best name."""
    best: dict[int, int] = {}
    score = explanation.results.score
    for n in sorted(entries, key=lambda n: (-score[n], n)):
        best.setdefault(int(explanation.results.tube[n]), n)
    return list(best.values())[:count]


def _colours(tracks: Sequence[ResultTrack], truths: Sequence[TruthTrack]) -> list[int]:
    """Return a number for each track: that of its truth, or one that no truth has.

    Its truth is the near one that it overlaps most, one of its name before others. Of truths that it overlaps almost
    alike it has one that no track before it has, so that swapped tracks differ.
    """
    if not tracks or not truths:
        return [len(truths) + i for i in range(len(tracks))]
    found = track_overlaps([volume(track.masks) for track in tracks], [volume(truth.masks) for truth in truths])
    names, index = np.array([truth.category_id for truth in truths]), np.arange(len(truths))
    colours: list[int] = []
    for i, track in enumerate(tracks):
        near, overlap = found.near[i], found.overlap[i]
        named = near & (names == track.category_id)
        free = (overlap >= ALIKE * overlap[near].max(initial=0)) & ~np.isin(index, colours)
        best = int(np.lexsort((-index, overlap, free, named, near))[-1])
        colours.append(best if near[best] else len(truths) + i)
    return colours


def _frames(tracks: Sequence[Masks], length: int) -> list[int]:
    """Return a few frames, evenly among those in which something is seen."""
    seen = [f for f in range(length) if any(f < len(track) and track[f] for track in tracks)] or list(range(length))
    places = np.linspace(0, len(seen) - 1, min(FRAMES, len(seen)))
    return [seen[round(place)] for place in places.tolist()]


def _kinds(explanation: Explanation, entries: Sequence[int]) -> dict[int, str]:
    """Return the kind of error at the least threshold of each result that has one."""
    inside, names = set(entries), list(KINDS)
    return {e.entry: names[e.kind] for e in explanation.errors if e.entry in inside and e.levels[0]}


def _fate(explanation: Explanation, truth: int) -> str:
    """Return the kind of error that a truth is lost to at the least threshold; "" if it is found or need not be."""
    if explanation.found[0, truth] or explanation.truths.ignored[truth]:
        return ""
    about = [e.kind for e in explanation.errors if e.truth == truth and e.levels[0] and e.regains]
    return list(KINDS)[min(about, default=MISSED)]


def _size(video: Video) -> tuple[int, int]:
    width = min(WIDTH, video.width)
    return max(round(video.height * width / video.width), 1), width


def _image(image: NDArray[np.uint8], size: tuple[int, int]) -> str:
    """Return a frame as a data URI."""
    resized = Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS)
    file = io.BytesIO()
    resized.save(file, "JPEG", quality=QUALITY, subsampling=0, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _codes(track: Masks, frames: Sequence[int], size: tuple[int, int]) -> tuple[str, ...]:
    """Return a track's masks in some frames, at another size."""
    out = []
    for frame in frames:
        code = track[frame] if frame < len(track) else None
        if code is None:
            out.append("")
            continue
        mask = Image.fromarray(masks.decode(code)).resize(size[::-1], Image.Resampling.NEAREST)
        out.append(masks.encode(np.asarray(mask))["counts"].decode("ascii"))
    return tuple(out)


def _whole(track: Masks, video: Video) -> list[masks.Rle | None]:
    """Return a track's mask in each frame of its video: results may be shorter or longer."""
    return [track[i] if i < len(track) else None for i in range(len(video.files))]
