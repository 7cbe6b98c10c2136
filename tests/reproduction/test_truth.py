import numpy as np
import pytest
import torch

from fakes import fake_prediction
from ovvis.inference.seen import Seen
from ovvis.models.settings import VideoSettings
from ovvis.reproduction.truth import WindowTruth

# A frame of 16 x 32 pixels, in the network as large, on a grid of 4 x 8: object 1 is the left half, object 2 two
# columns of cells at the right, object 3 is nowhere.
OWNERS = np.zeros((1, 16, 32), dtype=np.uint8)
OWNERS[:, :, :16], OWNERS[:, :, 24:] = 1, 2
LABELS = (4, 0, 2)


def truth(owners=OWNERS):
    return WindowTruth(owners, LABELS, (16, 32), (16, 32))


def seen():
    """Five queries: nothing, object 2 and a column more, all, a half of object 1, object 1."""
    masks = -torch.ones(5, 4, 8)
    masks[1, :, 5:] = 1
    masks[2] = 1
    masks[3, :, :2] = 1
    masks[4, :, :4] = 1
    objects = torch.tensor([[0.0, 0.0], [4.0, 0.0], [-2.0, 0.0], [-1.0, 0.0], [3.0, 0.0]])
    p = fake_prediction(masks, torch.arange(25.0).view(5, 5), objects)
    return Seen(p, p.features[:, 0, :, 0], 100.0)


def test_shares_of_cells():
    shares = truth().shares
    assert shares.shape == (3, 1, 4, 8)
    assert shares[0, 0, 0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert shares[1, 0, 3].tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    assert not shares[2].any()
    odd = OWNERS.copy()
    odd[:, :, 15] = 0
    assert truth(odd).shares[0, 0, 0].tolist() == [1, 1, 1, 0.75, 0, 0, 0, 0]


def test_padding_holds_nothing():
    padded = WindowTruth(OWNERS, LABELS, (16, 32), (32, 32)).shares
    assert padded.shape == (3, 1, 8, 8)
    assert torch.equal(padded[:, :, :4], truth().shares) and not padded[:, :, 4:].any()


def test_overlaps():
    wanted = torch.tensor([[0, 0, 0], [0, 2 / 3, 0], [0.5, 0.25, 0], [0.5, 0, 0], [1, 0, 0]])
    assert torch.allclose(truth().overlaps(seen().masks), wanted)


def test_order_by_the_truth():
    # Object 1 is query 4, object 2 query 1; object 3 gets the query least sure of itself, 2; the others follow.
    assert truth().order(seen()).tolist() == [4, 1, 2, 0, 3]


def test_order_of_fewer_queries_than_objects():
    few = seen()
    p = fake_prediction(few.masks[[4, 1], 0], torch.zeros(2, 5))
    assert truth().order(Seen(p, p.features[:, 0, :, 0], 100.0)).tolist() == [0, 1]


@pytest.mark.parametrize(("score", "other"), [("softmax", 0.0), ("cosine", 0.0), ("sigmoid", -100.0)])
def test_names_by_the_truth(score, other):
    before = seen()
    after = truth().named(before, score)
    logits = after.logits
    for query, label in {2: 4, 3: 4, 4: 4, 1: 0}.items():  # overlap of half or more
        assert logits[query].tolist() == [100.0 if k == label else other for k in range(5)]
    assert after.classes(VideoSettings(class_score=score)).sort().values[2, :4].tolist() == pytest.approx([0] * 4)
    assert torch.equal(logits[0], before.logits[0])
    assert before.logits[1].tolist() == [5, 6, 7, 8, 9]  # unchanged


def test_masks_by_the_truth():
    known = truth().masked(seen().prediction)
    assert torch.equal(known.mask_logits[0] > 0, truth().shares > 0.5)
    assert known.object_logits[0].softmax(-1)[:, 0].tolist() == pytest.approx([1, 1, 0], abs=1e-6)
    assert known.mask_ious.tolist() == [[1, 1, 1]]
    assert known.embeddings.shape == (1, 3, 5)
