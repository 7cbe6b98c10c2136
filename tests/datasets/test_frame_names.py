"""Where frames are looked for: paths of Windows, absolute paths, and such as leave the folder."""

import json

import pytest

from ovvis.datasets.frame_names import place_names
from ovvis.datasets.open import open_dataset
from ovvis.datasets.problems import Problems
from ovvis.errors import InputError


def made(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def placed(folder, *names, **options):
    found = place_names([(name,) for name in names], folder, **options)
    return [video[0] for video in found.names], found.note


@pytest.mark.parametrize("there", [True, False])
def test_backslashes_divide_folders(tmp_path, there):
    """All parts count: clip/0.jpg is another camera's."""
    made(tmp_path, "clip/0.jpg", *(["cam2/clip/0.jpg", "cam2/clip/1.jpg"] if there else []))
    assert placed(tmp_path, r"cam2\clip\0.jpg", r"cam2\clip/1.jpg") == (["cam2/clip/0.jpg", "cam2/clip/1.jpg"], "")


def test_names_that_hold_backslashes(tmp_path):
    made(tmp_path, r"a\0.jpg")
    assert placed(tmp_path, r"a\0.jpg") == ([r"a\0.jpg"], "")
    made(tmp_path, "a/0.jpg")
    names, note = placed(tmp_path, r"a\0.jpg")
    assert names == ["a/0.jpg"] and "files of just these names exist" in note


WINDOWS = [r"D:\data\JPEGImages\cam1\clip\0.jpg", r"D:\data\JPEGImages\cam2\clip\0.jpg"]


@pytest.mark.parametrize(
    "given",
    [
        WINDOWS,
        [r"\\server\share\JPEGImages\cam1\clip\0.jpg", r"\\server\share\JPEGImages\cam2\clip\0.jpg"],
        ["/home/her/JPEGImages/cam1/clip/0.jpg", "/home/her/JPEGImages/cam2/clip/0.jpg"],
        ["D:/data/JPEGImages/cam1/clip/0.jpg", "cam2/clip/0.jpg"],
    ],
)
def test_absolute_paths_are_found_below_the_folder(tmp_path, given):
    made(tmp_path, "cam1/clip/0.jpg", "cam2/clip/0.jpg", "clip/0.jpg", "0.jpg")
    names, note = placed(tmp_path, *given)
    assert names == ["cam1/clip/0.jpg", "cam2/clip/0.jpg"]
    assert f"leading parts of paths such as {given[0]!r} are left out" in note


def test_the_fewest_parts_are_left_out(tmp_path):
    made(tmp_path, "JPEGImages/cam1/clip/0.jpg", "cam1/clip/0.jpg")
    assert placed(tmp_path, WINDOWS[0])[0] == ["JPEGImages/cam1/clip/0.jpg"]


@pytest.mark.parametrize("there", [["clip/0.jpg"], ["0.jpg"], ["cam1/clip/0.jpg"], []])
def test_two_names_are_never_one_picture(tmp_path, there):
    names, note = placed(made(tmp_path, *there), *WINDOWS)
    assert names == ["data/JPEGImages/cam1/clip/0.jpg", "data/JPEGImages/cam2/clip/0.jpg"]
    assert "are not found below" in note and "--frames /" in note


def test_an_absolute_path_where_it_lies(tmp_path):
    made(tmp_path, "a/0.jpg")
    path = str(tmp_path / "a" / "0.jpg")
    assert placed(tmp_path, path)[0] == ["a/0.jpg"]
    (name,), note = placed(tmp_path / "a" / "..", path)
    assert name == "a/0.jpg"
    (name,), note = placed(type(tmp_path)("/"), path)
    assert (f"/{name}", note) == (path, "")


def test_lv_vis_own_paths_are_shortened(tmp_path):
    made(tmp_path, "00001/0.jpg")
    assert placed(tmp_path, r"val\JPEGImages\00001\0.jpg", shorten=True)[0] == ["00001/0.jpg"]
    assert placed(tmp_path, r"val\JPEGImages\00001\0.jpg")[0] == ["val/JPEGImages/00001/0.jpg"]


def youtube_vis(name):
    return {"videos": [{"id": 1, "height": 2, "width": 3, "file_names": [name]}], "categories": []}


def coco(name):
    return {"images": [{"id": 1, "height": 2, "width": 3, "file_name": name}], "categories": []}


def coco_video(name):
    image = {"id": 1, "video_id": 1, "frame_id": 0, "height": 2, "width": 3, "file_name": name}
    return {"images": [image], "categories": []}


def burst(name):
    frames = {"annotated_image_paths": [name], "segmentations": [{}], "track_category_ids": {}}
    return {
        "sequences": [{"id": 1, "height": 2, "width": 3, "seq_name": "clip", "dataset": "cam2"} | frames],
        "categories": [],
    }


FORMATS = [youtube_vis, coco, coco_video, burst]


@pytest.mark.parametrize("make", FORMATS)
def test_in_every_format(tmp_path, make):
    made(tmp_path, "cam2/clip/00000.jpg", "clip/00000.jpg", "00000.jpg")
    path = tmp_path / "own.json"
    path.write_text(json.dumps(make(r"cam2\clip\00000.jpg" if make is not burst else "00000.jpg")))
    read = open_dataset(path, frames=tmp_path)
    assert read.paths(read.videos[0]) == [tmp_path / "cam2" / "clip" / "00000.jpg"]
    assert read.videos[0].name == ("cam2/clip/00000" if make is coco else "cam2/clip") and read.notes == ()


@pytest.mark.parametrize("make", FORMATS)
@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", r"..\..\..\a.jpg", "a/../../../../b.jpg", r"C:\..\a.jpg", "/../a.jpg"]
)
def test_paths_that_leave_the_folder_are_refused(tmp_path, make, name):
    path = tmp_path / "own.json"
    path.write_text(json.dumps(make(name if make is not burst else "../../../" + name)))
    with pytest.raises(InputError, match="must lie below the folder of frames"):
        open_dataset(path)
    read = open_dataset(path, problems=Problems(refuse=False))
    assert read.videos == () and read.notes[0].count == 1
