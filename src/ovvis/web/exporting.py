"""Results to take away: any of the formats, written by a process of its own, a folder packed as one file."""

from __future__ import annotations

import multiprocessing
import shutil
import zipfile
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

from ovvis.errors import InputError, OvvisError
from ovvis.outputs.export import FORMATS, export
from ovvis.web.jobs import Job
from ovvis.web.places import TRACKS

_AT_ONCE = BoundedSemaphore(2)  # processes that write exports
PATIENCE = 3600.0  # seconds that one may take


def formats() -> list[dict[str, Any]]:
    """Return a row for each format that can be made here."""
    there = (row for row in FORMATS.values() if row.extra is None or find_spec(row.extra) is not None)
    return [{"name": row.name, "summary": row.summary} for row in there]


def make(job: Job, format: str, min_score: float) -> Path:
    """Return an export of a job's result, made if it is not there.

    Args:
        job: it is done.
        format: a name of `FORMATS`.
        min_score: tracks below it are left out, in [0, 1].

    Raises:
        InputError: there is no such format, or the result cannot be written in it.
    """
    if format not in {row["name"] for row in formats()}:
        raise InputError(f"format {format[:40]!r}: choose one of the list")
    if not 0 <= min_score <= 1:
        raise InputError(f"min_score {min_score:g}: it must lie in [0, 1]")
    target = _place(job, format, min_score)
    with _AT_ONCE:
        if not target.is_file():
            _in_a_process(job, format, min_score, target)
    return target


def made(job: Job, format: str, min_score: float) -> Path | None:
    """Return an export that `make` made; None where there is none."""
    path = _place(job, format, min_score) if format in FORMATS and 0 <= min_score <= 1 else None
    return path if path is not None and path.is_file() else None


def _place(job: Job, format: str, min_score: float) -> Path:
    return job.folder / f"export-{format}-{round(min_score * 1000)}{FORMATS[format].suffix or '.zip'}"


def _in_a_process(job: Job, format: str, min_score: float, target: Path) -> None:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    arguments = (there, job.folder / TRACKS, format, min_score, target, job.upload, job.request.every)
    process = context.Process(target=_export, args=arguments, name="ovvis-web-export", daemon=True)
    process.start()
    there.close()
    try:
        said = here.recv() if here.poll(PATIENCE) else "it took too long"
    except EOFError:
        said = "the process that wrote it ended: there may be too little memory"
    finally:
        if process.is_alive():
            process.join(5)
            process.kill()
        here.close()
    if said is not None:
        line = str(said).replace(str(job.folder), "the job's folder").replace(job.upload.name, job.request.name)
        raise InputError(f"{format} could not be made: {line}")


def _export(
    line: Connection, tracks: Path, format: str, min_score: float, target: Path, video: Path, every: int
) -> None:
    try:
        _write(tracks, format, min_score, target, video, every)
    except OvvisError as error:
        line.send(" ".join(str(error).split()))
    except Exception as error:
        line.send(f"something went wrong that was not foreseen ({type(error).__name__})")
        raise
    else:
        line.send(None)


def _write(tracks: Path, format: str, min_score: float, target: Path, video: Path, every: int) -> None:
    row = FORMATS[format]
    source = None
    if row.frames == "must":
        from ovvis.sources.video import open_source

        source = open_source(video, every=every)
    if not row.is_folder:
        export(tracks, format, target, min_score=min_score, source=source, overwrite=True)
        return
    folder = target.with_suffix("")
    try:
        export(tracks, format, folder, min_score=min_score, source=source, overwrite=True)
        with zipfile.ZipFile(target.with_suffix(".part"), "w", zipfile.ZIP_STORED) as packed:
            for file in sorted(folder.rglob("*")):
                packed.write(file, file.relative_to(folder))
        target.with_suffix(".part").replace(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
