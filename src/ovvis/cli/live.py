"""`ovvis live`: a stream that never ends: pictures in a browser, lines of JSON, a painted video."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from ovvis.cli import segmenter as shared
from ovvis.cli.console import count, listing, note, notes, out, warn
from ovvis.cli.live_outputs import JsonLines, Outputs, PaintedVideo
from ovvis.cli.live_page import Page, serve
from ovvis.cli.live_status import Status, latencies
from ovvis.cli.options import Overwrite, sharing
from ovvis.cli.page_options import PageOptions
from ovvis.cli.painting import PaintOptions
from ovvis.cli.process import IN_PART
from ovvis.cli.source_options import SourceOptions
from ovvis.errors import InputError
from ovvis.files.output import OutputFolder
from ovvis.files.signals import uninterrupted
from ovvis.inference.stopwatch import Stopwatch
from ovvis.outputs.live_lines import Lines, LinesFile, is_regular
from ovvis.outputs.render import Image
from ovvis.outputs.webhook import Webhook
from ovvis.paths import user_path
from ovvis.sources.source import Source
from ovvis.structures import SHOWN_SCORE
from ovvis.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ovvis.inference.live import Live

WRITTEN = VIDEO, LINES = "live.mp4", "live.jsonl"
STANDARD_OUTPUT = "-"
_LOOK_AGAIN = 1.0  # seconds between two looks at a file of labels


@sharing(SourceOptions)
@sharing(PaintOptions)
@sharing(PageOptions)
@sharing(shared.SegmenterOptions)
def live(
    source: Annotated[
        str,
        typer.Argument(help="A camera (camera:0), an address (rtsp://...), a pipe (-), or a video file played as one."),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            help=f"{shared.LABELS} A file given as @words.txt is read again whenever it changes.",
            autocompletion=shared.list_names,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help=f"Folder for {VIDEO}, which plays at any moment, and {LINES}.", metavar="DIR"),
    ] = None,
    overwrite: Overwrite = False,
    video: Annotated[bool, typer.Option("--video/--no-video", help=f"Write {VIDEO} into the folder.")] = True,
    lines: Annotated[
        list[str] | None,
        typer.Option(
            help="A line of JSON for each frame to a file, to - (standard output) or an http address; repeatable.",
            metavar="WHERE",
        ),
    ] = None,
    masks: Annotated[bool, typer.Option("--masks/--no-masks", help="Masks in the lines, or boxes alone.")] = True,
    view: Annotated[bool, typer.Option("--view/--no-view", help="Show the pictures in a browser.")] = True,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Of the view; the first free from 8765 on if not given.")
    ] = None,
    browser: Annotated[bool, typer.Option("--browser", help="Open the view in the browser.")] = False,
    show_above: Annotated[float, typer.Option(help="Leave out what scores below this.")] = SHOWN_SCORE,
    forget: Annotated[
        float, typer.Option(help="Seconds without its object after which an id ends; a later object has a fresh one.")
    ] = 10.0,
    all_frames: Annotated[
        bool, typer.Option("--all-frames", help="Leave no frame out: the source waits where the network is slower.")
    ] = False,
    patience: Annotated[float, typer.Option(help="Seconds to wait for a source that gives no frame.")] = 60.0,
    *,
    taken: SourceOptions,
    paint: PaintOptions,
    reached: PageOptions,
    options: shared.SegmenterOptions,
) -> None:
    """Follow a camera or a stream for as long as it runs: in a browser, as lines of JSON, as a painted video."""
    shared.prepare_process()
    if not 0 <= show_above <= 1:
        raise InputError(f"--show-above {show_above:g}: it must lie in [0, 1]")
    if options.batch not in (None, 1):
        raise InputError(f"--batch {options.batch}: a live stream takes frames one by one; leave it out")
    if browser and not view:
        raise InputError("--browser needs the view; leave --no-view out")
    style = paint.find()
    vocabulary = None if labels is None else Vocabulary.parse(labels)
    options.check()
    taken.check()
    if options.text_embeddings is not None:
        options.words(vocabulary)
    with ExitStack() as stack:
        wheres = _opened_lines(lines or [], overwrite, stack)
        page = stack.enter_context(serve(reached, port, bool(output or wheres))) if view else None
        if page is None and output is None and not wheres:
            raise InputError(
                "--no-view: nothing else was asked for; give --output DIR or --lines WHERE, or leave it out"
            )
        frames = taken.open(source)
        if taken.start is not None and frames.live:
            raise InputError(f"--start {taken.start}: {frames.info.name} shows what happens now; leave it out")
        for told in frames.notes:
            warn(told)
        with uninterrupted():
            from ovvis.inference.live import Live
            from ovvis.inference.live_tubes import LiveSettings

        settings = LiveSettings(forget=forget)
        folder = None if output is None else OutputFolder(output, WRITTEN, overwrite=overwrite, growing=True)
        segmenter = options.load(vocabulary, Stopwatch())
        run = Live(
            segmenter, frames, settings=settings, min_score=show_above, keep_up=not all_frames, patience=patience
        )
        if folder is not None:
            stack.enter_context(folder)
            wheres.append((LINES, LinesFile(folder.file(LINES))))
        outputs = Outputs(page.show if page else _nothing, lambda: page is not None and page.watched, style)
        for name, where in wheres:
            outputs.add(JsonLines(name, where, frames.info, run.labels.names, segmenter.describe(), masks))
        if folder is not None and video:
            outputs.add(PaintedVideo(folder.file(VIDEO), frames.info))
        if page is not None:
            page.run = run
            note(f"The view: {page.address}")
            if browser:
                page.open()
        stack.enter_context(_watched_file(labels, run))
        _follow(run, outputs, page)
        said = notes if any(name == "standard output" for name, _ in wheres) else out
        try:
            _conclude(run, frames, outputs, folder, said)
        finally:
            if caution := options.caution(segmenter.model.name):
                warn(caution)


def _nothing(picture: Image) -> None:
    del picture


def _follow(run: Live, outputs: Outputs, page: Page | None) -> None:
    """Work until the source ends, Ctrl-C comes, or no output is left; then close everything whole."""
    latest: tuple[str, ...] | None = None
    status = Status(run.source.info.name)
    try:
        with status:
            for seen in run:
                picture = outputs.picture(seen)
                outputs.write(seen, picture, run.meter.picture)
                if page is not None:
                    page.latest = seen
                if latest not in (None, seen.labels):
                    note(f"Looking for: {', '.join(seen.labels[:20])}{', ...' if len(seen.labels) > 20 else ''}")
                latest = seen.labels
                status.show(run.meter, seen, outputs.troubles())
                if outputs.none_left and page is None:
                    break
    except KeyboardInterrupt:  # how a run ordinarily ends
        run.stop()
    finally:
        with uninterrupted():
            if page is not None:
                page.ended = True
            outputs.close(run.meter.figures(), run.problem)


def _conclude(run: Live, frames: Source, outputs: Outputs, folder: OutputFolder | None, said: Any) -> None:
    """Print what was seen and how the run fared; leave with 3 where a part is missing."""
    meter = run.meter
    if meter.labels:
        table = listing(escape(frames.info.name))
        table.add_column("label")
        for name in ("objects", "frames shown", "best score"):
            table.add_column(name, justify="right")
        for label, sighted in sorted(meter.labels.items(), key=lambda item: -item[1].frames):
            table.add_row(escape(label), f"{sighted.ids:,}", f"{sighted.frames:,}", f"{sighted.best:.3f}")
        said.print(table)
    else:
        said.print("Nothing was shown that the labels speak of; see --show-above.")
    seconds = meter.seconds
    rate = f", {meter.frames / seconds:.1f} a second" if seconds else ""
    said.print(
        f"{count(meter.frames, 'frame')} in {seconds:.1f} s{rate}; {count(meter.left_out, 'frame')} left out, so that "
        f"the newest was shown; from capture to picture {latencies(meter.latency_of_all)}.",
        soft_wrap=True,
    )
    if folder is not None:
        there = [name for name in WRITTEN if (folder.path / name).exists()]
        said.print(f"Results: {escape(str(folder.path))} ({' and '.join(there)})", soft_wrap=True)
    for told in frames.notes:
        warn(told)
    lost = outputs.lost_lines()
    for told in lost:
        warn(told)
    if run.problem is not None:
        warn(f"Used in part: {run.problem}")
    if run.problem is not None or outputs.failed or lost:
        raise typer.Exit(IN_PART)


def _opened_lines(wheres: list[str], overwrite: bool, stack: ExitStack) -> list[tuple[str, Lines]]:
    """Return the places that lines go to, open, with their names.

    Raises:
        InputError: one cannot be opened, or a file is there already.
    """
    opened: list[tuple[str, Lines]] = []
    for where in wheres:
        if where == STANDARD_OUTPUT:
            opened.append(("standard output", LinesFile(stream=sys.stdout.buffer)))
        elif "://" in where:
            hook = Webhook(where)
            stack.callback(hook.close)
            opened.append((where, hook))
        else:
            path = user_path(where)
            if is_regular(path) and path.exists():
                if not overwrite:
                    raise InputError(f"{path} is there already: choose another file, or replace it with --overwrite")
                path.unlink()
            try:
                file = LinesFile(path)
            except OSError as error:
                raise InputError(f"{path} cannot be written ({error.strerror}): choose another file") from error
            stack.callback(file.close)
            opened.append((str(path), file))
    return opened


@contextmanager
def _watched_file(labels: str | None, run: Live) -> Iterator[None]:
    """Take new labels whenever the file they were read from changes, for the block."""
    if labels is None or not labels.startswith("@"):
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_watch, args=(labels, run, over), name="ovvis-labels", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _watch(labels: str, run: Live, over: threading.Event) -> None:
    path = user_path(labels[1:])
    before = _stamp(path)
    while not over.wait(_LOOK_AGAIN):
        now = _stamp(path)
        if now in (None, before):
            continue
        before = now
        try:
            run.change_labels(Vocabulary.parse(labels))
        except InputError as error:
            warn(f"The labels stay as they are: {error}")


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:  # an editor is replacing it
        return None
    return found.st_mtime_ns, found.st_size
