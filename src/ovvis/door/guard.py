"""Who may ask for a page of this machine: by which name, from which page, with which token."""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from ovvis.errors import InputError

SHORTEST = 16
"""Characters of a token that somebody chose."""

_ELSEWHERE = "this came from another page: use the page that this server gives out"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered."""

    code: int  # of HTTP
    line: str


class Guard:
    """Answers only what asks this server by its own name, from its own page, with its token.

    A page of somebody else's that a person's browser has open can ask this machine, too. It does so under a name that
    was made to lead here ("DNS rebinding"), or as itself, which the browser says of requests that change something.

    Args:
        host: where the server listens.
        token: what a visitor must know; None asks for none.
        names: further names that it is reached by, as behind a proxy.

    Attributes:
        open: whether other machines reach it.

    >>> guard = Guard("127.0.0.1")
    >>> guard.refusal({"host": "localhost:8000"}.get)
    >>> guard.refusal({"host": "evil.example"}.get).code
    421
    """

    def __init__(self, host: str, token: str | None = None, names: Iterable[str] = ()) -> None:
        self.open = not is_local(host)
        self._token = token
        self._names = {name.lower() for name in (host, *names)}
        if self.open:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    def refusal(self, header: Callable[[str], str | None], changes: bool = False) -> Refusal | None:
        """Return what is against a request; None for nothing.

        Args:
            header: gives a header of the request by its name, in small letters.
            changes: whether it may change something, or opens a socket.
        """
        host = header("host") or ""
        if not self._is_ours(host):
            return Refusal(421, "this server is not called that: open the address that it printed; --name adds one")
        if changes:
            origin, site = header("origin"), header("sec-fetch-site")
            own = origin is None or origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")
            if not own or site not in (None, "same-origin", "none"):
                return Refusal(403, _ELSEWHERE)
        return None

    def knows(self, token: str | None) -> bool:
        """Return whether who brings this token may come in; in the same time whatever it holds."""
        if self._token is None:
            return True
        return token is not None and hmac.compare_digest(token.encode(), self._token.encode())

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if is_local(name) or name in self._names:
            return True
        try:  # an address cannot be made to lead elsewhere, as a name can
            return self.open and ipaddress.ip_address(name) is not None
        except ValueError:
            return False


def is_local(host: str) -> bool:
    """Return whether only this machine reaches what listens at a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def checked_token(token: str | None, host: str) -> str | None:
    """Return the token that a server asks for: the one that was chosen, or one that is made where others reach it.

    Raises:
        InputError: it could be guessed, or does not fit into an address.
    """
    if token is None:
        return None if is_local(host) else secrets.token_urlsafe(24)
    if not re.fullmatch(rf"[A-Za-z0-9_.~-]{{{SHORTEST},}}", token):
        raise InputError(
            f"--token: it must have at least {SHORTEST} letters, digits, '-' or '_', so that nobody guesses it; "
            "without --token one is made where one is needed"
        )
    return token
