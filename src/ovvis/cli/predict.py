"""`ovvis predict`: a model over a whole split of a dataset; it can stop anywhere and go on."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ovvis.bucket import is_bucket
from ovvis.cli import segmenter as shared
from ovvis.cli.console import count, out, progress, warn
from ovvis.cli.following import FollowingOptions
from ovvis.cli.kept import kept
from ovvis.cli.on_cluster import OnCluster
from ovvis.cli.options import DataRoot, DatasetName, Frames, sharing
from ovvis.cli.process import IN_PART, peak_memory
from ovvis.cli.ray_options import RayOptions
from ovvis.cli.source_options import Levels
from ovvis.cluster.homes import shown
from ovvis.cluster.predicting import DatasetVideo, Predicted, Predicting, PredictJob
from ovvis.cluster.work import Begun
from ovvis.datasets.annotations import Video
from ovvis.datasets.open import find_dataset
from ovvis.datasets.problems import Problems
from ovvis.datasets.words import dataset_vocabulary
from ovvis.errors import InputError
from ovvis.evaluation.rules import COCO
from ovvis.predictions.folder import PredictionFolder, Shard
from ovvis.predictions.run_settings import dataset_settings
from ovvis.predictions.submission import PACKED
from ovvis.predictions.video_file import BROKEN, RESULTS
from ovvis.progress import Advance, Bars
from ovvis.sources.levels import parse_levels
from ovvis.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter

SHOWN = 10  # broken videos that are listed by name
AGAIN = "the same command goes on from there"


@sharing(RayOptions)
@sharing(shared.SegmenterOptions)
@sharing(FollowingOptions)
def predict(
    dataset: DatasetName,
    output: Annotated[
        str,
        typer.Option(
            help="Folder for the results, also in a bucket (s3://...); a run that stopped goes on in it.", metavar="DIR"
        ),
    ],
    frames: Frames = None,
    data_root: DataRoot = None,
    labels: Annotated[
        str | None,
        typer.Option(help="Words for the dataset's categories, to add synonyms or leave some out: " + shared.LABELS),
    ] = None,
    levels: Levels = None,
    shard: Annotated[
        str, typer.Option(help="i/n: only each n-th video from the i-th on; n processes share one folder.")
    ] = "1/1",
    skip_broken: Annotated[
        bool,
        typer.Option(
            "--skip-broken",
            help="Pass over videos whose frames are missing or unreadable, and entries of the dataset that are wrong.",
        ),
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Drop the predictions in the folder and begin anew.")
    ] = False,
    archives: Annotated[
        bool, typer.Option("--archives/--no-archives", help="Write results.json and the zips for the servers.")
    ] = True,
    *,
    options: shared.SegmenterOptions,
    following: FollowingOptions,
    cluster: RayOptions,
) -> None:
    """Run a model over a dataset: resumable, each video's results as it finishes, archives for the servers."""
    shared.prepare_process()
    cluster.check("ovvis predict")
    options.check()
    options = replace(options, following=following.find(options.tracker))
    parse_levels(levels)
    part = Shard.parse(shard)
    if restart and part.count > 1:
        raise InputError(
            f"--restart with --shard {part} would drop the other shards' results: remove {output} by hand, or choose "
            "another --output"
        )
    split = find_dataset(dataset, data_root, frames).read(Problems(refuse=not skip_broken))
    vocabulary, ids = dataset_vocabulary(split.asked if labels is None else split.categories, labels)
    for line in (*map(str, split.notes), *([split.headed()] if labels is None and split.heads else [])):
        warn(line)
    if options.text_embeddings:
        options.words(vocabulary)  # refused before anything is written
    with PredictionFolder(output, split, split.rules == COCO, part) as folder:
        run = _Run(folder, skip_broken, restart, folder.mine() if restart else folder.pending())
        run.look_for_frames()
        job = PredictJob(
            place=folder.place,
            images=folder.images,
            suffix=part.suffix,
            ids=ids,
            levels=levels,
            load=partial(options.load_anywhere, vocabulary),
            made=partial(made_by, dataset_settings(split), vocabulary, ids, options, levels),
            spread=cluster.stretch,
        )
        with kept(Path(str(folder.place)), lambda: _state(folder)):
            if cluster.ray and run.pending:
                options.warn_of_noise()  # what the workers say stays where they are
                run.predict_on(OnCluster(cluster, options.device), job)
            else:
                run.predict(Predicting(job))
            written = _pack(folder) if archives and not folder.missing() else []
        try:
            _conclude(run, dataset, written, archives)
        finally:
            if caution := options.caution(run.model):
                warn(caution)


def made_by(
    dataset: dict[str, Any],
    vocabulary: Vocabulary,
    ids: tuple[int, ...],
    options: shared.SegmenterOptions,
    levels: str | None,
    segmenter: VideoSegmenter,
) -> dict[str, Any]:
    """Return everything that decides the results of a run, as the process says that has the model."""
    digest = options.weights_digest(segmenter.model.name)
    return settings_of(dataset, vocabulary, ids, segmenter, digest, levels)


def settings_of(
    dataset: dict[str, Any],
    vocabulary: Vocabulary,
    ids: tuple[int, ...],
    segmenter: VideoSegmenter,
    weights: str | None,
    levels: str | None = None,
) -> dict[str, Any]:
    """Return everything that decides the results of a run.

    Args:
        dataset: what it is to predictions.
        vocabulary: what is asked for.
        ids: the category of each label.
        segmenter: what makes the results.
        weights: the SHA-256 of the checkpoint.
        levels: as typed.
    """
    words = [[id, *label.synonyms] for id, label in zip(ids, vocabulary, strict=True)]
    return {
        "dataset": dataset,
        "weights_sha256": weights,
        **segmenter.describe(),
        "device": segmenter.model.device.type,  # its number does not matter
        "batch": segmenter.batch,
        **({} if levels is None else {"levels": levels}),
        "categories": words,
    }


@dataclass
class _Run:
    """The work of one process: its videos, one after another, and what came of them."""

    folder: PredictionFolder
    skip_broken: bool
    restart: bool
    pending: list[Video]
    model: str = ""  # the name of what was loaded
    agreed: dict[str, Any] | None = None  # what makes the results
    notes: list[str] = field(default_factory=list)  # what was said of the frames of each video
    broken: dict[int, str] = field(default_factory=dict)  # the problem of each broken video, by id
    failed: dict[str, str] = field(default_factory=dict)  # why there is no result, by name, of no fault of the frames
    together: OnCluster | None = None  # the cluster that did the work
    videos: int = 0
    frames: int = 0
    results: int = 0
    seconds: float = 0.0

    def look_for_frames(self) -> None:
        """Look whether every frame's file is there, before anything is loaded or written."""
        for video in self.pending:
            gone = next((path for path in self.folder.dataset.paths(video) if not path.is_file()), None)
            if gone is not None:
                self._pass_over(video, f"{gone} does not exist; mend it, say with --frames where the frames lie")

    def predict(self, workman: Predicting) -> None:
        """Write the results of each video that has none, in this process."""
        self._agree(workman.begin(None))
        total, passed, start = sum(len(video.files) for video in self.pending), 0, time.monotonic()
        with progress("predicting", "frames", total) as done:
            for number, video in enumerate(self.pending, 1):
                what = f"predicting video {number} of {len(self.pending)}"
                if video.id in self.broken:
                    self.folder.mark_broken(video, self.broken[video.id])
                else:
                    self._count(video, workman.work(self._task(video), _later(done, passed, total, what)))
                passed += len(video.files)
        self.seconds = time.monotonic() - start

    def predict_on(self, together: OnCluster, job: PredictJob) -> None:
        """Have a cluster write the results of each video that has none."""
        self.together = together
        whole = [video for video in self.pending if video.id not in self.broken]
        tasks, make = map(self._task, whole), partial(Predicting, job)
        with shown(self.folder.place) as token:
            sees = [*token, self.folder.dataset.frames]
            done = together.outcomes(make, tasks, "predicting", len(whole), _frames, self._agree, sees)
            with closing(done) as outcomes:
                for outcome in outcomes:
                    if outcome.answer is not None:
                        self._count(outcome.task.video, outcome.answer)
                    else:
                        self.failed[outcome.task.video.name] = outcome.problem or ""
                        warn(f"{outcome.task.video.name}: {outcome.problem}")
        for video in self.pending:
            if video.id in self.broken:
                self.folder.mark_broken(video, self.broken[video.id])
        self.seconds = together.seconds

    def _agree(self, begun: Begun) -> None:
        """Write down what makes the results, or compare it with what made those that are there."""
        self.model = begun.model
        if self.agreed is None and self.restart:  # not before everything else has been found right
            self.folder.clear()
        if self.agreed != begun.made:
            for line in self.folder.keep_settings(begun.made):
                warn(line)
        self.agreed = begun.made

    def _task(self, video: Video) -> DatasetVideo:
        return DatasetVideo(video, self.folder.dataset.paths(video))

    def _count(self, video: Video, done: Predicted) -> None:
        if done.problem is not None:
            self._pass_over(video, done.problem)
            self.folder.mark_broken(video, done.problem)
            return
        self.notes += done.notes
        self.results += done.results
        self.videos += done.frames > 0
        self.frames += done.frames

    def _pass_over(self, video: Video, problem: str) -> None:
        if not self.skip_broken:
            raise InputError(
                f"video {video.name} (id {video.id}): {problem}, or pass over such videos with --skip-broken"
            )
        self.broken[video.id] = problem


def _frames(done: Predicted) -> int:
    return done.frames


def _later(done: Advance, before: int, total: int, what: str) -> Bars:
    """Return what shows a video's frames, counted from 0, as a part of the whole split."""

    @contextmanager
    def bars(*_: object) -> Iterator[Advance]:
        yield lambda count, *_: done(before + count, total, what)

    return bars


def _state(folder: PredictionFolder) -> str:
    """Return what is done, and how to go on."""
    missing, total = len(folder.missing()), len(folder.dataset.videos)
    return f"{total - missing} of {total} videos are done and kept in {folder.place}; {AGAIN}"


def _pack(folder: PredictionFolder) -> list[tuple[str, int]]:
    with progress("packing", "videos", len(folder.dataset.videos) - len(folder.broken())) as done:
        return folder.pack(done)


def _conclude(run: _Run, dataset: str, written: list[tuple[str, int]], archives: bool) -> None:
    """Print the summary; name what is broken, and what is still missing."""
    folder = run.folder
    missing, total = len(folder.missing()), len(folder.dataset.videos)
    table = Table(title=escape(folder.dataset.name), title_justify="left", show_header=False, box=SIMPLE_HEAD)
    rows = [
        ("videos", f"{run.videos} now; {total - missing} of {total} in the folder"),
        ("frames", f"{run.frames} now"),
        ("rate", f"{run.frames / run.seconds:.2f} frames/s" if run.frames else "-"),
        ("results", f"{run.results} now"),
        ("peak memory", peak_memory()),
        ("results by video", str(folder.place.below(RESULTS))),
        *(("packed" if i == 0 else "", f"{name} ({size / 2**20:.1f} MiB)") for i, (name, size) in enumerate(written)),
    ]
    for name, value in rows:
        table.add_row(name, escape(value))
    out.print(table)
    if run.together is not None:
        run.together.conclude()
    if missing and run.failed:
        names = ", ".join(list(run.failed)[:SHOWN])
        warn(f"{count(len(run.failed), 'video')} without results: {names}; {AGAIN}")
        raise typer.Exit(IN_PART)
    if missing:
        out.print(
            f"{count(missing, 'video')} without results yet: archives are written when the last shard has its own.",
            soft_wrap=True,
        )
    else:
        out.print(f"Results: {escape(str(folder.place.below(PACKED if archives else RESULTS)))}", soft_wrap=True)
        if folder.dataset.truths:
            bucket = is_bucket(str(folder.place))
            again = f"ovvis evaluate {shlex.quote(dataset)} {PACKED if bucket else shlex.quote(str(folder.place))}"
            copied = f" (a copy of {PACKED})" if bucket else ""
            out.print(f"Score them{copied}: {escape(again)}", soft_wrap=True)
    if run.notes:
        more = f"; and {len(run.notes) - SHOWN} more such notes" if len(run.notes) > SHOWN else ""
        warn(f"{'; '.join(run.notes[:SHOWN])}{more}")
    broken = folder.broken()
    if broken:
        shown = "; ".join(f"{v.name}: {run.broken.get(v.id, 'another shard')}" for v in broken[:SHOWN])
        more = f"; and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
        warn(f"{count(len(broken), 'broken video')} without results ({folder.place.below(BROKEN)}): {shown}{more}")
        raise typer.Exit(IN_PART)
