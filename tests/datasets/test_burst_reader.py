import json

import pytest

from ovvis.datasets.burst import read_burst
from ovvis.datasets.open import open_dataset
from ovvis.datasets.youtube_vis import read_youtube_vis
from ovvis.errors import InputError
from ovvis.evaluation.records import Category
from ovvis.evaluation.rules import BURST

SPLIT = {"common": [30, 70], "uncommon": [50]}


def document():
    """Two sequences: 2 x 3 pixels, two frames, tracks "9" and "2"; then one frame and track "1", never seen."""
    return {
        "split": "val",
        "categories": [
            {"id": 30, "name": "cup", "frequency": "f"},
            {"id": 70, "name": "bed", "frequency": "r"},
            {"id": 50, "name": "car", "frequency": "c"},
        ],
        "sequences": [
            {
                "id": 5,
                "height": 2,
                "width": 3,
                "fps": 1,
                "seq_name": "one",
                "dataset": "LaSOT",
                "all_image_paths": ["1.jpg", "2.jpg", "3.jpg"],
                "annotated_image_paths": ["1.jpg", "3.jpg"],
                "neg_category_ids": [50, 99],
                "not_exhaustive_category_ids": [70],
                "track_category_ids": {"9": 70, "2": 30},
                "segmentations": [{"9": {"rle": "024", "is_gt": True}}, {"2": {"rle": "42"}, "9": {"rle": "042"}}],
            },
            {
                "id": 2,
                "height": 4,
                "width": 4,
                "seq_name": "two",
                "dataset": "AVA",
                "annotated_image_paths": ["1.jpg"],
                "track_category_ids": {"1": 50},
                "segmentations": [{}],
            },
        ],
    }


# The same as the authors' burst2ytvis.py converts it.
CONVERTED = {
    "videos": [
        {
            "id": 5,
            "height": 2,
            "width": 3,
            "length": 2,
            "file_names": ["LaSOT/one/1.jpg", "LaSOT/one/3.jpg"],
            "neg_category_ids": [50, 99],
            "not_exhaustive_category_ids": [70],
        },
        {"id": 2, "height": 4, "width": 4, "length": 1, "file_names": ["AVA/two/1.jpg"]},
    ],
    "annotations": [
        {
            "id": 0,
            "video_id": 5,
            "category_id": 2,
            "segmentations": [{"size": [2, 3], "counts": "024"}, {"size": [2, 3], "counts": "042"}],
        },
        {"id": 1, "video_id": 5, "category_id": 1, "segmentations": [None, {"size": [2, 3], "counts": "42"}]},
        {"id": 2, "video_id": 2, "category_id": 3, "segmentations": [None]},
    ],
    "categories": [
        {"id": 1, "name": "cup", "frequency": "f", "split": "common"},
        {"id": 2, "name": "bed", "frequency": "r", "split": "common"},
        {"id": 3, "name": "car", "frequency": "c", "split": "uncommon"},
    ],
    "cate_ori": [{"id": 30}, {"id": 70}, {"id": 50}],
    "images": [],
}


def written(tmp_path, root, split=SPLIT):
    (tmp_path / "burst" / "val").mkdir(parents=True, exist_ok=True)
    (tmp_path / "burst" / "info").mkdir(exist_ok=True)
    if split is not None:
        (tmp_path / "burst" / "info" / "class_split.json").write_text(json.dumps(split))
    path = tmp_path / "burst" / "val" / "all_classes.json"
    path.write_text(json.dumps(root))
    return path


def contents(read):
    return (
        read.categories,
        read.videos,
        [(t.id, t.video_id, t.category_id, list(t.masks), t.is_crowd, t.areas) for t in read.truths],
        read.rules,
    )


def test_own_format_reads_as_the_converted_one(tmp_path):
    own = open_dataset("burst_val", tmp_path)
    converted = tmp_path / "b2y_val.json"
    converted.write_text(json.dumps(CONVERTED))
    assert contents(own) == contents(open_dataset(converted))


@pytest.fixture(autouse=True)
def files(tmp_path):
    written(tmp_path, document())


def test_numbers_groups_and_names(tmp_path):
    read = open_dataset("burst_val", tmp_path)
    assert read.categories == (
        Category(1, "cup", ("base", "common")),
        Category(2, "bed", ("novel", "common")),
        Category(3, "car", ("base", "uncommon")),
    )
    assert [(v.name, v.absent, v.not_exhaustive) for v in read.videos] == [
        ("LaSOT/one", (3,), (2,)),
        ("AVA/two", (), ()),
    ]
    assert [t.id for t in read.truths] == [0, 1, 2]
    assert read.rules is BURST
    assert read.frames == tmp_path / "burst" / "val"


def test_without_a_class_split(tmp_path):
    (tmp_path / "burst" / "info" / "class_split.json").unlink()
    read = open_dataset("burst_val", tmp_path)
    assert [c.groups for c in read.categories] == [("base",), ("novel",), ("base",)]


def test_the_converted_file_in_the_catalogues_place(tmp_path):
    own = contents(open_dataset("burst_val", tmp_path))
    (tmp_path / "burst" / "val" / "all_classes.json").unlink()
    (tmp_path / "burst" / "b2y_val.json").write_text(json.dumps(CONVERTED))
    assert contents(open_dataset("burst_val", tmp_path)) == own
    assert contents(read_youtube_vis(tmp_path / "burst" / "b2y_val.json", tmp_path)) == own


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"id": "5a"}, "field sequences[0].id must be a whole number"),
        ({"segmentations": [{}]}, "field sequences[0].segmentations must have one entry for each of the 2 annotated"),
        ({"track_category_ids": {"9": 70, "2": 31}}, "sequences[0].track_category_ids['2'] must be the id of one of"),
        (
            {"track_category_ids": {"9": 70}},
            "field sequences[0].segmentations[1] must be a track of track_category_ids",
        ),
        ({"annotated_image_paths": [], "segmentations": []}, "must name at least one frame"),
        ({"segmentations": [{"9": {}}, {}]}, "is missing"),
        ({"height": -2}, "must have a height and a width above 0"),
        ({"id": 2}, "field sequences[1].id must be the only 2"),
    ],
)
def test_a_wrong_sequence_is_refused_by_its_name(tmp_path, change, words):
    root = document()
    root["sequences"][0] |= change
    path = written(tmp_path, root)
    with pytest.raises(InputError) as caught:
        open_dataset(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_damaged_mask_is_told_when_it_is_asked_for(tmp_path):
    root = document()
    root["sequences"][0]["segmentations"][1]["9"]["rle"] = "07"
    truth = read_burst(written(tmp_path, root), tmp_path).truths[0]
    with pytest.raises(InputError, match=r"sequences\[0\], track '9'.segmentations\[1\].counts must be the run-length"):
        list(truth.masks)


def test_a_wrong_class_split(tmp_path):
    with pytest.raises(InputError, match=r"class_split\.json: field uncommon is missing"):
        read_burst(written(tmp_path, document(), {"common": []}), tmp_path)


def test_ids_otherwise_written(tmp_path):
    own = contents(open_dataset("burst_val", tmp_path))
    root = document()
    for sequence in root["sequences"]:
        sequence["id"] = str(sequence["id"])
        sequence["track_category_ids"] = {track: float(id) for track, id in sequence["track_category_ids"].items()}
    root["sequences"][0]["neg_category_ids"] = ["50", 99.0]
    written(tmp_path, root, {"common": ["30", 70.0], "uncommon": [50]})
    assert contents(open_dataset("burst_val", tmp_path)) == own


def test_tracks_with_more_frames_than_any_file_needs(tmp_path, monkeypatch):
    monkeypatch.setattr("ovvis.datasets.parts.MOST_HELD", 4)
    with pytest.raises(InputError, match="have more than 4 frames together"):
        open_dataset("burst_val", tmp_path)
