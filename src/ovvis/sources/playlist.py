"""Playlists that lie on this machine: what they name must lie below them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from ovvis.errors import InputError

_HEAD, _MOST = 64 << 10, 4 << 20  # bytes
_KINDS = {
    "HLS": re.compile(rb"\A(\xef\xbb\xbf)?\s*#EXTM3U"),
    "concat": re.compile(rb"\Affconcat"),
    "DASH": re.compile(rb"\A[^\0]*<MPD\b"),
}
_ATTRIBUTE = re.compile(r"""(?:URI|media|initialization|sourceURL|index|href)\s*=\s*["']([^"']+)["']""")
_DEPTH = 4  # playlists of playlists


def check_playlist(path: Path, depth: int = _DEPTH) -> None:
    """Refuse a local playlist that names anything but files below its own folder.

    Somebody else may have written it: it must not make the program read other files of this machine, nor fetch.

    Raises:
        InputError: names what it names.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            kind = next((kind for kind, begins in _KINDS.items() if begins.match(head)), None)
            text = (head + file.read(_MOST)).decode(errors="replace") if kind else ""
    except OSError:
        return  # told by whoever reads it
    if kind is None:
        return
    for named in _named(kind, text):
        _check(path, named)
        inner = path.parent / unquote(named)
        if depth and inner.is_file() and inner != path:
            check_playlist(inner, depth - 1)


def _named(kind: str, text: str) -> list[str]:
    if kind == "concat":
        found = re.findall(r"^\s*file\s+(.+?)\s*$", text, re.MULTILINE)
        return [name.replace("'", "").replace("\\", "") for name in found]
    named = _ATTRIBUTE.findall(text)
    if kind == "DASH":
        return named + re.findall(r"<BaseURL[^>]*>\s*([^<]+?)\s*<", text)
    return named + [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _check(path: Path, named: str) -> None:
    told = named if len(named) <= 80 else f"{named[:77]}..."
    if re.match(r"(?i)(https?|ftp)://", named):
        raise InputError(
            f"{path} is a playlist of addresses ({told}): give the playlist's own address, so that it is fetched as one"
        )
    if named.startswith("data:"):
        return
    plain = unquote(named).replace("\\", "/")
    outside = plain.startswith(("/", "~")) or ".." in plain.split("/") or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", plain)
    if outside:
        raise InputError(
            f"{path} is a playlist that names {told}: one on this machine may name files below its own folder alone;"
            " open that file itself, or move both together"
        )
