"""What of a dataset training uses: the videos and true tracks that are left, and a count of what was left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.problems import LeftOut
from ovvis.errors import InputError, nearest
from ovvis.evaluation.records import TruthTrack

_NAMED = 3  # examples in a message


@dataclass(frozen=True, slots=True)
class FilterConfig:
    """What of a dataset training uses. Crowds are never instances."""

    groups: tuple[str, ...] = ()  # only categories of these groups, such as frequent and common (LVIS). None given: all
    keep_empty: bool = False  # keep videos without an instance; the released video training does, image training not
    bad: Literal["refuse", "skip"] = "refuse"  # what to do about frames that are missing or unreadable


def select(annotations: Annotations, config: FilterConfig) -> tuple[Annotations, tuple[LeftOut, ...]]:
    """Return what training uses of a dataset, and what it leaves out.

    That annotations point somewhere is the readers' to see to (`ovvis.datasets.problems`); what they left out is told
    with the rest.

    Args:
        annotations: the dataset.
        config: what to use.

    Raises:
        InputError: nothing is left; or a frame is missing and `bad` is "refuse".
    """
    if not annotations.videos:
        raise InputError(f"{annotations.name} lists no image and no video: training needs one or more; check the file")
    unused = _Tally()
    missing = _missing_files(annotations)
    for name, file in missing.items():
        unused.add("videos or images lack a file of theirs", f"{name}: {annotations.frames / file}")
    if len(missing) == len(annotations.videos):
        raise InputError(
            f"{annotations.name} has none of its {len(missing):,} videos or images below {annotations.frames} (such as"
            f" {next(iter(missing.values()))}): the frames must lie there; check the folder"
        )
    if config.bad == "refuse" and missing:
        found = "; ".join(str(entry) for entry in unused.entries())
        raise InputError(f"{annotations.name}: {found}: mend the dataset, or skip them with bad: skip")
    kept_categories = _of_groups(annotations, config.groups)
    truths = _usable_truths(annotations.truths, kept_categories, unused)
    with_instances = {truth.video_id for truth in truths}
    videos = []
    for video in annotations.videos:
        if video.name in missing:
            continue
        if video.id in with_instances or config.keep_empty:
            videos.append(video)
        else:
            unused.add("videos or images have no instance", video.name)
    if not videos:
        raise InputError(
            f"{annotations.name} has no video or image with an instance left: training needs one or more; check its"
            " annotations and the groups asked for"
        )
    left = {video.id for video in videos}
    kept = replace(
        annotations,
        categories=tuple(c for c in annotations.categories if c.id in kept_categories),
        videos=tuple(videos),
        truths=[truth for truth in truths if truth.video_id in left],
    )
    return kept, (*annotations.notes, *unused.entries())


class _Tally:
    """Counts by reason, with the first few examples of each."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, list[str]] = {}

    def add(self, reason: str, example: str) -> None:
        self._counts[reason] += 1
        examples = self._examples.setdefault(reason, [])
        if len(examples) < _NAMED:
            examples.append(example)

    def entries(self) -> list[LeftOut]:
        return [LeftOut(reason, n, tuple(self._examples[reason])) for reason, n in self._counts.items()]


def _usable_truths(truths: Iterable[TruthTrack], categories: set[int], unused: _Tally) -> list[TruthTrack]:
    """Return the true tracks of single instances of the categories."""
    usable = []
    for truth in truths:
        if truth.is_crowd:
            unused.add("annotations are crowds", f"id {truth.id}")
        elif truth.category_id not in categories:
            unused.add("annotations are of other groups of categories", f"id {truth.id}")
        else:
            usable.append(truth)
    return usable


def _of_groups(annotations: Annotations, groups: tuple[str, ...]) -> set[int]:
    """Return the ids of the categories of some groups, of all without groups."""
    known = {group for category in annotations.categories for group in category.groups}
    for group in groups:
        if group not in known:
            which = nearest(group, known) if known else "its categories are in no group; ask for none"
            raise InputError(f"{annotations.name} has no group of categories called {group!r}: {which}")
    return {c.id for c in annotations.categories if not groups or set(groups) & set(c.groups)}


def _missing_files(annotations: Annotations) -> dict[str, str]:
    """Return the first missing file of each video that lacks one. Each folder is listed once: a disk may be far."""
    listed: dict[Path, set[str]] = {}

    def exists(file: str) -> bool:
        path = annotations.frames / file
        if path.parent not in listed:
            try:
                listed[path.parent] = {entry.name for entry in path.parent.iterdir()}
            except OSError:
                listed[path.parent] = set()
        return path.name in listed[path.parent]

    def first_missing(video: Video) -> str | None:
        return next((file for file in video.files if not exists(file)), None)

    found = ((video.name, first_missing(video)) for video in annotations.videos)
    return {name: file for name, file in found if file is not None}
