"""`ovvis serve`: the page."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from ovvis.cli import segmenter as shared
from ovvis.cli.console import note, out
from ovvis.cli.extras import need
from ovvis.cli.options import sharing
from ovvis.cli.page_options import PageOptions
from ovvis.cli.process import Interrupted
from ovvis.errors import InputError
from ovvis.files.signals import uninterrupted
from ovvis.models.sources import use_mirror
from ovvis.paths import cache_folder, user_path
from ovvis.web.limits import Limits, parse_duration, parse_size, size_in_words, time_in_words

NEEDED = ("fastapi", "uvicorn", "websockets")  # of the extra `web`


@sharing(PageOptions)
def serve(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Offer this model, or this file of `ovvis models export`; again for more; all that can be had if not "
            "given."
        ),
    ] = None,
    camera: Annotated[
        list[str] | None,
        typer.Option(
            help="Let visitors watch this camera of the server's (camera:0, screen:, rtsp://...); again for more; none "
            "if not given.",
            metavar="SOURCE",
        ),
    ] = None,
    mirror: shared.Mirror = None,
    device: shared.Device = "auto",
    precision: shared.PrecisionName = "auto",
    max_upload: Annotated[str, typer.Option(help="Largest video.", metavar="SIZE")] = "1G",
    max_seconds: Annotated[str, typer.Option(help="Longest video.", metavar="TIME")] = "10m",
    max_jobs: Annotated[int, typer.Option(min=1, help="Most jobs that wait or run.")] = 20,
    keep: Annotated[str, typer.Option(help="How long a result is kept.", metavar="TIME")] = "1h",
    folder: Annotated[
        Path | None,
        typer.Option(help="Where uploads and results lie, in a folder of their own; the cache folder if not given."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser", help="Open the page in the browser.")] = False,
    *,
    reached: PageOptions,
) -> None:
    """Serve a page: drop a video, type words, watch, take results away; one job after another."""
    limits = Limits(
        upload=parse_size("--max-upload", max_upload),
        seconds=parse_duration("--max-seconds", max_seconds),
        keep=parse_duration("--keep", keep),
        waiting=max_jobs,
    )
    need("ovvis serve", "web", NEEDED)
    use_mirror(mirror)
    place = cache_folder() if folder is None else user_path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--folder {place} cannot be made ({error.strerror}): choose another") from error
    with uninterrupted():
        from ovvis.web.server import Settings, serving

    settings = Settings(
        folder=place,
        host=reached.host,
        port=port,
        token=reached.token,
        names=reached.name or (),
        models=model or (),
        cameras=camera or (),
        limits=limits,
        device=device,
        precision=precision,
        prepare=shared.prepare_process,
    )
    with suppress(KeyboardInterrupt), serving(settings) as page:
        out.print(f"Open {page.address} in a browser; Ctrl-C ends the server.", soft_wrap=True, markup=False)
        note(
            f"Videos to {size_in_words(limits.upload)} and {time_in_words(limits.seconds)}; results are kept for "
            f"{time_in_words(limits.keep)}, and removed when the server ends."
        )
        if page.open_to_others:
            note("Others can reach it: whoever has the address with its token may use it. It is not encrypted.")
        if browser:
            webbrowser.open(page.address)
        page.run()
    raise Interrupted("stopped; uploads and results are removed")
