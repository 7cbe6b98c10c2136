"""Who asks, and of what: everything is of the session that asks, and no other's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from anyio import CapacityLimiter
from fastapi import Depends, HTTPException, Request

from ovvis.web import exporting
from ovvis.web.choices import Entry
from ovvis.web.jobs import Job, Jobs, Progress
from ovvis.web.worker import Worker


@dataclass(frozen=True, slots=True)
class Served:
    """What the addresses act on."""

    jobs: Jobs
    worker: Worker
    entries: list[Entry]  # models that are offered
    cameras: Sequence[str] = ()  # sources of this machine that may be watched
    exports: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(exporting.AT_ONCE))


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


def how_far(progress: Progress | None, foreseen: bool = True) -> dict[str, Any]:
    """Return how much of something is done, and the seconds that the rest will take, if that is to be foreseen."""
    if progress is None:
        return {"done": 0, "total": None, "remaining": None}
    return {"done": progress.done, "total": progress.total, "remaining": progress.remaining() if foreseen else None}
