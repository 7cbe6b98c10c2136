"""Associations of detections, on small cases that a person can follow, and SORT against another's."""

import sys
from types import ModuleType

import numpy as np
import pytest

from ovvis import masks
from ovvis.outputs.painting import supervision
from ovvis.structures import NOTHING, Detected
from ovvis.tracking.detected import Lives, Overlap, Sort, box_overlap
from ovvis.tracking.embedded import Embedded
from ovvis.tracking.kalman import KalmanBoxes
from ovvis.tracking.tracker import Tracker

SIZE = (100, 200)


def seen(*boxes, scores=None, looks=None):
    """Return things with the masks of boxes x, y, width, height in whole pixels."""
    codes = []
    for x, y, width, height in boxes:
        mask = np.zeros(SIZE, dtype=bool)
        mask[max(y, 0) : y + height, max(x, 0) : x + width] = True
        codes.append(masks.encode(mask))
    given = np.ones(len(boxes)) if scores is None else np.array(scores)
    return Detected(tuple(codes), given, embeddings=None if looks is None else np.array(looks, dtype=np.float32))


def tubes(association, frames):
    return [association.update(frame).tubes.tolist() for frame in frames]


def test_a_filter_by_hand():
    # Only the centre's x, its change and the first variances: 10 + 10000 + 1 before the second look, seen with noise 1.
    filters = KalmanBoxes()
    filters.add(np.array([[0.0, 0, 10, 10]]))
    assert filters.predict().tolist() == [[0, 0, 10, 10]]
    filters.update(np.array([0]), np.array([[4.0, 0, 10, 10]]))
    variance = 10 + 10000 + 1
    gain, of_change = variance / (variance + 1), 10000 / (variance + 1)
    assert filters.states[0, [0, 4]] == pytest.approx([5 + 4 * gain, 4 * of_change])
    assert filters.predict()[0, 0] + 5 == pytest.approx(5 + 4 * gain + 4 * of_change)


def test_an_area_does_not_fall_below_zero():
    filters = KalmanBoxes()
    filters.add(np.array([[0.0, 0, 10, 10]]))
    filters.states[0, 6] = -200
    assert filters.predict()[0, 2:].tolist() == [10, 10]


def test_overlap_of_boxes():
    one = np.array([[0.0, 0, 4, 4]])
    others = np.array([[0.0, 0, 4, 4], [2, 0, 4, 4], [4, 0, 4, 4], [0, 0, 0, 0], [np.nan, 0, 1, 1]])
    assert box_overlap(one, others)[0] == pytest.approx([1, 1 / 3, 0, 0, 0])


@pytest.mark.parametrize("kind", [Sort, Overlap])
@pytest.mark.parametrize(
    ("frames", "wanted"),
    [
        # in any order of the detector's
        ([seen((0, 0, 20, 20), (100, 0, 20, 20)), seen((102, 0, 20, 20), (1, 0, 20, 20))], [[0, 1], [1, 0]]),
        # one comes later, and one that lies apart is another
        ([seen((0, 0, 20, 20)), seen((0, 0, 20, 20), (60, 60, 9, 9)), seen((150, 0, 20, 20))], [[0], [0, 1], [2]]),
        # unseen for as long as patience lasts (2 frames), and for longer
        ([seen((0, 0, 20, 20)), NOTHING, NOTHING, seen((0, 0, 20, 20))], [[0], [], [], [0]]),
        ([seen((0, 0, 20, 20)), NOTHING, NOTHING, NOTHING, seen((0, 0, 20, 20))], [[0], [], [], [], [1]]),
        # the most overlap in all, not the best pair first: 0.74 + 0.54 beats 0.90 + 0.33
        ([seen((0, 0, 20, 20), (4, 0, 20, 20)), seen((3, 0, 20, 20), (10, 0, 20, 20))], [[0, 1], [0, 1]]),
        # nothing is seen at first
        ([NOTHING, seen((0, 0, 9, 9))], [[], [0]]),
        # too little overlap: 1/9
        ([seen((0, 0, 10, 10)), seen((8, 0, 10, 10))], [[0], [1]]),
    ],
)
def test_by_hand(kind, frames, wanted):
    association = kind(0.3, 2)
    assert tubes(association, frames) == wanted
    association.reset()
    assert tubes(association, frames) == wanted


def test_masks_tell_apart_what_boxes_do_not():
    ring, inner = np.zeros(SIZE, dtype=bool), np.zeros(SIZE, dtype=bool)
    ring[:60, :60], inner[4:56, 4:56] = True, True
    ring &= ~inner
    both = Detected((masks.encode(ring), masks.encode(inner)), np.ones(2))
    assert tubes(Overlap(), [both, both.choose(np.array([1, 0]))]) == [[0, 1], [1, 0]]
    alone = both.choose(np.array([1]))
    assert tubes(Sort(), [both.choose(np.array([0])), alone]) == [[0], [0]]  # boxes overlap by 0.75
    assert tubes(Overlap(), [both.choose(np.array([0])), alone]) == [[0], [1]]


@pytest.mark.parametrize("kind", [Sort, Overlap])
def test_a_weak_thing_goes_on_but_begins_nothing(kind):
    frames = [
        seen((0, 0, 9, 9), (50, 0, 9, 9), scores=[0.9, 0.2]),
        seen((0, 0, 9, 9), (50, 0, 9, 9), scores=[0.2, 0.9]),
    ]
    assert tubes(kind(start=0.5), frames) == [[0, -1], [0, 1]]


def test_sort_moves_on():
    # 12 pixels a frame, 20 wide: the last box overlaps by a quarter, the predicted one wholly.
    frames = [seen((12 * t, 0, 20, 20)) for t in range(3)]
    slow = [seen((x, 0, 20, 20)) for x in (0, 6, 16)]
    assert tubes(Overlap(0.3), frames) == [[0], [1], [2]]
    assert tubes(Sort(0.3), [*slow, seen((28, 0, 20, 20)), seen((40, 0, 20, 20))]) == [[0]] * 5
    assert tubes(Overlap(0.3), [*slow, seen((28, 0, 20, 20)), seen((40, 0, 20, 20))]) == [[0], [0], [0], [1], [2]]


def walk(rng, count, frames):
    """Return boxes that wander, are missed at times, and come in any order."""
    place, step = rng.uniform(0, 140, (count, 2)), rng.uniform(-3, 3, (count, 2))
    size = rng.uniform(12, 40, (count, 2))
    out = []
    for _ in range(frames):
        place, step, size = (
            place + step,
            step + rng.normal(0, 0.3, step.shape),
            size * rng.uniform(0.97, 1.03, size.shape),
        )
        here = np.flatnonzero(rng.random(count) > 0.25)
        out.append(np.concatenate([place, size], 1)[rng.permutation(here)])
    return out


class Boxed:
    """Things that have boxes alone, of any fractions of pixels."""

    def __init__(self, boxes):
        self._boxes, self.scores, self.masks = boxes, np.ones(len(boxes)), [None] * len(boxes)

    def __len__(self):
        return len(self._boxes)

    def boxes(self):
        return self._boxes


@pytest.mark.parametrize("seed", range(4))
def test_sort_is_that_of_trackers(seed, monkeypatch):
    """The package `trackers` (Roboflow), whose SORT has the published filter on request; none of it needs OpenCV."""
    detections = supervision().Detections
    if "cv2" not in sys.modules:
        monkeypatch.setitem(sys.modules, "cv2", ModuleType("cv2"))
    pytest.importorskip("trackers")
    from trackers.core.sort.tracker import SORTTracker
    from trackers.utils.state_representations import XCYCSRStateEstimator

    theirs = SORTTracker(1, 30.0, 0.25, 1, 0.3, XCYCSRStateEstimator)
    ours = Sort(0.3, 1)
    known = {}
    for boxes in walk(np.random.default_rng(seed), 9, 60):
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)
        found = theirs.update(detections(xyxy=corners, confidence=np.ones(len(boxes))))
        mine = ours.update(Boxed(boxes)).tubes.tolist()
        # Theirs shows a track from its second look on.
        for id, tube in zip(found.tracker_id.tolist(), mine, strict=True):
            if id >= 0:
                assert known.setdefault(id, tube) == tube
    assert len(set(known.values())) == len(known) > 20


LOOKS = {"a": [1, 0, 0.1], "b": [0, 1, 0.1], "c": [0.1, 0.1, 1]}


def looking(names, scores=None):
    return seen(*((10 * i, 0, 9, 9) for i in range(len(names))), scores=scores, looks=[LOOKS[n] for n in names])


@pytest.mark.parametrize(
    ("tracker", "memory", "frames", "wanted"),
    [
        (Tracker(1, 1), 1, ["ab", "ba", "bca"], [[0, 1], [1, 0], [1, 2, 0]]),
        # a thing that was not seen for longer than the memory is another
        (Tracker(1, 1), 1, ["ab", "b", "ab"], [[0, 1], [1], [2, 1]]),
        (Tracker(1, 1, momentum=0.7), None, ["ab", "b", "ab"], [[0, 1], [1], [0, 1]]),
        # births: what looks like nothing before begins a tube, though a slot is free
        (Tracker(1, 1, birth=0.3), None, ["ab", "b", "cb", "abc"], [[0, 1], [1], [2, 1], [0, 1, 2]]),
        (Tracker(1, 1), 1, ["", "a", "a"], [[], [0], [0]]),
    ],
)
def test_by_looks(tracker, memory, frames, wanted):
    things = [looking(names) if names else NOTHING for names in frames]
    association = Embedded(tracker, 5, memory)
    assert tubes(association, things) == wanted
    association.reset()
    assert tubes(association, things) == wanted


def test_the_best_are_followed_where_slots_are_few():
    association = Embedded(Tracker(1, 1), 2, 1)
    assert association.update(looking("abc", [0.2, 0.9, 0.5])).tubes.tolist() == [-1, 0, 1]
    with pytest.raises(ValueError, match="have none"):
        association.update(seen((0, 0, 9, 9)))


def test_patience_is_a_number_of_frames():
    with pytest.raises(ValueError, match="patience -1"):
        Lives(-1)
