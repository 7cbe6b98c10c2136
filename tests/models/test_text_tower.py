"""Texts that share their beginnings have the embeddings that each has by itself."""

import open_clip
import pytest
import torch
import torch.nn.functional as F

from ovvis.models import clip as clips
from ovvis.models.clip import FrozenClip
from ovvis.models.layers.linear import replace_linears
from ovvis.models.text_tower import beginnings, can_share, encode_shared
from ovvis.vocabulary import VILD_PROMPTS

WORDS = ["dog", "traffic light", "", "a photo of a", "犬", "dog dog", " ".join(["very"] * 60), "dog"]
TEXTS = [prompt.replace("{}", word) for word in WORDS for prompt in VILD_PROMPTS]


@pytest.fixture(params=["tiny_model", "tiny_convnext"])
def clip(request):
    return request.getfixturevalue(request.param).clip


@pytest.mark.parametrize("faster", [False, True])
@torch.no_grad()
def test_equal_to_the_whole_tower(clip, faster):
    """Padded to 77 tokens, each text by itself: open_clip's own way, in double precision as in float32."""
    model = clip.model
    if faster:
        replace_linears(model.transformer)
    tokens = open_clip.get_tokenizer(clip.name)(TEXTS)
    assert can_share(model) and tokens.shape[1] == 77
    wanted = F.normalize(model.encode_text(tokens), dim=-1)
    assert (F.normalize(clip.embed_texts(TEXTS), dim=-1) - wanted).abs().max() < 1e-6
    assert (F.normalize(encode_shared(model, tokens), dim=-1) - wanted).abs().max() < 1e-6


@torch.no_grad()
def test_a_real_tower_to_1e_6():
    """OpenAI's R50 as it is, twelve layers wide, with random weights."""
    torch.manual_seed(0)
    clip = FrozenClip("RN50", quick_gelu=True)
    texts = TEXTS[:42]
    wanted = F.normalize(clip.model.encode_text(open_clip.get_tokenizer("RN50")(texts)), dim=-1)
    got = F.normalize(clip.embed_texts(texts), dim=-1)
    assert (got - wanted).abs().max() < 1e-6


def test_beginnings_are_numbered_once():
    tokens = open_clip.get_tokenizer("RN50")(TEXTS)
    lengths = tokens.argmax(-1) + 1
    place, kinds, depth = beginnings(tokens, lengths)
    known = {}
    for row, length, numbers in zip(tokens.tolist(), lengths.tolist(), place.tolist(), strict=True):
        for i in range(length):
            assert known.setdefault(tuple(row[: i + 1]), numbers[i]) == numbers[i]
            assert kinds[numbers[i]] == row[i] and depth[numbers[i]] == i
    assert sorted(known.values()) == list(range(len(kinds)))


@torch.no_grad()
def test_long_texts_come_in_smaller_batches(clip, monkeypatch):
    monkeypatch.setattr(clips, "TOKENS_AT_ONCE", 100)
    done = []
    few = clip.embed_texts(TEXTS, on_batch=done.append)
    assert sum(done) == len(TEXTS) and len(done) > 10
    monkeypatch.undo()
    assert torch.allclose(few, clip.embed_texts(TEXTS), atol=1e-5 * few.abs().max())


def test_another_tower_goes_its_own_way(clip, monkeypatch):
    monkeypatch.setattr(clip.model, "text_pool_type", "last", raising=False)
    assert not can_share(clip.model)
