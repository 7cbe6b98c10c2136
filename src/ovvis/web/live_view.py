"""The live picture in a browser: a stream of JPEGs that any browser shows, figures, and labels to change."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator
from importlib import resources
from typing import Annotated, Any, Protocol

import numpy as np
from fastapi import APIRouter, Body, FastAPI, HTTPException, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from numpy.typing import NDArray
from PIL import Image

from ovvis.errors import InputError
from ovvis.web.errors import tell_errors

_QUALITY = 82  # of a JPEG
_BOUNDARY = "ovvis-picture"
_GLANCE = 1.0  # seconds after which a watcher that waits for a picture looks whether the stream is over
_KINDS = {"live.html": "text/html", "live.css": "text/css", "live.js": "text/javascript"}
MAX_LABELS = 100_000
"""Most characters of labels that a page may send."""


class Panel(Protocol):
    """What the page shows and changes."""

    def figures(self) -> dict[str, Any]:
        """Return what is told beside the picture; see `live.js`."""

    def change_labels(self, labels: str) -> tuple[str, ...]:
        """Look for other labels from the next frame on; return them as they were understood.

        Raises:
            InputError: they cannot be used.
        """


class Screen:
    """Holds the newest picture for any number of watchers; one who is slow misses pictures and holds nobody up."""

    def __init__(self) -> None:
        self.watchers = 0
        self._lock = threading.Lock()
        self._image: NDArray[np.uint8] | None = None
        self._number = 0
        self._encoded: tuple[int, bytes] = 0, b""
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self._closed = False

    def show(self, image: NDArray[np.uint8]) -> None:
        """Show a picture (H, W, 3; RGB), which must not change afterwards."""
        with self._lock:
            self._image, self._number = image, self._number + 1
            waiting = list(self._waiting.items())
        self._wake(waiting)

    def close(self) -> None:
        """End all streams; the last picture stays."""
        with self._lock:
            self._closed = True
            waiting = list(self._waiting.items())
        self._wake(waiting)

    @staticmethod
    def _wake(waiting: list[tuple[asyncio.Event, asyncio.AbstractEventLoop]]) -> None:
        for event, loop in waiting:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:  # the server has ended meanwhile
                continue

    def jpeg(self) -> tuple[int, bytes]:
        """Return the newest picture's number, from 1, and its JPEG; 0 and nothing where there is none yet.

        It is encoded once, however many watch, in the thread of whoever asks first.
        """
        with self._lock:
            image, number = self._image, self._number
            if image is None or self._encoded[0] == number:
                return self._encoded
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=_QUALITY)
        with self._lock:
            if self._encoded[0] < number:
                self._encoded = number, buffer.getvalue()
            return self._encoded

    async def pictures(self) -> AsyncIterator[bytes]:
        """Yield the newest picture as a JPEG, then each newer one that there is time for."""
        event, given = asyncio.Event(), 0
        with self._lock:
            self._waiting[event] = asyncio.get_running_loop()
            self.watchers += 1
        try:
            while True:
                number, jpeg = await asyncio.to_thread(self.jpeg)
                if number > given:
                    given = number
                    yield jpeg
                elif self._closed:
                    return
                else:
                    try:
                        await asyncio.wait_for(event.wait(), _GLANCE)
                    except TimeoutError:
                        continue
                    event.clear()
        finally:
            with self._lock:
                self._waiting.pop(event, None)
                self.watchers -= 1


def live_router(screen: Screen, panel: Panel) -> APIRouter:
    """Return the routes of a live view.

    Args:
        screen: the picture.
        panel: the figures and the labels.
    """
    router = APIRouter(prefix="/live")

    @router.get("")
    def page() -> Response:
        return _file("live.html")

    @router.get("/files/{name}")
    def file(name: str) -> Response:
        return _file(name)

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(
            _parts(screen),
            media_type=f"multipart/x-mixed-replace; boundary={_BOUNDARY}",
            headers={"Cache-Control": "no-store"},
        )

    @router.get("/picture.jpg")
    def picture() -> Response:
        number, jpeg = screen.jpeg()
        if not number:
            raise HTTPException(404, "there is no picture yet")
        return Response(jpeg, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    @router.get("/figures")
    def figures() -> dict[str, Any]:
        return panel.figures()

    @router.post("/labels")
    def labels(words: Annotated[str, Body(embed=True, alias="labels", max_length=MAX_LABELS)]) -> dict[str, Any]:
        if words.lstrip().startswith("@"):  # no page reads files of this machine
            raise InputError("labels are words here, such as: dog, cat|kitten")
        return {"labels": panel.change_labels(words)}

    return router


def live_app(screen: Screen, panel: Panel) -> FastAPI:
    """Return an application that is a live view alone, without the gate before it."""
    app = FastAPI(title="ovvis live", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(live_router(screen, panel))
    tell_errors(app)

    @app.get("/")
    def home(request: Request) -> RedirectResponse:
        return RedirectResponse(request.url.replace(path="/live"))

    return app


async def _parts(screen: Screen) -> AsyncIterator[bytes]:
    """Yield pictures as parts of a response that never ends, each in the place of the one before."""
    async for jpeg in screen.pictures():
        head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        yield head.encode() + jpeg + b"\r\n"


def _file(name: str) -> Response:
    if name not in _KINDS:
        raise HTTPException(404, "there is no such file")
    return Response((resources.files("ovvis.web") / name).read_bytes(), media_type=_KINDS[name])
