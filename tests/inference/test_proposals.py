"""A segmenter as a detector: its trackers of detections, beside those of queries."""

from dataclasses import asdict

import numpy as np
import pytest

from fakes import build_tiny_ovformer
from ovvis.errors import InputError
from ovvis.inference.live import Live
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.proposals import Detecting, detected_in
from ovvis.models.settings import Following, with_tracker
from ovvis.sources.video import open_source

FRAMES = list(np.random.default_rng(0).integers(0, 255, (6, 48, 64, 3), dtype=np.uint8))
OPTIONS = {"prompts": ["a {}"], "cache": False, "short_edge": 48}


def segmenter(model, tracker, **options):
    return VideoSegmenter(model, ["dog", "cat"], settings=with_tracker(model.video, tracker), **OPTIONS, **options)


@pytest.mark.parametrize("tracker", ["sort", "overlap", "propagate"])
def test_results_like_any_other(tiny_model, tracker):
    with segmenter(tiny_model, tracker, max_tracks=7)(FRAMES) as result:
        assert 0 < len(result) <= 7 and result.frame_indices == list(range(6))
        scores = [track.score for track in result]
        assert scores == sorted(scores, reverse=True) and min(scores) >= 0 and max(scores) <= 1
        assert result.settings["tracks"]["followed"] == tracker
        assert all(mask is None or tuple(mask["size"]) == (48, 64) for track in result for mask in track.masks)
        assert "network" in result.seconds
    with segmenter(tiny_model, tracker, min_score=0.99)(FRAMES) as result:
        assert len(result) == 0


def test_how_things_are_followed(tiny_model):
    """Patience, overlap and the least number of frames reach the tracker, and the result says what they were."""
    with segmenter(tiny_model, "overlap", max_tracks=1000)(FRAMES) as result:
        usual = {track.id for track in result}
        assert result.settings["following"]["patience"] == 30
    strict = Following(least=1.0, min_frames=2)
    with segmenter(tiny_model, "overlap", max_tracks=1000, following=strict)(FRAMES) as result:
        assert len({track.id for track in result}) < len(usual)  # no two masks are the same
        assert result.settings["following"] == asdict(strict)
    with segmenter(tiny_model, "adjacent", following=strict)(FRAMES) as result:
        assert "following" not in result.settings


def test_of_one_frame_it_finds_what_the_queries_are(tiny_model):
    """With one frame nothing is followed: the same masks, names and scores, but for twins and what scores low."""
    queries = {(t.score, t.label) for t in segmenter(tiny_model, "adjacent", max_tracks=50)(FRAMES[:1])}
    found = [(t.score, t.label) for t in segmenter(tiny_model, "sort", max_tracks=50)(FRAMES[:1])]
    assert found
    for score, label in found:
        assert any(label == other and score == pytest.approx(near, abs=1e-4) for near, other in queries)


def test_windows_of_several_frames():
    model = build_tiny_ovformer()
    with segmenter(model, "sort")(FRAMES) as result:
        assert len(result.frame_indices) == 6 and len(result) > 0


def test_a_region_of_the_picture(tiny_model):
    with segmenter(tiny_model, "overlap")(FRAMES, roi=(16, 8, 32, 32)) as result:
        boxes = [track.box(i) for track in result for i in track.frames]
        assert boxes and all(x >= 16 and y >= 8 and right <= 48 and bottom <= 40 for x, y, right, bottom in boxes)


def test_which_queries_are_things(tiny_model):
    made = segmenter(tiny_model, "adjacent")
    look = made.look(open_source(FRAMES[:1]))
    window, seen = next(iter(look))

    def found(**how):
        return detected_in(window, seen, look.padded, made.settings, Detecting(**how))[0]

    every = found(least=0.0, twins=1.0)
    best = np.sqrt(every.names.max(1) * every.scores)
    assert (np.diff(best) <= 1e-6).all()  # the best first
    least = float(np.sort(every.scores)[-2]) - 1e-6
    assert len(found(least=least, twins=1.0)) == 2
    assert len(found(least=0.0, twins=1.0, most=3)) == 3
    assert len(found(least=0.0, twins=0.0)) <= len(every)
    assert every.embeddings.shape == (len(every), 32) and every.quality.max() <= 1
    assert found(quality=False).quality is None


@pytest.mark.parametrize("tracker", ["sort", "overlap", "propagate"])
def test_streams_are_refused(tiny_model, tracker):
    made = segmenter(tiny_model, tracker)
    with pytest.raises(InputError, match="so it has no stream"):
        made.stream(FRAMES)
    with pytest.raises(InputError, match="no end to wait for"):
        Live(made, FRAMES)
