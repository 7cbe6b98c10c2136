"""How good a model in training is: AP over the validation videos, as `ovvis predict` and `ovvis evaluate` have it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np

from ovvis.cli.console import warn
from ovvis.datasets.annotations import LOST_TRUTH, Annotations
from ovvis.datasets.frames import open_video
from ovvis.datasets.open import find_dataset, open_dataset
from ovvis.datasets.problems import Problems
from ovvis.datasets.words import dataset_vocabulary
from ovvis.errors import InputError, OvvisError
from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.records import Category, ResultTrack
from ovvis.evaluation.rules import COCO, LVIS
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models.model import Model
from ovvis.models.text import read_words
from ovvis.training.config import TrainConfig

FIGURES = ("AP", "AP50", "AP75", "AR10")
OBJECT = Category(1, "object")

Gather = Callable[[list[Any]], list[Any]]
"""A list of this process to those of all processes, one after another."""

Look = Callable[[int, int, int], None]
"""Takes the steps done, the number of the video that comes next, from 1, and how many this process has."""


def unseen(step: int, video: int, videos: int) -> None:
    """Show nothing; see `Look`."""


class Validation:
    """Segments the validation videos and compares the tracks with the truth.

    The videos are dealt to the processes; each gets the same figures.

    Args:
        config: the run's settings; `config.validation.dataset` is not empty.
        model: that is trained; it is looked at as it is when called.
        rank: this process.
        processes: in all.
        gather: see `Gather`.
        look: see `Look`.

    Raises:
        InputError: the dataset cannot be used, or its truth is not here.
    """

    def __init__(
        self,
        config: TrainConfig,
        model: Model,
        rank: int = 0,
        processes: int = 1,
        gather: Gather = list,
        look: Look = unseen,
    ) -> None:
        asked = config.validation
        problems = Problems(refuse=config.data.choice.bad == "refuse")
        known = open_dataset(asked.dataset, config.data.root, asked.frames, problems)
        if not known.truths:
            raise InputError(f"validation.dataset {asked.dataset} holds no truth: its server keeps it; choose another")
        for note in known.notes if rank == 0 else ():
            warn(f"validation.dataset {asked.dataset}: {note}")
        if rank == 0 and find_dataset(asked.dataset, config.data.root).entry is None and known.loses_truth():
            warn(f"validation.dataset {asked.dataset}: {LOST_TRUTH}")
        self._set = _agnostic(known) if asked.agnostic else known
        count = min(asked.videos or len(known.videos), len(known.videos))
        chosen = sorted({int(i) for i in np.linspace(0, len(known.videos) - 1, count)})
        self._videos = [self._set.videos[i] for i in chosen]
        ids = {video.id for video in self._videos}
        if all(truth.is_crowd for truth in known.truths if truth.video_id in ids):
            raise InputError(
                f"validation.dataset {asked.dataset}: the {count:,} videos that validation.videos takes of it hold no "
                "instance to compare with; take more of them, or choose another"
            )
        for video in self._videos:
            gone = next((path for path in self._set.paths(video) if not path.is_file()), None)
            if gone is not None:
                raise InputError(f"validation.dataset {asked.dataset}: {gone} does not exist; check the folder")
        vocabulary, _ = dataset_vocabulary(self._set.asked)
        self._words = read_words(vocabulary, given=asked.text_embeddings or None)
        self._model, self._asked = model, asked
        self._rank, self._processes, self._gather = rank, processes, gather
        self._look = look

    def __call__(self, step: int) -> Mapping[str, float]:
        """Return AP, AP50, AP75 and (LVIS has none) AR10, in [0, 1], of the model as it is now.

        Raises:
            InputError: a video cannot be read, or the network overflows.
            ResourceError: the temporary folder is full.
        """
        try:
            tracks = self._tracks(step)
        except OvvisError as error:
            raise type(error)(
                f"validation after step {step}: {error}. Training is kept to this step: the same command validates "
                "again and goes on, with --set validation.dataset= without validation"
            ) from error
        chosen = {video.id for video in self._videos}
        truths = [truth for truth in self._set.truths if truth.video_id in chosen]
        known = self._set
        evaluator = Evaluator(known.categories, truths, known.rules, chosen, known.absent, known.not_exhaustive)
        evaluator.update(self._gather(tracks))
        figures = evaluator.report().metrics["all"]
        return {name: figures[name] for name in FIGURES if name in figures}

    def rehearse(self) -> str:
        """Segment the first video; return in a few words how long it took, and how long all of them will take.

        Raises:
            InputError: it cannot be read, or the network overflows.
        """
        segmenter, _ = self._segmenter()
        video, frames = self._videos[0], sum(len(video.files) for video in self._videos)
        began = time.perf_counter()
        with segmenter(open_video(self._set.paths(video), video)):
            seconds = time.perf_counter() - began
        whole = timedelta(seconds=round(seconds * frames / len(video.files)))
        return (
            f"{video.name} ({len(video.files):,} frames) took {seconds:.1f} s; all {len(self._videos):,} videos "
            f"({frames:,} frames): {whole}"
        )

    def _segmenter(self) -> tuple[VideoSegmenter, list[int]]:
        """Return what segments the videos, and the category id of each of its labels."""
        _, ids = dataset_vocabulary(self._set.asked)
        asked = self._asked
        segmenter = VideoSegmenter(
            self._model, self._words, short_edge=asked.short_edge, long_edge=asked.long_edge, cache=True
        )
        return segmenter, list(ids)

    def _tracks(self, step: int) -> list[ResultTrack]:
        """Return what the model finds in this process's videos."""
        segmenter, ids = self._segmenter()
        tracks: list[ResultTrack] = []
        own = self._videos[self._rank :: self._processes]
        for i, video in enumerate(own):
            self._look(step, i + 1, len(own))
            with segmenter(open_video(self._set.paths(video), video)) as result:
                tracks += [
                    ResultTrack(video.id, ids[track.label_index], track.score, list(track.masks))
                    for track in result.tracks
                ]
        return tracks


def _agnostic(known: Annotations) -> Annotations:
    """Return a dataset whose every instance is an "object"."""
    truths = [replace(truth, category_id=OBJECT.id) for truth in known.truths]
    rules = COCO if known.rules is LVIS else known.rules  # of objects nobody says where there are none
    return replace(known, categories=(OBJECT,), truths=truths, rules=rules, heads=frozenset())
