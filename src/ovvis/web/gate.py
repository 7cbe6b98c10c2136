"""What stands before every answer: whose request it is, whence it comes, and how large it may be."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ovvis.web.serving import is_local
from ovvis.web.sessions import Sessions

BODY = 2**20  # bytes of any request but an upload
_SAFE = ("GET", "HEAD", "OPTIONS")
_LOCAL = ("localhost", "127.0.0.1", "::1")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Gate:
    """Lets through what the page's own browser asks; everything else is refused in one line.

    Who may be asked: only the names and addresses of this server, so that a page of somebody else's whose name was
    made to lead here ("DNS rebinding") gets nothing. Whence: requests that change something, and sockets, come from
    the page itself. Who asks: a session, which the page's own address gives out.

    Args:
        app: what lies behind.
        sessions: who is known.
        host: what the server binds to.
        names: further names that it is reached by.
    """

    def __init__(self, app: ASGIApp, sessions: Sessions, host: str, names: Iterable[str] = ()) -> None:
        self._app, self._sessions, self._open = app, sessions, not is_local(host)
        self._names = {name.lower() for name in (*_LOCAL, host, *names)}
        if self._open:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request or socket through, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        problem = self._problem(scope, headers)
        session = _cookie(headers, self._sessions.cookie)
        known = self._sessions.known(session)
        given = None
        if problem is None and not known:
            problem, given = self._enter(scope)
            session = given
        if problem is not None:
            await _refuse(scope, receive, send, *problem)
            return
        if given is not None and b"token=" in scope["query_string"]:
            # The token leaves the address, and with it the browser's history.
            answer = RedirectResponse("/", status_code=303)
            await answer(scope, receive, self._dressed(send, given))
            return
        scope["session"] = session
        if scope["type"] == "http":
            if not scope["path"].endswith("/video"):
                receive = _within(receive, BODY)
            await self._app(scope, receive, self._dressed(send, given))
        else:
            await self._app(scope, receive, send)

    def _dressed(self, send: Send, session: str | None) -> Send:
        return _dressed(send, session, self._sessions.cookie)

    def _problem(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self._is_ours(host):
            return 421, "this server is not called that: open the address that it printed, or name it with --name"
        origin = headers.get("origin")
        if scope["type"] == "websocket" or scope["method"] not in _SAFE:
            if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
                return 403, "this came from another page: use the page that this server gives out"
            if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return 403, "this came from another page: use the page that this server gives out"
        try:
            length = int(headers.get("content-length", "0"))
        except ValueError:
            return 400, "the request states no length that is a number"
        if length > BODY and not scope["path"].endswith("/video"):
            return 413, "the request is larger than it may be: at most 1 MiB"
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        if name in self._names:
            return True
        try:  # an address cannot be made to lead elsewhere, as a name can
            return self._open and ipaddress.ip_address(name) is not None
        except ValueError:
            return False

    def _enter(self, scope: Scope) -> tuple[tuple[int, str] | None, str | None]:
        """Return what is against a new session, or the session."""
        if scope["path"] != "/" or scope["type"] != "http" or scope["method"] != "GET":
            if scope["path"].startswith("/static/"):
                return None, None  # they hold nothing of anyone
            return (401, "the page was opened before the server was started anew: load it again"), None
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [None])[0]
        if not self._sessions.may_enter(asked):
            return (403, "this page wants a token: open the whole address that `ovvis serve` printed"), None
        return None, self._sessions.begin()


def _cookie(headers: Headers, name: str) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return None if found is None else found.value


def _dressed(send: Send, session: str | None = None, cookie: str = "") -> Send:
    """Return a sender that puts the page's rules, and a new session, into every answer."""

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                if name not in headers:
                    headers[name] = value
            if session is not None:
                headers.append("Set-Cookie", f"{cookie}={session}; Path=/; HttpOnly; SameSite=Lax")
        await send(message)

    return dressed


class TooLarge(Exception):  # noqa: N818
    """A request brings more than it may."""


def _within(receive: Receive, most: int) -> Receive:
    came = 0

    async def within() -> Message:
        nonlocal came
        message = await receive()
        came += len(message.get("body", b""))
        if came > most:
            raise TooLarge("the request is larger than it may be: at most 1 MiB")
        return message

    return within


async def _refuse(scope: Scope, receive: Receive, send: Send, code: int, line: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": line[:120]})
        return
    wants_page = scope["path"] == "/" and scope["method"] == "GET"
    answer = JSONResponse({"error": line}, code)
    if wants_page:
        from starlette.responses import PlainTextResponse

        answer = PlainTextResponse(f"{line}\n", code)  # type: ignore[assignment]
    await answer(scope, receive, _dressed(send))
