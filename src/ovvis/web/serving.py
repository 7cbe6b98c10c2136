"""A web server beside the work, in a thread of its own; who may ask it, and where it listens."""

from __future__ import annotations

import hmac
import ipaddress
import socket
import threading
import time
from types import TracebackType
from typing import Any

from fastapi import HTTPException, Request
from uvicorn import Config, Server

from ovvis.errors import InputError

FIRST_PORT = 8765
"""Where the search for a free port begins."""

_PORTS = 20  # that are tried
_STARTING = 10.0  # seconds that the server may take to answer
_CLOSING = 3.0  # seconds that open connections get to end


def is_local(host: str) -> bool:
    """Return whether only this machine reaches what listens at a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: a name or number of this machine.
        port: 0 takes any free one; None the first free from 8765 on.

    Raises:
        InputError: the port is taken or may not be had, or the host is not this machine's.
    """
    tried = range(FIRST_PORT, FIRST_PORT + _PORTS) if port is None else (port,)
    for number in tried:
        try:
            return socket.create_server((host, number), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            if number == tried[-1]:
                raise InputError(
                    f"port {number} of {host} cannot be listened at ({reason}): choose another with --port, or 0 for "
                    "any free one; --host must be this machine's"
                ) from error
    raise AssertionError


class Guard:
    """Who may ask: this machine's own pages, or whoever knows the token.

    A page of the internet that a person's browser has open may ask this machine too, under another name; so requests
    that call it by a name that is not its own are refused.

    Args:
        host: where the server listens.
        token: asked of everyone, as `?token=` or as the header `Authorization: Bearer`; None asks for none.
    """

    def __init__(self, host: str, token: str | None = None) -> None:
        self._local, self._token = is_local(host), token

    def __call__(self, request: Request) -> None:
        """Let a request pass.

        Raises:
            HTTPException: 403, if it may not.
        """
        name = request.url.hostname or ""
        if self._local and not is_local(name):
            raise HTTPException(403, f"this page is for this machine alone, and not called {name[:80]}")
        if self._token is None:
            return
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        given = request.query_params.get("token") or bearer
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            raise HTTPException(403, "the token is missing or wrong: open the address that the program has printed")


class BesideServer:
    """Serves an application from a thread until the block ends.

    Args:
        app: the application.
        at: the socket, from `listen`.
    """

    def __init__(self, app: Any, at: socket.socket) -> None:
        self._socket = at
        self._server = Server(
            Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=int(_CLOSING), ws="none")
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
