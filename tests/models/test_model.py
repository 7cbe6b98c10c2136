import numpy as np
import pytest
import torch

import ovvis
from fakes import build_tiny

FRAMES = [np.random.default_rng(i).integers(0, 255, (64, 96, 3), dtype=np.uint8) for i in range(3)]

PAPER = {
    "iou_activation": "relu",
    "pooling": "mean",
    "class_score": "cosine",
    "weighting": "paper",
    "recency_weighted": False,
}


def scores(model):
    segmenter = ovvis.VideoSegmenter(model, ["dog", "cat", "red kettle"], short_edge=0, max_tracks=18)
    with segmenter(FRAMES) as result:
        return {(track.id, track.label): track.score for track in result.tracks}


@pytest.mark.parametrize("clip", ["tiny-resnet", "tiny-convnext"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.1), (torch.float16, 0.02)])
def test_for_inference_keeps_the_scores(clip, dtype, tolerance):
    wanted = scores(build_tiny(clip))
    model = build_tiny(clip).for_inference(torch.device("cpu"), dtype)
    assert model.dtype == dtype
    assert model.clip.model.token_embedding.weight.dtype == torch.float32  # words are embedded once for all precisions
    got = scores(model)
    assert got.keys() == wanted.keys()
    assert max(abs(got[key] - wanted[key]) for key in wanted) < tolerance


@pytest.mark.parametrize("option", [*PAPER, "all"])
def test_the_papers_formulas_change_the_outcome(option):
    """Each option runs to the end and makes a difference."""
    changes = PAPER if option == "all" else {option: PAPER[option]}
    released, paper = build_tiny(), build_tiny(**changes)
    if option == "recency_weighted":  # differs from the release only where several windows vote
        assert paper.video.recency_weighted is False
        return
    paper.load_state_dict(released.state_dict())
    got, wanted = scores(paper), scores(released)
    assert all(0 <= score < 10 for score in got.values())
    assert max(abs(got[key] - wanted[key]) for key in wanted if key in got) > 1e-4


@pytest.mark.parametrize(
    "setting", [{"silence": -3.0}, {"silence": 1.1}, {"birth": 0.0}, {"birth": 2.5}, {"names": 1.0}]
)
def test_a_setting_out_of_range_is_refused(setting):
    (name, value), *_ = setting.items()
    with pytest.raises(ValueError, match=f"{name} {value}: a (share|cosine distance)"):
        build_tiny(**setting)


def test_an_overflow_is_named(monkeypatch):
    model = build_tiny()
    with torch.no_grad():
        model.network.query_decoder.query_features.fill_(float("inf"))
    with pytest.raises(ovvis.InputError, match="overflows in float32"):
        scores(model)


def test_clip_has_no_gradient():
    model = build_tiny().train()
    assert not model.clip.training and model.network.training
    prediction = model(torch.randn(1, 1, 3, 64, 96))
    prediction.mask_logits.sum().backward()
    assert all(p.grad is None for p in model.clip.parameters())
    assert model.network.query_decoder.query_features.grad is not None
