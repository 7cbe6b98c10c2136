"""Who is who: a browser gets a name that nobody can guess."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from threading import Lock

MOST = 10_000  # sessions; the one that was used longest ago goes first


class Sessions:
    """The sessions of a server, in its memory: they end with it.

    Args:
        port: of the server: to browsers all ports of a machine are one place, so the cookie's name tells them apart.
    """

    def __init__(self, port: int = 0) -> None:
        self.cookie = f"ovvis-session-{port}"
        self._known: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def known(self, id: str | None) -> bool:
        """Return whether a session is one that was given away."""
        with self._lock:
            if id is None or id not in self._known:
                return False
            self._known.move_to_end(id)
            return True

    def begin(self) -> str:
        """Return a new session."""
        id = secrets.token_urlsafe(32)
        with self._lock:
            self._known[id] = None
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return id
