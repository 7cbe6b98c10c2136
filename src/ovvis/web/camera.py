"""A camera over a socket: the browser's, whose frames come and whose painted pictures go, or one of the server's.

The browser says first what to look for: {"words": ..., "model": ...}, and "camera": n for the server's n-th. It is told
{"state": "waiting", "ahead": n}, {"state": "preparing", ...}, {"state": "running"}; from then on it sends JPEG frames,
one after the other's picture, or nothing where the camera is the server's. For each it gets {"counts": ..., "latency":
seconds, "left_out": frames} and a JPEG; of pictures that come faster than the browser takes them the newest alone.
{"words": ...} changes what is looked for while it runs; {"refused": line} says why not. The session ends with the
socket, or when it has had its time while others wait: {"state": "ended", "why": line}.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, WebSocket
from pydantic import BaseModel, Field, ValidationError
from starlette.websockets import WebSocketDisconnect

from ovvis.errors import InputError, OvvisError
from ovvis.web import choices
from ovvis.web.jobs import Job, Jobs, Request
from ovvis.web.worker import Camera, Worker

_GLANCE = 0.1  # seconds between two looks at the job
FRAME = 2**21  # bytes of a message


class Wish(BaseModel):
    """What a camera is to look for."""

    words: str = Field(default="", max_length=100_000)
    model: str = Field(default="", max_length=200)  # only what is said first names one
    camera: int | None = Field(default=None, ge=0)  # of the server's; None for the browser's


def add_camera(
    app: FastAPI, jobs: Jobs, worker: Worker, entries: list[choices.Entry], cameras: Sequence[str] = ()
) -> None:
    """Add the socket to the page's application; `cameras` are the server's own that may be watched."""

    @app.websocket("/api/camera")
    async def camera(socket: WebSocket) -> None:
        await socket.accept()
        with suppress(WebSocketDisconnect, RuntimeError):  # the browser went away
            try:
                wish = Wish.model_validate_json(await socket.receive_text())
                entry = choices.check_model(wish.model, entries)
                words = choices.check_words(wish.words, entry)
                asked = Request("camera", words, entry.name, camera=_chosen(wish.camera, cameras))
                job = jobs.add(socket.scope["session"], asked, camera=True)
            except (OvvisError, ValidationError) as error:
                await socket.send_json({"state": "ended", "why": " ".join(str(error).split())})
                await socket.close()
                return
            try:
                await _Session(socket, jobs, job, entries).run(worker)
            finally:
                worker.cancel(job)
                jobs.remove(job)


def _chosen(number: int | None, cameras: Sequence[str]) -> str | None:
    if number is not None and number >= len(cameras):
        raise InputError("this camera of the server is not offered: load the page again")
    return None if number is None else cameras[number]


class _Session:
    """One camera, from its place in the queue to its end."""

    def __init__(self, socket: WebSocket, jobs: Jobs, job: Job, entries: list[choices.Entry]) -> None:
        self._socket, self._jobs, self._job, self._entries = socket, jobs, job, entries
        self._loop = asyncio.get_running_loop()
        self._painted: asyncio.Queue[tuple[bytes, dict[str, Any]]] = asyncio.Queue(maxsize=1)
        self._camera = Camera(self._on_painted, self._on_refused)
        self._refused: list[str] = []

    def _on_painted(self, picture: bytes, facts: dict[str, Any]) -> None:
        self._loop.call_soon_threadsafe(self._replace, (picture, facts))

    def _replace(self, newest: tuple[bytes, dict[str, Any]]) -> None:
        with suppress(asyncio.QueueEmpty):
            self._painted.get_nowait()
        self._painted.put_nowait(newest)

    def _on_refused(self, line: str) -> None:
        self._refused.append(line)

    async def run(self, worker: Worker) -> None:
        worker.attach(self._job, self._camera)
        self._jobs.line_up(self._job)
        reading = asyncio.create_task(self._read())
        try:
            while not self._job.over and not reading.done():
                await self._tell()
            if self._job.over:
                await self._socket.send_json({"state": "ended", "why": self._job.error or "the session was ended"})
                await self._socket.close()
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await reading

    async def _tell(self) -> None:
        job = self._job
        while self._refused:
            await self._socket.send_json({"refused": self._refused.pop(0)})
        if job.state == "running" and job.stage == "camera":
            with suppress(TimeoutError):
                picture, facts = await asyncio.wait_for(self._painted.get(), _GLANCE)
                await self._socket.send_json(facts)
                await self._socket.send_bytes(picture)
            await self._say({"state": "running"})
            return
        said: dict[str, Any] = {"state": "waiting", "ahead": self._jobs.place(job)}
        if job.state == "running":
            said = {"state": "preparing", "stage": job.stage, "done": job.progress.done, "total": job.progress.total}
        await self._say(said)
        await asyncio.sleep(_GLANCE)

    _said: dict[str, Any] | None = None

    async def _say(self, what: dict[str, Any]) -> None:
        if what != self._said:
            self._said = what
            await self._socket.send_json(what)

    async def _read(self) -> None:
        """Take frames; of those that come too fast the newest is left out: the browser sends one at a time."""
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            what: bytes | str | None = message.get("bytes")
            if what is None:
                try:
                    entry = choices.check_model(self._job.request.model, self._entries)
                    what = choices.check_words(Wish.model_validate_json(message.get("text") or "").words, entry)
                except (OvvisError, ValidationError) as error:
                    self._refused.append(" ".join(str(error).split()))
                    continue
            with suppress(queue.Full):
                self._camera.inbox.put_nowait(what)
