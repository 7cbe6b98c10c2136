"""Detections of any kind become a result like any other."""

import json

import numpy as np
import pytest

import ovvis
from ovvis import masks
from ovvis.errors import InputError
from ovvis.outputs.painting import supervision
from ovvis.structures import Detected

SIZE = (40, 60)
FRAMES = [np.full((*SIZE, 3), 10 * t, np.uint8) for t in range(5)]


def boxes(t):
    """Return two things that pass each other: x, y, right, bottom."""
    return np.array([[5 + 4 * t, 2, 15 + 4 * t, 12], [45 - 4 * t, 20, 57 - 4 * t, 34]], dtype=float)


def told(result):
    return [(t.id, t.label, round(t.score, 3), t.frames) for t in result]


def flipped(t, *values):
    """Return values in another order in each frame, as detectors give them."""
    return [value[::-1] if t % 2 else value for value in values]


def in_supervision(t):
    xyxy, scores, kinds = flipped(t, boxes(t), np.array([0.9, 0.5]), np.array([3, 1]))
    return supervision().Detections(xyxy=xyxy, confidence=scores, class_id=kinds)


def in_arrays(t):
    xyxy, scores, names = flipped(t, boxes(t).astype(int), [0.9, 0.5], ["dog", "cat"])
    drawn = np.zeros((2, *SIZE), dtype=bool)
    for mask, (left, top, right, bottom) in zip(drawn, xyxy, strict=True):
        mask[top:bottom, left:right] = True
    return {"masks": drawn, "scores": scores, "labels": names}


@pytest.mark.parametrize("tracker", ["sort", "overlap"])
@pytest.mark.parametrize("make", [in_supervision, in_arrays])
def test_from_memory(make, tracker):
    given = [make(t) for t in range(5)]
    given[2] = None
    with ovvis.track(given, FRAMES, tracker=tracker, categories={3: "dog", 1: "cat"}, how=None) as result:
        seen = [0, 1, 3, 4]
        wanted = [(1, "dog", 0.9, seen), (2, "cat", 0.5, seen)]
        if tracker == "overlap":  # 8 pixels on in two frames, of 10 and 12
            wanted = [
                (1, "dog", 0.9, [0, 1]),
                (4, "dog", 0.9, [3, 4]),
                (2, "cat", 0.5, [0, 1]),
                (3, "cat", 0.5, [3, 4]),
            ]
        assert sorted(told(result)) == sorted(wanted)
        assert result.labels in (("dog", "cat"), ("cat", "dog"))
        assert "frames of the video without a detection: 1" in result.notes
        assert result.at(0)[0].label == "dog" and result.settings["tracker"] == tracker
        assert masks.box(result.track(1).masks[0]) == (5, 2, 10, 10)


def test_from_a_file_and_back(tmp_path):
    entries = [
        {"image_id": t, "category_id": kind, "score": score, "bbox": [x, y, right - x, bottom - y]}
        for t in (0, 1, 3, 7)
        for (x, y, right, bottom), kind, score in zip(boxes(t).tolist(), (18, 17), (0.9, 0.05), strict=True)
    ]
    file = tmp_path / "results.json"
    file.write_text(json.dumps(entries))
    with ovvis.track(file, FRAMES, categories={18: "dog", 17: "cat"}, least=0.1) as result:
        assert told(result) == [(1, "dog", 0.9, [0, 1, 3])]
        assert {
            "frames with detections that the video, as it is asked for, does not show: 1",
            "detections below the least score, left out: 3",
            "frames of the video without a detection: 2",
        } < set(result.notes)
        result.save(tmp_path / "out.json")
    # and a result's masks are followed anew
    again = ovvis.load_result(tmp_path / "out.json")
    with ovvis.track(again, FRAMES, tracker="overlap", max_tracks=1) as anew:
        assert told(anew) == [(1, "dog", 0.9, [0, 1])]


def test_by_embeddings():
    looks = np.array([[1, 0], [0, 1]], dtype=np.float32)
    order = [[0, 1], [1, 0], [0], [1, 0], [0, 1]]
    given = [
        {"boxes": [[0, 0, 9, 9]] * len(rows), "embeddings": looks[rows], "labels": [str(row) for row in rows]}
        for rows in order
    ]
    with ovvis.track(given, FRAMES, tracker="longterm") as result:
        assert told(result) == [(1, "0", 1.0, [0, 1, 2, 3, 4]), (2, "1", 1.0, [0, 1, 3, 4])]


@pytest.mark.parametrize(
    ("given", "options", "said"),
    [
        ([None] * 3, {}, "detections end after 3 frames"),
        ([7] * 5, {}, "detections of frame 0 are int: give supervision.Detections"),
        ([{}] * 5, {}, "detections of frame 0 have neither masks nor boxes"),
        ([{"masks": np.zeros((1, 4, 4))}] * 5, {}, r"mask 0 is \(4, 4\) where the frames are \(40, 60\)"),
        ([{"boxes": [[0, 0, 9, 9]], "scores": [0.1, 0.2]}] * 5, {}, "1 things and 2 scores"),
        ([{"boxes": [[0, 0, 9, 9]], "scores": [float("nan")]}] * 5, {}, "score nan must lie in"),
        ([{"boxes": [[9, 0, 0, 9]]}] * 5, {}, "must be x, y, width and height in pixels"),
        (
            [Detected((masks.encode(np.ones((2, 2), bool)),), np.ones(1))] * 5,
            {},
            r"a mask is \(2, 2\) where the frames",
        ),
        ([Detected((masks.encode(np.ones(SIZE, bool)),), np.array([7.0]))] * 5, {}, r"scores must lie in \[0, 1\]"),
        ([None] * 5, {"least": 2}, r"the least score 2 must lie in \[0, 1\]"),
        ([None] * 5, {"tracker": "online"}, "it is a part of OV-DVIS"),
    ],
)
def test_what_is_wrong_is_said(given, options, said):
    with pytest.raises(InputError, match=said):
        ovvis.track(given, FRAMES, **options)


def test_things_are_asked_for_one_frame_at_a_time():
    """So that a detector may run beside it, and a long video never lies in memory."""
    asked = []

    def detector():
        for t in range(5):
            asked.append(t)
            yield Detected((), np.zeros(0))

    def frames():
        for t, frame in enumerate(FRAMES):
            assert len(asked) in (t, t + 1)
            yield frame

    with ovvis.track(detector(), frames()) as result:
        assert len(result.frame_indices) == 5 and len(result) == 0
