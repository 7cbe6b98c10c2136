"""CocoVID and TAO: frames as images of videos, annotations of tracks."""

import copy
import json

import pytest

from ovvis.datasets.open import open_dataset
from ovvis.datasets.problems import Problems
from ovvis.errors import InputError
from ovvis.evaluation.records import Category
from ovvis.evaluation.rules import YOUTUBE_VIS

LEFT, RIGHT = {"size": [2, 3], "counts": "024"}, {"size": [2, 3], "counts": [4, 2]}
SQUARE = [[0, 0, 2, 0, 2, 2, 0, 2]]


def image(id, video, frame, name, **more):
    return {"id": id, "video_id": video, "frame_id": frame, "file_name": name} | more


def instance(id, image, track, category, segmentation, **more):
    return (
        {
            "id": id,
            "image_id": image,
            "instance_id": track,
            "category_id": category,
            "bbox": [0, 0, 1, 1],
        }
        | ({} if segmentation is ... else {"segmentation": segmentation})
        | more
    )


def coco_vid():
    """Two videos; the first one's frames stand in the wrong order; tracks of both have the number 0."""
    return {
        "videos": [{"id": 0, "name": "dog", "height": 2, "width": 3}, {"id": 5, "name": "cat"}],
        "images": [
            image(11, 0, 30, "dog/c.jpg"),
            image(10, 0, 10, "dog/b.jpg"),
            image(3, 5, 0, "cat/a.jpg", height=4, width=4),
            image(12, 0, 2, "dog/a.jpg", height=2, width=3),
        ],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [
            instance(0, 11, 0, 1, LEFT),
            instance(1, 3, 0, 2, SQUARE, iscrowd=1),
            instance(2, 12, 0, 1, RIGHT),
            instance(3, 10, 8, 2, LEFT),
        ],
    }


def tao():
    root = coco_vid()
    for frame in root["images"]:
        frame["frame_index"] = frame.pop("frame_id")
        frame["video"] = "x"
    for i, annotation in enumerate(root["annotations"]):
        annotation["track_id"] = [7, 9, 7, 8][i]
        annotation["video_id"] = [0, 5, 0, 0][i]
        annotation["scale_category"] = "moving-object"
        del annotation["instance_id"], annotation["category_id"]
    root["tracks"] = [{"id": 7, "category_id": 1}, {"id": 9, "category_id": "2"}, {"id": 8, "category_id": 2.0}]
    return root


def written(tmp_path, root):
    path = tmp_path / "own.json"
    path.write_text(json.dumps(root))
    return path


@pytest.mark.parametrize("make", [coco_vid, tao])
def test_what_is_read(tmp_path, make):
    read = open_dataset(written(tmp_path, make()))
    assert [(v.id, v.name, v.height, v.width, v.files) for v in read.videos] == [
        (0, "dog", 2, 3, ("dog/a.jpg", "dog/b.jpg", "dog/c.jpg")),
        (5, "cat", 4, 4, ("cat/a.jpg",)),
    ]
    left, right = {"size": [2, 3], "counts": b"024"}, {"size": [2, 3], "counts": b"42"}
    assert [(t.id, t.video_id, t.category_id, list(t.masks), t.is_crowd) for t in read.truths] == [
        (1, 0, 1, [right, None, left], False),
        (2, 5, 2, [{"size": [4, 4], "counts": b"02208"}], True),
        (3, 0, 2, [None, left, None], False),
    ]
    assert (read.categories, read.rules, read.notes) == ((Category(1, "dog"), Category(2, "cat")), YOUTUBE_VIS, ())
    assert not read.loses_truth()


def test_videos_need_not_be_listed(tmp_path):
    root = coco_vid()
    del root["videos"]
    for frame in root["images"]:
        frame |= {"height": 2, "width": 3} if frame["video_id"] == 0 else {}
    assert open_dataset(written(tmp_path, root)) == open_dataset(written(tmp_path, coco_vid()))


def test_what_tao_knows_of_a_video(tmp_path):
    root = tao()
    root["videos"][0] |= {"neg_category_ids": [2, 99], "not_exhaustive_category_ids": ["1"]}
    video = open_dataset(written(tmp_path, root)).videos[0]
    assert (video.absent, video.not_exhaustive) == ((2,), (1,))


@pytest.mark.parametrize(
    ("part", "index", "change", "kind", "words", "left"),
    [
        ("images", 1, {"id": 11}, "duplicate id", "images[1].id must be the only 11", None),
        ("images", 1, {"video_id": 4}, "unknown video", "images[1].video_id must be the id of one", None),
        ("images", 1, {"video_id": None}, "frame of no video", "images[1].video_id is missing", None),
        ("images", 1, {"frame_id": 30}, "frame twice", "must be the only frame 30 of video 0", [2]),
        ("images", 1, {"frame_id": "x"}, "no whole number", 'must be a whole number of at most 64 bits, not "x"', None),
        ("images", 1, {"height": 3, "width": 3}, "frames of several sizes", "must have one size", [2]),
        ("images", 2, {"height": None}, "frames of several sizes", "must have one size", [1, 2]),
        ("images", 2, {"width": 10**10}, "impossible size", "must have at most", [1, 2]),
        ("annotations", 2, {"image_id": 4}, "unknown image", "annotations[2].image_id must be the id", [1, 2, 3]),
        ("annotations", 2, {"category_id": 4}, "unknown category", "annotations[2].category_id must be", [1, 2]),
        ("annotations", 2, {"category_id": None}, "unknown category", "annotations[2].category_id is missing", [1, 2]),
        ("annotations", 2, {"instance_id": None}, "annotation of no track", "and so is track_id", [1, 2, 3]),
        ("annotations", 2, {"instance_id": 0.5}, "no whole number", "annotations[2].instance_id must be", [1, 2, 3]),
        (
            "annotations",
            2,
            {"category_id": 2},
            "tracks that disagree",
            "must be 1 as in annotations[0], and is 2",
            [1, 2],
        ),
        ("annotations", 2, {"image_id": 11}, "tracks that disagree", "must be the only one of its track", [1, 2]),
        (
            "annotations",
            2,
            {"segmentation": {"size": [3, 2], "counts": "024"}},
            "tracks that disagree",
            "segmentation.size must be the frame's height and width, [2, 3], not [3, 2]",
            [1, 2],
        ),
    ],
)
def test_what_is_wrong_is_refused_or_left_out(tmp_path, part, index, change, kind, words, left):
    root = coco_vid()
    root[part][index] |= change
    path = written(tmp_path, root)
    with pytest.raises(InputError) as caught:
        open_dataset(path)
    assert words in str(caught.value) and str(path) in str(caught.value)
    read = open_dataset(path, problems=Problems(refuse=False))
    assert any(note.reason.startswith(f"left out: {kind}") for note in read.notes)
    if left is not None:
        assert [truth.id for truth in read.truths] == list(range(1, len(left) + 1))


def test_boxes_alone(tmp_path):
    root = tao()
    for annotation in root["annotations"]:
        del annotation["segmentation"]
    read = open_dataset(written(tmp_path, root))
    assert read.boxes_alone and [(n.reason, n.count) for n in read.notes] == [("annotations without masks", 4)]


def test_a_frames_number_costs_nothing(tmp_path):
    root = coco_vid()
    root["images"][0]["frame_id"] = 10**12
    assert len(open_dataset(written(tmp_path, root)).videos[0].files) == 3


def test_tracks_with_more_frames_than_any_file_needs(tmp_path, monkeypatch):
    monkeypatch.setattr("ovvis.datasets.parts.MOST_HELD", 6)
    with pytest.raises(InputError, match="have more than 6 frames together"):
        open_dataset(written(tmp_path, coco_vid()))


def test_which_format_it_is(tmp_path):
    root = coco_vid()
    for frame in root["images"]:
        del frame["video_id"]
    assert [len(video.files) for video in open_dataset(_sized(tmp_path, root)).videos] == [1, 1, 1, 1]
    both = coco_vid()
    for video, names in zip(both["videos"], (["dog/a.jpg"], ["cat/a.jpg"]), strict=True):
        video |= {"file_names": names, "height": 2, "width": 3}
    both["annotations"] = []
    assert [len(video.files) for video in open_dataset(written(tmp_path, both)).videos] == [1, 1]


def _sized(tmp_path, root):
    """Write it as COCO has it: no videos, a size for each image."""
    root = copy.deepcopy(root)
    del root["videos"]
    for frame in root["images"]:
        frame |= {"height": 2, "width": 3} if "dog" in frame["file_name"] else {}
    return written(tmp_path, root)
