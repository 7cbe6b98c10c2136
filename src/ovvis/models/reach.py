"""Whether a server can be reached, known within seconds: where no network is, nothing waits for a time-out."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from queue import Empty, Queue
from threading import Thread
from time import monotonic
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from ovvis.models.transfer import reason

WAIT = 4.0  # seconds for a name and a connection; a network that is there answers within one
_PORTS = {"http": 80, "https": 443}


def unreachable(addresses: Sequence[str]) -> str | None:
    """Return why none of these servers can be reached; None as soon as one is.

    All are asked at once. Behind a proxy it is the proxy that is asked.

    Args:
        addresses: of what is wanted, beginning with https:// or http://.
    """
    doors = dict.fromkeys(_door(address) for address in addresses)
    answers: Queue[str | None] = Queue()
    for door in doors:
        # Looking a name up cannot be stopped: what is not back in time is left alone.
        Thread(target=lambda door=door: answers.put(_knock(*door)), daemon=True).start()
    end = monotonic() + WAIT
    said: list[str] = []
    while len(said) < len(doors):
        try:
            answer = answers.get(timeout=max(end - monotonic(), 0))
        except Empty:
            said.append(f"{', '.join(name for name, _ in doors)}: no answer within {WAIT:g} s")
            break
        if answer is None:
            return None
        said.append(answer)
    return said[0] if said else "there is no address to ask"


def _door(address: str) -> tuple[str, int]:
    """Return host and port that a connection to an address is made to."""
    parts = urlsplit(address)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and not proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 1080)


def _knock(host: str, port: int) -> str | None:
    """Return why no connection can be made; None if one can."""
    try:
        socket.create_connection((host, port), timeout=WAIT).close()
    except (OSError, UnicodeError) as error:
        return f"{host}: {reason(error)}"
    return None
