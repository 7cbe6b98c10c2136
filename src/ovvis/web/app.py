"""The page's application: its files and its addresses."""

from __future__ import annotations

from importlib.resources import files

from fastapi import FastAPI, HTTPException
from starlette.responses import Response

from ovvis.version import __version__
from ovvis.web import results, routes
from ovvis.web.asking import Served
from ovvis.web.camera import add_camera
from ovvis.web.errors import tell_errors
from ovvis.web.jobs import Busy

_SCRIPTS = ("common.js", "words.js", "page.js", "result.js", "camera.js")
_STATIC = {"page.css": "text/css", **dict.fromkeys(_SCRIPTS, "text/javascript")}


def make_app(served: Served) -> FastAPI:
    """Return the page's application, without its gate."""
    # Its own pages of documentation would load scripts from elsewhere.
    app = FastAPI(title="ovvis", version=__version__, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.served = served
    _pages(app)
    app.include_router(routes.router)
    app.include_router(results.router)
    add_camera(app, served.jobs, served.worker, served.entries, served.cameras)
    tell_errors(app, {Busy: 429})
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
