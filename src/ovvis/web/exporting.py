"""Results to take away: any of the formats, or painted; written by a process of its own, a folder as one file."""

from __future__ import annotations

import multiprocessing
import shutil
import time
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ovvis.errors import InputError, OvvisError
from ovvis.outputs.export import FORMATS, export
from ovvis.outputs.formats.tracks_json import TRACKS, load_tracks
from ovvis.outputs.style import Style
from ovvis.structures import SHOWN_SCORE
from ovvis.web.jobs import Busy, Job, Progress
from ovvis.web.unforeseen import told_unforeseen

PAINTED = "painted"  # beside the formats: the video with what was found painted on it
PATIENCE = 3600.0  # seconds that one may take
AT_ONCE = 2  # that are made for all visitors
KEPT = 8  # of one job; the one that was made longest ago goes first

_GLANCE = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be taken away.

    Raises:
        InputError: there is no such format, or a number is out of range.
    """

    format: str  # a name of `FORMATS`, or "painted"
    min_score: float = SHOWN_SCORE  # tracks below it are left out, in [0, 1]
    style: Style = field(default_factory=Style)  # of what is painted

    def __post_init__(self) -> None:
        if self.format not in {row["name"] for row in formats()}:
            raise InputError(f"format {self.format[:40]!r}: choose one of the list")
        if not 0 <= self.min_score <= 1:
            raise InputError(f"min_score {self.min_score:g}: it must lie in [0, 1]")

    def place(self, job: Job) -> Path:
        """Return where it lies once it is made."""
        name = f"export-{self.format}-{round(self.min_score * 1000)}"
        if self.format == PAINTED:
            how = self.style
            switches = "".join("01"[on] for on in (how.outlines, how.boxes, how.tags))
            return job.folder / f"{name}-{round(how.opacity * 1000)}-{switches}.mp4"
        return job.folder / f"{name}{FORMATS[self.format].suffix or '.zip'}"


def formats() -> list[dict[str, Any]]:
    """Return a row for each format that can be made here."""
    there = (row for row in FORMATS.values() if row.extra is None or find_spec(row.extra) is not None)
    painted = {"name": PAINTED, "summary": "the video as the viewer shows it: from this score on, as tinted and named"}
    return [painted, *({"name": row.name, "summary": row.summary} for row in there)]


def make(job: Job, wanted: Wanted) -> Path:
    """Return an export of a job's result, made if it is not there; the job tells how far it is.

    Args:
        job: it is done.
        wanted: what of it.

    Raises:
        Busy: another is being made.
        InputError: the result cannot be written so.
    """
    target = wanted.place(job)
    if not job.exporting.acquire(blocking=False):
        raise Busy("something else of this result is being made: wait for it")
    try:
        if not target.is_file():
            _make_room(job)
            job.taking = Progress()
            _in_a_process(job, wanted, target)
    finally:
        job.taking = None
        job.exporting.release()
    return target


def _make_room(job: Job) -> None:
    """Let the oldest exports go: each score makes another."""
    there = sorted(job.folder.glob("export-*"), key=lambda path: path.stat().st_mtime)
    for old in there[: max(len(there) - KEPT + 1, 0)]:
        old.unlink(missing_ok=True)


def _in_a_process(job: Job, wanted: Wanted, target: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    arguments = (there, job.folder / TRACKS, wanted, target, job.upload, job.request.every)
    process = context.Process(target=_export, args=arguments, name="ovvis-web-export", daemon=True)
    process.start()
    there.close()
    try:
        said = _heard(here, job)
    except EOFError:
        said = "the process that wrote it ended: there may be too little memory"
    finally:
        if process.is_alive():
            process.join(5)
            process.kill()
        here.close()
    if said is not None:
        line = str(said).replace(str(job.folder), "the job's folder").replace(job.upload.name, job.request.name)
        raise InputError(f"{wanted.format} could not be made: {line}")


def _heard(line: Connection, job: Job) -> str | None:
    """Note the steps that are told until the end is; return what went wrong."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        if line.poll(_GLANCE):
            what = line.recv()
            if not isinstance(what, tuple):
                return what if what is None else str(what)
            if job.taking is not None:
                job.taking.done, job.taking.total = what
    return "it took too long"


def _export(line: Connection, tracks: Path, wanted: Wanted, target: Path, video: Path, every: int) -> None:
    last = 0.0

    def step(done: int, total: int | None = None) -> None:
        nonlocal last
        if time.monotonic() - last > _GLANCE / 4:
            last = time.monotonic()
            line.send((done, total))

    try:
        if wanted.format == PAINTED:
            _paint(tracks, wanted, target, video, every, step)
        else:
            _write(tracks, wanted, target, video, every, step)
    except OvvisError as error:
        line.send(" ".join(str(error).split()))
    except Exception as error:  # nothing that a result holds may leave the server waiting
        line.send(told_unforeseen(error))
    else:
        line.send(None)


def _paint(
    tracks: Path, wanted: Wanted, target: Path, video: Path, every: int, step: Callable[[int, int | None], None]
) -> None:
    from ovvis.outputs.render import NotPainted, render
    from ovvis.sources.video import open_source

    result, done = load_tracks(tracks), 0

    def on_frame() -> None:
        nonlocal done
        done += 1
        step(done, len(result.frame_indices))

    source = open_source(video, every=every)
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotPainted)
        try:
            render(result, source, target, min_score=wanted.min_score, style=wanted.style, on_frame=on_frame)
        except NotPainted as told:  # the same frames came a moment ago
            target.unlink()
            raise InputError(str(told)) from told


def _write(
    tracks: Path, wanted: Wanted, target: Path, video: Path, every: int, step: Callable[[int, int | None], None]
) -> None:
    row = FORMATS[wanted.format]
    source = None
    if row.frames == "must":
        from ovvis.sources.video import open_source

        source = open_source(video, every=every)

    def to(place: Path) -> None:
        export(tracks, row.name, place, min_score=wanted.min_score, source=source, overwrite=True, advance=step)

    if not row.is_folder:
        to(target)
        return
    folder = target.with_suffix("")
    try:
        to(folder)
        with zipfile.ZipFile(target.with_suffix(".part"), "w", zipfile.ZIP_STORED) as packed:
            for file in sorted(folder.rglob("*")):
                packed.write(file, file.relative_to(folder))
        target.with_suffix(".part").replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
