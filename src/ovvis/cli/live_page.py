"""The view of a live run in a browser, beside the work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ovvis.cli.console import note
from ovvis.cli.page_options import PageOptions
from ovvis.door.guard import Guard, checked_token
from ovvis.door.listening import address, listen
from ovvis.errors import InputError
from ovvis.outputs.render import Image, colour
from ovvis.structures import LiveFrame
from ovvis.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ovvis.inference.live import Live


class Page:
    """The view in a browser, beside the work.

    Args:
        screen: holds the picture.
        address: what a person opens.
    """

    def __init__(self, screen: Any, address: str) -> None:
        self.screen, self.address = screen, address
        self.show: Callable[[Image], None] = screen.show
        self.run: Live | None = None
        self.latest: LiveFrame | None = None
        self.ended = False

    @property
    def watched(self) -> bool:
        """Whether somebody looks."""
        return bool(self.screen.watchers)

    def open(self) -> None:
        """Open the view in the person's browser."""
        import webbrowser

        webbrowser.open(self.address)

    def figures(self) -> dict[str, Any]:
        """Return what the page shows beside the picture."""
        run, latest = self.run, self.latest
        if run is None:
            raise InputError("the model is being loaded")
        seen = () if latest is None else latest.instances
        return run.meter.figures() | {
            "source": run.source.info.name,
            "silent_for": round(run.source.silent_for, 1),
            "ended": self.ended,
            "problem": run.problem,
            "labels": ["|".join(label.synonyms) for label in run.labels],
            "instances": [
                {"id": one.id, "label": one.label, "score": round(one.score, 4), "colour": colour(one.id)}
                for one in seen
            ],
        }

    def change_labels(self, labels: str) -> tuple[str, ...]:
        """Look for other labels from the next frame on."""
        if self.run is None:
            raise InputError("the model is being loaded; try again in a moment")
        return self.run.change_labels(Vocabulary.parse(labels, files=False)).names


@contextmanager
def serve(reached: PageOptions, port: int | None, optional: bool) -> Iterator[Page | None]:
    """Serve the view for the block; without it where its packages are missing and something else was asked for.

    Raises:
        InputError: the packages are missing, or it cannot be served there.
    """
    try:
        from ovvis.web.gate import Gate
        from ovvis.web.live_view import Screen, live_app
        from ovvis.web.serving import BesideServer
    except ImportError as error:
        missing = f"the view in a browser needs more packages ({error.name}): pip install 'ovvis[web]'"
        if not optional:
            raise InputError(f"{missing}, or give --no-view and --output DIR or --lines WHERE") from error
        note(f"No view: {missing}.")
        yield None
        return
    host = reached.host
    token = checked_token(reached.token, host)
    at, screen = listen(host, port), Screen()
    page = Page(screen, address(host, at.getsockname()[1], "live", token))
    with BesideServer(Gate(live_app(screen, page), Guard(host, token, reached.name or ())), at):
        try:
            yield page
        finally:
            screen.close()
