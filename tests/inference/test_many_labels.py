"""With many labels frames keep less, and everything that is found stays the same."""

import numpy as np
import pytest

from fakes import build_tiny
from ovvis.inference import look
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.recording import KeptClasses, KeptVectors, Recording
from ovvis.models.settings import VideoSettings

LABELS = [f"thing {k}" for k in range(2)]


def found(monkeypatch, wide):
    """Return a video's tracks, and the kinds of record that its frames had."""
    monkeypatch.setattr(look, "WIDE", wide)
    kinds, add = set(), Recording.add

    def watched(self, seen):
        add(self, seen)
        kinds.update(type(kept) for record in self for kept in record.classes.values())

    monkeypatch.setattr(Recording, "add", watched)
    frames = np.random.default_rng(0).integers(0, 256, (5, 64, 96, 3), dtype=np.uint8)
    settings = VideoSettings(silence=1.0)
    segmenter = VideoSegmenter(build_tiny(), LABELS, prompts=["a {}"], cache=False, settings=settings)
    with segmenter(list(frames)) as result:
        tracks = [(t.id, t.label, t.score, list(t.masks)) for t in result.tracks]
    monkeypatch.undo()
    return tracks, kinds


def test_the_same_tracks(monkeypatch):
    few, rows = found(monkeypatch, wide=4096)
    many, vectors = found(monkeypatch, wide=1)
    assert (rows, vectors) == ({KeptClasses}, {KeptVectors})
    assert [t[:2] for t in few] == [t[:2] for t in many]
    assert [t[2] for t in few] == pytest.approx([t[2] for t in many], abs=1e-6)
    assert [t[3] for t in few] == [t[3] for t in many]
