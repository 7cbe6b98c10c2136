"""`ovvis track`: what any detector found in a video's frames, as tracks and a painted video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from ovvis.cli import segmenter as shared
from ovvis.cli.console import progress
from ovvis.cli.following import FollowingOptions
from ovvis.cli.options import Overwrite, completing, grouped, sharing
from ovvis.cli.painting import PaintOptions
from ovvis.cli.segment import default_output, deliver
from ovvis.cli.source_options import SourceOptions
from ovvis.detections.categories import names_by_id
from ovvis.detections.read import FORMATS_READ, guess_format, read_detections, video_of
from ovvis.errors import InputError, nearest
from ovvis.files.output import OutputFolder
from ovvis.inference.stopwatch import Stopwatch
from ovvis.models.settings import LEARNT, TRACKERS, find_tracker
from ovvis.models.sources import use_mirror
from ovvis.paths import user_path
from ovvis.results.video_folder import WRITTEN, Making, Painting
from ovvis.sources.video import Source, open_source
from ovvis.structures import SHOWN_SCORE, VideoResult
from ovvis.vocabulary import VILD_PROMPTS, Vocabulary, read_prompts

_reading, _naming = grouped("What the detections are"), grouped("How they are named")
FOLLOWERS = tuple(name for name in TRACKERS if name not in LEARNT)


@sharing(SourceOptions)
@sharing(PaintOptions)
@sharing(FollowingOptions)
def track(
    detections: Annotated[
        Path,
        typer.Argument(
            help="What a detector found: COCO's results (JSON), a folder of YOLO's text files or of PNG id maps, or "
            "what `ovvis import` reads, whose identities are forgotten.",
            metavar="DETECTIONS",
        ),
    ],
    video: Annotated[str, typer.Option(help="The video that the detector saw, or its folder of frames.", metavar="V")],
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results; ovvis-VIDEO if not given, or ovvis-VIDEO-2, ... where that holds some.",
            metavar="DIR",
        ),
    ] = None,
    overwrite: Overwrite = False,
    tracker: Annotated[
        str,
        typer.Option(
            help=f"{', '.join(FOLLOWERS)}; see docs/tracking.md.",
            autocompletion=completing(FOLLOWERS),
        ),
    ] = "sort",
    labels: Annotated[
        str | None,
        typer.Option(
            help="Words that a CLIP names the detections by, in place of their own names; as for `ovvis segment`.",
            autocompletion=shared.list_names,
        ),
    ] = None,
    least_score: Annotated[float, typer.Option(min=0, max=1, help="Leave out detections below this score.")] = 0.0,
    paint_above: Annotated[
        float, typer.Option(min=0, max=1, help="Show and paint only tracks of at least this score.")
    ] = SHOWN_SCORE,
    painted: Annotated[bool, typer.Option("--paint/--no-paint", help="Write the painted video.")] = True,
    format: Annotated[
        str | None,
        _reading(
            "--from",
            help=f"Their format, if it cannot be told: {', '.join(FORMATS_READ)}.",
            metavar="FORMAT",
            autocompletion=completing(FORMATS_READ),
        ),
    ] = None,
    first_frame: Annotated[
        int | None,
        _reading(min=0, max=1, help="The number that they give the first frame; found out, or asked, if not given."),
    ] = None,
    annotations: Annotated[
        Path | None, _reading(help="The JSON whose images and categories COCO's results speak of.", metavar="FILE")
    ] = None,
    categories: Annotated[
        str | None,
        _reading(
            help='What their category ids are called: a list\'s name (coco, lvvis), or "dog, cat" in order.',
            metavar="NAMES",
        ),
    ] = None,
    clip: Annotated[
        str | None,
        _naming(
            help="The CLIP that looks at each detection, cut out: open_clip's ARCHITECTURE/TAG, or a model of `ovvis "
            "models`; ViT-B-32/openai if not given.",
            metavar="NAME",
        ),
    ] = None,
    around: Annotated[bool, _naming("--around/--alone", help="Let it see what is around a mask too.")] = False,
    prompts: shared.Prompts = None,
    max_tracks: Annotated[
        int | None, _naming(min=1, help="Most (track, label) pairs; every track under its best label if not given.")
    ] = None,
    device: shared.Device = "auto",
    mirror: shared.Mirror = None,
    *,
    taken: SourceOptions,
    paint: PaintOptions,
    following: FollowingOptions,
) -> None:
    """Make tracks of what any detector found in a video's frames: masks or boxes, with names or without."""
    use_mirror(mirror)
    _check(detections, tracker, format, taken)
    asked = None if labels is None else Vocabulary.parse(labels)
    texts = VILD_PROMPTS if prompts is None else read_prompts(prompts)
    looked_at = asked is not None or clip is not None
    if (prompts is not None or around) and not looked_at:
        raise InputError("--prompts and --around are of a CLIP that names detections: give --labels too")
    how = following.find(tracker, any_may_be_short=True)
    painting = Painting(painted, paint_above, paint.find())
    kind = format or guess_format(user_path(detections))
    known = None if categories is None else names_by_id(categories, from_zero=kind == "yolo")
    frames = taken.open(video)
    whole = frames if frames.endless else open_source(video, fps=taken.fps, stream=taken.stream, levels=taken.levels)
    facts = video_of(whole, video)
    # What is wrong with them is said before PyTorch is imported.
    found = read_detections(detections, facts, kind, first=first_frame, annotations=annotations, categories=known)
    shared.prepare_process()
    watch = Stopwatch()

    def load() -> Callable[..., VideoResult]:
        from ovvis.detections.track import track as follow

        namer = None
        if looked_at:
            from ovvis.detections.naming import crop_namer

            with watch("load"), progress("fetching CLIP", "B") as fetched, progress("reading labels", "words") as read:
                namer = crop_namer(
                    asked, clip, prompts=texts, around=around, device=device, on_progress=fetched, on_text=read
                )

        def made(source: Source, on_frame: Callable[[int], None]) -> VideoResult:
            return follow(
                found,
                source,
                tracker=tracker,
                how=how,
                namer=namer,
                max_tracks=max_tracks,
                least=least_score,
                facts=facts,
                on_frame=on_frame,
            )

        return made

    folder = OutputFolder(output or default_output(video), WRITTEN, overwrite=overwrite, another=output is None)
    deliver(folder, Making(frames, load, watch, "tracking"), painting)


def _check(detections: Path, tracker: str, format: str | None, taken: SourceOptions) -> None:
    """Refuse what can be refused before the video is opened.

    Raises:
        InputError: names the value, the rule and the remedy.
    """
    find_tracker(tracker)
    if tracker in LEARNT:
        raise InputError(
            f"--tracker {tracker}: it is a part of OV-DVIS++ and follows its queries; choose one of "
            f"{', '.join(FOLLOWERS)}"
        )
    if format is not None and format not in FORMATS_READ:
        raise InputError(f"--from {format}: {nearest(format, FORMATS_READ)}")
    if not user_path(detections).exists():
        raise InputError(f"{detections} does not exist: check the path")
    if taken.roi is not None:
        raise InputError("--roi is for a network: detections are of whole frames; leave it out")
    taken.check()
