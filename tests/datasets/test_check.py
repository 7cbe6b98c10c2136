import json

import numpy as np
import pytest
from PIL import Image

from ovvis.datasets.check import check
from ovvis.datasets.open import find_dataset
from ovvis.errors import InputError

MASK = {"size": [2, 3], "counts": "024"}


@pytest.fixture
def home(tmp_path):
    frames = tmp_path / "JPEGImages" / "a"
    frames.mkdir(parents=True)
    for i in range(2):
        Image.fromarray(np.zeros((2, 3, 3), dtype=np.uint8)).save(frames / f"{i}.png")
    return tmp_path


def document():
    return {
        "videos": [{"id": 1, "height": 2, "width": 3, "file_names": ["a/0.png", "a/1.png"]}],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [{"id": 1, "video_id": 1, "category_id": 1, "segmentations": [MASK, None]}],
    }


def checked(home, root, **options):
    path = home / "own.json"
    path.write_text(json.dumps(root))
    return check(find_dataset(path), **options)


def test_nothing_is_wrong(home):
    told = []
    report = checked(home, document(), advance=lambda done, total: told.append((done, total)))
    assert report.sound
    assert (report.frames, report.tracks, report.masks) == (2, 1, 1)
    assert report.as_json() == {
        "dataset": "own",
        "sound": True,
        "categories": 1,
        "videos": 1,
        "frames": 2,
        "tracks": 1,
        "masks": 1,
        "problems": [],
        "notes": [],
    }
    assert told == [(1, 1)]


def one(**track):
    root = document()
    root["annotations"][0] |= track
    return root


def two(part, **entry):
    root = document()
    root[part].append(root[part][0] | entry)
    return root


@pytest.mark.parametrize(
    ("root", "kinds"),
    [
        (one(segmentations=[{"size": [3, 2], "counts": "024"}, None]), {"mask of another size": 1}),
        (one(segmentations=[{"size": [2, 3], "counts": "025"}, None]), {"damaged mask": 1}),
        (one(segmentations=[[[1, 1, 1e9, 2, 2, 2]], None]), {"damaged mask": 1}),
        (one(segmentations=[{"size": [2, 3], "counts": "6"}, MASK]), {"empty mask": 1}),
        (one(segmentations=[None, None]), {"track without a mask": 1}),
        (one(segmentations=[MASK]), {"frame counts differ": 1}),
        (one(video_id=5), {"unknown video": 1}),
        (one(category_id=5), {"unknown category": 1}),
        (one(id=-5), {"negative id": 1}),
        (two("annotations"), {"duplicate id": 1}),
        (two("categories", id=2), {"category name twice": 1}),
        (two("videos", id=2), {"frame listed twice": 2}),
        (two("videos", id=2, file_names=["b/0.png"]), {"missing frame": 1}),
        (two("videos", id=2, file_names=["c/0.png"], length=2), {"frame counts differ": 1, "missing frame": 1}),
    ],
)
def test_each_thing_that_is_wrong(home, root, kinds):
    report = checked(home, root)
    assert report.problems.counts() == kinds
    assert not report.sound
    told = report.as_json()["problems"]
    assert {problem["kind"]: problem["count"] for problem in told} == kinds
    assert all(problem["examples"] for problem in told)


def test_frames(home):
    frames = home / "JPEGImages" / "a"
    Image.fromarray(np.zeros((3, 2, 3), dtype=np.uint8)).save(frames / "0.png")
    (frames / "1.png").write_text("no image")
    report = checked(home, document())
    assert report.problems.counts() == {"frame of another size": 1, "damaged frame": 1}
    assert checked(home, document(), look_at_frames=False).sound


def test_a_turned_photograph_has_the_size_that_it_is_shown_with(home):
    image = Image.fromarray(np.zeros((3, 2, 3), dtype=np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(home / "JPEGImages" / "a" / "0.png", exif=exif)
    assert checked(home, document()).sound


def test_without_a_folder_of_frames(home):
    path = home / "own.json"
    path.write_text(json.dumps(document()))
    report = check(find_dataset(path, frames=home / "none"))
    assert report.problems.counts() == {"no folder of frames": 1}


def test_many_problems_are_counted_and_few_kept(home):
    root = document()
    root["videos"][0]["file_names"] = [f"a/{i}.png" for i in range(100)]
    root["annotations"] = []
    report = checked(home, root)
    assert report.problems.counts() == {"missing frame": 98}
    assert len(report.problems.examples["missing frame"]) == 10


def test_masks_of_images(home):
    root = {
        "images": [{"id": 1, "height": 2, "width": 3, "file_name": "a/0.png"}],
        "categories": [{"id": 1, "name": "dog"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": {"size": [3, 2], "counts": "024"}},
            {"id": 2, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 1e9, 0, 1, 1]]},
            {"id": 3, "image_id": 1, "category_id": 1, "segmentation": [[0, 0, 1, 0, 1, 1]]},
            {"id": 4, "image_id": 1, "category_id": 1},
        ],
    }
    report = checked(home, root)
    counts = {"mask of another size": 1, "damaged mask": 1, "track without a mask": 1}
    assert {kind: count for kind, count in report.problems.counts().items() if kind != "empty mask"} == counts


def test_what_is_not_wrong_but_should_be_known(home):
    report = checked(home, one(id=0, segmentations=[MASK, [[0, 0, 1, 1]]]))
    assert report.sound
    few, lost = report.as_json()["notes"]
    assert few.startswith("1 polygons of fewer than three corners, left out (")
    assert "annotation has the id 0" in lost and "--renumber" in lost
    assert checked(home, one(id=1)).notes == []


def test_the_catalogues_own_truths_of_id_0_are_as_they_must_be(home):
    path = home / "burst" / "b2y_val.json"
    path.parent.mkdir()
    path.write_text(json.dumps(one(id=0)))
    assert check(find_dataset("burst_val", home), look_at_frames=False).notes == []


def test_a_file_that_is_no_dataset(home):
    with pytest.raises(InputError, match="field videos is missing"):
        path = home / "lvvis" / "val" / "val_instances_.json"
        path.parent.mkdir(parents=True)
        path.write_text('{"categories": []}')
        check(find_dataset("lvvis_val", home))
