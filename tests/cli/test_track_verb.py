"""`ovvis track` as a person uses it, and what comes after it."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import ovvis
from ovvis.cli.main import app


def run(*arguments, code=0):
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if code == 0:
        assert done.exit_code == 0, (done.output, done.exception)
        return done.output
    assert done.exception is not None
    return str(done.exception)


@pytest.fixture
def video(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for t in range(4):
        Image.fromarray(np.full((40, 60, 3), 50 * t, np.uint8)).save(folder / f"{t + 1:04d}.png")
    entries = [{"image_id": t + 1, "category_id": 18, "score": 0.9, "bbox": [4 * t, 5, 12, 10]} for t in range(4)]
    (tmp_path / "found.json").write_text(json.dumps(entries))
    return folder


def test_detections_tracks_exports(tmp_path, video):
    place = tmp_path / "out"
    said = run("track", tmp_path / "found.json", "--video", video, "--categories", "coco", "--output", place)
    assert "dog" in said and "0.900" in said and "4/4" in said
    assert "frames that image_id counts from 1, since the last is the video's number of frames: 4" in said.replace(
        "\n", " "
    )
    assert (place / "overlay.mp4").stat().st_size > 1000
    result = ovvis.load_result(place)
    assert [track.frames for track in result] == [[0, 1, 2, 3]] and result.settings["tracker"] == "sort"
    run("export", place, "--to", "mots", "--output", tmp_path / "mots")
    # its own tracks are detections too
    run("track", place, "--video", video, "--tracker", "overlap", "--no-paint", "--output", tmp_path / "again")
    assert [track.label for track in ovvis.load_result(tmp_path / "again")] == ["dog"]


def test_named_by_any_words(tmp_path, video):
    words = ["--labels", "dog, cat", "--clip", "clip-vis-stickers", "--tracker", "adjacent", "--max-tracks", "2"]
    run("track", tmp_path / "found.json", "--video", video, *words, "--output", tmp_path / "out", "--no-paint")
    result = ovvis.load_result(tmp_path / "out")
    assert sorted(track.label for track in result) == ["cat", "dog"] and len(result.best_tracks(0)) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.json"], "nowhere.json does not exist"),
        (["found.json", "--tracker", "sorrt"], "did you mean sort"),
        (["found.json", "--tracker", "offline"], "it is a part of OV-DVIS++"),
        (["found.json", "--tracker", "adjacent"], "compares how things look"),
        (["found.json", "--around"], "--prompts and --around are of a CLIP"),
        (["found.json", "--labels", "dog", "--clip", "ViT"], "open_clip has no such architecture"),
        (["found.json", "--from", "yolo"], "must be a folder"),
        (["found.json", "--roi", "0,0,9,9"], "--roi is for a network"),
        (["found.json", "--first-frame", "0", "--max-frames", "0"], "max_frames"),
    ],
)
def test_what_cannot_be(tmp_path, video, words, said):
    place = tmp_path / "out"
    words = [tmp_path / words[0], *words[1:]]
    assert said in run("track", *words, "--video", video, "--output", place, code=2)
    assert not place.exists()
