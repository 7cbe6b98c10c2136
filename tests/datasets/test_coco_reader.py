import json
import pickle

import pytest
from pycocotools.coco import COCO as Reference

from ovvis import masks
from ovvis.datasets.coco import read_coco
from ovvis.datasets.open import open_dataset
from ovvis.datasets.problems import Problems
from ovvis.errors import InputError
from ovvis.evaluation.records import Category
from ovvis.evaluation.rules import COCO, LVIS

POLYGON = [[1.0, 1.0, 6.0, 1.0, 6.0, 4.0, 1.0, 4.0], [7.0, 5.0, 9.0, 5.0, 9.0, 7.0]]


def document(**changes):
    return {
        "images": [
            {"id": 9, "height": 8, "width": 10, "file_name": "a.jpg"},
            {"id": 4, "height": 2, "width": 3, "coco_url": "http://images.cocodataset.org/train2017/b.jpg"},
        ],
        "categories": [
            {"id": 1, "name": "cup", "frequency": "r"},
            {"id": 3, "name": "bed", "frequency": "c"},
            {"id": 5, "name": "car", "frequency": "f"},
        ],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 3, "segmentation": POLYGON, "area": 17.5},
            {
                "id": 2,
                "image_id": 4,
                "category_id": 1,
                "segmentation": {"size": [2, 3], "counts": [4, 2]},
                "iscrowd": 1,
            },
            {"id": 3, "image_id": 4, "category_id": 1, "segmentation": {"size": [2, 3], "counts": "024"}},
            {"id": 4, "image_id": 4, "category_id": 1},
            {"id": 6, "image_id": 4, "category_id": 1, "segmentation": []},
        ],
    } | changes


def written(tmp_path, root):
    path = tmp_path / "coco.json"
    path.write_text(root if isinstance(root, str) else json.dumps(root))
    return path


def test_images_are_videos_of_one_frame(tmp_path):
    path = written(tmp_path, document())
    read = open_dataset(path)
    assert [(v.id, v.name, v.height, v.width, v.files) for v in read.videos] == [
        (9, "a", 8, 10, ("a.jpg",)),
        (4, "train2017/b", 2, 3, ("train2017/b.jpg",)),
    ]
    assert read.categories == (
        Category(1, "cup", ("novel", "rare")),
        Category(3, "bed", ("base", "common")),
        Category(5, "car", ("base", "frequent")),
    )
    assert read.rules is COCO
    assert [(t.id, t.areas, t.is_crowd) for t in read.truths[:2]] == [(1, (17.5,), False), (2, None, True)]


def test_masks_are_those_of_pycocotools(tmp_path, capsys):
    path = written(tmp_path, document())
    reference = Reference(str(path))
    for truth in read_coco(path, tmp_path).truths[:3]:
        (mask,) = truth.masks
        assert (masks.decode(mask) == reference.annToMask(reference.anns[truth.id])).all()
    capsys.readouterr()


def test_no_mask(tmp_path):
    truths = read_coco(written(tmp_path, document()), tmp_path).truths
    assert [list(truth.masks) for truth in truths[3:]] == [[None], [None]]
    assert [truth.masks.present(0) for truth in truths] == [True, True, True, False, False]


def test_annotations_travel_to_other_processes(tmp_path):
    read = read_coco(written(tmp_path, document()), tmp_path)
    assert pickle.loads(pickle.dumps(read)) == read


def test_files_of_one_name_are_told_apart_by_id(tmp_path):
    root = document()
    root["images"][1]["file_name"] = "a.png"
    assert [v.name for v in read_coco(written(tmp_path, root), tmp_path).videos] == ["9", "4"]


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("images", {"id": 9}, "field images[1].id must be the only 9"),
        ("images", {"width": 0}, "field images[1] must have a height and a width above 0"),
        ("images", {"coco_url": None}, "field images[1].file_name must be a file's name"),
        ("images", {"height": 1.5}, "field images[1].height must be a whole number"),
        ("annotations", {"id": 1}, "field annotations[1].id must be the only 1"),
        ("annotations", {"id": -1}, "field annotations[1].id must not be negative"),
        ("annotations", {"image_id": 5}, "field annotations[1].image_id must be the id of one of the file's 2"),
        ("annotations", {"category_id": 2}, "field annotations[1].category_id must be the id"),
        ("annotations", {"area": "big"}, "field annotations[1].area must be a number or null, not a text"),
    ],
)
def test_a_wrong_entry_is_refused_by_its_name(tmp_path, part, changes, words):
    root = document()
    root[part][1] |= changes
    with pytest.raises(InputError) as caught:
        read_coco(written(tmp_path, root), tmp_path)
    assert words in str(caught.value)
    if "whole number" not in words and "a text" not in words:
        problems = Problems(refuse=False)
        read_coco(written(tmp_path, root), tmp_path, problems=problems)
        assert words in problems.summary()


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        (5, "field annotations[1].segmentation must be an object or a list or null, not a whole number"),
        ([["x"]], "field annotations[1].segmentation[0][0] must be a number, not a text"),
        ({"size": [3, 2], "counts": "024"}, "annotations[1].segmentation.size must be the frame's height and width"),
        ({"size": [2, 3], "counts": "0"}, "annotations[1].segmentation.counts must be the run-length code of 2 x 3"),
        ({"size": [2, 3], "counts": [5]}, "annotations[1].segmentation: run lengths sum to 5"),
    ],
)
def test_a_damaged_mask_is_told_when_it_is_asked_for(tmp_path, segmentation, words):
    root = document()
    root["annotations"][1]["segmentation"] = segmentation
    truth = read_coco(written(tmp_path, root), tmp_path).truths[1]
    with pytest.raises(InputError) as caught:
        truth.masks[0]
    assert words in str(caught.value)


def test_polygons_of_fewer_than_three_corners_are_left_out(tmp_path):
    root, line, half = document(), [0, 0, 2, 2], [0, 0, 2, 0, 2, 2, 0]
    root["annotations"][0]["segmentation"] = [*POLYGON, line, half]
    root["annotations"] += [
        {"id": 10 + i, "image_id": 9, "category_id": 1, "segmentation": polygons}
        for i, polygons in enumerate([[line], [half], [half, line], [[]], [[0] * 9], [[0, 0, 2, 0, 2, 2], line]])
    ]
    read = open_dataset(written(tmp_path, root))
    assert [truth.id for truth in read.truths] == [1, 2, 3, 4, 6, 15]
    (expected,) = read_coco(written(tmp_path, document()), tmp_path).truths[0].masks
    assert list(read.truths[0].masks) == [expected] and read.truths[5].masks[0] is not None
    assert {note.reason: note.count for note in read.notes} == {
        "polygons of fewer than three corners, left out": 9,
        "annotations of no other polygons, left out": 5,
    }


def test_ids_otherwise_written_and_odd_fields(tmp_path):
    (tmp_path / "plain").mkdir()  # a file that was read stays in use until its masks are
    plain = read_coco(written(tmp_path / "plain", document()), tmp_path)
    root = document()
    for part in ("images", "categories", "annotations"):
        for i, entry in enumerate(root[part]):
            for name in entry.keys() & {"id", "image_id", "category_id", "height"}:
                entry[name] = str(entry[name]) if i % 2 else float(entry[name])
    root["images"][0]["coco_url"] = 5
    root["info"] = float("nan")
    assert read_coco(written(tmp_path, "\ufeff" + json.dumps(root)), tmp_path) == plain


@pytest.mark.parametrize("place", [("images", "height"), ("annotations", "area"), ("annotations", "image_id")])
def test_a_number_that_is_none_is_told_where_it_is_read(tmp_path, place):
    root = document()
    root[place[0]][1][place[1]] = float("nan")
    with pytest.raises(InputError, match=rf"field {place[0]}\[1\]\.{place[1]} must not be NaN"):
        open_dataset(written(tmp_path, root))


def test_boxes_alone(tmp_path):
    root = document()
    for annotation in root["annotations"]:
        annotation.pop("segmentation", None)
        annotation["bbox"] = [0, 0, 1, 1]
    assert open_dataset(written(tmp_path, root)).boxes_alone


@pytest.mark.parametrize("end", [0, 1, 100, 700])
def test_a_truncated_file(tmp_path, end):
    path = written(tmp_path, json.dumps(document())[:end])
    for read in (open_dataset, lambda path: read_coco(path, tmp_path)):
        with pytest.raises(InputError, match="damaged or cut off"):
            read(path)


@pytest.mark.parametrize(("images", "rules"), [(2, LVIS), (1, COCO), (0, COCO)])
def test_lvis_says_what_is_not_annotated(tmp_path, images, rules):
    root = document()
    for image in root["images"][:images]:
        image |= {"neg_category_ids": [1], "not_exhaustive_category_ids": [3, 5]}
    read = open_dataset(written(tmp_path, root))
    assert read.rules is rules
    said = [9, 4][:images]
    assert read.absent == {9: (), 4: ()} | dict.fromkeys(said, (1,))
    assert read.not_exhaustive == {9: (), 4: ()} | dict.fromkeys(said, (3, 5))
