"""`ovvis segment`: a video and words in, tracks and a painted video out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from ovvis.bucket import is_bucket
from ovvis.cli import segmenter as shared
from ovvis.cli.console import count, listing, out, progress, warn
from ovvis.cli.following import FollowingOptions
from ovvis.cli.kept import told
from ovvis.cli.once import from_first_to_last
from ovvis.cli.options import Overwrite, sharing
from ovvis.cli.painting import PaintOptions
from ovvis.cli.process import IN_PART
from ovvis.cli.ray_options import RayOptions
from ovvis.cli.source_options import SourceOptions
from ovvis.errors import InputError
from ovvis.files.output import OutputFolder
from ovvis.inference.stopwatch import Stopwatch
from ovvis.models.measured import Measured, keep_measured
from ovvis.models.settings import UNTRAINED
from ovvis.outputs.formats.tracks_json import TRACKS
from ovvis.predictions.folder import Shard
from ovvis.results.video_folder import VIDEO, WRITTEN, Making, Painting, write_results
from ovvis.sources.many import videos_of
from ovvis.sources.names import source_name
from ovvis.sources.source import Source
from ovvis.structures import SHOWN_SCORE, VideoResult
from ovvis.vocabulary import Vocabulary

ONCE = ("load", "text", "paint")  # stages that say nothing of how long a longer video takes
ROWS = 25  # tracks that the table shows


@sharing(SourceOptions)
@sharing(PaintOptions)
@sharing(RayOptions)
@sharing(shared.SegmenterOptions)
@sharing(FollowingOptions)
def segment(
    source: Annotated[
        list[str],
        typer.Argument(
            help="Videos, folders or globs of them, a text file of paths; frames: a folder, a glob, frames/%05d.png; "
            "camera:0, screen:, an address (http, rtsp, udp, ...), - for standard input.",
            metavar="SOURCE...",
        ),
    ],
    labels: Annotated[str | None, typer.Option(help=shared.LABELS, autocompletion=shared.list_names)] = None,
    output: Annotated[
        str | None,
        typer.Option(
            help="Folder for the results; ovvis-SOURCE if not given, or ovvis-SOURCE-2, ... where that holds some. Of "
            "several videos each has a folder of its own in it, or in a bucket (s3://...), and another run does what "
            "is missing.",
            metavar="DIR",
        ),
    ] = None,
    shard: Annotated[
        str, typer.Option(help="i/n: of several videos only each n-th from the i-th on; n processes share one folder.")
    ] = "1/1",
    overwrite: Overwrite = False,
    paint_above: Annotated[
        float, typer.Option(help="Show and paint only tracks of at least this score.")
    ] = SHOWN_SCORE,
    video: Annotated[bool, typer.Option("--video/--no-video", help="Write the painted video.")] = True,
    *,
    taken: SourceOptions,
    paint: PaintOptions,
    options: shared.SegmenterOptions,
    following: FollowingOptions,
    cluster: RayOptions,
) -> None:
    """Find, follow and name everything in videos that the labels speak of."""
    shared.prepare_process()
    cluster.check("ovvis segment")
    if not 0 <= paint_above <= 1:
        raise InputError(f"--paint-above {paint_above:g}: it must lie in [0, 1]; 0 shows and paints every track")
    painting = Painting(video, paint_above, paint.find())
    vocabulary = None if labels is None else Vocabulary.parse(labels)
    options.check()
    options = replace(options, following=following.find(options.tracker))
    if options.text_embeddings:
        options.words(vocabulary)
    taken.check()
    videos = videos_of(source)
    for said in videos.notes:
        warn(said)
    part = Shard.parse(shard)
    bucket = output is not None and is_bucket(output)
    if videos.several or cluster.ray or bucket or part.count > 1:
        from ovvis.cli.segment_many import Batch, segment_many

        batch = Batch(videos, output, vocabulary, options, taken, painting, cluster, part)
        return segment_many(batch, overwrite)
    frames = taken.open(source[0])
    folder = OutputFolder(output or default_output(source[0]), WRITTEN, overwrite=overwrite, another=output is None)
    return segment_into(folder, frames, vocabulary, options, painting)


def segment_into(
    folder: OutputFolder,
    frames: Source,
    vocabulary: Vocabulary | None,
    options: shared.SegmenterOptions,
    painting: Painting,
) -> None:
    """Segment a video, put the results into a folder, then show them.

    Args:
        folder: not entered yet.
        frames: the video.
        vocabulary: None for the one that comes with the weights.
        options: of the model.
        painting: what is shown.
    """
    watch = Stopwatch()
    deliver(
        folder,
        Making(frames, lambda: options.load(vocabulary, watch), watch),
        painting,
        keep=partial(keep_seconds, options),
        caution=lambda result: options.caution(result.settings["model"]),
    )


def deliver(
    folder: OutputFolder,
    making: Making,
    painting: Painting,
    *,
    keep: Callable[[VideoResult], None] = lambda _: None,
    caution: Callable[[VideoResult], str | None] = lambda _: None,
) -> None:
    """Put a video's results into a folder, then show them.

    Args:
        folder: not entered yet.
        making: how the result is made.
        painting: what is shown of it.
        keep: called once the results are in place and shown.
        caution: returns what the user is to be warned of at the end, whatever becomes of it.
    """
    asked, said = folder.path, list(making.frames.notes)
    for note in said:
        warn(note)
    with told(folder), ExitStack() as kept:
        with folder:
            result, unpainted = write_results(kept, folder, making, painting, bars=progress, reading=from_first_to_last)
        _show(result, painting.least)  # not before the results are in place: whatever becomes of it, they stay
        for note in result.notes:
            if note not in said:  # what only the end of the video showed
                warn(note)
        if folder.path != asked:
            out.print(f"{escape(asked.name)} is taken: these results have a folder of their own.", soft_wrap=True)
        keep(result)
        try:
            _conclude(result, folder.path, painting.video, unpainted)
        finally:
            if warned := caution(result):
                warn(warned)


def default_output(source: str) -> Path:
    """Return the folder for the results of a source: its name behind "ovvis-", here."""
    return Path(f"ovvis-{source_name(source)}")


def _show(result: VideoResult, least: float) -> None:
    """Print the table of tracks, each instance once, under its best label."""
    best = result.best_tracks(least)
    others = len(result.best_tracks(0)) - len(best)
    if not best:
        top = max((track.score for track in result.tracks), default=0.0)
        out.print(f"No instance has a score of {least:g} or more (best: {top:.3f}); see --paint-above.")
        return
    title = f"{escape(result.source)}: {count(len(best), 'instance')}"
    table = listing(title)
    table.add_column("id", justify="right")
    table.add_column("label")
    table.add_column("score", justify="right")
    table.add_column("frames", justify="right")
    table.add_column("seen (s)", justify="right")
    table.add_column("other names")
    for track in best[:ROWS]:
        seen = track.frames
        times = [result.frame_times[i] for i in (seen[0], seen[-1])] if seen else []
        rest = ", ".join(f"{escape(name)} {score:.2f}" for name, score in track.top_labels if name != track.label)
        table.add_row(
            str(track.id),
            escape(track.label),
            f"{track.score:.3f}",
            f"{len(seen)}/{len(track.masks)}",
            " - ".join(f"{moment:.1f}" for moment in times),
            rest,
        )
    out.print(table)
    if len(best) > ROWS:
        out.print(f"... and {len(best) - ROWS} more; {TRACKS} holds all.")
    if others:
        out.print(f"{others} more below {least:g}; {TRACKS} holds them too.")


def spent_on(result: VideoResult) -> dict[str, float]:
    """Return the seconds of each stage that grows with the video, without painting."""
    return {stage: seconds for stage, seconds in result.seconds.items() if stage not in ONCE}


def keep_seconds(options: shared.SegmenterOptions, result: VideoResult) -> None:
    """Keep what a frame took, for `ovvis models`; not of a user's own network, of any size, and not of an export."""
    settings, frames = result.settings, len(result.frame_indices)
    if options.weights in (None, UNTRAINED) and "network_size" in settings and "runtime" not in settings:
        height, width = settings["network_size"]
        device = shared.device_title(settings["device"])
        seconds = sum(spent_on(result).values()) / frames
        keep_measured(Measured(settings["model"], height, width, device, settings["precision"], seconds, frames))


def _conclude(result: VideoResult, folder: Path, video: bool, unpainted: Sequence[str]) -> None:
    """Say where the time went, where the results are, and whether frames are missing from them."""
    frames, work = len(result.frame_indices), spent_on(result)
    spent = sum(work.values())
    shares = ", ".join(f"{stage} {seconds / spent:.0%}" for stage, seconds in work.items() if seconds / spent >= 0.005)
    before = ", ".join(f"{stage} {result.seconds[stage]:.1f} s" for stage in ONCE if stage in result.seconds)
    out.print(f"{count(frames, 'frame')} in {spent:.1f} s ({spent / frames:.3f} s a frame: {shares}); {before}")
    names = f"{TRACKS} and {VIDEO}" if video else TRACKS
    out.print(f"Results: {escape(str(folder))} ({names})", soft_wrap=True)
    if result.problem is not None:
        warn(f"Used in part: {result.problem}")
    for line in unpainted:
        warn(line)
    if result.problem is not None or unpainted:
        raise typer.Exit(IN_PART)
