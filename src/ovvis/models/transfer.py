"""The bytes of a file from a server, which may break off, lie, send a page, or be gone: what has come of it stays.

What has come lies in a folder of its own until the file is whole and found right; the next try goes on behind it, in
this process or a later one.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.cookiejar import LoadError, MozillaCookieJar
from pathlib import Path
from typing import Any

from ovvis.errors import InputError, ResourceError
from ovvis.file_kind import foreign, page
from ovvis.paths import user_path

CONNECT, SILENCE = 10.0, 60.0  # seconds to wait for a server's first answer, and between two parts of it
TRIES = 3  # without a single new byte, after which a server is given up
PAUSE = 0.5  # seconds before the second of them; twice as many before each that follows
PIECE = 1 << 16  # bytes that are written at once
PAGE = 1 << 16  # bytes of a page that are read to tell it
AGENT = "Mozilla/5.0 (compatible; ovvis)"  # Google Drive sends other pages to libraries
_LATER = (408, 425, 429, 500, 502, 503, 504)

Progress = Callable[[int, int | None], None]  # bytes done, bytes in all


class Failed(OSError):  # noqa: N818  what befell, not what is wrong here
    """A source did not give the file; the message says why, without the source's name."""


class _Cut(Exception):  # noqa: N818  no error: it is tried again
    """A connection that may work when it is tried again."""


@dataclass
class Request:
    """What to ask a server for."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    confirm: bool = False  # whether pages may be passed as gdown passes those of Google Drive
    size: int | None = None  # bytes that the file must have


class Part:
    """What has come of a file: the file `name` in a folder, and beside it which version of it that is."""

    def __init__(self, parent: Path, target: str, source: str, name: str) -> None:
        self.folder = parent / f".begun-{target}-{hashlib.sha256(source.encode()).hexdigest()[:12]}"
        self.path = self.folder / name
        self._note = self.folder / "version.json"

    @property
    def size(self) -> int:
        """Bytes that are here."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def version(self) -> dict[str, Any]:
        """Return what the server said of the file: `mark`, which changes with it, and `total`, its bytes."""
        with suppress(OSError, ValueError):
            note = json.loads(self._note.read_text(encoding="utf-8"))
            if isinstance(note, dict):
                return note
        return {}

    def begin(self, mark: str | None, total: int | None) -> None:
        """Drop what is here, and note which version of the file comes now."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._note.write_text(json.dumps({"mark": mark, "total": total}), encoding="utf-8")
        self.path.write_bytes(b"")

    def remove(self) -> None:
        """Drop it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def begun(parent: Path, target: str) -> int:
    """Return how many bytes of a file have come that is not whole yet."""
    folders = parent.glob(f".begun-{target}-*")
    return sum(file.stat().st_size for folder in folders for file in folder.iterdir() if file.name != "version.json")


def receive(
    asked: Request,
    part: Part,
    cookies: MozillaCookieJar | None = None,
    on_start: Callable[[int | None, int], None] | None = None,
    on_progress: Progress | None = None,
) -> None:
    """Bring a file, going on behind what is here of it.

    Args:
        asked: what to ask for.
        part: where it goes; whole when this returns.
        cookies: a browser's.
        on_start: called with bytes in all (None: the server does not say) and bytes that are here already.
        on_progress: called with bytes done and bytes in all.

    Raises:
        Failed: the server gives none; what has come of it stays.
        OSError: it cannot be written here.
    """
    import requests

    vain = 0
    with requests.Session() as session:
        session.headers.update({"User-Agent": AGENT, "Accept-Encoding": "identity"})
        if cookies is not None:
            session.cookies.update(cookies)
        while True:
            before = part.size
            try:
                return _visit(session, asked, part, on_start, on_progress)
            except _Cut as cut:
                vain = 1 if part.size > before else vain + 1
                if vain >= TRIES:
                    here = f"; {part.size:,} bytes are here, and the next try goes on behind them" if part.size else ""
                    raise Failed(f"{cut}{here}") from cut
                time.sleep(PAUSE * 2 ** (vain - 1))


def _visit(
    session: Any,
    asked: Request,
    part: Part,
    on_start: Callable[[int | None, int], None] | None,
    on_progress: Progress | None,
) -> None:
    """Ask once and write what comes."""
    import requests

    here, version = part.size, part.version()
    if here and here == version.get("total"):
        return  # it was whole when the process ended
    headers = dict(asked.headers)
    if here:
        headers["Range"] = f"bytes={here}-"
        if version.get("mark"):
            headers["If-Range"] = version["mark"]
    answered = False
    try:
        with closing(_answer(session, asked, headers)) as response:
            answered = True
            _accept(response, asked, part)
            total = part.version().get("total")
            if on_start is not None:
                on_start(total, part.size)
            with part.path.open("ab") as file:
                for piece in response.iter_content(PIECE):
                    if file.tell() == 0 and (found := _page(piece)):
                        raise Failed(found)
                    file.write(piece)
                    if on_progress is not None:
                        on_progress(file.tell(), total)
    except requests.exceptions.TooManyRedirects as error:
        raise Failed("it sends from address to address in a circle") from error
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        nobody = reason(error) in _NOBODY.values() or isinstance(error, requests.ConnectTimeout)
        if nobody and not answered and not here:
            raise Failed(reason(error)) from error  # no sense in asking again
        said = reason(error)
        total = part.version().get("total")
        raise _Cut(_broken_at(part.size, total) if said == _BROKEN and answered and total else said) from error
    except requests.RequestException as error:
        raise Failed(reason(error)) from error
    if total is not None and part.size != total:
        got = part.size
        if got > total:
            part.remove()
        raise _Cut(_broken_at(got, total))


def _answer(session: Any, asked: Request, headers: Mapping[str, str]) -> Any:
    """Return the server's answer; Google Drive's question whether to load unscanned files is answered with yes."""
    url, whole = asked.url, asked.confirm  # a page is asked for as a whole, not from the middle
    text = b""
    for _ in range(4):
        some = {name: headers[name] for name in headers if not whole or "Range" not in name}
        response = session.get(url, headers=some, stream=True, timeout=(CONNECT, SILENCE))
        page_came = asked.confirm and response.ok and response.headers.get("Content-Type", "").startswith("text/html")
        if not page_came and len(some) == len(headers):
            return response
        whole = False
        with closing(response):
            if not page_came:
                continue
            text = _start(response)
        from gdown.download import get_url_from_gdrive_confirmation
        from gdown.exceptions import FileURLRetrievalError

        try:
            url = get_url_from_gdrive_confirmation(text.decode("utf-8", "replace"))
        except (FileURLRetrievalError, KeyError, ValueError, AssertionError) as error:
            raise Failed(_page(text) or "a page in place of the file") from error
    raise Failed(_page(text) or "a page in place of the file")


def _accept(response: Any, asked: Request, part: Part) -> None:
    """Refuse an answer that brings no file; make the part ready for one that does."""
    if response.status_code == 416:  # what is here is not the beginning of what is there
        part.remove()
        raise _Cut(_ANOTHER)
    if not response.ok:
        text = _start(response)
        what = _STATUS.get(response.status_code, "")
        what = f"the server answered {response.status_code}{what and f' ({what})'}"
        if response.status_code in _LATER and not _says_more(text):
            raise _Cut(what)
        raise Failed(f"{what}, {_page(text)}" if _says_more(text) else what)
    length, span = response.headers.get("Content-Length"), response.headers.get("Content-Range", "")
    start, _, whole = span.removeprefix("bytes ").partition("-")
    if response.status_code == 206 and start == str(part.size):
        total, known = whole.rpartition("/")[2], part.version().get("total")
        left = int(total) if total.isdigit() else known
        if known not in (None, left):
            part.remove()
            raise _Cut(_ANOTHER)
    else:
        left = int(length) if length and length.isdigit() and not response.headers.get("Content-Encoding") else None
        mark = response.headers.get("ETag") or ""
        mark = response.headers.get("Last-Modified") if not mark or mark.startswith("W/") else mark
        part.begin(mark, left)
    if asked.size is not None and left not in (None, asked.size):
        part.remove()
        raise Failed(f"the file there has {left:,} bytes, and must have {asked.size:,}")
    free = shutil.disk_usage(part.folder).free
    if left is not None and 2 * left - part.size > free:
        raise ResourceError(
            f"no space left on the disk of {part.folder.parent}: {left / 1e6:,.0f} MB come, and are written once more "
            f"as they are checked, but {free / 1e6:,.0f} MB are free; free some, or choose another folder with "
            "OVVIS_CACHE"
        )


_ANOTHER = "it has another file than the one that was begun"
_STATUS = {
    401: "it asks to sign in",
    403: "it refuses",
    404: "no such file",
    410: "the file is gone",
    429: "asked too often",
}


def _start(response: Any) -> bytes:
    """Return the beginning of an answer."""
    text = b""
    for piece in response.iter_content(4096):
        text += piece
        if len(text) >= PAGE:
            break
    return text


def _page(text: bytes) -> str | None:
    """Return which page stands in a file's place and what to do; None where it is none."""
    if not text or not (found := foreign(text)) or "page" not in found[0]:
        return None
    return ": ".join(page(text))


def _says_more(text: bytes) -> bool:
    """Return whether a page says why there is no file."""
    return bool(_page(text)) and page(text)[0] != page(b"<html>")[0]


_BROKEN = "the connection broke off"


def _broken_at(got: int, total: int) -> str:
    return f"{_BROKEN} at {got:,} of {total:,} bytes"


_UNKNOWN = "its name is not known here: is there a network?"
_NOBODY = {
    "NameResolution": _UNKNOWN,
    "Name or service not known": _UNKNOWN,
    "getaddrinfo failed": _UNKNOWN,
    "Temporary failure in name resolution": _UNKNOWN,
    "nodename nor servname": _UNKNOWN,
    "Connection refused": "the connection was refused",
    "unreachable": "the network does not reach it",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted here",
    "Cannot connect to proxy": "the proxy does not answer",
}


def reason(error: BaseException) -> str:
    """Return why a server could not be asked, in a few words."""
    import requests

    text = (str(error).strip().splitlines() or [type(error).__name__])[0]
    for mark, said in _NOBODY.items():
        if mark.lower() in text.lower():
            return said
    if isinstance(error, requests.ConnectTimeout):
        return f"no answer within {CONNECT:g} s"
    if isinstance(error, requests.Timeout) or "Read timed out" in text:
        return f"it sent nothing for {SILENCE:g} s"
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return _BROKEN
    return text[:160]


def read_cookies(path: str) -> MozillaCookieJar | None:
    """Return a browser's cookies; None for no path.

    Raises:
        InputError: no file of Netscape's format.
    """
    if not path:
        return None
    jar = MozillaCookieJar(str(user_path(path)))
    try:
        jar.load(ignore_discard=True, ignore_expires=True)
    except (OSError, LoadError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) and error.strerror else "it is not of Netscape's format"
        raise InputError(
            f"cookies {path!r} cannot be read ({said}); export a cookies.txt with your browser's extension, or with "
            "gdown --cookies-from-browser"
        ) from error
    for cookie in jar:
        if cookie.expires == 0:  # how some extensions write those of a session
            cookie.expires, cookie.discard = None, True
    jar.clear_expired_cookies()
    return jar
