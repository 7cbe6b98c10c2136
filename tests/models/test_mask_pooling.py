import pytest
import torch
import torch.nn.functional as F

from ovvis.models.mask_pooling import build_mask_pooling

SIZE = (3, 5)


def inputs(channels, batch=2, queries=4):
    g = torch.Generator().manual_seed(0)
    features = torch.randn(batch, channels, *SIZE, generator=g)
    masks = torch.rand(batch, queries, *SIZE, generator=g) < 0.4
    masks[:, 0] = True
    masks[:, 1] = False
    masks[:, 1, 2, 4] = True
    assert masks.flatten(2).any(-1).all()
    return features, masks


@torch.no_grad()
def test_attention_pooling_one_mask_after_another(tiny_clip):
    """CLIP's attention pooling over the mean token and the tokens under one mask, head by head."""
    pool = tiny_clip.visual.attnpool
    features, masks = inputs(512)
    got = build_mask_pooling(tiny_clip, "clip")(features, masks)
    assert got.shape == (2, 4, tiny_clip.width)
    grid = pool.positional_embedding[1:].T.reshape(1, 512, 2, 2)
    grid = F.interpolate(grid, SIZE, mode="bilinear", align_corners=False)[0]
    width = 512 // pool.num_heads
    for n in range(2):
        asks = pool.q_proj(features[n].mean((1, 2)) + pool.positional_embedding[0])
        for q in range(4):
            tokens = (features[n] + grid)[:, masks[n, q]].T  # cells under the mask, C
            keys, values = pool.k_proj(tokens), pool.v_proj(tokens)
            heads = []
            for head in range(pool.num_heads):
                part = slice(head * width, (head + 1) * width)
                share = (keys[:, part] @ asks[part] / width**0.5).softmax(0)
                heads.append(share @ values[:, part])
            assert torch.allclose(got[n, q], pool.c_proj(torch.cat(heads)), atol=1e-4)


@torch.no_grad()
def test_full_mask_of_the_training_size_is_nearly_clips_own_pooling(tiny_clip):
    """With the mean token among the keys it would be CLIP's pooling; here the mean token only asks."""
    pool = tiny_clip.visual.attnpool
    features = torch.randn(1, 512, 2, 2, generator=torch.Generator().manual_seed(1))
    masks = torch.ones(1, 1, 2, 2, dtype=torch.bool)
    got = build_mask_pooling(tiny_clip, "clip")(features, masks)[0, 0]
    tokens = features.flatten(2).permute(2, 0, 1)
    tokens = torch.cat([tokens.mean(0, keepdim=True), tokens]) + pool.positional_embedding[:, None]
    wanted, _ = F.multi_head_attention_forward(
        tokens[:1],
        tokens[1:],
        tokens[1:],
        512,
        pool.num_heads,
        None,
        torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]),
        None,
        None,
        False,
        0.0,
        pool.c_proj.weight,
        pool.c_proj.bias,
        use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight,
        k_proj_weight=pool.k_proj.weight,
        v_proj_weight=pool.v_proj.weight,
        training=False,
    )
    assert torch.allclose(got, wanted[0, 0], atol=1e-4)


@torch.no_grad()
def test_mean_pooling_of_a_resnet(tiny_clip):
    pool = tiny_clip.visual.attnpool
    features, masks = inputs(512)
    got = build_mask_pooling(tiny_clip, "mean")(features, masks)
    for n in range(2):
        for q in range(4):
            mean = features[n][:, masks[n, q]].mean(1)
            assert torch.allclose(got[n, q], pool.c_proj(pool.v_proj(mean)), atol=1e-4)


@pytest.mark.parametrize("pooling", ["clip", "mean"])
@torch.no_grad()
def test_convnext_pools_by_the_mean(tiny_convnext, pooling):
    clip = tiny_convnext.clip
    features, masks = inputs(clip.channels[-1])
    got = build_mask_pooling(clip, pooling)(features, masks)
    assert got.shape == (2, 4, clip.width)
    norm = clip.visual.trunk.head.norm
    for n in range(2):
        for q in range(4):
            mean = features[n][:, masks[n, q]].mean(1)
            normed = F.layer_norm(mean, mean.shape, norm.weight, norm.bias, norm.eps)
            assert torch.allclose(got[n, q], clip.visual.head(normed), atol=1e-4)


@torch.no_grad()
def test_convnext_over_the_whole_image_is_clips_own_embedding(tiny_convnext):
    clip = tiny_convnext.clip
    pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    dense = tiny_convnext.network.backbone(pixels).dense
    everything = torch.ones(1, 1, *dense.shape[-2:], dtype=torch.bool)
    pooled = build_mask_pooling(clip, "clip")(dense, everything)[0]
    trunk = clip.visual.trunk
    wanted = clip.visual.head(trunk.head(dense.mean((2, 3), keepdim=True)))
    assert torch.allclose(pooled, wanted, atol=1e-5)


@torch.no_grad()
def test_empty_masks_pool_to_something_finite_where_the_mean_is_taken(tiny_clip, tiny_convnext):
    for clip, pooling in ((tiny_clip, "mean"), (tiny_convnext.clip, "clip")):
        features, masks = inputs(clip.channels[-1])
        assert build_mask_pooling(clip, pooling)(features, masks & False).isfinite().all()
