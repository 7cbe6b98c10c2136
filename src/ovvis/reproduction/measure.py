"""Runs the passes that experiments need over the videos of their splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from statistics import fmean

from ovvis.datasets.words import dataset_vocabulary
from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.records import ResultTrack
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models.classifiers import MaskPooledClassifier
from ovvis.models.settings import Learnt
from ovvis.reproduction.figures import Figures, Outcome, RowOutcome, figures_of
from ovvis.reproduction.follow import Follower
from ovvis.reproduction.memory import Peak, peak_memory
from ovvis.reproduction.parts import Part, Parts, way_key
from ovvis.reproduction.rows import Experiment, Row, Way
from ovvis.reproduction.videos import Archives, Videos

_PassKey = tuple[str, int | None, bool, Videos]  # network, window, whether refined, videos
Advance = Callable[[int, int, str], object]  # frames done, frames in all, what is being done


@dataclass(frozen=True, slots=True)
class Network:
    """A model to be measured, with a vocabulary of the world's categories as `dataset_vocabulary` orders them."""

    segmenter: VideoSegmenter
    weights: str | None  # SHA-256 of its checkpoint; None: untrained


@dataclass(frozen=True, slots=True)
class Pass:
    """One network over one set of videos, and every way in which its tracks are made there."""

    network: Network
    window: int | None  # frames that the network sees at once
    refined: bool  # whether a refiner goes over the whole video
    videos: Videos
    ways: tuple[Way, ...]
    parts: Parts


@dataclass(frozen=True, slots=True)
class Job:
    """A video in which ways are still to be measured."""

    of: Pass
    number: int
    ways: tuple[Way, ...]  # still to be measured

    @property
    def frames(self) -> int:
        """The number of its frames."""
        return self.of.videos.length(self.number)


class Measurement:
    """Measures experiments; what is measured lies in a folder, a file for each video.

    Args:
        experiments: which; rows of networks that are not given are left out.
        networks: by the name that rows know them by.
        videos: by split, one set for each seed.
        folder: of the parts.
        archives: takes the tracks of every way, too; a video that it lacks is measured anew.

    Raises:
        ValueError: the splits do not share their categories, which are the networks' vocabulary.
    """

    def __init__(
        self,
        experiments: Sequence[Experiment],
        networks: Mapping[str, Network],
        videos: Mapping[str, Sequence[Videos]],
        folder: Path,
        archives: Archives | None = None,
    ) -> None:
        if len({drawn.categories for several in videos.values() for drawn in several}) > 1:
            raise ValueError("the splits differ in their categories; measure each by itself")
        self._experiments, self._networks, self._videos = tuple(experiments), networks, videos
        self._archives = archives
        self._evaluator = cache(_evaluator)
        self._passes: dict[_PassKey, Pass] = {}
        wanted: dict[_PassKey, dict[Way, None]] = {}
        for experiment in self._experiments:
            for split in experiment.splits:
                for row in self._rows(experiment):
                    way = self._way(row)
                    for drawn in videos[split]:
                        wanted.setdefault(_pass(row, way, drawn), {})[way] = None
        for key, ways in wanted.items():
            name, window, refined, drawn = key
            network = networks[name]
            about = {**_about(network, window, refined), **drawn.describe()}
            self._passes[key] = Pass(network, window, refined, drawn, tuple(ways), Parts(folder, about))

    @property
    def left_out(self) -> list[str]:
        """The rows whose network is not given, or cannot do what they ask; as "table: row"."""
        return [f"{e.name}: {r.name}" for e in self._experiments for r in e.rows if r not in self._rows(e)]

    def jobs(self, share: tuple[int, int] = (0, 1)) -> list[Job]:
        """Return the videos that are still to be measured.

        Args:
            share: a number from 0, and of how many: each so-many-th video, the others are left to other processes.
        """
        out = []
        for one in self._passes.values():
            for number in range(share[0], len(one.videos), share[1]):
                if wanted := self._wanted(one, number, one.parts.read(number)):
                    out.append(Job(one, number, wanted))
        return out

    def run(self, jobs: Sequence[Job], advance: Advance) -> None:
        """Measure videos; what each gives is kept as soon as it is whole."""
        total, done = sum(job.frames for job in jobs), 0
        for job in jobs:
            told = partial(_tell, advance, done, total, f"{job.of.videos.name}, video {job.number + 1}")
            self._measure(job, told)
            done += job.frames

    def _wanted(self, one: Pass, number: int, part: Part) -> tuple[Way, ...]:
        archives = self._archives
        return tuple(w for w in one.ways if part.lacks(w) or (archives is not None and not archives.has(w, number)))

    def _measure(self, job: Job, on_frame: Callable[[int], None]) -> None:
        part = job.of.parts.read(job.number)  # the same network by another name may have been here since
        wanted = self._wanted(job.of, job.number, part)
        if not wanted:
            return
        videos, network = job.of.videos, job.of.network
        ids = dataset_vocabulary(videos.categories)[1]
        learnt: Learnt = "offline" if job.of.refined else "none"
        settings = replace(network.segmenter.settings, window=job.of.window, learnt=learnt)
        segmenter = network.segmenter.with_settings(settings)
        follow = Follower(segmenter, wanted, {category: label for label, category in enumerate(ids)})
        evaluator = self._evaluator(videos)
        seconds: dict[str, float] = {}
        ways = dict(part.ways)
        video = videos.video(job.number)
        # Once for all videos: they are alike, and beginning anew costs time.
        first = job.number == 0
        with peak_memory(segmenter.model.device) if first else nullcontext(Peak()) as peak:
            for found in follow(video, on_frame, seconds):
                tracks = [
                    ResultTrack(videos.id(job.number), ids[track.label_index], track.score, track.masks)
                    for track in found.tracks
                ]
                if self._archives is not None:
                    self._archives.write(found.way, job.number, tracks)
                compared = evaluator.compare(tracks)
                ways[way_key(found.way)] = compared.rows, compared.pairs
        job.of.parts.write(job.number, Part(job.frames, seconds, peak.bytes, ways))

    def outcomes(self, advance: Callable[[int, int], object]) -> list[Outcome]:
        """Return the figures of every experiment on each of its splits, once all videos are measured."""
        figures: dict[tuple[int, Way], Figures] = {}
        costs: dict[int, tuple[float, int | None]] = {}
        total, done = sum(len(one.ways) for one in self._passes.values()), 0
        for one in self._passes.values():
            parts = [one.parts.read(number) for number in range(len(one.videos))]
            seconds = sum(sum(part.seconds.values()) for part in parts)
            rate = sum(part.frames for part in parts) / seconds if seconds else 0.0
            costs[id(one)] = rate, max((part.peak for part in parts if part.peak is not None), default=None)
            for way in one.ways:
                figures[id(one), way] = self._figures(one, way, parts)
                done += 1
                advance(done, total)
        made = [e for e in self._experiments if self._rows(e)]  # a table whose rows are all left out is none
        return [self._outcome(e, split, figures, costs) for e in made for split in e.splits]

    @staticmethod
    def _figures(one: Pass, way: Way, parts: Sequence[Part]) -> Figures:
        evaluator = one.videos.evaluator()
        for part in parts:
            evaluator.take(part.compared(way))
        return figures_of(evaluator.report())

    def _outcome(
        self,
        experiment: Experiment,
        split: str,
        figures: Mapping[tuple[int, Way], Figures],
        costs: Mapping[int, tuple[float, int | None]],
    ) -> Outcome:
        drawn, rows = self._videos[split], []
        for row in self._rows(experiment):
            way = self._way(row)
            passes = [id(self._passes[_pass(row, way, one)]) for one in drawn]
            rate = fmean(costs[one][0] for one in passes)
            peak = max((costs[one][1] or 0 for one in passes), default=0) or None
            rows.append(RowOutcome(row, tuple(figures[one, way] for one in passes), rate, peak))
        seeds = tuple(one.own_seed for one in drawn)
        return Outcome(experiment, split, seeds, len(drawn[0]), drawn[0].frames, tuple(rows))

    def _rows(self, experiment: Experiment) -> list[Row]:
        return [row for row in experiment.rows if row.loaded in self._networks and self._can(row)]

    def _can(self, row: Row) -> bool:
        """Return whether a network can do what its row asks.

        Only one that names what lies under masks can do so in another way, or under other masks; and not every choice
        of settings goes with every family's own.
        """
        segmenter = self._networks[row.loaded].segmenter
        if (row.pooling or "masks" in row.given) and not isinstance(segmenter.model.classifier, MaskPooledClassifier):
            return False
        try:
            way = self._way(row)
            segmenter.with_settings(way.settings)
        except ValueError:
            return False
        return not (way.given and way.settings.learnt != "none")  # whose queries are other ones

    def _way(self, row: Row) -> Way:
        return row.way(self._networks[row.loaded].segmenter.model.video)


def _tell(advance: Advance, before: int, total: int, what: str, frames: int) -> None:
    advance(before + frames, total, what)


def _evaluator(videos: Videos) -> Evaluator:
    return videos.evaluator()


def _pass(row: Row, way: Way, drawn: Videos) -> _PassKey:
    return row.loaded, way.settings.window, way.settings.learnt == "offline", drawn


def _about(network: Network, window: int | None, refined: bool) -> dict[str, object]:
    """Return what decides what a network says; its tracks' settings belong to the ways."""
    described = {**network.segmenter.describe(), "weights_sha256": network.weights, "window": window}
    # Neither the name of a file nor another build of torch makes other results of the same weights.
    for name in ("tracks", "weights", "torch", "min_score"):
        described.pop(name, None)
    return {**described, "refined": True} if refined else described
