import json
from pathlib import Path

import pytest

from ovvis.datasets.open import open_dataset
from ovvis.datasets.problems import Problems
from ovvis.datasets.youtube_vis import read_youtube_vis
from ovvis.errors import InputError
from ovvis.evaluation.records import Category
from ovvis.evaluation.rules import BURST, LVVIS, YOUTUBE_VIS

# Two frames of 2 x 3 pixels. Column by column: the first column, then the last.
LEFT, RIGHT = {"size": [2, 3], "counts": "024"}, {"size": [2, 3], "counts": [4, 2]}


def document(**changes):
    return {
        "videos": [
            {"id": 7, "height": 2, "width": 3, "length": 2, "file_names": ["dog/0.jpg", "dog/1.jpg"]},
            {"id": 3, "height": 4, "width": 4, "file_names": ["w\\x\\cat\\0.jpg"]},
        ],
        "categories": [{"id": 2, "name": "dog"}, {"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 5, "video_id": 7, "category_id": 2, "segmentations": [LEFT, None], "areas": [2, None]},
            {"id": 0, "video_id": 7, "category_id": 1, "segmentations": [[], RIGHT], "iscrowd": 1},
            {"id": 1, "video_id": 3, "category_id": 1, "segmentations": [[[0, 0, 2, 0, 2, 2, 0, 2]]]},
        ],
    } | changes


def written(tmp_path, root) -> Path:
    path = tmp_path / "own.json"
    path.write_text(root if isinstance(root, str) else json.dumps(root))
    return path


def changed(where, value):
    """Return the document with one field set, or left out."""
    root = document()
    *parents, name = where
    part = root
    for parent in parents:
        part = part[parent]
    if value is ...:
        del part[name]
    else:
        part[name] = value
    return root


def test_every_kind_of_mask(tmp_path):
    read = read_youtube_vis(written(tmp_path, document()), tmp_path)
    left, right, polygon = read.truths
    assert list(left.masks) == [{"size": [2, 3], "counts": b"024"}, None]
    assert list(right.masks) == [None, {"size": [2, 3], "counts": b"42"}]
    assert polygon.masks[0] == {"size": [4, 4], "counts": b"02208"}
    assert left.masks[0:2] == list(left.masks)
    assert left.masks[-2] == left.masks[0]
    assert [left.masks.present(i) for i in (0, 1)] == [True, False]
    assert (left.areas, right.areas) == ([2, None], None)
    assert (left.is_crowd, right.is_crowd) == (False, True)


def test_videos_and_categories(tmp_path):
    read = read_youtube_vis(written(tmp_path, document()), tmp_path / "frames")
    dog, cat = read.videos
    assert (dog.id, dog.name, dog.height, dog.width, dog.files) == (7, "dog", 2, 3, ("dog/0.jpg", "dog/1.jpg"))
    assert cat.files == ("w/x/cat/0.jpg",)
    assert read.paths(cat) == [tmp_path / "frames/w/x/cat/0.jpg"]
    assert read.categories == (Category(2, "dog"), Category(1, "cat"))
    assert [truth.id for truth in read.truths_of(dog)] == [5, 0]
    assert (read.name, read.rules) == ("own", YOUTUBE_VIS)


@pytest.mark.parametrize("annotations", [None, [], ...])
def test_a_split_without_truth(tmp_path, annotations):
    read = read_youtube_vis(written(tmp_path, changed(["annotations"], annotations)), tmp_path)
    assert (len(read.videos), len(read.truths)) == (2, 0)


def test_groups_and_rules_are_found_out(tmp_path):
    novel = [{"id": i, "name": str(i), "partition": i} for i in range(4)]
    read = read_youtube_vis(written(tmp_path, document(categories=novel)), tmp_path)
    assert [c.groups for c in read.categories] == [("base",), ("base",), ("novel",), ("novel",)]
    assert read.rules is LVVIS

    rare = [
        {"id": 1, "name": "a", "frequency": "r", "split": "uncommon"},
        {"id": 2, "name": "b", "frequency": "f", "split": "common"},
    ]
    burst = document(categories=rare, cate_ori=[{"id": 40}, {"id": 50}])
    burst["videos"][0] |= {"neg_category_ids": [50], "not_exhaustive_category_ids": [40]}
    read = read_youtube_vis(written(tmp_path, burst), tmp_path)
    assert [c.groups for c in read.categories] == [("novel", "uncommon"), ("base", "common")]
    assert (read.videos[0].absent, read.videos[0].not_exhaustive) == ((2,), (1,))
    assert read.rules is BURST


def test_names_are_ids_where_folders_do_not_tell_videos_apart(tmp_path):
    root = changed(["videos", 1, "file_names"], ["dog/7.jpg"])
    assert [v.name for v in read_youtube_vis(written(tmp_path, root), tmp_path).videos] == ["7", "3"]


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (["videos"], ..., "field videos is missing"),
        (["videos", 0, "id"], "7a", 'field videos[0].id must be a whole number of at most 64 bits, not "7a"'),
        (["videos", 0, "id"], True, "field videos[0].id must be a whole number, not true or false"),
        (["videos", 1, "id"], 7, "field videos[1].id must be the only 7"),
        (["videos", 1, "id"], -1, "field videos[1].id must not be negative, and is -1"),
        (["videos", 0, "height"], 0, "field videos[0] must have a height and a width above 0, not 0 x 3"),
        (["videos", 0, "length"], 3, "field videos[0].length must be the number of its file_names, 2, and is 3"),
        (["videos", 0, "file_names"], [], "field videos[0].file_names must name at least one frame"),
        (["videos", 0, "file_names", 1], "", "field videos[0].file_names[1] must be a file's name"),
        (["videos", 0, "file_names", 1], "a\0", "field videos[0].file_names[1] must be a file's name"),
        (["categories", 1, "id"], 2, "field categories[1].id must be the only 2"),
        (["categories", 1, "name"], None, "field categories[1].name must be a text, not null"),
        (["annotations", 1, "id"], 5, "field annotations[1].id must be the only 5"),
        (["annotations", 1, "id"], -5, "field annotations[1].id must not be negative"),
        (["annotations", 1, "video_id"], 8, "field annotations[1].video_id must be the id of one of the file's 2"),
        (["annotations", 1, "category_id"], 8, "field annotations[1].category_id must be the id"),
        (["annotations", 1, "segmentations"], [None], "annotations[1].segmentations must have one entry for each"),
        (["annotations", 0, "areas"], [1], "annotations[0].areas must have one entry for each of the video's 2"),
        (["annotations", 0, "areas"], [float("nan"), 1], "field annotations[0].areas[0] must not be NaN"),
        (
            ["annotations", 0, "segmentations", 1],
            3,
            "segmentations[1] must be an object or a list or null",
        ),
        (["annotations", 0, "segmentations", 0], {"size": [2, 3]}, "segmentations[0].counts is missing"),
        (
            ["annotations", 0, "segmentations", 0],
            {"size": [3, 2], "counts": "024"},
            "field annotations[0].segmentations[0].size must be the frame's height and width, [2, 3], not [3, 2]",
        ),
    ],
)
def test_a_wrong_entry_is_refused_by_its_name(tmp_path, where, value, words):
    path = written(tmp_path, changed(where, value))
    with pytest.raises(InputError) as caught:
        read_youtube_vis(path, tmp_path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ({"size": [2, 3], "counts": "025"}, "segmentations[0].counts must be the run-length code of 2 x 3 pixels"),
        ({"size": [2, 3], "counts": ""}, "must be the run-length code"),
        ({"size": [2, 3], "counts": "02P"}, "must be the run-length code"),
        ({"size": [2, 3], "counts": "0é4"}, "must be the run-length code"),
        ({"size": [2, 3], "counts": "\ud800"}, "own.json"),
        ({"size": [2, 3], "counts": [1, 2]}, "segmentations[0]: run lengths sum to 3 where the frame has 6 pixels"),
        ({"size": [2, 3], "counts": [-1, 7]}, "segmentations[0]: run lengths"),
        ([[0, 0, 1e9, 1, 1, 1]], "far outside the frame of 2 x 3"),
    ],
)
def test_a_damaged_mask_is_told_when_it_is_asked_for(tmp_path, segmentation, words):
    path = written(tmp_path, changed(["annotations", 0, "segmentations", 0], segmentation))
    with pytest.raises(InputError) as caught:
        list(read_youtube_vis(path, tmp_path).truths[0].masks)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_wrong_entries_can_be_left_out_and_counted(tmp_path):
    root = document()
    root["annotations"][0]["video_id"] = 100
    root["annotations"][1]["id"] = 1
    root["videos"].append(root["videos"][0])
    problems = Problems(refuse=False)
    read = read_youtube_vis(written(tmp_path, root), tmp_path, problems=problems)
    assert [(truth.id, truth.video_id) for truth in read.truths] == [(1, 7)]
    assert problems.counts() == {"duplicate id": 2, "unknown video": 1}
    assert problems.summary().startswith("3 problems left out (2 of duplicate id, 1 of unknown video); the first: ")


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"video_id": 100}, "unknown video"),
        ({"video_id": "x"}, "no whole number"),
        ({"category_id": 2**70}, "no whole number"),
        ({"category_id": 100}, "unknown category"),
        ({"segmentations": [LEFT]}, "frame counts differ"),
        ({"areas": [1.0]}, "frame counts differ"),
        ({"segmentations": [{"size": [3, 2], "counts": "024"}, None]}, "mask of another size"),
        ({"segmentations": [{"size": [2, 3], "counts": "025"}, None]}, "damaged mask"),
        ({"segmentations": [{"size": [2, 3], "counts": "0" * 80}, None]}, "damaged mask"),
        ({"segmentations": [{"size": [2, 3], "counts": [7]}, None]}, "damaged mask"),
        ({"segmentations": [[[0, 0, 1e9, 1, 1, 1]], None]}, "damaged mask"),
    ],
)
def test_what_is_bad_is_left_out_as_asked(tmp_path, change, kind, known):
    """A damaged mask too, though no mask is read otherwise before it is asked for."""
    root = document()
    root["annotations"][0] |= change
    path = written(tmp_path, root)
    if known:
        with pytest.raises(InputError):
            list(open_dataset(path).truths[0].masks)
    read = open_dataset(path, problems=Problems(refuse=False))
    assert [truth.id for truth in read.truths] == [0, 1]
    (note,) = read.notes
    assert (note.reason, note.count) == (f"left out: {kind}", 1)
    assert f"{path}: field annotations[0]" in note.examples[0]


def test_ids_and_sizes_otherwise_written(tmp_path):
    plain = open_dataset(written(tmp_path, document()))
    root = document()
    for part in ("videos", "categories", "annotations"):
        for i, entry in enumerate(root[part]):
            for name in entry.keys() & {"id", "video_id", "category_id", "height", "width", "length"}:
                entry[name] = str(entry[name]) if i % 2 else float(entry[name])
    for segmentation in (LEFT, RIGHT):
        root["annotations"][0]["segmentations"][0] = segmentation | {"size": [2.0, 3.0]}
    root["annotations"][0]["segmentations"][0] = LEFT | {"size": [2.0, 3.0]}
    assert open_dataset(written(tmp_path, root)) == plain


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_what_does_no_harm_is_borne(tmp_path, mark):
    root = document()
    root["info"] = root["videos"][0]["fps"] = float("nan")
    root["categories"][0] |= {"frequency": 12, "partition": float("nan"), "split": ["common"], "supercategory": 3}
    read = open_dataset(written(tmp_path, mark + json.dumps(root)))
    assert [category.groups for category in read.categories] == [(), ()] and len(read.truths) == 3
    (note,) = read.notes
    assert (note.reason, note.count) == ("odd groups of categories, passed over", 3)
    assert "categories[0].frequency is 12" in str(note) and "categories[0].partition is no number" in str(note)


def test_polygons_of_fewer_than_three_corners_are_left_out(tmp_path):
    """As detectron2, by which the papers' networks were trained, leaves them out; with none left, the annotation."""
    root, line, half = document(), [0, 0, 2, 2], [0, 0, 2, 0, 2, 2, 0]
    root["annotations"][2]["segmentations"][0] += [line, half, []]
    root["annotations"].append({"id": 9, "video_id": 7, "category_id": 1, "segmentations": [[line], [half]]})
    root["annotations"].append({"id": 10, "video_id": 7, "category_id": 1, "segmentations": [LEFT, [half]]})
    read = open_dataset(written(tmp_path, root))
    assert [truth.id for truth in read.truths] == [5, 0, 1, 10]
    assert list(read.truths[2].masks) == [{"size": [4, 4], "counts": b"02208"}]
    assert read.truths[3].masks[1] is None
    assert {note.reason: note.count for note in read.notes} == {
        "polygons of fewer than three corners, left out": 6,
        "annotations of no other polygons, left out": 1,
    }


def test_boxes_alone(tmp_path):
    root = document()
    for annotation in root["annotations"]:
        annotation["bboxes"] = [[0, 0, 1, 1]] * len(annotation.pop("segmentations"))
    read = open_dataset(written(tmp_path, root))
    assert read.boxes_alone and [(note.reason, note.count) for note in read.notes] == [("annotations without masks", 3)]
    assert not open_dataset(written(tmp_path, document())).boxes_alone


def test_more_frames_than_any_file_needs(tmp_path, monkeypatch):
    monkeypatch.setattr("ovvis.datasets.parts.MOST_HELD", 3)
    root = document()
    for annotation in root["annotations"]:
        del annotation["segmentations"]
    with pytest.raises(InputError, match="have more than 3 frames together, most of them without a mask"):
        open_dataset(written(tmp_path, root))


ROBOFLOW = [
    {"id": 0, "name": "Animals", "supercategory": "none"},
    {"id": 1, "name": "cat", "supercategory": "animals"},
    {"id": 2, "name": "dog", "supercategory": "animals"},
    {"id": 3, "name": "bird", "supercategory": "bird"},
]


@pytest.mark.parametrize(
    ("used", "asked"),
    [
        ([1, 2], ["cat", "dog", "bird"]),
        ([0, 1], ["Animals", "cat", "dog", "bird"]),
        ([], ["Animals", "cat", "dog", "bird"]),
    ],
)
def test_a_category_that_only_stands_above_others_is_not_asked_for(tmp_path, used, asked):
    annotations = [{"id": 1 + c, "video_id": 7, "category_id": c, "segmentations": [LEFT, None]} for c in used]
    read = open_dataset(written(tmp_path, document(categories=ROBOFLOW, annotations=annotations)))
    assert [category.name for category in read.asked] == asked and len(read.categories) == 4
    assert ("Animals" in read.headed()) == ("Animals" not in asked)


def test_the_truth_of_id_0(tmp_path):
    read = open_dataset(written(tmp_path, document()))
    assert read.loses_truth() and not read.renumbered().loses_truth()
    assert [truth.id for truth in read.renumbered().truths] == [5, 6, 1]


@pytest.mark.parametrize("end", [0, 1, 50, 300])
def test_a_truncated_file(tmp_path, end):
    text = json.dumps(document())
    with pytest.raises(InputError, match="damaged or cut off"):
        open_dataset(written(tmp_path, text[:end]))
