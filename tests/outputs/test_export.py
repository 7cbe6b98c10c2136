"""What is chosen, where it goes, what is said: the same for every format."""

import os
import subprocess
import sys

import numpy as np
import pytest

from exported import anamorphic, frames, result
from ovvis.errors import InputError
from ovvis.outputs.export import FORMATS, default_place, export, open_result
from ovvis.outputs.formats.tracks_json import save_tracks

QUICK = [name for name, row in FORMATS.items() if row.extra is None]


def place_of(tmp_path, name):
    return tmp_path / f"out{FORMATS[name].suffix}"


@pytest.mark.parametrize("name", QUICK)
def test_every_format_writes_and_says_how_much(tmp_path, name):
    row = FORMATS[name]
    source = None if row.frames == "no" else frames()
    steps = []
    done = export(
        result(), name, place_of(tmp_path, name), source=source, advance=lambda done, of: steps.append((done, of))
    )
    assert done.path.is_dir() == row.is_folder
    assert done.files == (sum(1 for p in done.path.rglob("*") if p.is_file()) if row.is_folder else 1)
    assert done.masks > 0 and steps and steps[-1][0] == steps[-1][1]
    assert row.summary and not row.summary.endswith(".")
    assert [p.name for p in tmp_path.iterdir()] == [done.path.name]


@pytest.mark.parametrize("name", QUICK)
def test_a_result_without_tracks(tmp_path, name):
    row = FORMATS[name]
    source = None if row.frames == "no" else frames()
    done = export(result(tracks=[]), name, place_of(tmp_path, name), source=source)
    assert (done.tracks, done.masks) == (0, 0)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("csv", {}, {(3, "dog"), (7, "cat")}),
        ("csv", {"min_score": 0.85}, {(3, "dog")}),
        ("csv", {"min_score": 0}, {(3, "dog"), (7, "cat"), (9, "dog")}),
        ("csv", {"best": False}, {(3, "dog"), (7, "cat"), (7, "wild cat")}),
        ("csv", {"labels": ["CAT"]}, {(7, "cat")}),
        ("csv", {"labels": ["wild cat"]}, set()),  # its best label is another
        ("csv", {"labels": ["wild cat"], "best": False}, {(7, "wild cat")}),
        ("tracks", {}, {(3, "dog"), (7, "cat"), (7, "wild cat"), (9, "dog")}),
        ("tracks", {"best": True, "min_score": 0.3}, {(3, "dog"), (7, "cat")}),
    ],
)
def test_what_is_chosen(tmp_path, name, options, expected):
    done = export(result(), name, place_of(tmp_path, name), **options)
    found = FORMATS[name].read(done.path)[0].result.tracks if name == "tracks" else None
    if found is None:
        lines = done.path.read_text().splitlines()[1:]
        assert {(int(line.split(",")[2]), line.split(",")[3]) for line in lines} == expected
    else:
        assert {(track.id, track.label) for track in found} == expected


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("davis", "pixels that several instances claim, given to the one that scores best: 38"),
        ("mots", "pixels that several instances claim, given to the one that scores best: 38"),
        ("mots", "frames with another number than in their source: the format counts those that are there: 3"),
        ("coco", "further labels of an instance, left out: the format holds one, the best: 1"),
        ("coco", "masks without a pixel, left out: 1"),
        ("yolo", "masks of several parts or with holes, whose outlines are joined by lines without width: 2"),
        ("cvat-video", "masks of several parts or with holes, whose outlines are joined by lines without width: 2"),
        ("cvat-video", "frames between those that were looked at, where CVAT draws on the polygons of the last one: 3"),
        ("mot", "masks written as their boxes alone: the format has none: 5"),
    ],
)
def test_what_is_lost_is_said(tmp_path, name, said):
    assert said in export(result(), name, place_of(tmp_path, name)).notes


def test_frames_beside_annotations_change_no_count(tmp_path):
    plain = export(result(), "coco", tmp_path / "plain")
    assert export(result(), "coco", tmp_path / "out", source=frames()).notes == plain.notes


def test_pixels_that_are_not_square_are_said(tmp_path):
    done = export(anamorphic(), "coco", tmp_path / "out")
    assert "tracks in pixels that are not square (64:45), as the file stores them: 2" in done.notes


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("cocco", "x"), {}, "format 'cocco': did you mean coco"),
        (("crops", "x"), {}, "crops needs the video's frames: give them with --source VIDEO"),
        (("csv", "x.csv"), {"source": []}, "csv holds no frames: leave --source"),
        (("csv", "x.json"), {}, r"csv makes a file: give --output a name that ends in \.csv"),
        (("coco", "x.json"), {}, r"coco makes a folder: give --output a name without \.json"),
        (("csv", "no/x.csv"), {}, "no does not exist: make the folder"),
        (("csv", "x.csv"), {"min_score": 2}, r"min_score 2 must lie in \[0, 1\]"),
        (("csv", "x.csv"), {"labels": ["dgo"]}, "label 'dgo' is none that was asked for; did you mean dog"),
        (("crops", "x"), {"source": frames(size=(9, 9))}, "frame 0 of 9x9 pixels must have the result's size, 32x24"),
        (("crops", "x"), {"source": list(frames())[1:2]}, "none of the 4 frames of the result is among those given"),
        (("fiftyone", "x"), {"source": []}, "needs the package fiftyone"),
    ],
)
def test_refusals_leave_nothing(tmp_path, monkeypatch, arguments, options, message):
    monkeypatch.chdir(tmp_path)
    if "fiftyone" in message:
        monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(InputError, match=message):
        export(result(), *arguments, **options)
    assert list(tmp_path.iterdir()) == []


def test_older_exports_stay_unless_they_are_to_go(tmp_path):
    export(result(), "coco", tmp_path / "out")
    with pytest.raises(InputError, match="is there already: choose another name, or replace it with --overwrite"):
        export(result(), "coco", tmp_path / "out")
    (tmp_path / "out" / "old").touch()
    export(result(), "coco", tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "old").exists()


def test_frames_that_do_not_come_are_said(tmp_path):
    done = export(result(), "crops", tmp_path / "out", source=list(frames())[:5])
    assert done.notes[-1] == "frames of the result that did not come, and are left out: 1"
    assert done.masks == 4


def test_saved_results_and_places(tmp_path):
    folder = tmp_path / "ovvis-dog"
    folder.mkdir()
    save_tracks(result(), folder / "tracks.json")
    assert open_result(folder) == open_result(folder / "tracks.json") == result()
    assert export(folder, "csv").path == tmp_path / "ovvis-dog-csv.csv"
    assert default_place(folder / "tracks.json", FORMATS["mot"]) == tmp_path / "ovvis-dog-mot"
    assert default_place(result(), FORMATS["csv"]).name == "ovvis-my-video-csv.csv"
    with pytest.raises(InputError, match=r"holds no tracks.json"):
        export(tmp_path, "csv")


def test_hostile_labels_stay_harmless(tmp_path):
    """A label is never a path, markup or a formula."""
    odd = '=1+1/../"<b>&\x1b'
    track = result().tracks[0]
    one = result(labels=("cat", odd), tracks=[type(track)(1, odd, 1, 0.9, ((odd, 0.9),), track.masks)])
    for name in QUICK:
        row = FORMATS[name]
        export(
            one, name, place_of(tmp_path / "", name).with_stem(name), source=None if row.frames == "no" else frames()
        )
    assert "\n0,0.000000,1,\"'=1+1" in (tmp_path / "csv.csv").read_text()
    assert [p.name for p in (tmp_path / "crops").iterdir()] == ["001-1-1-..-b"]
    assert FORMATS["cvat"].read(tmp_path / "cvat")[0].result.tracks[0].label == odd.replace("\x1b", "\\x1b")


def test_no_pytorch_is_imported(tmp_path):
    save_tracks(result(), tmp_path / "tracks.json")
    names = [name for name in QUICK if FORMATS[name].frames != "must"]
    program = (
        "import sys\nfrom ovvis.outputs.export import export\n"
        f"for name in {names!r}: export('tracks.json', name)\n"
        "assert 'torch' not in sys.modules, 'torch'\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env=os.environ.copy(), check=True)
    assert len(list(tmp_path.iterdir())) == len(names) + 1


def test_more_instances_than_a_palette_holds(tmp_path):
    from PIL import Image

    track = result().tracks[0]
    many = [type(track)(id, "dog", 1, 0.9, (("dog", 0.9),), track.masks) for id in range(1, 301)]
    done = export(result(tracks=many), "davis", tmp_path / "out")
    assert any("more than the 254 that 8 bits hold" in note for note in done.notes)
    with Image.open(tmp_path / "out/Annotations/my-video/00000.png") as image:
        assert image.mode.startswith("I") and np.asarray(image).max() == 1
    done = export(result(tracks=many[-3:]), "davis", tmp_path / "few")
    assert any("numbered anew" in note for note in done.notes)
