"""`ovvis view`."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request

import pytest
from typer.testing import CliRunner

from clips import Clip
from ovvis.cli.main import app
from ovvis.outputs.formats import masks_in_file
from ovvis.outputs.formats.tracks_json import save_tracks
from ovvis.viewer import file as page_file

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "viewer"))  # noqa: PTH118, PTH120
from known_results import result_of


@pytest.fixture
def saved(tmp_path):
    result = result_of(Clip("clip.mp4", count=8).make(tmp_path))
    (tmp_path / "ovvis-clip").mkdir()
    save_tracks(result, tmp_path / "ovvis-clip" / "tracks.json")
    return tmp_path


def view(*words):
    return CliRunner().invoke(app, ["view", *map(str, words), "--no-browser"])


@pytest.mark.parametrize("place", ["ovvis-clip", "ovvis-clip/tracks.json"])
def test_html(saved, place):
    done = view(saved / place, "--html", saved / "page.html")
    assert done.exit_code == 0, done.output
    text = (saved / "page.html").read_text()
    assert '"kind":"source"' in text and 'id="piece-0"' in text
    again = view(saved / place, "--html", saved / "page.html")
    assert "--overwrite" in str(again.exception)
    assert view(saved / place, "--html", saved / "page.html", "--overwrite", "--min-score", "0.5").exit_code == 0


def test_a_large_result_is_told_and_makes_the_same_page(saved, monkeypatch):
    assert view(saved / "ovvis-clip", "--html", saved / "page.html").exit_code == 0
    monkeypatch.setattr(masks_in_file, "LARGE", 0)
    monkeypatch.setattr(page_file, "LARGE", 0)
    done = view(saved / "ovvis-clip", "--html", saved / "again.html")
    assert done.stderr.count("Reading tracks.json (0.0 GB); its masks stay in the file.") == 1
    assert done.stderr.count("make a page of about 0.0 GB") == 1 and "ovvis view without --html" in done.stderr
    assert (saved / "again.html").read_bytes() == (saved / "page.html").read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none"], "none"),
        (["ovvis-clip", "--embed"], "--html FILE"),
        (["ovvis-clip", "--video", "3"], "--dataset"),
        (["ovvis-clip", "--min-score", "2", "--html", "a.html"], r"min_score 2: it must lie in \[0, 1\]"),
        (["ovvis-clip", "--source", "gone.mp4", "--html", "a.html"], "gone.mp4"),
    ],
)
def test_what_cannot_be_is_told(saved, monkeypatch, words, said):
    monkeypatch.chdir(saved)
    done = view(*words)
    assert re.search(said, str(done.exception)), done
    assert not (saved / "a.html").exists()


def test_served_until_it_is_interrupted(saved):
    command = [sys.executable, "-m", "ovvis", "view", str(saved / "ovvis-clip"), "--no-browser"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        line = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+/\S+/", line)[0]
        page = urllib.request.urlopen(address, timeout=20).read().decode()
        assert '"pieces":"pieces/{n}"' in page
        assert urllib.request.urlopen(address + "video", timeout=20).read() == (saved / "clip.mp4").read_bytes()
    finally:
        process.send_signal(signal.SIGINT)
    _, problems = process.communicate(timeout=20)
    assert process.returncode in (0, 130) and "Traceback" not in problems


def test_results_of_a_dataset(saved):
    code = result_of(saved / "clip.mp4").tracks[0].masks[0]
    mask = {"size": code["size"], "counts": code["counts"].decode()}
    videos = [
        {"id": i, "height": 48, "width": 64, "file_names": [f"{n}/0.jpg", f"{n}/1.jpg"]}
        for i, n in ((1, "a"), (2, "b"))
    ]
    truth = {"videos": videos, "categories": [{"id": 5, "name": "dog"}, {"id": 7, "name": "cat"}], "annotations": []}
    (saved / "truth.json").write_text(json.dumps(truth))
    found = [
        {"video_id": 2, "category_id": c, "score": s, "segmentations": [mask, None]} for c, s in ((5, 0.4), (7, 0.9))
    ]
    (saved / "results.json").write_text(json.dumps([*found, {**found[0], "video_id": 1}]))
    words = [saved / "results.json", "--dataset", saved / "truth.json", "--html", saved / "page.html"]
    assert "has 2 videos: say with --video which" in str(view(*words).exception)
    done = view(*words, "--video", "b")
    assert done.exit_code == 0, (done.output, done.exception)
    head = json.loads((saved / "page.html").read_text().split('id="head">')[1].split("</script>")[0])
    assert head["source"] == "b" and head["media"] is None
    (tube,) = head["tubes"]  # the same masks under two names
    assert (tube["label"], tube["score"], tube["names"]) == ("cat", 0.9, [["cat", 0.9], ["dog", 0.4]])
    assert tube["spans"] == [[0, 0]] and any("24 a second" in note for note in head["notes"])
