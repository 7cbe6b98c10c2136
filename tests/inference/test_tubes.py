import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes import fake_prediction
from ovvis.inference.recording import Recording
from ovvis.inference.seen import Seen
from ovvis.inference.tubes import Tubes
from ovvis.masks import area, decode
from ovvis.models.settings import VideoSettings

SETTINGS = VideoSettings()
SIZES = (32, 32), (32, 32), (32, 32)


def square(queries=1, side=8, value=1.0):
    """Q masks (Q, 8, 8): query q is positive in its first q + 1 rows."""
    masks = torch.full((queries, side, side), -value)
    for q in range(queries):
        masks[q, : q + 1] = value
    return masks


MADE: list[Recording] = []


@pytest.fixture(autouse=True)
def _closed():
    yield
    while MADE:
        MADE.pop().close()


def seen_of(prediction):
    return Seen(prediction, prediction.features[:, 0, :, 0], 100.0)


def run(frames, settings=SETTINGS, labels=("a", "b"), keep_frames=True):
    """Add frames (masks, class logits, object logits, IoUs) and return the tubes."""
    recording = Recording([settings]) if keep_frames else None
    tubes = Tubes(labels, settings, recording)
    for masks, logits, objects, ious in frames:
        seen = seen_of(fake_prediction(masks, logits, objects, ious))
        if recording is not None:
            recording.add(seen)
        tubes.add(seen, torch.arange(len(masks)))
    if recording is not None:
        MADE.append(recording)
    return tubes


def frame(logits=((0.0, 0.0),), objects=((30.0, 0.0),), ious=(1.0,), masks=None):
    return (square(len(logits)) if masks is None else masks, torch.tensor(logits), torch.tensor(objects), ious)


def test_scores_by_hand():
    tubes = run([frame(ious=(0.5,)), frame(((100.0, 0.0),), ious=(0.64,))])
    # sqrt(0.5 x 0.5) and sqrt(1 x 0.64) for "a"; the same with 0 for "b"; the object score is 1.
    assert torch.allclose(tubes.scores(), torch.tensor([[((0.5 + 0.8) / 2) ** 0.5, 0.25**0.5]]), atol=1e-6)


def test_none_of_these_lowers_every_label():
    # Beside two labels of logit 0, a third answer of logit ln 2 leaves each a quarter instead of a half.
    settings = replace(SETTINGS, none_logit=math.log(2))
    assert torch.allclose(run([frame()], settings).scores(), torch.full((1, 2), 0.25**0.25), atol=1e-6)
    # An object score of 0.01 in the last frame: sqrt(sigmoid(0.5) x 0.01) = 0.0789 is below 0.1 x 0.841, and silent;
    # sqrt(sigmoid(0.25) x 0.01) = 0.0750 is above 0.1 x 0.707.
    gone = [frame()] * 9 + [frame(objects=((math.log(0.01 / 0.99), 0.0),))]
    for changed, shown in ((SETTINGS, 9), (settings, 10)):
        tracks, store = run(gone, changed).finish(*SIZES, 2, 0.0)
        assert [sum(mask is not None for mask in track.masks) for track in tracks] == [shown] * 2
        store.close()


def test_object_scores_are_the_softmax_of_mean_logits():
    tubes = run([frame(objects=((4.0, 0.0),)), frame(objects=((-2.0, 0.0),))])
    wanted = (0.5**0.5 * torch.tensor(1.0).sigmoid()).sqrt()
    assert torch.allclose(tubes.scores(), wanted.expand(1, 2), atol=1e-6)


def test_mask_quality_is_the_mean_confidence_of_positive_cells():
    bright, dim = square(value=3.0), square(value=0.5)
    tubes = run([frame(masks=bright), frame(masks=dim), frame(masks=-torch.ones(1, 8, 8))])
    wanted = (torch.tensor(3.0).sigmoid() + torch.tensor(0.5).sigmoid()) / 2
    assert torch.allclose(tubes.mask_quality(), wanted[None])
    (track, _), store = tubes.finish(*SIZES, 2, 0.0)
    assert track.score == pytest.approx((0.5**0.5) ** 0.5 * wanted.item(), abs=1e-6)
    assert [mask is not None for mask in track.masks] == [True, True, False]
    store.close()


def test_quality_can_be_left_out():
    tubes = run([frame(masks=square(value=0.1))], replace(SETTINGS, mask_quality=False))
    assert tubes.mask_quality().tolist() == [1]
    tracks, store = tubes.finish(*SIZES, 1, 0.0)
    assert tracks[0].score == pytest.approx(0.5**0.25)
    store.close()


def test_a_frame_without_its_object_is_silenced():
    there, gone = frame(), frame(objects=((-9.0, 0.0),))
    loud, store = run([there, gone, there]).finish(*SIZES, 1, 0.0)
    assert [mask is not None for mask in loud[0].masks] == [True, False, True]
    assert loud[0].frames == [0, 2]
    store.close()
    all_shown, store = run([there, gone, there], replace(SETTINGS, silence=None)).finish(*SIZES, 1, 0.0)
    assert all_shown[0].frames == [0, 1, 2]
    store.close()


def test_a_silenced_frame_does_not_count_for_the_quality():
    there = frame(masks=square(value=3.0))
    gone = frame(objects=((-9.0, 0.0),), masks=square(value=0.1))
    tubes = run([there, gone])
    tracks, store = tubes.finish(*SIZES, 1, 0.0)
    wanted = tubes.scores()[0, 0] * torch.tensor(3.0).sigmoid()
    assert tracks[0].score == pytest.approx(wanted.item(), abs=1e-6)
    store.close()


def test_one_tube_may_be_silent_under_one_label_only():
    # Frame 1: object score 0.012. sqrt(0.73 x 0.012) = 0.094, sqrt(0.5 x 0.012) = 0.077.
    objects = [[30.0, 0.0], [float(np.log(0.012 / 0.988)), 0.0]]
    frames = [
        frame(((0.0, 0.0),), objects=(objects[0],)),
        frame(((100.0, 0.0),), objects=(objects[1],)),
    ]
    tubes = run(frames, replace(SETTINGS, silence=0.12, mask_quality=False))
    scores = tubes.scores()[0] * 0.12
    assert scores[0] > 0.094
    tracks, store = run(frames, replace(SETTINGS, silence=0.15, mask_quality=False)).finish(*SIZES, 2, 0.0)
    share = 0.15 * tubes.scores()[0]
    for track in tracks:
        classes = [1.0, 0.0][track.label_index]
        silent = (torch.tensor(classes).sigmoid() * 0.012).sqrt() < share[track.label_index]
        assert (track.masks[1] is None) == bool(silent)
    store.close()


def test_tracks_are_the_best_pairs_best_first():
    logits = [[100.0, 0.0], [0.0, 100.0], [0.0, 0.0]]
    tubes = run([frame(tuple(map(tuple, logits)), ((3.0, 0.0),) * 3, (0.4, 0.9, 0.5))])
    tracks, store = tubes.finish(*SIZES, 3, 0.0)
    assert [(t.id, t.label, t.label_index) for t in tracks][:2] == [(2, "b", 1), (1, "a", 0)]
    assert tracks[2].id == 3
    assert [t.score for t in tracks] == sorted((t.score for t in tracks), reverse=True)
    for track in tracks:
        assert track.top_labels[0][1] >= track.top_labels[1][1]
        assert (track.label, track.score) in track.top_labels
    assert [area(t.masks[0]) for t in tracks[:2]] == [area(tracks[0].masks[0]), area(tracks[1].masks[0])]
    assert area(tracks[0].masks[0]) > area(tracks[1].masks[0])
    store.close()


@pytest.mark.parametrize(("max_tracks", "count"), [(1, 1), (3, 3), (4, 4), (1000, 4)])
def test_number_of_tracks(max_tracks, count):
    two = ((0.0, 1.0), (2.0, 0.0))
    tubes = run([frame(two, ((3.0, 0.0),) * 2, (1.0, 0.5))])
    tracks, store = tubes.finish(*SIZES, max_tracks, 0.0)
    assert len(tracks) == count
    store.close()


def test_tracks_below_the_least_score_are_left_out():
    two = ((0.0, 1.0), (2.0, 0.0))
    tubes = run([frame(two, ((3.0, 0.0),) * 2, (1.0, 0.5))])
    every, store = tubes.finish(*SIZES, 10, 0.0)
    store.close()
    bound = every[1].score
    some, store = tubes.finish(*SIZES, 10, bound)
    assert [(t.id, t.label) for t in some] == [(t.id, t.label) for t in every[:2]]
    store.close()


def test_top_labels_are_five_at_most():
    labels = tuple("abcdefg")
    tubes = run([frame((tuple(range(7)),))], labels=labels)
    tracks, store = tubes.finish(*SIZES, 1, 0.0)
    assert [name for name, _ in tracks[0].top_labels] == ["g", "f", "e", "d", "c"]
    store.close()


def test_masks_of_a_track_are_a_sequence():
    tracks, store = run([frame(), frame(objects=((-9.0, 0.0),)), frame()]).finish(*SIZES, 1, 0.0)
    masks = tracks[0].masks
    assert len(masks) == 3
    assert masks[-1] == masks[2] == masks[0]
    assert masks[1] is masks[-2] is None
    assert masks[0:3:2] == [masks[0], masks[2]]
    assert list(masks) == [masks[0], None, masks[2]]
    for index in (3, -4):
        with pytest.raises(IndexError):
            masks[index]
    assert decode(masks[0]).any(1).tolist() == [True] * 4 + [False] * 28
    store.close()


def test_a_stream_keeps_no_frames():
    tubes = run([frame()] * 5, keep_frames=False)
    assert tubes.scores().shape == (1, 2)


def test_a_relu_iou_may_score_above_one():
    """With scores above 1 a tube with a large object score can be silenced too."""
    settings = replace(SETTINGS, scores_bounded=False, mask_quality=False, silence=0.6)
    weak = frame(objects=((0.0, 0.0),), ious=(9.0,))
    strong = frame(objects=((9.0, 0.0),), ious=(9.0,))
    tubes = run([weak, strong], settings)
    assert tubes.scores().max() > 1
    tracks, store = tubes.finish(*SIZES, 1, 0.0)
    # sqrt(sigmoid(0.5) x 0.5) = 0.558 and sqrt(sigmoid(0.5) x 1) = 0.789 against 0.6 x 1.45 = 0.87.
    assert tracks[0].frames == []
    store.close()


def test_a_single_image_is_weighed_by_its_pixels():
    settings = replace(SETTINGS, mask_quality=False, image_results=3)
    masks = square(value=2.0)
    one = frame(masks=masks, ious=(1.0,))
    plain = run([one], replace(settings, image_results=None)).finish(*SIZES, 1, 0.0)[0][0].score
    pixels = torch.nn.functional.interpolate(masks[None], SIZES[2], mode="bilinear", align_corners=False)
    confidence = pixels[pixels > 0].sigmoid().mean().item()  # lower than that of the cells, all of which are 2
    (track,), _ = run([one], settings).finish(*SIZES, 1, 0.0)
    assert track.score == pytest.approx(plain * confidence, abs=1e-5) and confidence < 0.85
    (video,), _ = run([one, one], settings).finish(*SIZES, 1, 0.0)
    assert video.score == pytest.approx(plain, abs=1e-5)
