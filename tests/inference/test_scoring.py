import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ovvis.inference.scoring import (
    class_scores,
    needs_classes,
    object_logits,
    silenced,
    sparse_classes,
    tube_scores,
    undecided,
    window_scores,
)
from ovvis.inference.seen import Seen
from ovvis.models.settings import VideoSettings

RELEASED = VideoSettings()
PAPER = replace(RELEASED, weighting="paper")


def test_class_scores():
    logits = torch.tensor([[0.0, 0.0], [100.0, 0.0], [-50.0, 25.0]])
    assert torch.allclose(class_scores(logits, "softmax", 100), torch.tensor([[0.5, 0.5], [1, 0], [0, 1]]))
    assert torch.allclose(class_scores(logits, "cosine", 100), torch.tensor([[0, 0], [1, 0], [0, 0.25]]))


def test_none_of_these_takes_its_share():
    # e^0 : e^ln 3 : e^ln 4 = 1 : 3 : 4; the last is none of these, and is not given back.
    logits = torch.tensor([[1.0, 3.0], [1.0, 1.0]]).log()
    got = class_scores(logits, "softmax", 100, none_logit=math.log(4))
    assert torch.allclose(got, torch.tensor([[1 / 8, 3 / 8], [1 / 6, 1 / 6]]))
    one_word = torch.tensor([[math.log(4)], [math.log(4) - 20]])
    assert class_scores(one_word, "softmax", 100).tolist() == [[1], [1]]
    assert class_scores(one_word, "softmax", 100, math.log(4))[:, 0].tolist() == pytest.approx([0.5, math.exp(-20)])
    assert torch.equal(class_scores(logits, "cosine", 100, 5.0), class_scores(logits, "cosine", 100))


@pytest.mark.parametrize(
    ("settings", "ious", "expected"),
    [
        (RELEASED, [0.25], (0.36 * 0.25) ** 0.5),
        (RELEASED, None, 0.6),
        (replace(RELEASED, use_iou=False), [0.25], 0.6),
        (PAPER, [0.25], 0.09),
        (replace(PAPER, use_iou=False), [0.25], 0.36),
    ],
)
def test_window_scores(settings, ious, expected):
    got = window_scores(torch.tensor([[0.36]]), None if ious is None else torch.tensor(ious), settings)
    assert got.item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (RELEASED, (0.64 * 0.75) ** 0.5),
        (replace(RELEASED, use_object=False), 0.8),
        (PAPER, 0.48),
        (replace(PAPER, use_object=False), 0.64),
    ],
)
def test_tube_scores(settings, expected):
    logits = torch.tensor([[3.0, 1.0]]).log()  # softmax: 0.75, 0.25
    assert tube_scores(torch.tensor([[0.64]]), logits, settings).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("object_score", "hidden"),
    # A class score of 0 has sigmoid 0.5; the score is 0.8, so the bound is sqrt(0.5 x object) < 0.08.
    [(0.0, True), (0.0127, True), (0.0129, False), (1.0, False)],
)
def test_silenced(object_score, hidden):
    args = torch.tensor([0.0]), torch.tensor([object_score]), torch.tensor([0.8])
    assert silenced(*args, 0.1).item() is hidden


@given(st.floats(0, 1, width=32), st.floats(0, 1, width=32), st.floats(0, 1, width=32), st.floats(0.01, 0.9))
def test_whom_the_class_cannot_silence(classes, objects, score, share):
    one = [torch.tensor([x]) for x in (classes, objects, score)]
    if silenced(*one, share):
        assert needs_classes(one[1], share)


@given(st.floats(0, 1, width=32))
def test_what_is_dropped_changes_no_sigmoid(score):
    score = torch.tensor([score])
    assert torch.equal(sparse_classes(score).sigmoid(), score.sigmoid())


def test_only_tiny_scores_are_dropped():
    assert sparse_classes(torch.tensor([1e-9, 1e-6, 0.5])).tolist() == pytest.approx([0, 1e-6, 0.5])


def test_a_sigmoid_for_each_label():
    logits = torch.tensor([[0.0, 100.0], [-100.0, math.log(3)]])
    assert torch.allclose(class_scores(logits, "sigmoid"), torch.tensor([[0.5, 1], [0, 0.75]]))


def test_a_cosine_is_one_windows_own():
    with pytest.raises(ValueError, match="average"):
        VideoSettings(class_score="cosine", average="logits")
    with pytest.raises(ValueError, match="factor"):
        class_scores(torch.zeros(1, 1), "cosine")


# sigmoid(logit) x object >= 0.01 is sure at a share of 0.1: at object 1 and 0.02, logits of -4.6 and 0.
LOGITS = torch.tensor([[-4.0, -5.0, 9.0], [3.0, 0.5, 1.0], [0.1, -0.1, -9.0], [9.0, 9.0, 9.0]])


def test_what_is_kept_of_logits():
    queries, rows = undecided(LOGITS, torch.tensor([1.0, 1.0, 0.02, 0.009]), 0.1, "sigmoid")
    assert queries.tolist() == [0, 2, 3]
    inf = math.inf
    assert torch.equal(rows, torch.tensor([[inf, -5, inf], [inf, -0.1, -9], [9.0, 9.0, 9.0]]))


@given(st.floats(-60, 60, width=32), st.floats(0, 1, width=32), st.floats(0, 1, width=32), st.floats(0.01, 0.9))
def test_what_is_not_kept_changes_no_answer(logit, objects, score, share):
    logits, objects, score = (torch.tensor([x]) for x in (logit, objects, score))
    queries, rows = undecided(logits[None], objects, share, "sigmoid")
    kept = rows[0] if len(queries) else torch.tensor([math.inf])
    assert silenced(kept, objects, score, share) == silenced(logits, objects, score, share)


def test_what_is_kept_of_scores():
    scores = torch.tensor([[1e-9, 0.5], [0.25, 0.75]])
    queries, rows = undecided(scores, torch.tensor([0.019, 0.021]), 0.1, "softmax")
    assert queries.tolist() == [0] and rows.tolist() == [[0.0, 0.5]]
    # Scores without an upper bound: nothing is sure.
    assert undecided(scores, torch.ones(2), math.inf, "softmax")[0].tolist() == [0, 1]


def test_names_of_a_window_overlap_as_their_scores_do():
    """Of unit length; the product of two is the Bhattacharyya coefficient, "none of these" counted."""
    logits = torch.tensor([[[2.0, 0.0], [0.0, 2.0], [0.0, 0.0]]])
    seen = Seen(SimpleNamespace(object_logits=torch.zeros(1, 3, 2)), logits, 1.0)
    names = seen.names(VideoSettings(none_logit=1.0))
    assert names.shape == (3, 3)
    shares = torch.cat([logits[0], torch.ones(3, 1)], 1).softmax(-1)
    torch.testing.assert_close(names @ names.T, (shares[:, None] * shares[None]).sqrt().sum(-1))


def test_a_learnt_none_takes_its_share_and_stands_for_no_object():
    logits = torch.tensor([[1.0, 2, 3], [0, 0, 9]])
    assert torch.allclose(class_scores(logits, "void"), logits.softmax(-1)[:, :2])
    objects = object_logits(logits).softmax(-1)
    assert torch.allclose(objects[:, 0], logits.softmax(-1)[:, :2].sum(-1))
