"""Several videos in one run of `ovvis segment`: one model, or one a worker of a cluster; a folder for each video."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.markup import escape

from ovvis.cli import segment as one
from ovvis.cli.console import count, out, progress, warn
from ovvis.cli.kept import kept
from ovvis.cli.on_cluster import OnCluster
from ovvis.cli.once import from_first_to_last
from ovvis.cli.process import IN_PART
from ovvis.cli.ray_options import RayOptions
from ovvis.cli.segment_tally import Tally
from ovvis.cli.segmenter import SegmenterOptions
from ovvis.cli.source_options import SourceOptions
from ovvis.cluster.homes import Home, home_of
from ovvis.cluster.segmenting import PATIENCE, Row, Segmenting, SegmentJob, VideoTask, folder_of
from ovvis.errors import InputError
from ovvis.outputs.formats.tracks_json import TRACKS
from ovvis.predictions.folder import Shard
from ovvis.predictions.run_settings import SETTINGS
from ovvis.progress import silent
from ovvis.results.video_folder import VIDEO, Painting
from ovvis.sources.many import Videos
from ovvis.sources.names import Names
from ovvis.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter

NONE_WORKED = 2  # exit code: no video could be used
LOOKED = 10.0  # seconds in which what is done is looked for here, before the workers do
PAINTING = "painting.json"  # how the painted videos of a folder look


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be done."""

    videos: Videos
    output: str | None
    vocabulary: Vocabulary | None
    options: SegmenterOptions
    taken: SourceOptions
    painting: Painting
    cluster: RayOptions
    part: Shard

    @property
    def home(self) -> Home:
        """What the videos' folders lie in."""
        return home_of(self.output or f"ovvis-{self.videos.home}")

    def settings(self) -> dict[str, Any]:
        """Return what makes results the same, as JSON knows it."""
        words = None if self.vocabulary is None else [[label.name, *label.synonyms] for label in self.vocabulary]
        run = {**asdict(self.options), **{f"frames_{key}": value for key, value in asdict(self.taken).items()}}
        waits = {"mirror", "frames_timeout", "frames_reconnect"}
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in run.items()}
        return {"labels": words, **{key: value for key, value in plain.items() if key not in waits}}

    def look(self) -> dict[str, Any]:
        """Return what makes painted videos the same, as JSON knows it."""
        return {"paint_above": self.painting.least, **asdict(self.painting.style)}

    def job(self, overwrite: bool, patience: float = 0.0) -> SegmentJob:
        """Return what is done with each video."""
        return SegmentJob(
            home=self.home,
            load=partial(self.options.load_anywhere, self.vocabulary),
            made=partial(made_by, self.options),
            open=self.taken.open,
            bounded=self.taken.bounded,
            painting=self.painting,
            overwrite=overwrite,
            patience=patience,
            keep=partial(one.keep_seconds, self.options),
            spread=self.cluster.stretch,
            facts=self.settings(),
        )


def made_by(options: SegmenterOptions, segmenter: VideoSegmenter) -> dict[str, Any]:
    """Return what makes a segmenter's results."""
    return {**segmenter.describe(), "weights_sha256": options.weights_digest(segmenter.model.name)}


def segment_many(batch: Batch, overwrite: bool) -> None:
    """Segment videos, tell what became of each, and leave with the code that fits."""
    tasks = Tasks(batch.videos.sources, batch.part)
    for note in tasks.names.notes:
        warn(note)
    home, tally = batch.home, Tally()

    def state() -> str:
        done = f"{tally.done} of {count(len(tasks), 'video')} are done"
        return f"{done}, in {home}; the same command goes on from there"

    home_was = home.begin()
    try:
        with kept(Path(str(home)), state):
            _agree(home, tasks, batch, overwrite)
            runner = _Together(batch, overwrite) if batch.cluster.ray else _Alone(batch, overwrite)
            with closing(runner.rows(tasks)) as rows:
                for row in rows:
                    for note in row.notes:
                        warn(note)
                    if row.state == "broken":
                        warn(f"{row.name}: {row.said}")
                    tally.add(row)
    finally:
        if not home_was and not tally.done and batch.part.count == 1:
            home.forget(SETTINGS, PAINTING)
            home.leave()
    _conclude(tally, home, batch, runner)


class Tasks:
    """A shard's videos as tasks, read as they are needed.

    Args:
        videos: all of them, so that a name is the same whatever the shard.
        part: the shard.
    """

    def __init__(self, videos: Sequence[str], part: Shard) -> None:
        self.names = Names(videos)
        self._videos, self._part = videos, part
        self._length = len(range(part.index - 1, len(videos), part.count))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[VideoTask]:
        mine = islice(self._videos, self._part.index - 1, None, self._part.count)
        for number, source in enumerate(mine, 1):
            name = self.names.of(source)
            yield VideoTask(source, name, f"{name} ({number} of {self._length})")


def _agree(home: Home, tasks: Tasks, batch: Batch, overwrite: bool) -> None:
    """Write what makes the results and the painted videos, or compare it with what made those that are there.

    Raises:
        InputError: other settings made them, or nothing says what did.
    """
    if overwrite:
        home.forget(SETTINGS, PAINTING)
    elif not home.has(SETTINGS):
        there = home.with_results(task.name for task in tasks)
        if there is not None and not home.has(SETTINGS):  # another shard may have begun in between
            raise InputError(
                f"{home}/{there} holds results, and no {SETTINGS} says what made them: choose another --output, or"
                " replace them with --overwrite"
            )
    kept = [(SETTINGS, batch.settings())] + ([(PAINTING, batch.look())] if batch.painting.video else [])
    for file, facts in kept:
        for line in home.agree(file, facts, "replace them with --overwrite"):
            warn(line)


class _Alone:
    """Works on one video after another with one model, in this process."""

    def __init__(self, batch: Batch, overwrite: bool) -> None:
        self._batch = batch
        self._work = Segmenting(batch.job(overwrite), from_first_to_last)

    def rows(self, tasks: Tasks) -> Generator[Row]:
        """Yield what became of each video."""
        for task in tasks:
            yield self._work.work(task, progress)

    @property
    def caution(self) -> str | None:
        """What the user should know of the model that ran, if one did."""
        return None if self._work.model is None else self._batch.options.caution(self._work.model)

    def conclude(self) -> None:
        """Say nothing of machines: there is one."""


def _frames(row: Row) -> int:
    return row.frames or 0


class _Together:
    """Hands videos out to a cluster."""

    def __init__(self, batch: Batch, overwrite: bool) -> None:
        self._batch, self._job = batch, batch.job(overwrite, PATIENCE)
        self._cluster = OnCluster(batch.cluster, batch.options.device)

    def rows(self, tasks: Tasks) -> Generator[Row]:
        """Yield what became of each video, in the order in which they are done."""
        waiting, there = iter(tasks), Segmenting(self._job)
        began, left = time.monotonic(), len(tasks)
        for task in waiting:
            if not there.is_done(task) or time.monotonic() - began > LOOKED:
                break
            left -= 1  # what is done needs no cluster
            yield there.work(task, silent)
        else:
            return
        self._batch.options.warn_of_noise()  # what the workers say stays where they are
        make, rest = partial(Segmenting, self._job), chain([task], waiting)
        with self._job.home.shown() as token:
            sees = [*token, *folder_of(task.source)]
            for outcome in self._cluster.outcomes(make, rest, "segmenting", left, _frames, sees=sees):
                failed = Row(outcome.task.name, said=outcome.problem or "", state="broken")
                yield failed if outcome.answer is None else outcome.answer

    @property
    def caution(self) -> str | None:
        """What the user should know of the model that ran, if one did."""
        return self._batch.options.caution(self._cluster.model) if self._cluster.model else None

    def conclude(self) -> None:
        """Show how each machine fared."""
        self._cluster.conclude()


def _conclude(tally: Tally, home: Home, batch: Batch, runner: _Alone | _Together) -> None:
    """Show the table, say where the results are, and leave."""
    tally.show()
    runner.conclude()
    names = f"{TRACKS} and {VIDEO}" if batch.painting.video else TRACKS
    if tally.done:
        out.print(f"Results: {escape(str(home))} (a folder for each video with {names})", soft_wrap=True)
    if runner.caution:
        warn(runner.caution)
    if not tally.done:
        warn("None of the videos could be used.")
        raise typer.Exit(NONE_WORKED)
    if tally.states["broken"] or tally.states["part"]:
        raise typer.Exit(IN_PART)
