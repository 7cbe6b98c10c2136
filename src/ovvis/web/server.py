"""The server: a folder for what people bring, a process for the model, the page in front."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from ovvis.door.guard import Guard, checked_token
from ovvis.door.listening import address, listen
from ovvis.files.hidden import hidden_folder
from ovvis.web import choices
from ovvis.web.app import make_app
from ovvis.web.asking import Served
from ovvis.web.camera import FRAME
from ovvis.web.gate import Gate
from ovvis.web.jobs import Jobs
from ovvis.web.limits import Limits
from ovvis.web.sessions import Sessions
from ovvis.web.worker import Worker

NAME = "serve"  # of the folder: "." before it, ".partial" and more behind
_GRACE = 3  # seconds that answers get when the server ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a page is served.

    Attributes:
        folder: where the folder for uploads and results is made; it exists.
        host: the address to bind to.
        port: 0 takes a free one.
        token: what a browser must know; None: none on this machine alone, else one is made.
        names: further names that the server is reached by, as behind a proxy.
        models: names of those that are offered, or files of `ovvis models export`; none: all that can be had.
        cameras: sources of this machine that visitors may watch; none unless named.
        limits: what is allowed.
        device: for the models.
        precision: likewise.
        prepare: sets up the process that runs them; a function of a module.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    names: Sequence[str] = ()
    models: Sequence[str] = ()
    cameras: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    device: str = "auto"
    precision: str = "auto"
    prepare: Callable[[], object] | None = None


class Page:
    """A page that is being served.

    Attributes:
        address: what to open in a browser, the token in it.
        open_to_others: whether other machines can reach it.
    """

    def __init__(self, server: uvicorn.Server, listening: socket.socket, address: str, open_to_others: bool) -> None:
        self._server, self._listening = server, listening
        self.address, self.open_to_others = address, open_to_others

    def run(self) -> None:
        """Answer until the process is asked to end, or `stop` is called."""
        self._server.run(sockets=[self._listening])

    def stop(self) -> None:
        """Ask `run`, in another thread, to end."""
        self._server.should_exit = True


@contextmanager
def serving(settings: Settings) -> Iterator[Page]:
    """Set a page up; at the end of the block the model's process, uploads and results are gone.

    What a killed server left goes first.

    Raises:
        InputError: a setting cannot be used, or the port is taken.
    """
    token = checked_token(settings.token, settings.host)
    entries = choices.offered(settings.models, settings.device, settings.precision)
    cameras = choices.check_cameras(settings.cameras)
    with ExitStack() as stack:
        listening = stack.enter_context(closing(listen(settings.host, settings.port)))
        port = listening.getsockname()[1]
        jobs = Jobs(stack.enter_context(hidden_folder(settings.folder, NAME)), settings.limits)
        worker = Worker(jobs, settings.device, settings.precision, settings.prepare, choices.files(entries))
        app = make_app(Served(jobs, worker, entries, cameras))
        guard = Guard(settings.host, token, settings.names)
        config = uvicorn.Config(
            Gate(app, guard, Sessions(port)),
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            ws_max_size=FRAME,
            timeout_graceful_shutdown=_GRACE,
        )
        over = threading.Event()
        stack.callback(worker.close)
        stack.callback(over.set)
        worker.start()
        threading.Thread(target=_sweep, args=(jobs, over), name="ovvis-web-sweep", daemon=True).start()
        yield Page(uvicorn.Server(config), listening, address(settings.host, port, "", token), guard.open)


def _sweep(jobs: Jobs, over: threading.Event) -> None:
    while not over.wait(min(jobs.limits.keep / 4, jobs.limits.silence / 4, 15.0)):
        jobs.sweep()
