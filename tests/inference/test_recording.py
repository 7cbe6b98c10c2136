import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes import fake_prediction
from ovvis.inference import recording as recording_module
from ovvis.inference.final_masks import rle_from_logits
from ovvis.inference.look import Seen
from ovvis.inference.recording import KeptClasses, Recording
from ovvis.inference.tubes import Tubes
from ovvis.models.settings import VideoSettings

BASE = VideoSettings(memory=1, matched=1)
CHOICES = [
    BASE,
    replace(BASE, silence=None),
    replace(BASE, silence=0.6, scores_bounded=False),
    replace(BASE, class_score="cosine", weighting="paper", use_iou=False),
    replace(BASE, none_logit=1.0, use_object=False, mask_quality=False),
]
SIZES = (32, 64), (32, 64), (20, 40)
Q, K = 6, 7


def windows(seed, count=5):
    g = torch.Generator().manual_seed(seed)
    seen = []
    for _ in range(count):
        masks = torch.nn.functional.interpolate(torch.randn(1, Q, 3, 4, generator=g), (8, 16), mode="bicubic")[0]
        objects = torch.stack([torch.randn(Q, generator=g) * 7 - 3, torch.zeros(Q)], -1)
        p = fake_prediction(masks, torch.randn(Q, K, generator=g) * 3, objects, torch.rand(Q, generator=g))
        seen.append((Seen(p, p.features[:, 0, :, 0], 100.0), torch.randperm(Q, generator=g)))
    return seen


def tracks(recording, video, settings, order=True):
    tubes = Tubes(tuple("abcdefg"), settings, recording)
    for seen, permuted in video:
        tubes.add(seen, permuted if order else torch.arange(Q))
    found, store = tubes.finish(*SIZES, 12, 0.0)
    facts = [(t.id, t.label, t.score, t.top_labels, list(t.masks)) for t in found]
    store.close()
    return facts


@pytest.mark.parametrize("remember", [False, True])
@pytest.mark.parametrize("limit", [1, 2**20])
def test_tubes_that_share_a_recording_find_what_each_finds_alone(remember, limit):
    video = windows(1)
    shared = Recording(CHOICES, limit, remember=remember)
    for seen, _ in video:
        shared.add(seen)
    different = []
    for settings in CHOICES:
        for order in (True, False):
            alone = Recording([settings])
            for seen, _ in windows(1):
                alone.add(seen)
            wanted = tracks(alone, windows(1), settings, order)
            assert tracks(shared, video, settings, order) == wanted
            different.append(str(wanted))
            alone.close()
    assert len(set(different)) == len(different)
    shared.close()


def test_a_remembered_mask_is_made_once(monkeypatch):
    made = []
    monkeypatch.setattr(recording_module, "rle_from_logits", lambda *args: made.append(1) or rle_from_logits(*args))
    recording = Recording(CHOICES, remember=True)
    for seen, _ in windows(2):
        recording.add(seen)
    tracks(recording, windows(2), BASE)
    once = len(made)
    tracks(recording, windows(2), BASE)
    assert 0 < once == len(made) <= 5 * Q
    recording.close()


def test_classes_that_are_kept_and_those_that_are_not():
    rows = np.array([[0.25, 0.5], [0.75, 0.125]], np.float32)
    kept = KeptClasses(np.array([1, 4]), zlib.compress(rows.tobytes()))
    asked = np.array([4, 0, 1, 5, 1]), np.array([1, 0, 0, 1, 1])
    assert kept.of(*asked, 2).tolist() == [0.125, np.inf, 0.25, np.inf, 0.5]
    none = KeptClasses(np.array([], np.int64), zlib.compress(b""))
    assert none.of(*asked, 2).tolist() == [np.inf] * 5
