"""Texts that share their beginnings have the embeddings that each has by itself."""

import open_clip
import pytest
import torch
import torch.nn.functional as F

from fakes import build_tiny
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


@torch.no_grad()
@pytest.mark.parametrize("name", ["RN50", "tiny"])
def test_in_bfloat16_a_text_stays_where_it_was(request, name):
    """Cosines of 0.9998 at least to float32, whose embeddings are kept apart from it and do not change."""
    torch.manual_seed(0)
    clip = FrozenClip("RN50", quick_gelu=True) if name == "RN50" else request.getfixturevalue("tiny_model").clip
    texts = TEXTS[: 42 if name == "RN50" else None]
    wanted, key = clip.embed_texts(texts), clip.text_fingerprint()
    clip.text_dtype = torch.bfloat16
    try:
        got, other = clip.embed_texts(texts), clip.text_fingerprint()
    finally:
        clip.text_dtype = torch.float32
    assert got.dtype == torch.float32 and not torch.equal(got, wanted) and other != key
    assert F.cosine_similarity(got, wanted).min() > 0.9998
    assert torch.equal(clip.embed_texts(texts), wanted) and clip.text_fingerprint() == key


@pytest.mark.parametrize("fast", [False, True])
def test_texts_are_in_bfloat16_where_the_model_is_and_the_device_is_fast_in_it(monkeypatch, fast):
    monkeypatch.setattr("ovvis.models.model.pick_precision", lambda *_: torch.bfloat16 if fast else torch.float32)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        clip = build_tiny().for_inference(torch.device("cpu"), dtype).clip
        assert clip.text_dtype == (torch.bfloat16 if fast and dtype == torch.bfloat16 else torch.float32)
        assert next(clip.model.transformer.parameters()).dtype == torch.float32
