"""Videos that lie behind a page: found by yt-dlp, where the user has installed it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from ovvis.errors import InputError
from ovvis.sources.place import Place, address_place, shown_address

_SITES = re.compile(
    r"https?://([\w-]+\.)*(youtube\.com|youtu\.be|vimeo\.com|twitch\.tv|dailymotion\.com|bilibili\.com|tiktok\.com)/"
)
_FORMATS = "best[protocol^=http][vcodec!=none]/bestvideo[protocol^=http]/best"
_FILE = re.compile(r"\.(mp4|m4v|mov|mkv|webm|avi|ts|m3u8|mpd|flv|ogv|mpg|mpeg|mjpe?g|jpe?g|png|gif)$", re.IGNORECASE)


def is_page(address: str) -> bool:
    """Return whether an address is a page of a site for videos, not a file."""
    return _SITES.match(address) is not None and _FILE.search(shown_address(address)) is None


def place_of_page(address: str, timeout: float | None = None) -> tuple[Place, str]:
    """Return where the video of a page lies, and what to say of it.

    Args:
        address: of the page.
        timeout: seconds that the video may stay silent.

    Raises:
        InputError: yt-dlp is not here, or finds no video.
    """
    name = shown_address(address)
    try:
        import yt_dlp
    except ImportError as error:
        raise InputError(
            f"{name} is a page, no video: install yt-dlp, which finds the video behind it (pip install yt-dlp), or"
            " download the video and give the file"
        ) from error
    options = {"quiet": True, "no_warnings": True, "format": _FORMATS, "noplaylist": True, "logger": _Silent()}
    try:
        with yt_dlp.YoutubeDL(options) as finder:
            found: dict[str, Any] = finder.extract_info(address, download=False)
    except yt_dlp.utils.DownloadError as error:
        said = re.sub(r"\s+", " ", str(error)).removeprefix("ERROR: ")[:200].replace(address, name)
        raise InputError(f"{name}: yt-dlp finds no video there ({said}); update it, or download the video") from error
    video = found.get("url")
    if not isinstance(video, str):
        raise InputError(f"{name}: yt-dlp finds no single video there; give the page of one video")
    place = address_place(video, None, timeout)
    headers = {key: value for key, value in (found.get("http_headers") or {}).items() if "\n" not in f"{key}{value}"}
    options_of = place.options | {"headers": "".join(f"{key}: {value}\r\n" for key, value in headers.items())}
    title = re.sub(r"\s+", " ", str(found.get("title") or ""))[:80]
    version = getattr(getattr(yt_dlp, "version", None), "__version__", "of an unknown version")
    return replace(place, name=name, options=options_of), f"{name}: the video {title!r} is found by yt-dlp {version}"


class _Silent:
    """Takes what yt-dlp logs; its last word is told as the error."""

    def debug(self, text: str) -> None:
        """Take a line."""

    info = warning = error = debug
