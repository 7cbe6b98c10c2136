"""What the page's own scripts ask of a result: the viewer's files, the table, what is taken away."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

from anyio import to_thread
from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, Field
from starlette.responses import FileResponse, Response

from ovvis.errors import InputError
from ovvis.outputs.style import Style
from ovvis.structures import SHOWN_SCORE
from ovvis.web import exporting
from ovvis.web.asking import Here, OwnResult, how_far
from ovvis.web.jobs import Job
from ovvis.web.places import MEDIA, PAGE, SUMMARY, VIEW

router = APIRouter(prefix="/api/jobs/{id}")


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


@router.get("/tracks")
def tracks(job: OwnResult) -> Response:
    """Give a result's tracks without their masks."""
    return _file(job.folder / SUMMARY, media_type="application/json")


@router.get("/view")
def view(job: OwnResult) -> Response:
    """Give the viewer's page; its own policy is the stricter one."""
    policy = "base-uri 'none'; form-action 'none'; object-src 'none'; frame-ancestors 'self'"
    headers = {"Content-Security-Policy": policy}
    return _file(job.folder / VIEW / PAGE, media_type="text/html; charset=utf-8", headers=headers)


@router.get("/view/pieces/{number}")
def piece(job: OwnResult, number: int) -> Response:
    """Give a piece of the viewer's masks."""
    path = job.folder / VIEW / f"{number}.piece"
    return _file(path, media_type="application/octet-stream")


@router.get("/view/media")
def media(job: OwnResult) -> Response:
    """Give the video that the viewer plays."""
    known = json.loads((job.folder / VIEW / MEDIA).read_text(encoding="utf-8"))
    return _file(Path(known["path"]), media_type=known["type"])


@router.post("/exports")
async def prepare(job: OwnResult, here: Here, new: NewExport) -> dict[str, Any]:
    """Make an export; say where it is."""
    made = await to_thread.run_sync(exporting.make, job, new.wanted(new.format), limiter=here.exports)
    query = urlencode(new.model_dump(exclude={"format"}))
    return {"size": made.stat().st_size, "url": f"/api/jobs/{job.id}/exports/{new.format}?{query}"}


@router.get("/exports")
def preparing(job: OwnResult) -> dict[str, Any]:
    """Say how far the export is that is being made."""
    return how_far(job.taking)


@router.get("/exports/{format}")
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


def _stem(job: Job) -> str:
    """Return a name for downloads."""
    stem = job.request.name.rpartition(".")[0] or job.request.name
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.")[:80] or "video"
