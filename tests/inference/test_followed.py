"""Tubes of detections: what they score, which become tracks, and what stays in memory."""

import numpy as np
import pytest

from ovvis import masks
from ovvis.errors import InputError
from ovvis.inference.associations import FOR_DETECTIONS, build_association
from ovvis.inference.followed import Gatherer
from ovvis.models.settings import Following
from ovvis.structures import Detected, Followed

SIZE = (6, 8)


def mask(row):
    out = np.zeros(SIZE, dtype=bool)
    out[row] = True
    return masks.encode(out)


def found(*things, **parts):
    """Return things of (row, score, label)."""
    rows, scores, labels = zip(*things, strict=True)
    return Detected(tuple(map(mask, rows)), np.array(scores), labels, **parts)


def followed(*tubes, carried=()):
    return Followed(np.array(tubes, dtype=np.int64), carried)


def told(tracks):
    return [(t.id, t.label, round(t.score, 4), t.frames) for t in tracks]


def test_labels_of_the_things_score_the_mean_over_a_tubes_frames():
    gatherer = Gatherer(SIZE)
    gatherer.add(found((0, 0.9, "dog"), (1, 0.5, "")), followed(0, 1))
    gatherer.add(found((2, 0.5, "cat")), followed(0))
    gatherer.add(found((3, 0.8, "dog"), (4, 0.3, "bird")), followed(0, -1))
    tracks, labels, store = gatherer.finish()
    assert told(tracks) == [(1, "dog", 0.5667, [0, 1, 2]), (2, "object", 0.5, [0]), (1, "cat", 0.1667, [0, 1, 2])]
    assert labels == ("dog", "cat", "object") and tracks[0].label_index == 0
    assert [label for label, _ in tracks[0].top_labels] == ["dog", "cat"]
    assert [m and masks.box(m)[1] for m in tracks[0].masks] == [0, 2, 3]
    assert tracks[1].masks[1] is None and tracks[1].masks[:2][1] is None and len(tracks[1].masks) == 3
    with pytest.raises(IndexError):
        tracks[0].masks[3]
    store.close()
    with pytest.raises(InputError, match="the result is closed"):
        tracks[0].masks[0]


def test_carried_masks_are_shown_and_score_nothing():
    gatherer = Gatherer(SIZE)
    gatherer.add(found((0, 0.6, "dog")), followed(0))
    gatherer.add(Detected((), np.zeros(0)), followed(carried=((0, mask(5)), (9, mask(4)))))
    tracks, _, _ = gatherer.finish()
    assert told(tracks) == [(1, "dog", 0.6, [0, 1])]  # nothing ever showed tube 9


NAMES = np.array([[0.64, 0.16], [0.04, 0.81]], dtype=np.float32)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, [(1, "a", 0.8, [0]), (2, "b", 0.45, [0])]),  # sqrt(0.64 x 1), sqrt(0.81 x 0.25)
        ({"max_tracks": 3}, [(1, "a", 0.8, [0]), (2, "b", 0.45, [0]), (1, "b", 0.4, [0])]),
        ({"max_tracks": 9}, [(1, "a", 0.8, [0]), (2, "b", 0.45, [0]), (1, "b", 0.4, [0]), (2, "a", 0.1, [0])]),
        ({"min_score": 0.5}, [(1, "a", 0.8, [0])]),
        ({"min_frames": 2}, []),
        ({"final": lambda names, scores: names}, [(2, "b", 0.81, [0]), (1, "a", 0.64, [0])]),
    ],
)
def test_names_of_a_vocabulary(options, wanted):
    gatherer = Gatherer(SIZE, ("a", "b"))
    gatherer.add(found((0, 1.0, ""), (1, 0.25, ""), names=NAMES), followed(0, 1))
    tracks, labels, _ = gatherer.finish(**options)
    assert told(tracks) == wanted and labels == ("a", "b")
    assert all(len(track.top_labels) == 2 for track in tracks)


def test_a_tube_may_be_named_in_some_of_its_frames():
    """Its names are the mean over those; a tube that nobody named is no track of a vocabulary."""
    gatherer = Gatherer(SIZE, ("a", "b"))
    gatherer.add(found((0, 1.0, ""), (1, 0.25, ""), names=np.array([[0.64, 0.16], [np.nan] * 2])), followed(0, 1))
    gatherer.add(found((0, 0.25, ""), names=np.full((1, 2), np.nan)), followed(0))
    assert told(gatherer.finish()[0]) == [(1, "a", 0.6325, [0, 1])]  # sqrt(0.64 x 0.625)


def test_sure_masks_count():
    gatherer = Gatherer(SIZE, ("a", "b"))
    quality = np.array([0.5, 1], dtype=np.float32)
    gatherer.add(found((0, 1.0, ""), (1, 0.25, ""), names=NAMES, quality=quality), followed(0, 1))
    assert [track.score for track in gatherer.finish()[0]] == pytest.approx([0.45, 0.4])


def test_a_long_video_leaves_memory():
    gatherer = Gatherer(SIZE, limit=100)
    for _ in range(200):
        gatherer.add(found((1, 0.9, "dog")), followed(0))
    assert gatherer._codes._file._rolled  # its codes lie in a file
    tracks, _, store = gatherer.finish()
    assert len(tracks[0].frames) == 200 and masks.box(tracks[0].masks[150])[1] == 1
    store.close()


def test_nothing_at_all():
    gatherer = Gatherer(SIZE)
    gatherer.add(Detected((), np.zeros(0)), followed())
    assert gatherer.finish()[:2] == ([], ("object",))


@pytest.mark.parametrize("name", [name for name in FOR_DETECTIONS if name != "propagate"])
def test_every_tracker_goes_on_and_begins_anew(name):
    looks = np.eye(3, dtype=np.float32)
    first = Detected((mask(0), mask(3)), np.ones(2), embeddings=looks[:2])
    second = Detected((mask(3), mask(5), mask(0)), np.ones(3), embeddings=looks[[1, 2, 0]])
    association = build_association(name, Following(slots=5))
    for _ in range(2):
        assert association.update(first).tubes.tolist() == [0, 1]
        assert association.update(second).tubes.tolist() == [1, 2, 0]
        association.reset()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Following(least=1.5), "overlap 1.5: it must lie in"),
        (lambda: Following(patience=-1), "patience -1"),
        (
            lambda: Following(propagator="xmem"),
            "propagator 'xmem': there is none of that name; the choices are colours",
        ),
        (lambda: build_association("online", Following()), "it is a part of OV-DVIS"),
        (lambda: build_association("sortt", Following()), "did you mean sort"),
    ],
)
def test_what_cannot_be(make, said):
    with pytest.raises(InputError, match=said):
        make()
