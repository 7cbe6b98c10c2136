"""Which queries have a video's objects, and which matching keeps to them: by hand."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ovvis.inference.seen import Seen
from ovvis.reproduction import query_points as module
from ovvis.reproduction.query_points import QueryPoints, query_points, telling_object
from ovvis.structures import Frame, Prediction

SIZE = (16, 32)  # of frames and of the network's input; its masks have 4 x 8 cells
X, Y, Z = torch.eye(3)
LEFT, RIGHT, NONE = "left", "right", "none"


def owners(*frames):
    """Return who owns each pixel: object 1 the left half, object 2 the right half, where they are there."""
    found = np.zeros((len(frames), *SIZE), dtype=np.uint8)
    for t, there in enumerate(frames):
        if LEFT in there:
            found[t, :, :16] = 1
        if RIGHT in there:
            found[t, :, 16:] = 2
    return found


def seen(*queries):
    """Return what a network says of a frame; queries as what their mask is of, and their embedding."""
    masks = torch.full((1, len(queries), 1, 4, 8), -5.0)
    for q, (what, _) in enumerate(queries):
        if what != NONE:
            masks[0, q, 0, :, slice(0, 4) if what == LEFT else slice(4, 8)] = 5.0
    embeddings = torch.stack([2 * vector for _, vector in queries])[None]
    said = Prediction(masks, torch.zeros(1, len(queries), 2), None, embeddings, None)
    return Seen(said, torch.zeros(1, len(queries), 2), 1.0)


@dataclass
class Fixed:
    """A tracker whose orders are known."""

    orders: list

    def update(self, *_):
        return torch.tensor(self.orders.pop(0))


class FakeSegmenter:
    """Gives what it is told the network says."""

    settings = SimpleNamespace(window=1)

    def __init__(self, *frames):
        self._frames = frames

    def with_settings(self, _):
        return self

    def look(self, _):
        image = np.zeros((*SIZE, 3), np.uint8)
        pairs = [(SimpleNamespace(frames=(Frame(image, i, i / 24),)), one) for i, one in enumerate(self._frames)]

        class Pass(list):
            size = padded = SIZE

        return Pass(pairs)


def points(monkeypatch, frames, there, **orders):
    monkeypatch.setattr(module, "replace", lambda settings, **_: settings)
    monkeypatch.setattr(module, "build_tracker", lambda settings: Fixed(list(orders[settings.name])))
    matchings = {name: SimpleNamespace(name=name, names=0) for name in orders}
    video = SimpleNamespace(owners=owners(*there), categories=(7, 9), source=lambda: None)
    counted = []
    found = query_points(FakeSegmenter(*frames), video, {7: 0, 9: 1}, matchings, counted.append)
    assert counted == list(range(1, len(frames) + 1))
    return found


def test_points_and_who_keeps_to_the_objects(monkeypatch):
    both = (LEFT, RIGHT)
    frames = [
        seen((LEFT, X), (RIGHT, Y), (NONE, Z)),
        seen((RIGHT, Y), (LEFT, X), (NONE, Z)),  # other slots
        seen((LEFT, X), (NONE, Y), (NONE, Z)),  # nothing has the right one
        seen((NONE, X), (RIGHT, Z), (LEFT, X)),
    ]
    found = points(
        monkeypatch,
        frames,
        [both, both, both, both],
        good=[[0, 1, 2], [1, 0, 2], [0, 1, 2], [2, 1, 0]],
        bad=[[0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 1, 2]],
    )
    assert found.frames.tolist() == [0, 0, 1, 1, 2, 3, 3]
    assert found.objects.tolist() == [0, 1, 0, 1, 0, 0, 1]
    assert found.queries.tolist() == [0, 1, 1, 0, 0, 2, 1]
    assert found.overlaps.tolist() == [1] * 7 and found.categories == (7, 9)
    assert found.right("good").all() and found.share("good") == 1
    assert found.right("bad").tolist() == [True, True, False, False, True, False, True]
    assert (found.share("bad", 0), found.share("bad", 1)) == (0.5, pytest.approx(2 / 3))
    assert found.wrong["bad"][2].tolist() == Y.tolist()  # what it took for the left one in frame 1; of unit length
    assert telling_object(found, "good", ["bad"]) == 0
    assert telling_object(found, "bad", ["good"]) is None


def test_an_object_that_comes_later_begins_then(monkeypatch):
    frames = [seen((LEFT, X), (NONE, Y)), seen((LEFT, X), (RIGHT, Y)), seen((RIGHT, Y), (LEFT, X))]
    found = points(monkeypatch, frames, [(LEFT,), (LEFT, RIGHT), (LEFT, RIGHT)], it=[[0, 1], [0, 1], [0, 1]])
    # The right one begins in tube 1, whose query in frame 2 is the left one's.
    assert found.objects.tolist() == [0, 0, 1, 0, 1] and found.right("it").tolist() == [1, 1, 1, 0, 0]


def test_no_object_no_point(monkeypatch):
    found = points(monkeypatch, [seen((NONE, X), (NONE, Y))], [(LEFT,)], it=[[0, 1]])
    assert len(found.frames) == 0 and np.isnan(found.share("it")) and np.isnan(found.nearest_is_own())
    assert telling_object(found, "it", ["it"]) is None


def test_nearest_of_another_frame():
    vectors = np.array([[1, 0], [0, 1], [1, 0.1], [0.9, 1]], dtype=float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    known = QueryPoints(*rows, rows[0], rows[0] * 1.0, vectors, (1, 2), {}, {})
    # The two of object 0 are nearest to each other; so is the second to the fourth, and that to the second.
    assert known.nearest_is_own() == 1
    swapped = QueryPoints(rows[0], np.array([0, 1, 1, 0]), rows[0], rows[0] * 1.0, vectors, (1, 2), {}, {})
    assert swapped.nearest_is_own() == 0


def test_a_video_without_truth_is_refused():
    video = SimpleNamespace(owners=None, categories=(), source=lambda: None)
    with pytest.raises(ValueError, match="truth by pixel"):
        query_points(FakeSegmenter(), video, {}, {}, print)
