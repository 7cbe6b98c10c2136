"""The stretches of a source are, together, what a full reading gives; or it says that it cannot be had so."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from clips import Clip, clips, picture, remux
from ovvis.sources import video_file
from ovvis.sources.source import Source, WholeOnlyError
from ovvis.sources.video import open_frames, open_source
from ovvis.structures import Frame

CLIPS = {clip.name: clip for clip in clips()}
CUT = ["x264_g7.mp4", "x264_open.mkv", "x264_uneven.mp4", "x264_late.mkv", "vp9.webm", "mjpeg.mov", "x264_b0.mov"]
WHOLE = ["x264_open.ts", "mpeg4.mp4", "vp8.webm", "x264_fields.mp4", "mjpeg.avi"]


def same(got: list[Frame], expected: list[Frame]) -> bool:
    places = [(f.index, f.time) for f in got] == [(f.index, f.time) for f in expected]
    return places and all(np.array_equal(a.image, b.image) for a, b in zip(got, expected, strict=True))


def in_stretches(path: Path | str, size: int, **options: Any) -> list[Frame]:
    """Return the frames of all stretches, each read by a source of its own, the last one first."""
    cut = pickle.loads(pickle.dumps(open_source(path, **options).stretches(size)))
    assert [s.last for s in cut] == [False] * (len(cut) - 1) + [True] and {s.count for s in cut[:-1]} <= {size}
    found: list[list[Frame]] = []
    for stretch in reversed(cut):
        source = open_source(path, **options)
        part = source.stretch(stretch)
        found.append(list(part))
        assert len(found[-1]) == stretch.count and part.problem is None and part.notes == source.notes
    return [frame for frames in reversed(found) for frame in frames]


@pytest.mark.parametrize("name", CUT)
def test_stretches_of_a_file(tmp_path: Path, name: str) -> None:
    path = CLIPS[name].make(tmp_path)
    for size, options in [
        (8, {}),
        (7, {"start": "5f", "every": 3}),
        (11, {"start": 0.4, "end": 1.5}),
        (6, {"max_frames": 20, "every": 2}),
        (100, {"end": "33f"}),
    ]:
        assert same(in_stretches(path, size, **options), list(open_source(path, **options))), (size, options)


def test_a_stretch_enters_near_its_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(CLIPS["x264_g7.mp4"].make(tmp_path))
    cut = source.stretches(8)
    monkeypatch.setattr(video_file, "find_entry", lambda *_: pytest.fail("it is known where to enter"))
    assert [s.entry.rank for s in cut[3:]] == [s.index // 7 * 7 - 7 for s in cut[3:]]
    assert [frame.index for frame in source.stretch(cut[-1])] == [56, 57, 58, 59]


@pytest.mark.parametrize("name", WHOLE)
def test_files_whose_frames_cannot_be_entered_exactly(tmp_path: Path, name: str) -> None:
    source = open_source(CLIPS[name].make(tmp_path))
    with pytest.raises(WholeOnlyError, match="nothing tells exactly where its frames lie"):
        source.stretches(8)


def test_a_file_with_few_keyframes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_file, "FAR", 20)
    source = open_source(Clip("a.mp4", options={"g": "100"}).make(tmp_path))
    with pytest.raises(WholeOnlyError, match="too few keyframes"):
        source.stretches(4)
    assert len(source.stretches(30)) == 2


def damaged(source: Source, size: int) -> bool:
    """Return whether something of a file's stretches says that they are not what was counted."""
    try:
        cut = source.stretches(size)
    except WholeOnlyError:
        return True
    for stretch in cut:
        part = source.stretch(stretch)
        if len(list(part)) != stretch.count or part.problem:
            return True
    return False


def test_a_damaged_file_is_never_taken_for_a_whole_one(tmp_path: Path) -> None:
    whole = Clip("whole.mp4", options={"g": "10"}).make(tmp_path)
    assert not damaged(open_source(whole), 16)
    cut = tmp_path / "cut.mkv"
    data = Clip("cut.mkv", options={"g": "10"}).make(tmp_path).read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    list(source := open_source(cut))
    assert source.problem and damaged(open_source(cut), 16)
    scratched = tmp_path / "scratched.mp4"
    data = bytearray(whole.read_bytes())
    middle = data.find(b"mdat") + 4 + (len(data) - data.find(b"mdat")) // 3
    data[middle : middle + 400] = bytes(400)
    scratched.write_bytes(data)
    list(source := open_source(scratched))
    assert source.problem and damaged(open_source(scratched), 16)
    missing = tmp_path / "missing.mp4"  # packets that are gone leave nothing behind to see: the full reading agrees
    remux(whole, lambda packets: packets[:30] + packets[40:], missing)
    assert same(in_stretches(missing, 16), list(open_source(missing)))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_one_damaged_frame_wherever_it_is(tmp_path: Path, name: str) -> None:
    whole = Clip(name, options={"g": "10", "bf": "2"}, count=30).make(tmp_path)
    with av.open(str(whole)) as file:
        places = [(packet.pos, packet.size) for packet in file.demux(video=0) if packet.size]
    for at, size in places[1::3]:
        data = bytearray(whole.read_bytes())
        data[at + 5 : at + size] = bytes(size - 5)
        bad = tmp_path / f"bad_{name}"
        bad.write_bytes(data)
        source = open_source(bad)
        found = list(source)
        assert damaged(open_source(bad), 6) or (source.problem is None and same(in_stretches(bad, 6), found)), at


def frames(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{k:03}.png" for k in range(count)]
    for k, path in enumerate(paths):
        Image.fromarray(picture(k)).save(path)
    return paths


def test_stretches_of_images(tmp_path: Path) -> None:
    paths = frames(tmp_path / "frames", 20)
    folder = str(tmp_path / "frames")
    for size, options in [(6, {}), (4, {"start": "3f", "every": 2}), (3, {"max_frames": 7})]:
        assert same(in_stretches(folder, size, **options), list(open_source(folder, **options)))
    source = open_frames(paths, "v")
    found = [frame for stretch in source.stretches(7) for frame in source.stretch(stretch)]
    assert same(found, list(source)) and list(source.files) == paths


@pytest.mark.parametrize("kind", ["memory", "animation", "deep"])
def test_what_comes_only_whole(tmp_path: Path, kind: str) -> None:
    given: Any = [picture(k) for k in range(5)]
    if kind == "animation":
        images = [Image.fromarray(image) for image in given]
        given = tmp_path / "a.gif"
        images[0].save(given, save_all=True, append_images=images[1:], duration=40)
    if kind == "deep":
        given = tmp_path / "deep"
        given.mkdir()
        for k in range(5):
            Image.fromarray((np.arange(3072).reshape(48, 64) * 20 + k).astype(np.uint16)).save(given / f"{k}.png")
    with pytest.raises(WholeOnlyError):
        open_source(given).stretches(2)
