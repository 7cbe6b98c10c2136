"""`ovvis view`: a result in the browser."""

from __future__ import annotations

import webbrowser
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.markup import escape

from ovvis.cli.console import count, note, out, progress
from ovvis.cli.options import DataRoot, Frames, Overwrite
from ovvis.errors import InputError
from ovvis.files.output import make_way
from ovvis.outputs.formats.tracks_json import TRACKS
from ovvis.paths import user_path
from ovvis.results.video_folder import VIDEO
from ovvis.structures import Frame, VideoResult


def view(
    result: Annotated[
        str, typer.Argument(help="A folder that `ovvis segment` wrote, its tracks.json, or a dataset's results.")
    ],
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the page to this file; it opens without a network.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="The video that was segmented, if it lies elsewhere by now.", metavar="VIDEO"),
    ] = None,
    min_score: Annotated[float, typer.Option(help="Leave tracks below it out of the page.")] = 0.0,
    embed: Annotated[
        bool | None,
        typer.Option(
            "--embed/--no-embed", help="With --html: put the video into the page, or leave it beside; up to 64 MiB in."
        ),
    ] = None,
    overwrite: Overwrite = False,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open it in a browser.")] = True,
    port: Annotated[int, typer.Option(help="Of the local address; 0 takes any that is free.")] = 0,
    dataset: Annotated[
        str | None, typer.Option(help="Of results for a dataset: its name or annotations.", metavar="DATASET")
    ] = None,
    video: Annotated[str | None, typer.Option(help="Which of the dataset's videos.", metavar="ID_OR_NAME")] = None,
    frames: Frames = None,
    data_root: DataRoot = None,
) -> None:
    """Look at a result in a browser: its video with masks, a timeline of its tracks; or write that as a page."""
    if html is None and (embed is not None or overwrite):
        raise InputError("--embed and --overwrite are for a page that is written: add --html FILE")
    if html is not None:
        make_way(user_path(html), overwrite)
    if dataset is None:
        if video is not None or frames is not None:
            raise InputError("--video and --frames are for results of a dataset: name it with --dataset")
        shown, painted = _saved(result)
        pictures: str | Iterable[Frame] | None = source
    else:
        if source is not None:
            raise InputError("--source is for a tracks.json; a dataset's frames lie in --frames")
        shown, pictures = _of_dataset(result, dataset, video, data_root, frames)
        painted = None
    if html is None:
        _serve(shown, pictures, painted, min_score, port, browser)
    else:
        _write(shown, html, pictures, painted, min_score, embed, overwrite, browser)


def _saved(place: str) -> tuple[VideoResult, Path]:
    from ovvis.outputs.formats.masks_in_file import is_large
    from ovvis.results.loading import load_result

    path = user_path(place)
    file = path / TRACKS if path.is_dir() else path
    if is_large(file):
        note(f"Reading {file.name} ({file.stat().st_size / 1e9:.1f} GB); its masks stay in the file.")
    loaded = load_result(path)
    return loaded, (path if path.is_dir() else path.parent) / VIDEO


def _of_dataset(
    results: str, name: str, video: str | None, root: Path | None, folder: Path | None
) -> tuple[VideoResult, Iterable[Frame] | None]:
    from ovvis.datasets.open import open_dataset
    from ovvis.predictions.one_video import frames_of_video, result_of_video

    data = open_dataset(name, root, folder)
    found, chosen = result_of_video(data, results, video)
    if (pictures := frames_of_video(data, chosen)) is None:
        note(f"Not all frames of {chosen.name} are here: its masks are shown on a plain ground.")
    return found, pictures


def _write(
    result: VideoResult,
    html: Path,
    source: str | Iterable[Frame] | None,
    painted: Path | None,
    min_score: float,
    embed: bool | None,
    overwrite: bool,
    browser: bool,
) -> None:
    from ovvis.viewer import write_viewer

    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        note(line)

    with progress("writing the page", "steps") as done:
        written = write_viewer(
            result,
            html,
            source,
            painted=painted,
            min_score=min_score,
            embed=embed,
            overwrite=overwrite,
            on_step=done,
            on_say=say,
        )
    for line in written.says:
        if line not in said:
            note(line)
    out.print(f"Page: {escape(str(written.path))} ({written.size / 1e6:.1f} MB)", soft_wrap=True)
    if browser and out.is_terminal:
        webbrowser.open(written.path.as_uri())


def _serve(
    result: VideoResult,
    source: str | Iterable[Frame] | None,
    painted: Path | None,
    min_score: float,
    port: int,
    browser: bool,
) -> None:
    from ovvis.viewer import Pieces, choose_media, serve
    from ovvis.viewer.file import frames_told

    pieces = Pieces(result, min_score)
    with TemporaryDirectory(prefix="ovvis-view-") as folder:
        with progress("encoding frames", "frames", pieces.frames) as done:
            media = choose_media(result, Path(folder) / "copy.mp4", source, painted, frames_told(done, pieces.frames))
        for line in (media.says if media else "There is no video: the masks are shown on a plain ground.",):
            if line:
                note(line)
        with serve(pieces, media, port) as (address, run):
            out.print(f"{count(len(pieces.tubes), 'track')}: {address}", soft_wrap=True)
            out.print("Ctrl-C ends it.")
            if browser:
                webbrowser.open(address)
            try:
                run()
            except KeyboardInterrupt:
                out.print("Ended.")
