"""The viewer from a small server of this machine, for this machine: masks and video go to the browser as it asks."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from ovvis.door.guard import Guard
from ovvis.door.listening import address, listen
from ovvis.viewer.media import Media
from ovvis.viewer.page import page_html
from ovvis.viewer.pieces import Pieces

_HERE = "127.0.0.1"
_BIT = 1 << 20  # bytes of a video that are read at once
_KEPT = 32  # pieces that are not packed again when they are asked for again


@contextmanager
def serve(pieces: Pieces, media: Media | None, port: int = 0) -> Iterator[tuple[str, Callable[[], None]]]:
    """Give a viewer's address on this machine and what serves it until it is interrupted.

    Only who knows the address, which no one can guess, sees anything, and only from this machine.

    Args:
        pieces: the result.
        media: the video, or None.
        port: 0 for any that is free.

    Raises:
        InputError: the port is taken or not allowed.
    """
    site = _Site(pieces, media)
    handler = type("Handler", (_Handler,), {"site": site})
    with _Server(listen(_HERE, port), handler) as server:
        yield address(_HERE, server.server_port, f"{site.key}/"), server.serve_forever


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listening: socket.socket, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(listening.getsockname(), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening
        self.server_name, self.server_port = listening.getsockname()[:2]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of browsers that go away."""


class _Site:
    """What can be asked for."""

    def __init__(self, pieces: Pieces, media: Media | None) -> None:
        self.key = secrets.token_urlsafe(16)
        self.guard = Guard(_HERE, self.key)
        self.media, self.count = media, len(pieces)
        facts = None if media is None else media.facts()
        place = None if media is None else "video"
        self.page = page_html(pieces.head() | {"media": facts}, "pieces/{n}", place).encode()
        lock = Lock()  # a result's masks may lie in one file

        @lru_cache(maxsize=_KEPT)
        def piece(number: int) -> bytes:
            with lock:
                return pieces.piece(number)

        self.piece = piece


class _Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD."""

    site: _Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer with what lies at the address."""
        site = self.site
        _, _, key_and_more = self.path.partition("?")[0].partition("/")
        key, slash, wanted = key_and_more.partition("/")
        if site.guard.refusal(self.headers.get) or not slash or not site.guard.knows(key):
            return self._send(404, b"not found", "text/plain")
        if not wanted:
            return self._send(200, site.page, "text/html; charset=utf-8")
        if wanted == "video" and site.media is not None:
            return self._video(site.media)
        number = wanted.removeprefix("pieces/")
        if wanted.startswith("pieces/") and number.isascii() and number.isdigit() and int(number) < site.count:
            return self._send(200, site.piece(int(number)), "application/octet-stream")
        return self._send(404, b"not found", "text/plain")

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _head(self, status: int, kind: str, length: int, **more: str) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(length), "Cache-Control": "no-store"}
        headers |= {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
        for name, value in (headers | {name.replace("_", "-"): value for name, value in more.items()}).items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self._head(status, kind, len(content))
        if self.command == "GET":
            with suppress(ConnectionError):
                self.wfile.write(content)

    def _video(self, media: Media) -> None:
        """Send the video, or the part that the browser asks for: it does so to go to a moment."""
        with media.path.open("rb") as file:
            size = file.seek(0, 2)
            span = byte_range(self.headers.get("Range"), size)
            if span is None:
                self._head(416, media.type, 0, Content_Range=f"bytes */{size}")
                return
            first, last = span
            part = "Range" in self.headers
            more = {"Content_Range": f"bytes {first}-{last}/{size}"} if part else {}
            self._head(206 if part else 200, media.type, last - first + 1, Accept_Ranges="bytes", **more)
            file.seek(first)
            left = last - first + 1
            with suppress(ConnectionError):
                while self.command == "GET" and left and (content := file.read(min(_BIT, left))):
                    self.wfile.write(content)
                    left -= len(content)


def byte_range(asked: str | None, size: int) -> tuple[int, int] | None:
    """Return first and last byte of what a Range header asks for; all for none or several, None for none there.

    >>> [byte_range(asked, 10) for asked in (None, "bytes=2-3", "bytes=8-", "bytes=-4", "bytes=0-99", "bytes=10-")]
    [(0, 9), (2, 3), (8, 9), (6, 9), (0, 9), None]
    """
    unit, _, text = (asked or "").partition("=")
    first, dash, last = text.strip().partition("-")
    plain = all(not part or (part.isascii() and part.isdigit()) for part in (first, last))
    if unit.strip() != "bytes" or not dash or not plain or not (first or last):
        return 0, size - 1
    begin = int(first) if first else max(size - int(last), 0)
    end = min(int(last), size - 1) if first and last else size - 1
    return (begin, end) if begin <= end < size else None
