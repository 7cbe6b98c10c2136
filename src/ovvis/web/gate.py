"""What stands before every answer: whose request it is, whence it comes, and how large it may be."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ovvis.door.guard import Guard, Refusal
from ovvis.web.sessions import Sessions

BODY = 2**20  # bytes of any request but an upload
_SAFE = ("GET", "HEAD", "OPTIONS")
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
    """Lets through what the guard answers and whoever has the token; everything else is refused in one line.

    With sessions, a browser shows the token once, at the page's own address, and is known by its session from then on.
    Without, every request brings the token, as `?token=` or as the header `Authorization: Bearer`: so may a program.

    Args:
        app: what lies behind.
        guard: who may ask.
        sessions: who is known; None: nobody.
    """

    def __init__(self, app: ASGIApp, guard: Guard, sessions: Sessions | None = None) -> None:
        self._app, self._guard, self._sessions = app, guard, sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request or socket through, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        problem = self._problem(scope, headers)
        given: str | None = None  # a new session
        if problem is None and self._sessions is not None:
            session = _cookie(headers, self._sessions.cookie)
            if not self._sessions.known(session):
                problem, given = self._enter(scope, self._sessions)
                session = given
            scope["session"] = session
        elif problem is None and not self._guard.knows(_token(scope) or _bearer(headers)):
            problem = Refusal(403, "the token is missing or wrong: open the whole address that the program printed")
        if problem is not None:
            await _refuse(scope, receive, send, problem)
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        dressed = _dressed(send, None if given is None or self._sessions is None else (self._sessions.cookie, given))
        if given is not None and _token(scope) is not None:
            # The token leaves the address, and with it the browser's history.
            await RedirectResponse("/", status_code=303)(scope, receive, dressed)
            return
        await self._app(scope, receive if _is_upload(scope) else _within(receive, BODY), dressed)

    def _problem(self, scope: Scope, headers: Headers) -> Refusal | None:
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        refused = self._guard.refusal(headers.get, changes)
        if refused is not None:
            return refused
        try:
            length = int(headers.get("content-length", "0"))
        except ValueError:
            return Refusal(400, "the request states no length that is a number")
        if length > BODY and not _is_upload(scope):
            return Refusal(413, "the request is larger than it may be: at most 1 MiB")
        return None

    def _enter(self, scope: Scope, sessions: Sessions) -> tuple[Refusal | None, str | None]:
        """Return what is against a new session, or the session."""
        if scope["path"] != "/" or scope["type"] != "http" or scope["method"] != "GET":
            if scope["path"].startswith("/static/"):
                return None, None  # they hold nothing of anyone
            return Refusal(401, "the page was opened before the server was started anew: load it again"), None
        if not self._guard.knows(_token(scope)):
            return Refusal(403, "this page wants a token: open the whole address that `ovvis serve` printed"), None
        return None, sessions.begin()


def _is_upload(scope: Scope) -> bool:
    return str(scope["path"]).endswith("/video")


def _token(scope: Scope) -> str | None:
    found = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get("token")
    return None if found is None else found[0]


def _bearer(headers: Headers) -> str | None:
    kind, _, given = headers.get("authorization", "").partition(" ")
    return given if kind == "Bearer" else None


def _cookie(headers: Headers, name: str) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return None if found is None else found.value


def _dressed(send: Send, cookie: tuple[str, str] | None = None) -> Send:
    """Return a sender that puts the page's rules, and a cookie's name and value, into every answer."""

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                if name not in headers:
                    headers[name] = value
            if cookie is not None:
                headers.append("Set-Cookie", f"{cookie[0]}={cookie[1]}; Path=/; HttpOnly; SameSite=Lax")
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


async def _refuse(scope: Scope, receive: Receive, send: Send, why: Refusal) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": why.line[:120]})
        return
    answer: Response = JSONResponse({"error": why.line}, why.code)
    if scope["method"] == "GET" and (scope["path"] == "/" or "text/html" in Headers(scope=scope).get("accept", "")):
        answer = PlainTextResponse(f"{why.line}\n", why.code)  # a person reads it
    await answer(scope, receive, _dressed(send))
