from dataclasses import replace

import pytest
import torch

from fakes import build_tiny_fc_clip
from ovvis.errors import InputError
from ovvis.models.fc_clip import trained_words
from ovvis.models.geometric_ensemble import combine
from ovvis.structures import TextEmbeddings


def released(inner, outer, share):
    """Return the same from probabilities, as the released code has them."""
    mean = inner[..., :-1].softmax(-1) ** (1 - share) * outer.softmax(-1) ** share
    void = inner.softmax(-1)[..., -1:]
    return torch.cat([mean.log().softmax(-1) * (1 - void), void], -1)


def test_labels_share_what_the_void_leaves():
    draw = torch.Generator().manual_seed(0)
    inner, outer = torch.randn(5, 8, generator=draw) * 4, torch.randn(5, 7, generator=draw) * 4
    share = torch.tensor([0.4, 0.8, 0.8, 0.4, 0.8, 0.8, 0.8])
    found = combine(inner, outer, share).exp()
    torch.testing.assert_close(found, released(inner, outer, share), atol=1e-6, rtol=1e-4)
    assert found.sum(-1).tolist() == pytest.approx([1] * 5, abs=1e-5)
    # With an exponent of 0 CLIP says nothing.
    torch.testing.assert_close(combine(inner, outer, torch.tensor(0.0)).exp(), inner.softmax(-1), atol=1e-6, rtol=1e-4)


def test_what_one_head_rules_out_stays_a_number():
    """The released code makes NaN of a probability that underflows, and ranks it first."""
    found = combine(torch.tensor([500.0, -500, 0]), torch.tensor([-500.0, 500]), torch.tensor([0.4, 0.8]))
    assert found.isfinite().all()


@pytest.mark.parametrize(
    ("synonyms", "exponents"),
    [
        ((("dog", "hound"), ("kettle",), ("Cat",)), [0.4, 0.8, 0.8]),  # letter for letter
        ((("hound", "puppy"), ("kettle", "cat"), ("cats",)), [0.4, 0.4, 0.4]),
        ((), [0.4, 0.8, 0.4]),  # the labels themselves
    ],
)
def test_a_label_was_trained_if_one_of_its_words_was(synonyms, exponents):
    classifier = build_tiny_fc_clip().classifier
    text = TextEmbeddings(torch.zeros(3, 4), torch.arange(3), ("dog", "kettle", "cat"), synonyms)
    assert classifier.exponents(text, torch.device("cpu")).tolist() == pytest.approx(exponents)
    other = TextEmbeddings(torch.zeros(1, 4), torch.arange(1), ("hot kettle",))
    assert classifier.exponents(other, torch.device("cpu")).tolist() == pytest.approx([0.8])
    assert classifier.exponents(text, torch.device("cpu")).tolist() == pytest.approx(exponents)


def test_the_words_of_coco():
    words = trained_words("coco_panoptic")
    assert {"person", "hot dog", "kitty", "sofa", "rug"} <= words
    assert "invalid_class_id" not in words and "" not in words
    with pytest.raises(InputError, match="coco_panoptic"):
        trained_words("coco_panoptc")
    with pytest.raises(InputError):
        trained_words("../../../etc/passwd")


@torch.no_grad()
def test_a_mask_without_a_cell_leaves_a_resnets_clip_out():
    model = build_tiny_fc_clip()
    prediction = model(torch.randn(1, 1, 3, 64, 96, generator=torch.Generator().manual_seed(0)))
    empty = replace(prediction, mask_logits=-prediction.mask_logits.abs())
    vectors = torch.nn.functional.normalize(torch.randn(2, model.clip.width), dim=-1)
    text = TextEmbeddings(vectors, torch.arange(2), ("dog", "kettle"))
    inner = model.classifier.inner(prediction.class_embeddings, text)
    torch.testing.assert_close(model.classifier(empty, text).exp(), inner.softmax(-1), atol=1e-6, rtol=1e-4)


def test_the_scale_is_the_weights_or_the_first():
    vectors = torch.nn.functional.normalize(torch.randn(2, build_tiny_fc_clip().clip.width), dim=-1)
    text = TextEmbeddings(vectors, torch.arange(2), ("dog", "kettle"))
    for loaded, factor in ((True, 100.0), (False, 1 / 0.07)):
        classifier = build_tiny_fc_clip(loaded_scale=loaded).classifier
        classifier.scale.data.fill_(9.0)  # exp(9) is far above the most that is allowed, 100
        assert classifier.inner(3 * vectors[:1], text)[0, 0].item() == pytest.approx(factor, rel=1e-5)
