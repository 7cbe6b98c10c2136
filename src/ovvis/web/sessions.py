"""Who is who: a browser gets a name that nobody can guess, and the token where one is asked for."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from threading import Lock

MOST = 10_000  # sessions; the one that was used longest ago goes first
SHORTEST = 16  # characters of a token that somebody chose


class Sessions:
    """The sessions of a server, in its memory: they end with it.

    Args:
        token: what a browser must know to get one; None where everyone may.
        port: of the server: to browsers all ports of a machine are one place, so the cookie's name tells them apart.
    """

    def __init__(self, token: str | None = None, port: int = 0) -> None:
        self.token, self.cookie = token, f"ovvis-session-{port}"
        self._known: OrderedDict[str, None] = OrderedDict()
        self._lock = Lock()

    def known(self, id: str | None) -> bool:
        """Return whether a session is one that was given away."""
        with self._lock:
            if id is None or id not in self._known:
                return False
            self._known.move_to_end(id)
            return True

    def may_enter(self, token: str | None) -> bool:
        """Return whether a browser with this token may have a session; in the same time whatever it holds."""
        if self.token is None:
            return True
        return token is not None and secrets.compare_digest(token.encode(), self.token.encode())

    def begin(self) -> str:
        """Return a new session."""
        id = secrets.token_urlsafe(32)
        with self._lock:
            self._known[id] = None
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return id
