"""Several videos in one run of `ovvis segment`: one model, a folder for each, a table at the end."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ovvis.cli import segment as one
from ovvis.cli.console import count, out, warn
from ovvis.cli.kept import kept
from ovvis.cli.segmenter import SegmenterOptions
from ovvis.cli.source_options import SourceOptions
from ovvis.errors import InputError
from ovvis.files.output import OutputFolder
from ovvis.inference.stopwatch import Stopwatch
from ovvis.outputs.style import Style
from ovvis.paths import user_path
from ovvis.predictions.run_settings import SETTINGS, keep_settings
from ovvis.sources.many import Videos, distinct_names
from ovvis.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter

NONE_WORKED = 2  # exit code: no video could be used
PAINTING = "painting.json"  # how the painted videos of a folder look
LONGEST = 30  # rows of the table that are shown; those with something to tell come first


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be done."""

    videos: Videos
    output: Path | None
    vocabulary: Vocabulary | None
    options: SegmenterOptions
    taken: SourceOptions
    video: bool
    least: float
    style: Style  # how tracks are painted

    @property
    def home(self) -> Path:
        """The folder that the videos' folders lie in."""
        return user_path(self.output or f"ovvis-{self.videos.home}").absolute()

    def settings(self) -> dict[str, Any]:
        """Return what makes results the same, as JSON knows it."""
        words = None if self.vocabulary is None else [[label.name, *label.synonyms] for label in self.vocabulary]
        run = {**asdict(self.options), **{f"frames_{key}": value for key, value in asdict(self.taken).items()}}
        waits = {"mirror", "frames_timeout", "frames_reconnect"}
        plain = {key: str(value) if isinstance(value, Path) else value for key, value in run.items()}
        return {"labels": words, **{key: value for key, value in plain.items() if key not in waits}}

    def painting(self) -> dict[str, Any]:
        """Return what makes painted videos the same, as JSON knows it."""
        return {"paint_above": self.least, **asdict(self.style)}


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a video."""

    name: str
    frames: int | None = None
    instances: int | None = None
    seconds: float | None = None
    said: str = ""
    state: str = "done"  # or "there": already; "part": used in part; "broken"


def segment_many(batch: Batch, overwrite: bool) -> None:
    """Segment videos one after another, tell what became of each, and leave with the code that fits."""
    names, notes = distinct_names(batch.videos.sources)
    for note in notes:
        warn(note)
    home = batch.home
    rows: list[Row] = []

    def state() -> str:
        done = sum(row.state != "broken" for row in rows)
        return f"{done} of {count(len(names), 'video')} are done, in {home}; the same command goes on from there"

    home_was = home.exists()
    try:
        with kept(home, state):
            _agree(home, names, batch, overwrite)
            worker = _Worker(batch, overwrite)
            for number, (source, name) in enumerate(zip(batch.videos.sources, names, strict=True), 1):
                rows.append(worker.work(source, home / name, f"{name} ({number} of {len(names)})"))
                if rows[-1].state == "broken":
                    warn(f"{name}: {rows[-1].said}")
    finally:
        if not home_was and not any(row.state != "broken" for row in rows):
            with suppress(OSError):
                for name in (SETTINGS, PAINTING):
                    (home / name).unlink(missing_ok=True)
                home.rmdir()
    _conclude(rows, home, batch, worker)


def _agree(home: Path, names: list[str], batch: Batch, overwrite: bool) -> None:
    """Write what makes the results and the painted videos, or compare it with what made those that are there.

    Raises:
        InputError: other settings made them, or nothing says what did.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"output folder {home} cannot be made ({error.strerror}): choose another --output") from error
    settings = home / SETTINGS
    if overwrite:
        for name in (SETTINGS, PAINTING):
            (home / name).unlink(missing_ok=True)
    elif not settings.exists():
        there = next((name for name in names if (home / name / one.TRACKS).exists()), None)
        if there is not None:
            raise InputError(
                f"{home / there} holds results, and no {SETTINGS} says what made them: choose another --output, or"
                " replace them with --overwrite"
            )
    kept = [(settings, batch.settings())] + ([(home / PAINTING, batch.painting())] if batch.video else [])
    for file, facts in kept:
        for line in keep_settings(file, facts, "", anew="replace them with --overwrite"):
            warn(line)


class _Worker:
    """Works on one video after another with one model."""

    def __init__(self, batch: Batch, overwrite: bool) -> None:
        self._batch, self._overwrite = batch, overwrite
        self._segmenter: VideoSegmenter | None = None
        self.watch = Stopwatch()

    def _load(self) -> VideoSegmenter:
        if self._segmenter is None:
            self._segmenter = self._batch.options.load(self._batch.vocabulary, self.watch)
        return self._segmenter

    @property
    def caution(self) -> str | None:
        """What the user should know of the model that ran, if one did."""
        return None if self._segmenter is None else self._batch.options.caution(self._segmenter.model.name)

    def work(self, source: str, path: Path, what: str) -> Row:
        """Segment one video, unless its results are there; return what became of it."""
        batch, name = self._batch, path.name
        if not self._overwrite and _whole(path, source, batch.video):
            return Row(name, said="there already", state="there")
        began = time.monotonic()
        try:
            frames = batch.taken.open(source)
            if frames.endless and not batch.taken.bounded:
                raise InputError(f"{frames.info.name} does not end: give it alone, or with --duration or --max-frames")
        except InputError as error:
            return Row(name, said=str(error), state="broken")
        segmenter = self._load()  # what is wrong with the model ends everything
        for note in frames.notes:
            warn(note)
        said = list(frames.notes)
        folder = OutputFolder(path, one.WRITTEN, overwrite=True)
        try:
            with ExitStack() as held:
                with folder:
                    result, unpainted = one.write_results(
                        held,
                        folder,
                        frames,
                        lambda: segmenter,
                        Stopwatch(),
                        batch.video,
                        batch.least,
                        batch.style,
                        what,
                    )
                one.keep_seconds(result, batch.options)
                for note in result.notes:
                    if note not in said:
                        warn(note)
                problems = [*([result.problem] if result.problem else []), *unpainted]
                seconds = time.monotonic() - began
                found = len(result.best_tracks(batch.least))
                state = "part" if problems else "done"
                return Row(name, len(result.frame_indices), found, seconds, "; ".join(problems), state)
        except InputError as error:
            return Row(name, said=str(error), state="broken")


def _whole(path: Path, source: str, video: bool) -> bool:
    """Return whether a video's results are there, and are not older than the video."""
    tracks = path / one.TRACKS
    if not tracks.exists() or (video and not (path / one.VIDEO).exists()):
        return False
    file = user_path(source)
    try:
        return not file.exists() or file.stat().st_mtime <= tracks.stat().st_mtime
    except OSError:
        return False


def _conclude(rows: list[Row], home: Path, batch: Batch, worker: _Worker) -> None:
    """Show the table, say where the results are, and leave."""
    broken = [row for row in rows if row.state == "broken"]
    part = [row for row in rows if row.state == "part"]
    there = [row for row in rows if row.state == "there"]
    table = Table(title=count(len(rows), "video"), title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("video", overflow="fold")
    for name in ("frames", "instances", "seconds"):
        table.add_column(name, justify="right")
    table.add_column("", overflow="fold")
    shown = rows if len(rows) <= LONGEST else [*broken, *part, *(row for row in rows if row.state == "done")][:LONGEST]
    for row in shown:
        figures = ["" if value is None else str(value) for value in (row.frames, row.instances)]
        seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
        said = {"broken": "left out: ", "part": "in part: "}.get(row.state, "") + row.said
        table.add_row(escape(row.name), *figures, seconds, escape(said))
    out.print(table)
    if len(rows) > len(shown):
        out.print(f"... and {len(rows) - len(shown)} more.")
    if there:
        out.print(f"{count(len(there), 'video')} had results already: --overwrite makes them anew.")
    names = f"{one.TRACKS} and {one.VIDEO}" if batch.video else one.TRACKS
    if len(broken) < len(rows):
        out.print(f"Results: {escape(str(home))} (a folder for each video with {names})", soft_wrap=True)
    if worker.caution:
        warn(worker.caution)
    if len(broken) == len(rows):
        warn("None of the videos could be used.")
        raise typer.Exit(NONE_WORKED)
    if broken or part:
        raise typer.Exit(one.IN_PART)
