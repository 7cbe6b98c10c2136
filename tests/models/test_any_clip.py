"""Any CLIP of open_clip's, as a whole."""

import numpy as np
import open_clip
import pytest
import torch

import ovvis
from conftest import TINY_CLIPS
from ovvis.errors import InputError, ResourceError
from ovvis.inference.crops import CropNamer
from ovvis.models.any_clip import OpenClip, load_clip
from ovvis.models.text import embed_vocabulary
from ovvis.vocabulary import Vocabulary


@pytest.fixture
def other(monkeypatch):
    """A CLIP whose text tower is a module of its own, as SigLIP's and others' are."""
    config = TINY_CLIPS["tiny-resnet"] | {"custom_text": True}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-other", config)
    return "tiny-other"


@pytest.mark.parametrize("name", ["tiny-resnet", "tiny-other"])
def test_it_is_what_open_clip_computes(name, other):
    model = open_clip.create_model(name, load_weights=False).eval()
    tokenizer = open_clip.get_tokenizer(name)
    clip = OpenClip(name, model, tokenizer, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))
    assert (clip.width, clip.image_side) == (24, 64)
    texts = ["a photo of a dog.", "a cat"]
    with torch.no_grad():
        assert torch.equal(clip.embed_texts(texts, batch=1)[1], model.encode_text(tokenizer(texts[1:]))[0])
        views = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
        wanted = model.encode_image((views / 255 - mean) / std)
    assert torch.allclose(clip.embed_images(views), wanted, atol=1e-5)
    text = embed_vocabulary(clip, Vocabulary(["dog", ("cat", "kitten")]), ["a {}"])
    assert text.vectors.shape == (3, 24) and text.labels == ("dog", "cat")
    with pytest.raises(InputError, match="it fills all 77 text tokens"):
        embed_vocabulary(clip, Vocabulary(["dog " * 90]), ["a {}"])
    assert clip.text_fingerprint() != OpenClip("x", model, tokenizer, (0,) * 3, (1,) * 3).text_fingerprint()


def test_the_packaged_one():
    clip = load_clip("clip-vis-stickers")
    assert (
        clip.embed_images(torch.zeros(1, 3, clip.image_side, clip.image_side, dtype=torch.uint8)).shape[1] == clip.width
    )


def test_detections_named_by_it():
    frames = [np.full((40, 60, 3), 90, np.uint8)] * 2
    boxes = {"boxes": [[5, 5, 20, 30]], "scores": [0.81], "labels": ["thing"]}
    with ovvis.track(
        [boxes] * 2, frames, labels=["dog", "cat"], clip="clip-vis-stickers", tracker="longterm"
    ) as result:
        (track,) = result
        assert track.label in ("dog", "cat") and track.frames == [0, 1] and len(track.top_labels) == 2
        first, second = (score for _, score in track.top_labels)
        assert first**2 / 0.81 + second**2 / 0.81 == pytest.approx(1, abs=1e-5)  # shares of a softmax
        assert result.settings["named_by"]["clip"] == "clip-vis-stickers"
    with ovvis.track([boxes] * 2, frames, clip="clip-vis-stickers", tracker="adjacent") as result:
        assert [track.label for track in result] == ["thing"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ViT-B-32", "give its weights too, as in ViT-B-32/"),
        ("ViT-B-32/opnai", "did you mean openai"),
        ("VIT-X", "open_clip has no such architecture"),
    ],
)
def test_names_that_are_none(name, said):
    with pytest.raises(InputError, match=said):
        load_clip(name)


def test_weights_that_cannot_be_had(monkeypatch):
    monkeypatch.setenv("OVVIS_OFFLINE", "1")
    with pytest.raises(ResourceError, match="mirror"):
        load_clip("ViT-B-32/openai")
    assert isinstance(CropNamer(None).describe(), dict)
