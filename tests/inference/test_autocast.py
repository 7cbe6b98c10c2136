"""What a segmenter finds is the same whatever autocast it is called in."""

import numpy as np
import pytest
import torch

from fakes import build_tiny, build_tiny_ovformer
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models.text import text_cache

MODELS = {
    "clip-vis": build_tiny,
    "ovformer": lambda: build_tiny_ovformer(window=1),
    "ov2seg": lambda: build_tiny_ovformer(window=1, alignment="none"),
}


def frames():
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 256, (8, 12, 3), np.uint8), np.ones((8, 8, 1), np.uint8)) for _ in range(3)]


def found(segmenter):
    with segmenter(frames()) as result:
        return [(track.id, track.label, track.score, list(track.masks)) for track in result.tracks]


def shown(segmenter):
    return [[(i.id, i.label, i.score, i.mask) for i in frame.instances] for frame in segmenter.stream(frames())]


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", MODELS)
def test_an_autocast_around_a_segmenter_does_not_reach_it(family, kind):
    model, words = MODELS[family](), ["dog", "cat"]
    segmenter = VideoSegmenter(model, words, short_edge=64, cache=False)
    tracks, stream = found(segmenter), shown(segmenter)
    assert tracks and stream[0]
    with torch.autocast("cpu", dtype=kind):
        segmenter = VideoSegmenter(model, words, short_edge=64, cache=True)
        assert found(segmenter) == tracks
        assert shown(segmenter) == stream
        for _ in segmenter.stream(frames()):
            assert torch.is_autocast_enabled("cpu")  # the caller's own code keeps it
            break
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == kind
    # Nor the text embeddings that later runs find on the disk.
    assert text_cache().is_file()
    assert torch.equal(VideoSegmenter(model, words, cache=True).text.vectors, segmenter.text.vectors)
    assert torch.equal(VideoSegmenter(model, words, cache=False).text.vectors, segmenter.text.vectors)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", MODELS)
def test_a_forward_under_an_autocast_of_its_own(family, kind):
    """As a validation in training has it: the network in less, all that follows in float32."""
    model = MODELS[family]()
    segmenter = VideoSegmenter(model, ["dog", "cat"], short_edge=64, cache=False)
    exact = found(segmenter)
    forward = model.forward
    model.forward = lambda *args, **kwargs: torch.autocast("cpu", dtype=kind)(forward)(*args, **kwargs)
    rough = found(segmenter)
    assert rough != exact
    assert max(track[2] for track in rough) == pytest.approx(max(track[2] for track in exact), rel=0.2)
