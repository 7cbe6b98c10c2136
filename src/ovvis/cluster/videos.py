"""Many videos from Python: handed out to a Ray cluster, a folder of results for each."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovvis.bucket import is_bucket
from ovvis.cluster.crew import Crew, Hand
from ovvis.cluster.facts import Agreement
from ovvis.cluster.homes import home_of
from ovvis.cluster.segmenting import PATIENCE, Row, Segmenting, SegmentJob, VideoTask
from ovvis.cluster.spreading import SPREAD
from ovvis.cluster.work import Begun
from ovvis.errors import InputError
from ovvis.predictions.run_settings import SETTINGS
from ovvis.results.video_folder import Painting
from ovvis.sources.many import videos_of
from ovvis.sources.names import Names
from ovvis.sources.place import is_address
from ovvis.sources.video import Source, open_source
from ovvis.sources.video_list import ListFile, VideoList
from ovvis.structures import SHOWN_SCORE
from ovvis.vocabulary import Vocabulary

if TYPE_CHECKING:
    from ovvis.inference.pipeline import VideoSegmenter
    from ovvis.models.text import EmbeddedWords


def segment_videos(
    videos: Any,
    labels: str | Iterable[Any],
    output: str | Path,
    *,
    ray: str = "auto",
    column: str = "path",
    model: str | None = None,
    weights: str | Path | None = None,
    device: str = "auto",
    precision: str = "float32",
    paint: bool = False,
    min_score: float = SHOWN_SCORE,
    workers: int | None = None,
    cores: float | None = None,
    gpus: float | None = None,
    spread: int = SPREAD,
    say: Callable[[str], None] = print,
    **options: Any,
) -> Iterator[Row]:
    """Segment videos on a Ray cluster, and yield what became of each as soon as it is done.

    Each video's results have a folder of their own, whole or not at all. What is there already is not made again, so
    that the same call goes on where another stopped.

    Args:
        videos: a folder, pattern, list file or bucket, as the command takes it; paths and addresses; or a dataset of
            Ray Data, with one in each row.
        labels: what `Vocabulary` takes, or text as `Vocabulary.parse` takes it.
        output: a folder that all machines see, or an address in a bucket.
        ray: the cluster's address; "auto" for the one that this machine, or this program, is part of; "local" starts
            one here.
        column: of a dataset's rows, that holds the path or address.
        model: see `load_model`.
        weights: see `load_model`.
        device: see `load_model`.
        precision: see `load_model`.
        paint: whether to write painted videos too.
        min_score: of tracks that are painted and counted.
        workers: at most; None: as many as fit.
        cores: of a worker; None: 2.
        gpus: of a worker; None: 1 if the cluster has any.
        spread: frames of a stretch; a longer video is looked at in stretches by several workers, where some would stand
            idle. 0 never.
        say: told what a person should know.
        options: of `VideoSegmenter`: short_edge, batch, max_tracks, ...

    Raises:
        InputError: an argument cannot be used, or older results were made with others.
        ResourceError: Ray is not installed, or something ran out.
    """
    vocabulary = Vocabulary.parse(labels) if isinstance(labels, str) else Vocabulary(labels)
    home = home_of(output)
    asked = {"model": model, "weights": None if weights is None else str(weights), "precision": precision, **options}
    words = [[label.name, *label.synonyms] for label in vocabulary]
    home.begin()
    facts = {"labels": words, "painted": min_score if paint else None, **asked}
    for line in home.agree(SETTINGS, facts, "drop them by hand"):
        say(line)
    job = SegmentJob(
        home=home,
        load=partial(_load, model, weights, device, precision, vocabulary, options),
        made=_made,
        open=_open,
        bounded=False,
        painting=Painting(paint, min_score),
        patience=PATIENCE,
        spread=spread,
        facts=facts,
    )
    with tempfile.TemporaryDirectory() as scratch:
        listed = _listed(videos, column, Path(scratch) / "videos.txt")
        names = Names(listed)
        for line in names.notes:
            say(line)
        tasks = (VideoTask(source, names.of(source)) for source in listed)
        make, gpus = partial(Segmenting, job), 0.0 if device == "cpu" else gpus
        with home.shown() as sees:
            yield from _rows(make, tasks, ray, workers, cores, gpus, spread > 0, sees, say)


def _rows(
    make: Callable[[], Segmenting],
    tasks: Iterable[VideoTask],
    address: str,
    workers: int | None,
    cores: float | None,
    gpus: float | None,
    spread: bool,
    sees: list[Path],
    say: Callable[[str], None],
) -> Iterator[Row]:
    from ovvis.cluster.ray_hands import RayHands  # imports Ray

    agreement = Agreement()

    def agree(begun: Begun, hand: Hand) -> None:
        for line in [*(begun.notes if agreement.first else ()), *agreement.check(begun, hand)]:
            say(line)

    with RayHands(address, make, cores, gpus, sees) as hands:
        for outcome in Crew(hands, agree, say, workers, tidy=make().tidy, spread=spread).run(tasks):
            failed = Row(outcome.task.name, said=outcome.problem or "", state="broken")
            yield failed if outcome.answer is None else outcome.answer


def _load(
    model: str | None,
    weights: str | Path | None,
    device: str,
    precision: Any,
    vocabulary: Vocabulary,
    options: dict[str, Any],
    embedded: EmbeddedWords | None,
) -> VideoSegmenter:
    from ovvis.inference.pipeline import VideoSegmenter
    from ovvis.models.load import load_model

    network = load_model(model, weights, device=device, precision=precision)
    return VideoSegmenter(network, embedded or vocabulary, **options)


def _made(segmenter: VideoSegmenter) -> dict[str, Any]:
    return segmenter.describe()


def _open(source: str) -> Source:
    return open_source(source)


def _listed(videos: Any, column: str, scratch: Path) -> Iterable[str]:
    """Return videos to read several times, in little memory however many there are."""
    if isinstance(videos, (str, Path)):
        return videos_of([str(videos)]).sources
    if hasattr(videos, "iter_rows"):
        videos = _paths(videos, column)
    with scratch.open("w", encoding="utf-8") as file:
        for video in videos:
            text = str(video)
            if "\n" in text or not text.strip():
                raise InputError(f"video {text!r}: it must be a path or an address; give one")
            file.write(f"{text if is_address(text) or is_bucket(text) else Path(text).absolute()}\n")
    return VideoList([ListFile(scratch)]) if scratch.stat().st_size else []


def _paths(dataset: Any, column: str) -> Iterator[str]:
    for row in dataset.iter_rows():
        if column not in row:
            raise InputError(f"column {column!r}: the dataset has {', '.join(row)}; say which with column=")
        yield row[column]
