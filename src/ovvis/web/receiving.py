"""An upload: bytes into a file of the job's own, no more than allowed, whole or not at all."""

from __future__ import annotations

import asyncio

from fastapi import HTTPException, Request
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from ovvis.web.jobs import Job, Jobs
from ovvis.web.limits import size_in_words


def too_large(name: str, size: int | None, most: int) -> str:
    """Return what is said of an upload that is too large."""
    has = "is larger" if size is None else f"has {size_in_words(size)}, more"
    return f"{name} {has} than the {size_in_words(most)} that this page takes: cut it, or encode it smaller"


async def receive(job: Job, jobs: Jobs, request: Request) -> None:
    """Take a job's video and put the job into the queue.

    Raises:
        HTTPException: the job has its video already, or it is too large, cut off, or silent; the job has ended then.
    """
    if job.state != "uploading" or job.upload.exists():
        raise HTTPException(409, "this job has its video already")
    try:
        await _write(job, jobs, request)
    except HTTPException as error:
        jobs.end(job, "failed", str(error.detail))
        raise
    except ClientDisconnect:
        jobs.end(job, "cancelled", "its upload was broken off")
        raise HTTPException(400, "the upload was broken off") from None
    except BaseException:
        jobs.end(job, "failed", "its upload could not be kept: the server's disk may be full")
        raise
    jobs.line_up(job)


async def _write(job: Job, jobs: Jobs, request: Request) -> None:
    most, silence, came = jobs.limits.upload, jobs.limits.silence, 0
    stated = request.headers.get("content-length")
    if stated is not None and int(stated) > most:
        raise HTTPException(413, too_large(job.request.name, int(stated), most))
    chunks = request.stream().__aiter__()
    with job.upload.open("xb") as file:
        while True:
            try:
                chunk = await asyncio.wait_for(anext(chunks, None), silence)
            except TimeoutError:
                raise HTTPException(408, f"the upload brought nothing for {silence:g} s: try again") from None
            if chunk is None:
                break
            came += len(chunk)
            if came > most:
                raise HTTPException(413, too_large(job.request.name, None, most))
            if job.over:
                raise HTTPException(409, "the job was cancelled")
            await run_in_threadpool(file.write, chunk)
            job.progress.done, job.progress.total = came, None if stated is None else int(stated)
            jobs.touch(job)
    if came == 0:
        raise HTTPException(400, f"{job.request.name} is empty: choose another file")
    if stated is not None and came < int(stated):
        raise ClientDisconnect
