"""A video in stretches comes to the bits of one pass, whoever looks at them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from clips import Clip
from fakes import build_tiny, build_tiny_fc_clip, build_tiny_ov_dvis, build_tiny_ovformer
from ovvis.errors import InputError
from ovvis.inference import look
from ovvis.inference.lost import LostWindowsError
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.stretches import even_stretch, follow_stretches, why_whole, write_stretch
from ovvis.models.settings import VideoSettings
from ovvis.outputs.formats.tracks_json import save_tracks
from ovvis.sources.video import open_source
from ovvis.structures import VideoResult

FRAMES = 23
BUILD = {"clip-vis": build_tiny, "ovformer": build_tiny_ovformer, "fc-clip": build_tiny_fc_clip}


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return Clip("film.mp4", options={"g": "5"}, count=FRAMES).make(tmp_path_factory.mktemp("film"))


def segmenter(build=build_tiny, settings: VideoSettings | None = None, **options) -> VideoSegmenter:
    words = [("dog", "puppy"), ("cat",), ("car",)]
    return VideoSegmenter(
        build(), words, prompts=["a {}"], cache=False, short_edge=32, settings=settings, memory_limit=4000, **options
    )


def write(one: VideoSegmenter, film: Path, folder: Path, frames: int) -> list[str]:
    """Write all stretches, the last one first, each from a source of its own."""
    cut = open_source(film).stretches(even_stretch(one, frames))
    names = [f"{number}" for number in range(len(cut))]
    assert len(cut) > 1
    for name, stretch in reversed(list(zip(names, cut, strict=True))):
        write_stretch(one, open_source(film).stretch(stretch), folder / name, name)
    return names


def reading(folder: Path):
    @contextmanager
    def read(name: str):
        yield folder / name

    return read


def saved(result: VideoResult, path: Path) -> bytes:
    result.seconds = {}
    save_tracks(result, path)
    result.close()
    return path.read_bytes()


@pytest.mark.parametrize("family", BUILD)
@pytest.mark.parametrize("batch", [1, 3])
def test_the_bits_of_one_pass(film, tmp_path, family, batch) -> None:
    one = segmenter(BUILD[family], batch=batch)
    names, counted = write(one, film, tmp_path, 4), list[int]()
    other = segmenter(BUILD[family], batch=batch)
    followed = follow_stretches(other, open_source(film), names, reading(tmp_path), counted.append)
    assert counted[-1] == FRAMES and followed.seconds["network"] > 0 and followed.seconds["tracking"] > 0
    alone = one(open_source(film))
    assert len(alone.tracks) > 3
    assert saved(followed, tmp_path / "followed.json") == saved(alone, tmp_path / "alone.json")


SETTINGS = {
    "births": {"birth": 0.2, "names": 0.5},
    "longterm": {"memory": 5, "matched": 3},
    "quality": {"mask_quality": True, "average": "logits"},
    "sigmoid": {"class_score": "sigmoid"},
}


@pytest.mark.parametrize("changed", SETTINGS)
@pytest.mark.parametrize("overlap", [False, True])
def test_other_ways_to_follow_and_score(film, tmp_path, changed, overlap) -> None:
    one = segmenter(settings=replace(build_tiny().video, **SETTINGS[changed]))
    one.model.accelerated = ("overlap",) if overlap else ()
    names = write(one, film, tmp_path, 5)
    followed = follow_stretches(one, open_source(film), names, reading(tmp_path))
    assert saved(followed, tmp_path / "followed.json") == saved(one(open_source(film)), tmp_path / "alone.json")


def test_one_window_is_in_memory_at_a_time(film, tmp_path) -> None:
    one = segmenter()
    names, open_now = write(one, film, tmp_path, 5), list[str]()

    @contextmanager
    def read(name: str):
        open_now.append(name)
        assert len(open_now) == 1
        yield tmp_path / name
        open_now.remove(name)

    follow_stretches(one, open_source(film), names, read).close()


@pytest.mark.parametrize("spoilt", ["gone", "short", "empty", "other", "rubbish"])
def test_a_file_that_is_not_what_it_must_be(film, tmp_path, spoilt) -> None:
    one = segmenter()
    names = write(one, film, tmp_path, 9)
    path = tmp_path / names[1]
    data = path.read_bytes()
    if spoilt == "gone":
        path.unlink()
    elif spoilt == "other":
        path.write_bytes((tmp_path / names[0]).read_bytes())
    else:
        path.write_bytes({"short": data[:-30], "empty": b"", "rubbish": data[:200] + b"\xff" * 400}[spoilt])
    with pytest.raises(LostWindowsError, match="1"):
        follow_stretches(one, open_source(film), names, reading(tmp_path))


@pytest.mark.parametrize(
    ("build", "changed", "why"),
    [
        (build_tiny, {}, None),
        (build_tiny_ovformer, {}, None),
        (build_tiny_ovformer, {"window": None}, "sees the whole video at once"),
        (build_tiny, {"followed": "overlap"}, "follows whole masks"),
        (build_tiny_ov_dvis, {"learnt": "online"}, "a network that sees the window before"),
    ],
)
def test_what_must_see_the_whole_video(build, changed, why) -> None:
    said = why_whole(segmenter(build, replace(build().video, **changed)))
    assert said is None if why is None else why in said


def test_too_many_labels_to_keep(monkeypatch) -> None:
    from ovvis.inference import stretches

    monkeypatch.setattr(stretches, "WIDE", 2)
    assert "more than 2 labels" in (why_whole(segmenter()) or "")


def test_stretches_begin_with_a_batch() -> None:
    assert even_stretch(segmenter(batch=4), 6) == 8
    assert even_stretch(segmenter(build_tiny_ovformer, batch=2), 6) == 6  # windows of 3 frames
    assert even_stretch(segmenter(build_tiny_ovformer, batch=2), 7) == 12


def test_a_network_that_overflows(film, tmp_path, monkeypatch) -> None:
    one = segmenter()
    one.model.accelerated = ("overlap",)
    monkeypatch.setattr(look, "_sound", lambda _: torch.tensor(False))
    with pytest.raises(InputError, match="the network overflows"):
        write_stretch(one, open_source(film), tmp_path / "a", "a")
