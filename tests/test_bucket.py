"""Videos and results in buckets: memory's, and a disk's as if it were one."""

from __future__ import annotations

import gc
import json
import tempfile
from pathlib import Path

import fsspec
import pytest

from clips import Clip
from ovvis import bucket
from ovvis.cluster.homes import BucketHome, home_of
from ovvis.errors import InputError, ResourceError
from ovvis.predictions.run_settings import SETTINGS
from ovvis.sources.many import videos_of
from ovvis.sources.names import source_name
from ovvis.sources.video import open_source


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put two videos, a list and a text into memory://films."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    video = Clip("a.mp4", count=3).make(tmp_path).read_bytes()
    list_of_two = b"# two\na.mp4\nmemory://films/b.mp4\n"
    for name, data in {"a.mp4": video, "b.mp4": video, "list.txt": list_of_two, "old/c.mp4": video}.items():
        memory.pipe_file(f"/films/{name}", data)
    yield memory
    memory.store.clear()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("memory://films", ["memory://films/a.mp4", "memory://films/b.mp4"]),
        ("memory://films/", ["memory://films/a.mp4", "memory://films/b.mp4"]),
        ("memory://films/b*.mp4", ["memory://films/b.mp4"]),
        ("memory://films/list.txt", ["memory://films/a.mp4", "memory://films/b.mp4"]),
        ("@memory://films/list.txt", ["memory://films/a.mp4", "memory://films/b.mp4"]),
        ("memory://films/a.mp4", ["memory://films/a.mp4"]),
    ],
)
def test_videos_of_a_bucket(films, given, expected) -> None:
    found = videos_of([given])
    assert list(found.sources) == expected and found.several == (given != "memory://films/a.mp4")
    assert not found.several or found.home in ("films", "list")


def test_a_folder_without_videos(films) -> None:
    with pytest.raises(InputError, match="holds no video"):
        videos_of(["memory://films/none"])


def test_a_video_is_read_from_a_copy_that_goes_with_it(films, tmp_path) -> None:
    source = open_source("memory://films/b.mp4", max_frames=2)
    assert source.info.name == "b.mp4" and source_name("memory://films/b.mp4") == "b"
    assert len(list(source)) == len(list(source)) == 2
    assert list(tmp_path.glob(".ovvis-fetched*"))
    del source
    gc.collect()
    assert not list(tmp_path.glob(".ovvis-fetched*"))


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ("memory://films/gone.mp4", InputError, "does not exist"),
        ("s3://films/a.mp4", ResourceError, "pip install s3fs"),
        ("gs://films/a.mp4", ResourceError, "pip install gcsfs"),
        ("memory://films/list.mp4", InputError, "no video"),
    ],
)
def test_what_cannot_be_read(films, tmp_path, address, error, words) -> None:
    films.pipe_file("/films/list.mp4", b"text")
    with pytest.raises(error, match=words):
        open_source(address)
    assert not list(tmp_path.glob(".ovvis-fetched*"))


def test_results_are_whole_or_absent(films, tmp_path) -> None:
    home = home_of("memory://results/")
    assert isinstance(home, BucketHome) and not home.begin()
    with pytest.raises(OSError, match="broke"), home.writing("a", 0) as folder:
        folder.file("tracks.json").write_text("half")
        raise OSError("broke")
    assert not home.is_done("a", "memory://films/a.mp4", False) and not bucket.folders("memory://results")
    with home.writing("a", 0) as folder:
        folder.file("tracks.json").write_text("{}")
    assert home.is_done("a", "memory://films/a.mp4", False)
    assert not home.is_done("a", "memory://films/a.mp4", True)  # no painted video
    assert home.with_results(["b", "a"]) == "a" and home.begin()
    films.pipe_file("/films/a.mp4", b"newer")
    assert not home.is_done("a", "memory://films/a.mp4", False)
    assert not [path for path in tmp_path.iterdir() if "results" in path.name]


def test_settings_of_a_bucket(films) -> None:
    home = home_of("memory://results")
    assert home.agree(SETTINGS, {"labels": ["dog"]}, "anew") == [] and home.has(SETTINGS)
    assert home.agree(SETTINGS, {"labels": ["dog"]}, "anew") == []
    with pytest.raises(InputError, match="memory://results holds results made with other settings: labels"):
        home.agree(SETTINGS, {"labels": ["cat"]}, "anew")
    assert json.loads(films.cat_file("/results/settings.json"))["labels"] == ["dog"]
    home.forget(SETTINGS)
    assert not home.has(SETTINGS)


def test_a_disk_as_a_bucket_gives_no_half_file(tmp_path) -> None:
    (tmp_path / "made").write_text("whole")
    bucket.put(tmp_path / "made", f"local://{tmp_path}/a/b.txt")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.txt"]
    assert bucket.read(f"local://{tmp_path}/a/b.txt") == b"whole" and bucket.read(f"local://{tmp_path}/c") is None
    assert bucket.files(f"local://{tmp_path}/a") == [f"local://{tmp_path}/a/b.txt"]
