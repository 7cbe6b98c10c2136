"""Where a video comes from, as libav opens it, and what messages call it: never with a password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ovvis.errors import InputError

SCHEMES = (
    *("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtmpt", "srt", "udp", "rtp", "tcp", "mms", "mmsh", "ftp"),
)
"""What a source's address may begin with."""

TRANSPORTS = ("auto", "tcp", "udp")
"""How an RTSP stream may come: over TCP, else UDP; over one of them."""

TIMEOUT = 30.0
"""Seconds that a file on the network may stay silent."""

LIVE_TIMEOUT = 10.0
"""Seconds that a live stream may stay silent: cameras send many frames in each of them."""

_ANSWERS = ("http", "https", "ftp", "mms", "mmsh")
_SAFE = "http,https,tls,tcp,httpproxy,crypto,data,ftp,mmsh,mmst"
_SAFE_STREAM = "rtsp,rtsps,rtp,srtp,rtmp,rtmps,rtmpt,ffrtmphttp,srt,udp,http,https,tls,tcp,httpproxy,crypto,data"
_SECRET = re.compile(r"(?i)((?:user|name|login|pass|pwd|pw|token|key|auth|secret|sig)[a-z_-]*=)[^&/;_]*")


@dataclass(frozen=True, slots=True)
class Place:
    """What libav opens, and how."""

    location: str = field(repr=False)  # may hold a password
    name: str  # what messages call it
    kind: Literal["file", "pipe", "network", "device"]
    format: str | None = None  # libav's name of it; None: found out
    options: dict[str, str] = field(default_factory=dict, repr=False)
    silence: float | None = None  # seconds without data after which it counts as broken
    live: bool = False  # frames come at their own pace, whether they are taken or not

    @property
    def patience(self) -> tuple[float, float | None] | None:
        """Seconds that opening may take, and reading a packet, which of a slow file's may be long in coming."""
        if self.silence is None:
            return None
        return (2 * self.silence, self.silence) if self.live else (4 * self.silence, None)

    @property
    def path(self) -> Path | None:
        """The file on this machine, if it is one."""
        return Path(self.location.removeprefix("file:")) if self.kind == "file" else None


def file_place(path: Path, name: str | None = None) -> Place:
    """Return the place of a file on this machine."""
    return Place(f"file:{path}", name or path.name, "file", options={"protocol_whitelist": "file,crypto,data"})


def file_of_address(text: str) -> str:
    """Return the path that a file:// address names.

    >>> file_of_address("file:///home/me/my%20dog.mp4")
    '/home/me/my dog.mp4'
    """
    return url2pathname(urlsplit(text).path)


def is_address(text: str) -> bool:
    """Return whether a source is written as an address: with a scheme and two slashes."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text) is not None


def address_place(text: str, transport: str | None = None, timeout: float | None = None) -> Place:
    """Return the place of a file or stream on the network.

    Nothing that is read there can lead to files of this machine, whatever a playlist says.

    Args:
        text: the address.
        transport: of `TRANSPORTS`, for RTSP.
        timeout: seconds that it may stay silent; None for `TIMEOUT`, of what is always live `LIVE_TIMEOUT`.

    Raises:
        InputError: an unknown scheme, or a transport where there is no choice.
    """
    scheme = text.partition("://")[0].lower()
    if scheme not in SCHEMES:
        raise InputError(
            f"{shown_address(text)} begins with {scheme}://, which is not read: the source must be a file, a folder, a"
            f" pattern, camera:0, screen:, - or an address that begins with {', '.join(SCHEMES)}"
        )
    if transport is not None and transport not in TRANSPORTS:
        raise InputError(f"transport is {transport!r}: it must be one of {', '.join(TRANSPORTS)}; choose one of these")
    if transport is not None and scheme not in ("rtsp", "rtsps"):
        raise InputError(f"transport is {transport}: only RTSP has a choice, {scheme} has none; leave it out")
    live = scheme not in _ANSWERS
    silence = timeout if timeout is not None else LIVE_TIMEOUT if live else TIMEOUT
    options = {"protocol_whitelist": _SAFE_STREAM if live else _SAFE, "rw_timeout": str(round(silence * 1e6))}
    if scheme in ("http", "https"):
        options |= {"reconnect": "1", "reconnect_delay_max": "8"}
    if scheme in ("rtsp", "rtsps"):
        options |= {"timeout": options.pop("rw_timeout")}
        over = {"auto": {"rtsp_flags": "prefer_tcp"}, "tcp": {"rtsp_transport": "tcp"}}
        options |= over.get(transport or "auto", {"rtsp_transport": "udp"})
    if scheme in ("udp", "rtp"):
        options |= {"overrun_nonfatal": "1", "fifo_size": "200000"}  # packets of 188 bytes: 37 MB wait while one thinks
    return Place(text, shown_address(text), "network", None, options, silence, live)


def shown_address(text: str) -> str:
    """Return an address without what only its owner should know: user, password, what follows a question mark.

    >>> shown_address("rtsp://admin:1234@10.0.0.7:554/ch1?token=abc")
    'rtsp://10.0.0.7:554/ch1'
    >>> shown_address("rtsp://10.0.0.7/user=admin_password=1234_channel=1.sdp")
    'rtsp://10.0.0.7/user=..._password=..._channel=1.sdp'
    """
    scheme, _, rest = text.partition("://")
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{_hidden(path)}"


def _hidden(path: str) -> str:
    return _SECRET.sub(r"\1...", path)


def address_stem(text: str) -> str:
    """Return a name for what an address leads to: its last part, else its host.

    >>> address_stem("https://a.org/films/dog.mp4?token=1"), address_stem("udp://@239.0.0.1:1234")
    ('dog', '239.0.0.1-1234')
    """
    parts = urlsplit(shown_address(text))
    last = Path(parts.path).stem
    return last or re.sub(r"[^\w.]+", "-", parts.netloc).strip("-")
