"""One long video over several workers comes to the bytes of one process, whatever is killed meanwhile."""

from __future__ import annotations

import json
import re
import shutil
import signal
from pathlib import Path

import pytest
from PIL import Image

ray = pytest.importorskip("ray")

from ray_cluster import small_cluster, wait_for, workers  # noqa: E402
from test_ray_verbs import OPTIONS, content, kill_one, ovvis, start  # noqa: E402

from clips import Clip, picture  # noqa: E402

pytestmark = pytest.mark.slow
FRAMES, SPREAD = 44, 4


@pytest.fixture(scope="module")
def cluster():
    with small_cluster(2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    return Clip("long.mp4", options={"g": "6"}, count=FRAMES).make(tmp_path_factory.mktemp("film"))


WORDS = ("--labels", "dog, cat", *OPTIONS, "--batch", 2)


@pytest.fixture(scope="module")
def alone(film, tmp_path_factory) -> dict[str, bytes]:
    """What one process comes to, of the video and of a part of it."""
    out = tmp_path_factory.mktemp("alone") / "out"
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert ovvis(monkeypatch, "segment", f"@{listed(film, out.parent)}", *WORDS, "--output", out) == 0
    return content(out)


def listed(film: Path, folder: Path) -> Path:
    path = folder / "list.txt"
    path.write_text(f"{film}\n")
    return path


def stretches(out: Path) -> list[Path]:
    return sorted(out.glob(".long.stretches/*.windows"))


def test_with_a_worker_killed_at_a_stretch(cluster, film, alone, tmp_path, monkeypatch, capsys) -> None:
    out = tmp_path / "out"
    killer = kill_one(cluster, lambda: len(stretches(out)) >= 2)
    assert ovvis(monkeypatch, "segment", film, *WORDS, "--output", out, "--spread", SPREAD, "--ray=auto") == 0
    killer.join()
    said = capsys.readouterr()
    assert content(out) == alone and not list(out.glob(".*"))
    assert "1 worker died, whose videos were taken up again" in said.out and "2 machines" in said.out


def test_the_command_killed_and_given_again(cluster, film, alone, tmp_path, monkeypatch) -> None:
    out = tmp_path / "out"
    words = ("segment", film, *WORDS, "--output", out, "--spread", SPREAD)
    for end in (signal.SIGINT, signal.SIGKILL):
        before = len(stretches(out))
        with start(*words, "--ray", cluster.address) as run:
            wait_for(lambda before=before: len(stretches(out)) > before + 1)
            run.send_signal(end)
            _, said = run.communicate(timeout=100)
        assert run.returncode == (130 if end == signal.SIGINT else -9), said
        wait_for(lambda: not workers(cluster))
    kept = {path.name: path.stat().st_mtime_ns for path in stretches(out)}
    assert 4 <= len(kept) < FRAMES // SPREAD
    # One of another model stays away from the results, and goes.
    other = stretches(out)[0]
    shutil.copy(other, other.with_name(other.name.replace(".windows", "0.windows")))
    seen: dict[str, int] = {}

    def note() -> bool:
        seen.update({path.name: path.stat().st_mtime_ns for path in stretches(out)})
        return bool(list(out.glob("long/tracks.json")))

    with start(*words, "--ray", cluster.address) as run:
        wait_for(note)
        assert run.wait(timeout=100) == 0
    assert {name: seen[name] for name in kept} == kept and len(seen) >= len(kept)
    assert content(out) == alone and not list(out.glob(".*"))


def test_to_a_bucket_and_a_part_of_it(cluster, film, tmp_path, monkeypatch) -> None:
    words = ("segment", "--no-video", "--start", "5f", "--every", 2, "--end", 1.2, *WORDS, "--output")
    path = listed(film, tmp_path)
    assert ovvis(monkeypatch, *words, tmp_path / "alone", f"@{path}") == 0
    path.write_text(f"local://{film}\n")
    out = tmp_path / "out"
    assert ovvis(monkeypatch, *words, f"local://{out}", "--spread", SPREAD, "--ray=auto", f"@{path}") == 0
    wanted = content(tmp_path / "alone")["long/tracks.json"]
    assert content(out)["long/tracks.json"] == re.sub(rb', "opened_as": \{[^}]*\}', b"", wanted)
    assert not list(out.rglob("*.windows"))


def test_what_cannot_be_cut_up_goes_whole_and_is_said(cluster, tmp_path, monkeypatch, capsys) -> None:
    stream = Clip("long.ts", options={"g": "6"}, count=12).make(tmp_path)
    words = ("segment", f"@{listed(stream, tmp_path)}", *WORDS, "--no-video", "--output")
    assert ovvis(monkeypatch, *words, tmp_path / "alone") == 0
    assert ovvis(monkeypatch, *words, tmp_path / "out", "--spread", SPREAD, "--ray=auto") == 0
    said = capsys.readouterr().err
    assert said.count("long is not spread over workers: nothing tells exactly where its frames lie") == 1
    assert content(tmp_path / "out") == content(tmp_path / "alone")


def test_a_dataset(cluster, tmp_path, monkeypatch, capsys) -> None:
    names = [f"long/{k:03}.png" for k in range(22)]
    (tmp_path / "frames/long").mkdir(parents=True)
    for k, name in enumerate(names):
        Image.fromarray(picture(k)).save(tmp_path / "frames" / name)
    video = {"id": 7, "height": 48, "width": 64, "length": len(names), "file_names": names}
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"videos": [video], "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]}))
    words = ("predict", path, "--frames", tmp_path / "frames", *OPTIONS, "--output")
    assert ovvis(monkeypatch, *words, tmp_path / "alone") == 0
    out = tmp_path / "out"
    killer = kill_one(cluster, lambda: list(out.glob("results/.7.stretches/*.windows")))
    assert ovvis(monkeypatch, *words, out, "--ray=auto", "--spread", SPREAD) == 0
    killer.join()
    assert content(out) == content(tmp_path / "alone") and not list((out / "results").glob(".*"))
    assert "1 worker died" in capsys.readouterr().out
