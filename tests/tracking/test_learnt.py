import pytest
import torch

from ovvis.structures import Prediction
from ovvis.tracking.learnt import InOrder, LearntTracker
from ovvis.tracking.tracker import Tracker


def window(embeddings):
    return Prediction(torch.zeros(1, len(embeddings), 1, 2, 2), None, None, embeddings[None], None)


def test_it_matches_first_and_remembers_what_the_network_gave():
    calls = []

    def step(prediction, order, last):
        calls.append((order.tolist(), last))
        return prediction.aligned(order), torch.tensor(float(len(calls)))

    tracker = LearntTracker(step, Tracker(1, 1))
    eye = torch.eye(3)
    for shown in (eye, eye[[2, 0, 1]], eye[[1, 2, 0]]):
        assert torch.equal(tracker.update(window(shown)).embeddings[0], eye)
    assert [order for order, _ in calls] == [[0, 1, 2], [1, 2, 0], [2, 0, 1]]
    assert [None if last is None else last.item() for _, last in calls] == [None, 1.0, 2.0]
    tracker.reset()
    tracker.update(window(eye[[1, 0, 2]]))
    assert calls[-1] == ([0, 1, 2], None)


def test_behind_it_queries_are_in_tube_order():
    order = InOrder().update(torch.zeros(4, 2), torch.zeros(4))
    assert order.tolist() == [0, 1, 2, 3] and order.dtype == torch.int64
    assert InOrder().reset() is None


def test_the_network_must_give_states():
    from fakes import build_tiny_ov_dvis

    tracker = LearntTracker(build_tiny_ov_dvis().tracker, Tracker(1, 1))
    with pytest.raises(ValueError, match="states"):
        tracker.update(window(torch.eye(6)))
