"""The records that the evaluator takes: categories, true tracks, result tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ovvis.masks import Rle

Masks = Sequence[Rle | None]  # one for each frame of the video; None where nothing is seen


@dataclass(frozen=True, slots=True)
class Category:
    """One category of a data set."""

    id: int
    name: str
    groups: tuple[str, ...] = ()  # whose averages it enters besides "all", such as "base" or "novel"
    synonyms: tuple[str, ...] = field(default=(), compare=False)  # other names, by which a user's label may mean it


@dataclass(frozen=True, slots=True)
class TruthTrack:
    """One annotated instance of a video."""

    id: int  # the annotation's number in its file; `Rules.loses_id_zero` tells what 0 does
    video_id: int
    category_id: int
    masks: Masks
    is_crowd: bool = False
    areas: Sequence[float | None] | None = None  # pixels in each frame, as the file states them; None: as the masks


@dataclass(frozen=True, slots=True)
class ResultTrack:
    """One instance that a model found in a video."""

    video_id: int
    category_id: int
    score: float  # any finite number; only the order counts
    masks: Masks
