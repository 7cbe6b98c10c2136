"""A web server beside the work, in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType
from typing import Any

from uvicorn import Config, Server

_STARTING = 10.0  # seconds that the server may take to answer
_CLOSING = 3.0  # seconds that open connections get to end


class BesideServer:
    """Serves an application from a thread until the block ends.

    Args:
        app: the application.
        at: the socket, from `listen`.
    """

    def __init__(self, app: Any, at: socket.socket) -> None:
        self._socket = at
        self._server = Server(
            Config(
                app,
                log_level="critical",
                lifespan="off",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=int(_CLOSING),
                ws="none",
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [at]}, name="ovvis-web", daemon=True
        )

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> BesideServer:
        self._thread.start()
        end = time.monotonic() + _STARTING
        while not self._server.started and self._thread.is_alive() and time.monotonic() < end:
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_CLOSING + 2)
        self._socket.close()
