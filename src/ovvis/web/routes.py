"""What the page's own scripts ask: jobs and their results. Everything is of the session that asks, and no other's."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, Response

from ovvis.errors import InputError
from ovvis.models.zoo import ModelEntry
from ovvis.outputs.style import Style
from ovvis.plain import visible
from ovvis.structures import SHOWN_SCORE
from ovvis.version import __version__
from ovvis.web import choices, exporting, receiving
from ovvis.web.jobs import Job, Jobs, Progress
from ovvis.web.jobs import Request as Asked
from ovvis.web.limits import size_in_words, time_in_words
from ovvis.web.places import MEDIA, PAGE, SUMMARY, VIEW
from ovvis.web.worker import Worker

_ROOM = 2**29  # bytes of the disk that stay free

router = APIRouter(prefix="/api")


@dataclass(frozen=True, slots=True)
class Served:
    """What the addresses act on."""

    jobs: Jobs
    worker: Worker
    entries: list[ModelEntry]  # models that are offered
    cameras: Sequence[str] = ()  # sources of this machine that may be watched
    exports: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(exporting.AT_ONCE))


class NewJob(BaseModel):
    """What a person asks for, before the video comes."""

    name: str = Field(max_length=1000)
    size: int = Field(ge=0)  # bytes
    words: str = Field(default="", max_length=500_000)
    model: str = Field(max_length=200)
    every: int = Field(default=1, ge=1, le=1000)


class Chosen(BaseModel):
    """What of a result is to be taken away, and of the painted video how it looks."""

    min_score: float = SHOWN_SCORE
    opacity: float = Style().opacity
    outlines: bool = Style().outlines
    boxes: bool = Style().boxes
    names: bool = Style().tags

    def wanted(self, format: str) -> exporting.Wanted:
        """Return it as the exports take it."""
        return exporting.Wanted(format, self.min_score, Style(self.opacity, self.outlines, self.boxes, self.names))


class NewExport(Chosen):
    """What is to be made."""

    format: str = Field(max_length=100)


def _served(request: Request) -> Served:
    served: Served = request.app.state.served
    return served


def _owner(request: Request) -> str:
    return str(request.scope["session"])  # the gate has put it there


Here = Annotated[Served, Depends(_served)]
Owner = Annotated[str, Depends(_owner)]


def _own(id: str, who: Owner, here: Here) -> Job:
    job = here.jobs.find(id, who)
    if job is None:
        raise HTTPException(404, "there is no such job of yours: it may have been removed, as its time was over")
    return job


Own = Annotated[Job, Depends(_own)]


def _own_result(job: Own) -> Job:
    if job.state != "done":
        raise HTTPException(409, "this job has no result")
    return job


OwnResult = Annotated[Job, Depends(_own_result)]


@router.get("/choices")
def offers(here: Here) -> dict[str, Any]:
    """Say what there is to choose from."""
    limits = here.jobs.limits
    return {
        "version": __version__,
        "models": choices.models(here.entries),
        "vocabularies": choices.vocabularies(),
        "formats": exporting.formats(),
        "cameras": [choices.camera_name(camera) for camera in here.cameras],
        "limits": {
            "upload": limits.upload,
            "in_words": f"Up to {size_in_words(limits.upload)} and {time_in_words(limits.seconds)}",
            "kept": time_in_words(limits.keep),
        },
    }


@router.get("/jobs")
def mine(who: Owner, here: Here) -> list[dict[str, Any]]:
    """List one's own jobs, the newest first."""
    return [_told(here.jobs, job) for job in here.jobs.of(who) if not job.camera]


@router.post("/jobs", status_code=201)
def add(new: NewJob, who: Owner, here: Here) -> dict[str, Any]:
    """Begin a job; refuse at once what can be refused before the video comes."""
    entry = choices.check_model(new.model, here.entries)
    words = choices.check_words(new.words, entry)
    name = shown_name(new.name)
    if new.size == 0:
        raise InputError(f"{name} is empty: choose another file")
    if new.size > here.jobs.limits.upload:
        raise HTTPException(413, receiving.too_large(name, new.size, here.jobs.limits.upload))
    if shutil.disk_usage(here.jobs.folder).free < new.size + _ROOM:
        raise HTTPException(507, f"the server's disk has no room for {size_in_words(new.size)}: try again later")
    return _told(here.jobs, here.jobs.add(who, Asked(name, words, entry.name, new.every)))


@router.put("/jobs/{id}/video")
async def video(job: Own, here: Here, request: Request) -> dict[str, Any]:
    """Take a job's video, and put the job into the queue."""
    await receiving.receive(job, here.jobs, request)
    return _told(here.jobs, job)


@router.get("/jobs/{id}")
def one(job: Own, here: Here) -> dict[str, Any]:
    """Say how a job is."""
    return _told(here.jobs, job)


@router.delete("/jobs/{id}")
def drop(job: Own, here: Here) -> dict[str, Any]:
    """Cancel a job that has not ended; remove one that has."""
    if job.over:
        here.jobs.remove(job)
        return {"removed": True}
    here.worker.cancel(job)
    return _told(here.jobs, job)


@router.get("/jobs/{id}/preview.jpg")
def preview(job: Own) -> Response:
    """Give the newest painted frame of a running job."""
    if job.preview is None:
        raise HTTPException(404, "there is no preview yet")
    return Response(job.preview, media_type="image/jpeg")


@router.get("/jobs/{id}/tracks")
def tracks(job: OwnResult) -> Response:
    """Give a result's tracks without their masks."""
    return _file(job.folder / SUMMARY, media_type="application/json")


@router.get("/jobs/{id}/view")
def view(job: OwnResult) -> Response:
    """Give the viewer's page; its own policy is the stricter one."""
    policy = "base-uri 'none'; form-action 'none'; object-src 'none'; frame-ancestors 'self'"
    headers = {"Content-Security-Policy": policy}
    return _file(job.folder / VIEW / PAGE, media_type="text/html; charset=utf-8", headers=headers)


@router.get("/jobs/{id}/view/pieces/{number}")
def piece(job: OwnResult, number: int) -> Response:
    """Give a piece of the viewer's masks."""
    path = job.folder / VIEW / f"{number}.piece"
    return _file(path, media_type="application/octet-stream")


@router.get("/jobs/{id}/view/media")
def media(job: OwnResult) -> Response:
    """Give the video that the viewer plays."""
    known = json.loads((job.folder / VIEW / MEDIA).read_text(encoding="utf-8"))
    return _file(Path(known["path"]), media_type=known["type"])


@router.post("/jobs/{id}/exports")
async def prepare(job: OwnResult, here: Here, new: NewExport) -> dict[str, Any]:
    """Make an export; say where it is."""
    made = await to_thread.run_sync(exporting.make, job, new.wanted(new.format), limiter=here.exports)
    query = urlencode(new.model_dump(exclude={"format"}))
    return {"size": made.stat().st_size, "url": f"/api/jobs/{job.id}/exports/{new.format}?{query}"}


@router.get("/jobs/{id}/exports")
def preparing(job: OwnResult) -> dict[str, Any]:
    """Say how far the export is that is being made."""
    return _how_far(job.taking)


@router.get("/jobs/{id}/exports/{format}")
def take(job: OwnResult, format: str, chosen: Annotated[Chosen, Query()]) -> Response:
    """Give an export that was made."""
    try:
        made = chosen.wanted(format).place(job)
    except InputError as error:
        raise HTTPException(404, str(error)) from error
    if not made.is_file():
        raise HTTPException(404, "it is not prepared: ask for it on the page")
    return _file(made, media_type="application/octet-stream", filename=f"{_stem(job)}-{format}{made.suffix}")


def _file(path: Path, media_type: str, filename: str | None = None, headers: dict[str, str] | None = None) -> Response:
    """Give a file of a job, if it is still there: its time may be over since the job was found."""
    if not path.is_file():
        raise HTTPException(404, "it is not there any more: its time was over")
    return FileResponse(path, media_type=media_type, filename=filename, headers=headers)


def shown_name(name: str) -> str:
    r"""Return a video's name as it is shown: the last part of a path, in characters that show.

    >>> shown_name("C:\\videos\\dog.mp4"), shown_name("../../etc/passwd"), shown_name("")
    ('dog.mp4', 'passwd', 'video')
    """
    last = re.split(r"[/\\]", name)[-1].strip()
    return visible(last)[:120] or "video"


def _stem(job: Job) -> str:
    """Return a name for downloads."""
    stem = job.request.name.rpartition(".")[0] or job.request.name
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.")[:80] or "video"


def _told(jobs: Jobs, job: Job) -> dict[str, Any]:
    """Return what a person is told of a job."""
    running = job.state == "running"
    return {
        "id": job.id,
        "name": job.request.name,
        "words": job.request.words[:300],
        "model": job.request.model,
        "every": job.request.every,
        "state": job.state,
        "ahead": jobs.place(job),
        "age": time.time() - job.born,
        "stage": job.stage if running else "",
        **_how_far(job.progress, running),
        "preview": job.preview_frame if running else None,
        "error": job.error,
        "outcome": job.outcome,
        "kept_for": jobs.kept_for(job),
    }


def _how_far(progress: Progress | None, foreseen: bool = True) -> dict[str, Any]:
    """Return how much of something is done, and the seconds that the rest will take, if that is to be foreseen."""
    if progress is None:
        return {"done": 0, "total": None, "remaining": None}
    return {"done": progress.done, "total": progress.total, "remaining": progress.remaining() if foreseen else None}
