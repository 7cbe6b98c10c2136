"""The page's application: its files, its addresses, and how errors are told."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from starlette.responses import JSONResponse, Response

from ovvis.errors import DISK_FULL, InputError, OvvisError
from ovvis.plain import visible
from ovvis.version import __version__
from ovvis.web.camera import add_camera
from ovvis.web.gate import TooLarge
from ovvis.web.jobs import Busy
from ovvis.web.routes import Served, router

_STATIC = {"page.js": "text/javascript", "camera.js": "text/javascript", "page.css": "text/css"}


def make_app(served: Served) -> FastAPI:
    """Return the page's application, without its gate."""
    # Its own pages of documentation would load scripts from elsewhere.
    app = FastAPI(title="ovvis", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.served = served
    _pages(app)
    app.include_router(router)
    add_camera(app, served.jobs, served.worker, served.entries)
    _tell_errors(app)
    return app


def _pages(app: FastAPI) -> None:
    """Add the page and its files, which are the only files of the package that are given out."""
    folder = files("ovvis.web") / "page"

    @app.get("/")
    def page() -> Response:
        return Response(folder.joinpath("index.html").read_bytes(), media_type="text/html; charset=utf-8")

    @app.get("/static/{name}")
    def static(name: str) -> Response:
        if name not in _STATIC:
            raise HTTPException(404, "there is no such file")
        return Response(folder.joinpath(name).read_bytes(), media_type=f"{_STATIC[name]}; charset=utf-8")


def _tell_errors(app: FastAPI) -> None:
    """Have every error told as one line, as `{"error": line}`."""

    def tell(kind: type[Exception], code: int | None, line: Callable[[Any], str]) -> None:
        async def handler(request: Request, error: Any) -> Response:
            del request
            return JSONResponse({"error": line(error)}, error.status_code if code is None else code)

        app.add_exception_handler(kind, handler)

    tell(InputError, 400, _line)
    tell(Busy, 429, _line)
    tell(OvvisError, 503, _line)
    tell(TooLarge, 413, _line)
    tell(HTTPException, None, lambda error: str(error.detail))
    tell(RequestValidationError, 422, _what_is_wrong)
    tell(OSError, 507, _of_the_system)


def _line(error: Exception) -> str:
    return visible(" ".join(str(error).split()))


def _what_is_wrong(error: RequestValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'][1:]) or 'the request'}: {first['msg']}"


def _of_the_system(error: OSError) -> str:
    if error.errno in DISK_FULL:
        return "the server's disk is full: try again later"
    if isinstance(error, FileNotFoundError):
        return "it is not there any more: its time was over"
    return f"the server could not read or write a file ({error.strerror})"
