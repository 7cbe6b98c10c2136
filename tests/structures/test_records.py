import numpy as np
import pytest
import torch

from ovvis.structures import Frame, FrameResult, Instance, Prediction, Target, Track, VideoResult


def prediction(batch=2, queries=3, **changes):
    values = {
        "mask_logits": torch.arange(batch * queries * 2.0).view(batch, queries, 1, 1, 2),
        "object_logits": torch.arange(batch * queries * 2.0).view(batch, queries, 2),
        "mask_ious": torch.arange(batch * queries * 1.0).view(batch, queries),
        "embeddings": torch.arange(batch * queries * 4.0).view(batch, queries, 4),
        "features": torch.arange(batch * 5.0).view(batch, 1, 5, 1, 1),
    }
    return Prediction(**(values | changes))


def test_window_is_a_batch_of_one():
    whole = prediction()
    part = whole.window(1)
    for name in ("mask_logits", "object_logits", "mask_ious", "embeddings", "features"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[1:])


def test_aligned_moves_queries_and_leaves_features():
    whole = prediction()
    moved = whole.aligned(torch.tensor([2, 0, 1]))
    for name in ("mask_logits", "object_logits", "mask_ious", "embeddings"):
        assert torch.equal(getattr(moved, name)[:, 0], getattr(whole, name)[:, 2])
        assert torch.equal(getattr(moved, name)[:, 2], getattr(whole, name)[:, 1])
    assert moved.features is whole.features


def test_what_is_absent_stays_absent():
    bare = prediction(mask_ious=None, features=None)
    for changed in (bare.window(0), bare.aligned(torch.tensor([1, 0, 2]))):
        assert changed.mask_ious is None
        assert changed.features is None


def track(number, label, score, masks=()):
    return Track(number, label, 0, score, ((label, score),), list(masks))


def test_frames_of_a_track():
    rle = {"size": [1, 1], "counts": b"01"}
    assert track(1, "a", 1.0, [None, rle, None, rle]).frames == [1, 3]


class Store:
    closed = 0

    def close(self):
        self.closed += 1


def test_result():
    store = Store()
    tracks = [track(2, "a", 0.9), track(1, "b", 0.8), track(2, "b", 0.7), track(3, "a", 0.1)]
    result = VideoResult(tracks, "x", 1, 1, 24.0, [], [], ("a", "b"), storage=store)
    assert [(t.id, t.label) for t in result.best_tracks(0)] == [(2, "a"), (1, "b"), (3, "a")]
    assert [(t.id, t.label) for t in result.best_tracks()] == [(2, "a"), (1, "b")]  # what the command shows
    assert [(t.id, t.label) for t in result.best_tracks(0.9)] == [(2, "a")]
    with pytest.raises(KeyError), result as inside:
        assert inside is result
        raise KeyError
    assert store.closed == 1


def test_records_are_shown_in_a_line():
    mask = {"size": [480, 854], "counts": b"0" * 10_000}
    frame = Frame(np.zeros((480, 854, 3), np.uint8), 7, 0.25)
    long = track(2, "dog", 0.9, [mask] * 900)
    result = VideoResult([long] * 50, "dog.mp4", 480, 854, 24.0, list(range(900)), [0.0] * 900, ("dog",))
    assert repr(result) == "VideoResult('dog.mp4': 900 frames of 854x480, 50 tracks, the best 'dog' 0.900)"
    assert repr(long) == "Track(id=2, label='dog', score=0.900, 900 frames)"
    shown = repr(FrameResult(frame, (Instance(2, "dog", 0.9, mask, (0.0, 0.0, 1.0, 1.0)),)))
    assert len(shown) < 200 and "\n" not in shown and "index=7" in shown
    assert repr(VideoResult([], "x", 1, 1, 24.0, [], [], ())) == "VideoResult('x': 0 frames of 1x1, 0 tracks)"


def target():
    """Two instances over two frames; the second is in the second frame only."""
    masks = torch.zeros(2, 2, 2, 3, dtype=torch.bool)
    masks[0, :, 0, 0] = True
    masks[1, 1, 1] = True
    return Target(masks, torch.tensor([5, 7]), torch.tensor([50, 70]))


def test_a_target_knows_who_is_visible():
    assert target().visible.tolist() == [[True, True], [False, True]]


def test_a_frame_of_a_target_holds_what_is_visible_in_it():
    first, second = target().frame(0), target().frame(1)
    assert (first.labels.tolist(), first.ids.tolist(), first.masks.shape) == ([5], [50], (1, 1, 2, 3))
    assert (second.labels.tolist(), second.ids.tolist()) == ([5, 7], [50, 70])
    assert torch.equal(second.masks[:, 0], target().masks[:, 1])


def test_a_target_without_instances():
    none = target().select(torch.zeros(2, dtype=torch.bool)).to(torch.device("cpu"))
    assert none.masks.shape == (0, 2, 2, 3)
    assert none.visible.shape == (0, 2)
    assert none.frame(1).labels.shape == (0,)
