import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes import fake_prediction
from ovvis.inference import recording as recording_module
from ovvis.inference.final_masks import rle_from_logits
from ovvis.inference.recording import Again, KeptClasses, KeptVectors, Recording
from ovvis.inference.seen import Seen
from ovvis.inference.tubes import Tubes
from ovvis.models.classifiers import EmbeddingClassifier
from ovvis.models.settings import VideoSettings
from ovvis.structures import TextEmbeddings

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


def wide(classifier, text):
    """Return the same windows, named by vectors; as `Look` makes them of many labels, and as of few."""
    g = torch.Generator().manual_seed(3)
    of_vectors, of_rows = [], []
    for seen, order in windows(4, 30):
        vectors = torch.randn(Q, text.vectors.shape[1], generator=g)
        vectors[0] = 0  # a mask that covers no cell
        logits = classifier.compared(vectors, text)[None]
        of_vectors.append((Seen(seen.prediction, logits, 100.0, vectors), order))
        of_rows.append((Seen(seen.prediction, logits, 100.0), order))
    return of_vectors, of_rows


@pytest.mark.parametrize("synonyms", [1, 2])
@pytest.mark.parametrize(
    "settings",
    [
        replace(BASE, silence=0.6),
        replace(BASE, silence=0.9, none_logit=1.0),
        replace(BASE, silence=0.9, class_score="sigmoid", scores_bounded=True),
        replace(BASE, silence=0.9, class_score="cosine", weighting="paper"),
    ],
)
def test_what_scores_are_made_of_silences_the_same_frames(settings, synonyms):
    """Of many labels a frame keeps vectors in place of scores; nothing that is shown may depend on it."""
    g = torch.Generator().manual_seed(5)
    vectors = torch.nn.functional.normalize(torch.randn(K * synonyms, 5, generator=g), dim=-1)
    text = TextEmbeddings(vectors, torch.arange(K).repeat_interleave(synonyms), tuple("abcdefg"))
    classifier = EmbeddingClassifier(6.0)
    found, kinds = [], []
    for video in wide(classifier, text):
        recording = Recording([settings], again=Again(classifier, text))
        for seen, _ in video:
            recording.add(seen)
        kinds.append({type(kept) for record in recording for kept in record.classes.values()})
        found.append(tracks(recording, video, settings))
        recording.close()
    assert kinds == [{KeptClasses if settings.class_score == "cosine" else KeptVectors}, {KeptClasses}]
    assert found[0] == found[1]
    loud = Recording([replace(settings, silence=None)])
    for seen, _ in video:
        loud.add(seen)
    hidden = tracks(loud, video, replace(settings, silence=None))
    assert [facts[4] for facts in hidden] != [facts[4] for facts in found[0]], "some frames are silenced"


def test_a_frame_of_many_labels_keeps_no_score_of_each():
    classifier = EmbeddingClassifier(6.0)
    sizes = []
    for count in (10_000, 20_000):
        text = TextEmbeddings(torch.randn(count, 5), torch.arange(count), tuple(map(str, range(count))))
        recording = Recording([BASE], again=Again(classifier, text))
        seen, _ = windows(4)[0]
        vectors = torch.randn(Q, 5)
        recording.add(Seen(seen.prediction, classifier.compared(vectors, text)[None], 100.0, vectors))
        sizes.append(recording._spill._starts[-1])
        recording.close()
    assert sizes[0] == sizes[1] < 4000
