"""Where a page of this machine is found: a socket that listens, and its address for people."""

from __future__ import annotations

import socket

from ovvis.door.guard import is_local
from ovvis.errors import InputError

FIRST_PORT = 8765
"""Where the search for a free port begins."""

_PORTS = 20  # that are tried


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
                other = "" if is_local(host) else "; --host must be this machine's"
                raise InputError(
                    f"port {number} of {host} cannot be listened at ({reason}): choose another with --port, or 0 for "
                    f"any free one{other}"
                ) from error
    raise AssertionError


def address(host: str, port: int, path: str = "", token: str | None = None) -> str:
    """Return what a person opens in a browser.

    >>> address("127.0.0.1", 8000), address("::1", 80, "live", "abc")
    ('http://127.0.0.1:8000/', 'http://[::1]:80/live?token=abc')
    """
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/{path}{'' if token is None else f'?token={token}'}"
