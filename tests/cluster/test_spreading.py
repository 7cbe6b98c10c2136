"""Long videos cut up by workmen that share this process: bytes of one, whatever dies, changes or cannot be read."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import fsspec
import pytest
from PIL import Image

from clips import Clip, picture
from fakes import build_tiny
from ovvis.cluster.crew import Crew
from ovvis.cluster.facts import versions
from ovvis.cluster.homes import home_of
from ovvis.cluster.predicting import DatasetVideo, Predicting, PredictJob
from ovvis.cluster.segmenting import Segmenting, SegmentJob, VideoTask
from ovvis.cluster.spreading import FollowTask, StretchTask
from ovvis.cluster.work import Lost
from ovvis.datasets.annotations import Video
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models.settings import VideoSettings
from ovvis.outputs.style import Style
from ovvis.places import Place, place_of
from ovvis.results.video_folder import Painting
from ovvis.sources.video import open_source

FRAMES, SPREAD = 30, 6


class DiedError(BaseException):
    """The end of a worker."""


@dataclass(eq=False)
class Hand:
    workman: Segmenting
    answer: Any
    node: str = "here"
    versions: dict[str, str] = field(default_factory=versions)


@dataclass
class Here:
    """Workers in this process, one after another; each dies at the frames of a count of `ends`."""

    make: Any
    most: int = 3
    ends: list[int] = field(default_factory=list)  # frames, of all workers together
    frames: int = 0
    tasks: list[Any] = field(default_factory=list)
    hands: list[Hand] = field(default_factory=list)
    before: Any = lambda *_: None  # called with each task

    def room(self) -> int:
        return self.most

    def hire(self, shared: Any) -> Hand:
        workman = self.make()
        self.hands.append(Hand(workman, workman.begin(shared)))
        return self.hands[-1]

    def give(self, hand: Hand, task: Any) -> None:
        self.tasks.append(task)
        self.before(task)
        try:
            hand.answer = hand.workman.work(task, self._bars)
        except DiedError:
            hand.answer = Lost("it died")

    @contextmanager
    def _bars(self, what: str, unit: str, total: int | None = None):
        last = 0

        def advance(done: int, *_: Any) -> None:
            nonlocal last
            self.frames, last = self.frames + done - last, done
            if self.ends and self.frames >= self.ends[0]:
                self.ends.pop(0)
                raise DiedError

        yield advance

    def dismiss(self, hand: Hand) -> None:
        self.hands = [one for one in self.hands if one is not hand]

    def wait(self, seconds: float) -> list[tuple[Hand, Any]]:
        ready = [(hand, hand.answer) for hand in self.hands if hand.answer is not None][:1]
        for hand, _ in ready:
            hand.answer = None
        return ready

    def under_way(self) -> int:
        return 0


tiny = lru_cache(build_tiny)


def load(short_edge: int, settings: VideoSettings | None, shared: Any) -> VideoSegmenter:
    words = ["dog", "cat"]
    return VideoSegmenter(
        tiny(), shared or words, prompts=["a {}"], cache=False, short_edge=short_edge, settings=settings
    )


def make(home: Path | str, spread: int = SPREAD, short_edge: int = 32, **more: Any) -> partial[Segmenting]:
    home = home_of(home)
    home.begin()
    job = SegmentJob(
        home=home,
        load=partial(load, short_edge, more.pop("settings", None)),
        made=lambda segmenter: segmenter.describe(),
        open=more.pop("open", open_source),
        bounded=False,
        painting=Painting(video=False, style=Style()),
        spread=spread,
        **more,
    )
    return partial(Segmenting, job)


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return Clip("film.mp4", options={"g": "5"}, count=FRAMES).make(tmp_path_factory.mktemp("film"))


@pytest.fixture(scope="module")
def alone(film, tmp_path_factory) -> bytes:
    out = tmp_path_factory.mktemp("alone")
    run(Here(make(out)), film, spread=False)
    return tracks(out)


def run(hands: Here, *films: Path, spread: bool = True, **more: Any) -> list[Any]:
    said: list[str] = []
    crew = Crew(hands, agree=lambda *_: None, say=said.append, tidy=hands.make().tidy, spread=spread, **more)
    rows = [outcome.answer or outcome.problem for outcome in crew.run(VideoTask(str(f), Path(f).stem) for f in films)]
    assert hands.hands == []
    return [*rows, *said]


def without_times(data: bytes) -> bytes:
    return re.sub(rb'\n"seconds": \{[^}]*\},', b"", data)


def tracks(out: Path, name: str = "film") -> bytes:
    assert not list(out.glob(".*"))  # stretches are gone
    return without_times((out / name / "tracks.json").read_bytes())


def looked_at(hands: Here) -> list[int]:
    return [task.stretch.first for task in hands.tasks if isinstance(task, StretchTask)]


def test_cut_up_and_followed(film, alone, tmp_path) -> None:
    hands = Here(make(tmp_path))
    (row,) = run(hands, film)
    assert tracks(tmp_path) == alone
    assert looked_at(hands) == [0, 6, 12, 18, 24] and isinstance(hands.tasks[-1], FollowTask)
    assert row.frames == FRAMES and row.state == "done" and row.seconds > 0


@pytest.mark.parametrize("ends", [[3], [8], [FRAMES], [FRAMES + 3], [2, 9, 20, 33, 60]])
def test_who_dies_loses_a_stretch(film, alone, tmp_path, ends) -> None:
    hands = Here(make(tmp_path), ends=list(ends))
    assert run(hands, film)[0].state == "done" and not hands.ends
    assert tracks(tmp_path) == alone and set(looked_at(hands)) == {0, 6, 12, 18, 24}
    assert len(looked_at(hands)) <= 5 + len(ends)


def test_a_run_that_is_given_again_goes_on(film, alone, tmp_path) -> None:
    assert "3 workers died" in run(Here(make(tmp_path), ends=[14, 15, 16]), film)[0]
    there = sorted(path.name for path in tmp_path.glob(".film.stretches/*"))
    assert len(there) == 2
    hands = Here(make(tmp_path))
    run(hands, film)
    assert looked_at(hands) == [12, 18, 24] and tracks(tmp_path) == alone


@pytest.mark.parametrize("changed", ["size", "settings", "stretch", "facts", "video"])
def test_what_was_made_in_another_way_is_not_taken(film, tmp_path, changed) -> None:
    own = tmp_path / "film.mp4"
    own.write_bytes(film.read_bytes())
    out = tmp_path / "out"
    run(Here(make(out), ends=[14, 15, 16]), own)
    other: dict[str, Any] = {
        "size": {"short_edge": 48},
        "settings": {"settings": replace(tiny().video, silence=None)},
        "stretch": {"spread": 10},
        "facts": {"facts": "other words"},
        "video": {},
    }[changed]
    if changed == "video":
        os.utime(own, ns=(1, 1))
    hands = Here(make(out, **other))
    run(hands, own)
    assert looked_at(hands)[:2] == [0, other.get("spread", SPREAD)] and not list(out.glob(".*"))
    run(Here(make(tmp_path / "alone", **other)), own, spread=False)
    assert tracks(out) == tracks(tmp_path / "alone")


def test_a_video_that_changes_meanwhile_is_done_as_a_whole(film, tmp_path) -> None:
    own = tmp_path / "film.mp4"
    own.write_bytes(film.read_bytes())
    hands = Here(make(tmp_path / "out"), most=2)

    def change(task: Any) -> None:
        if isinstance(task, StretchTask) and task.stretch.first == 12:
            Clip("film.mp4", options={"g": "5"}, count=20).make(tmp_path)

    hands.before = change
    row, said = run(hands, own)
    assert row.frames == 20 and said == "film is not spread over workers: it changed, or differs on a machine."
    assert not list((tmp_path / "out").glob(".*"))


def test_files_that_go_are_made_up_for_by_the_whole(film, alone, tmp_path) -> None:
    hands = Here(make(tmp_path))

    def lose(task: Any) -> None:
        if isinstance(task, FollowTask):
            next(tmp_path.glob(".film.stretches/*12-*")).unlink()

    hands.before = lose
    row, said = run(hands, film)
    assert tracks(tmp_path) == alone and row.state == "done" and "what was said of it is gone" in said


def test_a_damaged_video_is_told_as_by_one_process(film, tmp_path) -> None:
    own = tmp_path / "film.mkv"
    data = Clip("film.mkv", options={"g": "5"}, count=FRAMES).make(tmp_path).read_bytes()
    own.write_bytes(data[: len(data) * 2 // 3])
    hands = Here(make(tmp_path / "out"))
    row, said = run(hands, own)
    (expected,) = run(Here(make(tmp_path / "alone")), own, spread=False)
    assert (row.state, row.said, row.frames) == (expected.state, expected.said, expected.frames)
    assert row.state == "part" and "cannot all be read in stretches" in said
    assert tracks(tmp_path / "out") == tracks(tmp_path / "alone")


@pytest.mark.parametrize(
    ("settings", "why"),
    [({"followed": "sort"}, "sort follows whole"), ({"followed": "overlap"}, "overlap follows whole")],
)
def test_what_must_see_the_whole_video_is_said_once(film, tmp_path, settings, why) -> None:
    other = film.with_name("other.mp4")
    other.write_bytes(film.read_bytes())
    hands = Here(make(tmp_path, settings=replace(tiny().video, **settings)))
    *rows, said = run(hands, film, other)
    assert [row.state for row in rows] == ["done", "done"] and why in said and not looked_at(hands)


def test_short_ones_and_those_that_keep_all_busy_stay_whole(film, tmp_path) -> None:
    hands = Here(make(tmp_path, spread=FRAMES))
    run(hands, film)
    assert not looked_at(hands)
    copies = []
    for number in range(4):
        copies.append(tmp_path / f"v{number}.mp4")
        copies[-1].write_bytes(film.read_bytes())
    hands = Here(make(tmp_path / "out"), most=2)
    run(hands, *copies)
    assert len([t for t in hands.tasks if isinstance(t, FollowTask)]) == 2  # the last two


def test_through_a_bucket(film, alone, tmp_path, monkeypatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pipe_file("/films/film.mp4", film.read_bytes())
    opened: list[str] = []

    def open(source: str) -> Any:
        opened.append(source)
        return open_source(source)

    address: Any = "memory://films/film.mp4"
    hands = Here(make("memory://out", open=open), ends=[14])
    run(hands, address)
    wanted = re.sub(rb', "opened_as": \{[^}]*\}', b"", alone)
    assert without_times(memory.cat_file("/out/film/tracks.json")) == wanted
    assert memory.find("/out") == ["/out/film/tracks.json"]
    assert len(opened) <= 1 + 4 + 1 and len(looked_at(hands)) == 6  # a copy a worker, and one for who follows
    memory.store.clear()


def test_frames_of_a_folder(tmp_path) -> None:
    (tmp_path / "film").mkdir()
    for k in range(14):
        Image.fromarray(picture(k)).save(tmp_path / "film" / f"{k}.png")
    hands = Here(make(tmp_path / "out"))
    run(hands, tmp_path / "film")
    run(Here(make(tmp_path / "alone")), tmp_path / "film", spread=False)
    assert looked_at(hands) == [0, 5, 10] and tracks(tmp_path / "out") == tracks(tmp_path / "alone")


@pytest.mark.parametrize("address", ["folder", "memory://out"])
def test_a_video_of_a_dataset(tmp_path, address) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    names = tuple(f"{k:02}.png" for k in range(14))
    for k, name in enumerate(names):
        Image.fromarray(picture(k)).save(tmp_path / name)
    task = DatasetVideo(Video(7, "film", 48, 64, names), [tmp_path / name for name in names])

    def predict(place: Place, spread: bool, ends: list[int]) -> Here:
        job = PredictJob(
            place=place,
            images=False,
            suffix="",
            ids=(4, 2),
            levels=None,
            load=partial(load, 32, None),
            made=lambda segmenter: segmenter.describe(),
            spread=SPREAD,
        )
        hands = Here(partial(Predicting, job), ends=ends)
        (outcome,) = Crew(hands, agree=lambda *_: None, say=print, spread=spread).run([task])
        assert outcome.task == task and outcome.answer.frames == 14 and outcome.answer.results
        return hands

    predict(alone := place_of(tmp_path / "alone"), False, [])
    place = place_of(tmp_path / "out" if address == "folder" else address)
    assert looked_at(predict(place, True, [8])) == [0, 5, 5, 10]
    with place.reading("results/7.json") as got, alone.reading("results/7.json") as wanted:
        assert got.read_bytes() == wanted.read_bytes()
    assert place.below("results").names() == ["7.json"] and not place.below("results/.7.stretches").names()
    assert not (tmp_path / "out/results/.7.stretches").exists()
    memory.store.clear()
