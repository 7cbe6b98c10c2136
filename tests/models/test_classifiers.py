from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from ovvis.models.classifiers import EmbeddingClassifier, MaskPooledClassifier, best_synonym
from ovvis.structures import Prediction, TextEmbeddings


def text(width, rows=(0, 1, 1, 2)):
    vectors = F.normalize(torch.randn(len(rows), width, generator=torch.Generator().manual_seed(3)), dim=-1)
    return TextEmbeddings(vectors, torch.tensor(rows), tuple("abc"[: max(rows) + 1]))


def prediction(channels, mask_logits, frames=1):
    g = torch.Generator().manual_seed(4)
    batch, queries = mask_logits.shape[:2]
    return Prediction(
        mask_logits=mask_logits,
        object_logits=torch.zeros(batch, queries, 2),
        mask_ious=None,
        embeddings=torch.zeros(batch, queries, 4),
        features=torch.randn(batch, frames, channels, 2, 3, generator=g),
    )


@pytest.mark.parametrize(
    ("rows", "logits", "expected"),
    [
        ((0, 1, 2), [[1.0, -2, 3]], [[1.0, -2, 3]]),
        ((0, 1, 1, 2), [[1.0, -2, -1, 3], [0, 5, 4, -9]], [[1.0, -1, 3], [0, 5, -9]]),
        ((0, 0, 0), [[-3.0, -1, -2]], [[-1.0]]),
    ],
)
def test_best_synonym(rows, logits, expected):
    vocabulary = text(4, rows)
    assert best_synonym(torch.tensor(logits), vocabulary).tolist() == expected


@pytest.mark.parametrize("model_name", ["tiny_model", "tiny_convnext"])
@torch.no_grad()
def test_logits_are_scaled_cosines_of_what_lies_under_the_mask(model_name, request):
    clip = request.getfixturevalue(model_name).clip
    masks = torch.randn(2, 5, 1, 16, 24, generator=torch.Generator().manual_seed(0)) + 0.4
    p, vocabulary = prediction(clip.channels[-1], masks), text(clip.width)
    classifier = MaskPooledClassifier(clip)
    logits = classifier(p, vocabulary)
    assert logits.shape == (2, 5, 3)
    small = F.interpolate(masks[:, :, 0], (2, 3), mode="bilinear", align_corners=False) > 0
    assert small.flatten(2).any(-1).all()
    pooled = classifier.pool(p.features[:, 0], small)
    cosine = F.cosine_similarity(pooled[:, :, None], vocabulary.vectors[None, None], dim=-1)
    wanted = clip.logit_scale * torch.stack([cosine[..., 0], cosine[..., 1:3].amax(-1), cosine[..., 3]], dim=-1)
    assert torch.allclose(logits, wanted, atol=1e-3)


@torch.no_grad()
def test_blind_queries_have_logit_zero_with_a_resnet(tiny_clip):
    masks = torch.ones(1, 3, 1, 16, 24)
    masks[:, 1] = -1  # no cell at all
    masks[:, 2] = -1
    masks[:, 2, 0, 0, 0] = 1  # a cell at stride 4 that is gone at stride 32
    p = prediction(512, masks)
    logits = MaskPooledClassifier(tiny_clip)(p, text(tiny_clip.width))
    assert logits.isfinite().all()
    assert logits[0, 0].all()
    assert not logits[0, 1:].any()


@torch.no_grad()
def test_the_nearest_cell_names_a_mask_that_covers_none(tiny_clip):
    masks = torch.ones(1, 4, 1, 16, 24)
    masks[:, 1:] = -1
    masks[0, 1, 0, 9, 17] = 1  # in cell 1, 2
    masks[0, 2, 0, 8:16, 16:24] = 1  # all of that cell
    p, vocabulary = prediction(512, masks), text(tiny_clip.width)
    logits = MaskPooledClassifier(tiny_clip, "nearest")(p, vocabulary)
    assert torch.equal(logits[0, :1], MaskPooledClassifier(tiny_clip)(p, vocabulary)[0, :1])
    assert torch.allclose(logits[0, 1], logits[0, 2], atol=1e-4)
    assert logits[0, 1].any()
    assert not logits[0, 3].any()


@torch.no_grad()
def test_blind_queries_of_a_convnext_are_named_by_its_empty_mean(tiny_convnext):
    clip = tiny_convnext.clip
    p = prediction(clip.channels[-1], -torch.ones(1, 2, 1, 16, 24))
    logits = MaskPooledClassifier(clip)(p, text(clip.width))
    assert logits.isfinite().all()
    zero = clip.visual.head(clip.visual.trunk.head(torch.zeros(1, clip.channels[-1], 1, 1)))
    cosine = F.cosine_similarity(zero, text(clip.width).vectors)
    wanted = clip.logit_scale * torch.stack([cosine[0], cosine[1:3].amax(), cosine[3]])
    assert torch.allclose(logits[0], wanted.expand(2, 3), atol=1e-3)


@torch.no_grad()
def test_needs_features_of_one_frame(tiny_clip):
    classifier, vocabulary = MaskPooledClassifier(tiny_clip), text(tiny_clip.width)
    one = prediction(512, torch.ones(1, 2, 1, 16, 24))
    bare = Prediction(one.mask_logits, one.object_logits, None, one.embeddings, None)
    for wrong in (bare, prediction(512, torch.ones(1, 2, 2, 16, 24), frames=2)):
        with pytest.raises(ValueError, match="one frame"):
            classifier(wrong, vocabulary)


def test_embeddings_are_compared_by_cosine():
    vocabulary = text(4, (0, 1, 1))
    embeddings = torch.randn(2, 3, 4)
    bare = prediction(4, torch.zeros(2, 3, 1, 8, 8))
    classifier = EmbeddingClassifier(50.0)
    with pytest.raises(ValueError, match="class head"):
        classifier(bare, vocabulary)
    logits = classifier(replace(bare, class_embeddings=embeddings), vocabulary)
    cosines = F.cosine_similarity(embeddings[:, :, None], vocabulary.vectors[None, None], dim=-1)
    assert torch.allclose(logits, 50 * torch.stack([cosines[..., 0], cosines[..., 1:].amax(-1)], -1), atol=1e-4)
