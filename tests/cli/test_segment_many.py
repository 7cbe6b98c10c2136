"""`ovvis segment` over several videos, and over sources that do not end."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from clips import Clip
from ovvis.cli import main as cli
from ovvis.models import load
from ovvis.models.model import Model
from ovvis.outputs.formats.tracks_json import load_tracks
from ovvis.sources import stream
from servers import transport_stream, udp_sender

SMALL = ("--short-edge", 32, "--no-video")


@pytest.fixture
def films(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of two videos and one that is broken."""
    folder = tmp_path / "films"
    folder.mkdir()
    Clip("a.mp4", count=4).make(folder)
    Clip("b.mkv", count=3).make(folder)
    (folder / "bad.mp4").write_text("no video")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch, tiny_model: Model) -> list[int]:
    """Let the command load a tiny model, and count how often."""
    counted: list[int] = []

    def quick(*args, **kwargs) -> Model:
        counted.append(1)
        return tiny_model

    monkeypatch.setattr(load, "load_model", quick)
    return counted


def segment(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["ovvis", "segment", *map(str, arguments)])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    return int(leave.value.code or 0)


def test_a_folder_in_one_load_goes_on_where_it_was(films, loads, monkeypatch, tmp_path, capsys) -> None:
    run = (films, "--labels", "dog", "--model", "clip-vis-r50", *SMALL)
    assert segment(monkeypatch, *run) == 3
    home = tmp_path / "ovvis-films"
    assert loads == [1]
    assert sorted(p.name for p in home.iterdir()) == ["a", "b", "settings.json"]
    assert [len(load_tracks(home / name / "tracks.json").frame_indices) for name in "ab"] == [4, 3]
    said = capsys.readouterr()
    assert "bad.mp4 is no video" in said.err and "left out" in said.out and "3 videos" in said.out
    before = {name: (home / name / "tracks.json").stat().st_mtime_ns for name in "ab"}

    (films / "bad.mp4").unlink()
    Clip("c.mp4", count=2).make(films)
    assert segment(monkeypatch, *run) == 0
    assert loads == [1, 1] and (home / "c/tracks.json").exists()
    assert {name: (home / name / "tracks.json").stat().st_mtime_ns for name in "ab"} == before
    assert "2 videos had results already" in capsys.readouterr().out

    assert segment(monkeypatch, *run) == 0 and len(loads) == 2  # nothing to do: nothing is loaded
    os.utime(films / "a.mp4", (2e9, 2e9))  # a newer video than its results
    assert segment(monkeypatch, *run) == 0 and len(loads) == 3
    assert (home / "a/tracks.json").stat().st_mtime_ns != before["a"]

    capsys.readouterr()
    assert segment(monkeypatch, films, "--labels", "cat", "--model", "clip-vis-r50", *SMALL) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "labels" in line and '"dog"' in line and "--overwrite" in line
    assert segment(monkeypatch, films, "--labels", "cat", "--model", "clip-vis-r50", *SMALL, "--overwrite") == 0
    assert load_tracks(home / "b/tracks.json").labels == ("cat",)


def test_painted_videos_that_were_not_asked_for_before(films, loads, monkeypatch, tmp_path) -> None:
    run = (films / "a.mp4", films / "b.mkv", "--labels", "dog", "--short-edge", 32, "--output", tmp_path / "out")
    assert segment(monkeypatch, *run) == 0
    assert sorted(p.name for p in (tmp_path / "out/a").iterdir()) == ["overlay.mp4", "tracks.json"]
    (tmp_path / "out/a/overlay.mp4").unlink()
    assert segment(monkeypatch, *run) == 0
    assert (tmp_path / "out/a/overlay.mp4").exists()


def test_painted_videos_of_one_folder_have_one_style(films, loads, monkeypatch, tmp_path, capsys) -> None:
    run = (films / "a.mp4", films / "b.mkv", "--labels", "dog", "--short-edge", 32, "--output", tmp_path / "out")
    assert segment(monkeypatch, *run, "--no-video") == 0  # nothing is painted yet, so any style may come
    assert segment(monkeypatch, *run, "--style", "outlines") == 0
    (tmp_path / "out/b/overlay.mp4").unlink()
    capsys.readouterr()
    for other, said in [
        (("--style", "boxes"), "outlines was true and is now false"),
        (("--style", "outlines", "--no-names"), "tags was true and is now false"),
        (("--style", "outlines", "--paint-above", 0.5), "paint_above was 0.3 and is now 0.5"),
    ]:
        assert segment(monkeypatch, *run, *other) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert said in line and "--overwrite" in line
    assert segment(monkeypatch, *run, "--style", "outlines") == 0 and (tmp_path / "out/b/overlay.mp4").exists()
    assert segment(monkeypatch, *run, "--no-video", "--style", "boxes") == 0  # nothing is painted, nothing differs
    assert segment(monkeypatch, *run, "--style", "boxes", "--overwrite") == 0


def test_videos_of_one_name_and_a_list(films, loads, monkeypatch, tmp_path, capsys) -> None:
    (films / "a.mkv").write_bytes((films / "b.mkv").read_bytes())
    (tmp_path / "todo.txt").write_text("films/a.mp4\nfilms/a.mkv\n")
    assert segment(monkeypatch, "todo.txt", "--labels", "dog", *SMALL) == 0
    assert sorted(p.name for p in (tmp_path / "ovvis-todo").iterdir()) == ["a-mkv", "a-mp4", "settings.json"]
    assert "2 videos share their names" in capsys.readouterr().err


def test_none_that_works_leaves_nothing(films, loads, monkeypatch, tmp_path, capsys) -> None:
    (films / "worse.mp4").write_text("no video either")
    (tmp_path / "todo.txt").write_text("films/bad.mp4\nfilms/worse.mp4\nfilms/gone.mp4\n")
    assert segment(monkeypatch, "todo.txt", "--labels", "dog", *SMALL) == 2
    said = capsys.readouterr().err
    assert "gone.mp4 does not exist" in said and "None of the videos" in said
    assert loads == [] and not (tmp_path / "ovvis-todo").exists()


def test_results_of_unknown_making_are_not_taken_for_these(films, loads, monkeypatch, tmp_path, capsys) -> None:
    (tmp_path / "out/a").mkdir(parents=True)
    (tmp_path / "out/a/tracks.json").write_text("mine")
    assert segment(monkeypatch, films, "--labels", "dog", *SMALL, "--output", tmp_path / "out") == 2
    assert "no settings.json says what made them" in capsys.readouterr().err
    assert (tmp_path / "out/a/tracks.json").read_text() == "mine"


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(films, loads, monkeypatch, tmp_path, capsys) -> None:
    from ovvis.results import video_folder as verb

    real = verb.save_tracks

    def stop_at_b(result, path) -> None:
        if result.source == "b.mkv":
            raise KeyboardInterrupt
        real(result, path)

    monkeypatch.setattr(verb, "save_tracks", stop_at_b)
    assert segment(monkeypatch, films, "--labels", "dog", *SMALL) == 130
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "stopped; 1 of 3 videos are done" in line and "the same command goes on" in line
    assert sorted(p.name for p in (tmp_path / "ovvis-films").iterdir()) == ["a", "settings.json"]


# --- sources that do not end


@pytest.fixture
def sent(tmp_path: Path):
    with udp_sender(transport_stream(Clip("a.ts", options={"g": "5", "bf": "0"}).make(tmp_path))) as address:
        yield address


@pytest.mark.parametrize("bound", [("--max-frames", 6), ("--duration", "6f")])
def test_a_stream_up_to_a_bound_is_painted(sent, loads, monkeypatch, tmp_path, bound) -> None:
    out = tmp_path / "out"
    assert segment(monkeypatch, sent, "--labels", "dog", "--short-edge", 32, "--output", out, *bound) == 0
    result = load_tracks(out / "tracks.json")
    assert result.source == sent and 1 <= len(result.frame_indices) <= 6
    import av

    with av.open(str(out / "overlay.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == len(result.frame_indices)


def test_ctrl_c_ends_a_stream_and_keeps_what_was_done(sent, loads, monkeypatch, tmp_path, capsys) -> None:
    from ovvis.inference.pipeline import VideoSegmenter

    real = VideoSegmenter.__call__

    def stopping(self, source, on_frame=None, **more):
        def count(done: int) -> None:
            if done == 3:
                os.kill(os.getpid(), signal.SIGINT)

        return real(self, source, on_frame=count, **more)

    monkeypatch.setattr(VideoSegmenter, "__call__", stopping)
    out = tmp_path / "out"
    assert segment(monkeypatch, sent, "--labels", "dog", "--short-edge", 32, "--output", out) == 0
    assert len(load_tracks(out / "tracks.json").frame_indices) >= 3
    assert sorted(p.name for p in out.iterdir()) == ["overlay.mp4", "tracks.json"]
    assert "Ctrl-C ends it" in capsys.readouterr().err


def test_ctrl_c_before_the_first_frame_writes_nothing(sent, loads, monkeypatch, tmp_path) -> None:
    real = stream.StreamSource._read

    def late(self, connection):
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(0.3)
        return real(self, connection)

    monkeypatch.setattr(stream.StreamSource, "_read", late)
    assert segment(monkeypatch, sent, "--labels", "dog", *SMALL, "--output", tmp_path / "out") == 130
    assert not (tmp_path / "out").exists()


def test_a_stream_among_several_needs_a_bound(films, sent, loads, monkeypatch, tmp_path, capsys) -> None:
    run = (films / "a.mp4", sent, "--labels", "dog", *SMALL, "--output", tmp_path / "out")
    assert segment(monkeypatch, *run) == 3
    assert "does not end: give it alone, or with --duration" in capsys.readouterr().err
    assert segment(monkeypatch, *run, "--max-frames", 2, "--overwrite") == 0
    settings = json.loads((tmp_path / "out/settings.json").read_text())
    assert settings["frames_max_frames"] == 2
