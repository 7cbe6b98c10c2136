"""What the page's own scripts ask: what there is to choose from, jobs and how they are."""

from __future__ import annotations

import re
import shutil
import time
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from ovvis.errors import InputError
from ovvis.plain import visible
from ovvis.version import __version__
from ovvis.web import choices, exporting, receiving
from ovvis.web.asking import Here, Own, Owner, how_far
from ovvis.web.jobs import Job, Jobs
from ovvis.web.jobs import Request as Asked
from ovvis.web.limits import size_in_words, time_in_words

_ROOM = 2**29  # bytes of the disk that stay free

router = APIRouter(prefix="/api")


class NewJob(BaseModel):
    """What a person asks for, before the video comes."""

    name: str = Field(max_length=1000)
    size: int = Field(ge=0)  # bytes
    words: str = Field(default="", max_length=500_000)
    model: str = Field(max_length=200)
    every: int = Field(default=1, ge=1, le=1000)


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


def shown_name(name: str) -> str:
    r"""Return a video's name as it is shown: the last part of a path, in characters that show.

    >>> shown_name("C:\\videos\\dog.mp4"), shown_name("../../etc/passwd"), shown_name("")
    ('dog.mp4', 'passwd', 'video')
    """
    last = re.split(r"[/\\]", name)[-1].strip()
    return visible(last)[:120] or "video"


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
        **how_far(job.progress, running),
        "preview": job.preview_frame if running else None,
        "error": job.error,
        "outcome": job.outcome,
        "kept_for": jobs.kept_for(job),
    }
