import math

import open_clip
import pytest
import torch
import torch.nn.functional as F

from fakes import build_tiny
from ovvis.errors import InputError
from ovvis.models.clip import FrozenClip, ensemble
from ovvis.models.layers.folding import fold_batch_norm
from ovvis.vocabulary import VILD_PROMPTS, Vocabulary

TEXTS = ["dog", "", "a photo of a very small traffic light in the scene.", "x" * 300, "犬", "dog dog"]


@pytest.mark.parametrize("model_name", ["tiny_model", "tiny_convnext"])
@torch.no_grad()
def test_cut_texts_equal_open_clips_own(model_name, request):
    clip = request.getfixturevalue(model_name).clip
    tokens = open_clip.get_tokenizer(clip.name)(TEXTS)
    assert tokens.shape[1] == 77
    wanted = clip.model.encode_text(tokens)
    for batch in (1, 4, 256):
        got = clip.embed_texts(TEXTS, batch)
        assert torch.allclose(got, wanted, atol=1e-5 * wanted.abs().max())


def test_progress_counts_texts(tiny_clip):
    done = []
    tiny_clip.embed_texts(["a"] * 5, 2, done.append)
    assert done == [2, 2, 1]


@pytest.mark.parametrize("name", ["tiny-resnet", "tiny-convnext"])
@torch.no_grad()
def test_folded_batch_norms_compute_the_same(name):
    model = build_tiny(name)
    pixels = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    before = model.network.backbone(pixels)
    norms = sum(isinstance(m, torch.nn.BatchNorm2d) for m in model.clip.visual.modules())
    fold_batch_norm(model.clip.visual)
    after = model.network.backbone(pixels)
    assert norms == (0 if name == "tiny-convnext" else 19)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in model.clip.visual.modules())
    for a, b in zip((*before.levels, before.dense), (*after.levels, after.dense), strict=True):
        assert torch.allclose(a, b, atol=1e-4 * a.abs().max())
    fold_batch_norm(model.clip.visual)  # a second time changes nothing
    assert torch.equal(model.network.backbone(pixels).dense, after.dense)


def test_stays_frozen(tiny_model):
    tiny_model.train()
    try:
        assert tiny_model.network.query_decoder.training
        assert not any(module.training for module in tiny_model.clip.modules())
        assert not any(p.requires_grad for p in tiny_model.clip.parameters())
        assert any(p.requires_grad for p in tiny_model.network.parameters())
    finally:
        tiny_model.eval()


def test_backbone_gives_no_gradient(tiny_model):
    pixels = torch.randn(1, 3, 64, 64, requires_grad=True)
    assert not tiny_model.network.backbone(pixels).dense.requires_grad


def test_length(tiny_clip):
    assert tiny_clip.count_tokens("dog") == 1
    assert tiny_clip.count_tokens("") == 0
    tiny_clip.check_length(" ".join(["dog"] * 75), "{}")
    with pytest.raises(InputError) as caught:
        tiny_clip.check_length(" ".join(["dog"] * 74), "a {}.")
    message = str(caught.value)
    assert "\n" not in message
    assert "'dog dog" in message
    assert "76 text tokens" in message
    assert "75" in message
    assert len(message) < 250


def test_unknown_architecture():
    with pytest.raises(InputError, match="'RN51'"):
        FrozenClip("RN51", False)


@pytest.mark.parametrize(("raw", "scale"), [(0.0, 1.0), (math.log(50), 50.0), (math.log(100), 100.0), (9.0, 100.0)])
def test_logit_scale_is_at_most_100(tiny_clip, raw, scale):
    parameter = tiny_clip.model.logit_scale
    before = parameter.item()
    try:
        parameter.data.fill_(raw)
        assert tiny_clip.logit_scale == pytest.approx(scale, rel=1e-5)
    finally:
        parameter.data.fill_(before)


def test_fingerprint_is_of_the_text_tower_alone():
    clip = build_tiny().clip
    print_of = clip.text_fingerprint()
    assert build_tiny().clip.text_fingerprint() == print_of
    clip.visual.layer1[0].conv1.weight.data.add_(1)
    clip.model.logit_scale.data.add_(1)
    assert clip.text_fingerprint() == print_of
    clip.model.text_projection.data[0, 0] += 1e-3
    assert clip.text_fingerprint() != print_of


@pytest.mark.parametrize("fast", [False, True])
def test_precision_leaves_the_text_tower_alone_where_the_device_is_slow_in_it(fast, monkeypatch):
    monkeypatch.setattr("ovvis.models.model.pick_precision", lambda *_: torch.bfloat16 if fast else torch.float32)
    model = build_tiny()
    wanted = model.clip.embed_texts(["dog"])
    model.for_inference(torch.device("cpu"), torch.bfloat16)
    assert model.dtype == torch.bfloat16
    assert model.clip.visual.layer1[0].conv1.weight.dtype == torch.bfloat16
    found = model.clip.embed_texts(["dog"])
    assert found.dtype == torch.float32 and torch.equal(found, wanted) != fast
    assert F.cosine_similarity(found, wanted).item() > 0.999


def test_widths(tiny_clip, tiny_convnext):
    assert tiny_clip.width == 24
    assert tiny_clip.channels == (64, 128, 256, 512)
    assert tiny_convnext.clip.width == 40
    assert tiny_convnext.clip.channels == (40, 80, 160, 320)


def test_ensemble_by_hand():
    vectors = torch.tensor([[[3.0, 0.0], [0.0, 0.5]], [[0.0, 2.0], [0.0, 7.0]]])
    half = 0.5**0.5
    assert torch.allclose(ensemble(vectors), torch.tensor([[half, half], [0.0, 1.0]]))
    g = torch.randn(3, 4, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ensemble(g).norm(dim=-1), torch.ones(3))
    assert torch.allclose(ensemble(g)[1], F.normalize(sum(v / v.norm() for v in g[1]) / 4, dim=0), atol=1e-6)


def test_the_small_clip_has_a_tokenizer_of_its_own():
    clip = FrozenClip("clip-stickers", quick_gelu=False)
    assert clip.width == 256 and clip.channels == (128, 256, 512, 1024)
    assert [clip.count_tokens(word) for word in ("dog", "a photo of a {}.", "traffic light")] == [1, 7, 5]
    tokens = clip.tokens(["dog", "zyzzyva é"])
    assert int(tokens.max()) < clip.model.vocab_size  # any text at all has tokens
    assert clip.embed_texts(["dog", "zyzzyva é"]).shape == (2, 256)
    longest = max(VILD_PROMPTS, key=clip.count_tokens)
    for label in Vocabulary.builtin("lvis_v1"):
        clip.check_length(label.name, longest)
