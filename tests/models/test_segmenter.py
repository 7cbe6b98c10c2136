import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from fakes import build_tiny, build_tiny_ovformer
from ovvis.models import segmenter

PIXELS = torch.randn(2, 1, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def tensors(layered):
    return [layered.mask_embeddings, layered.mask_features, layered.object_logits, layered.mask_ious]


def random_sum(layered):
    """Return a scalar that every number of a training prediction moves."""
    generator = torch.Generator().manual_seed(3)
    return sum((x.double() * torch.randn(x.shape, generator=generator).double()).sum() for x in tensors(layered))


def trained(clip="tiny-resnet", **changes):
    """Return a model past its first steps: a fresh one looks at whole cells, wherever its tokens are."""
    model = build_tiny(clip, **changes)
    generator = torch.Generator().manual_seed(4)
    for layer in model.network.pixel_decoder.layers:
        for part in (layer.attention.offsets, layer.attention.weights):
            for parameter in part.parameters():
                torch.nn.init.normal_(parameter, 0, 0.3, generator=generator)
    return model


@pytest.mark.parametrize(("clip", "source"), [("tiny-resnet", "queries"), ("tiny-convnext", "pixels")])
def test_the_last_layer_of_training_is_the_prediction(clip, source):
    model = build_tiny(clip, iou_from=source)
    with torch.no_grad():
        prediction, layered = model(PIXELS), model(PIXELS, every_layer=True)
    layers = len(model.network.query_decoder.layers) + 1
    assert layered.mask_embeddings.shape == (layers, 2, 6, 32)
    masks = torch.einsum("bqd,btdhw->bqthw", layered.mask_embeddings[-1], layered.mask_features)
    torch.testing.assert_close(masks, prediction.mask_logits)
    torch.testing.assert_close(layered.object_logits[-1], prediction.object_logits)
    torch.testing.assert_close(layered.mask_ious[-1], prediction.mask_ious)
    torch.testing.assert_close(layered.embeddings[-1], prediction.embeddings)
    assert not torch.allclose(layered.object_logits[0], layered.object_logits[-1])


@pytest.mark.parametrize(("clip", "source"), [("tiny-resnet", "queries"), ("tiny-convnext", "pixels")])
@pytest.mark.parametrize("autocast", [False, True])
def test_every_weight_but_clips_gets_a_gradient(clip, source, autocast):
    model = trained(clip, iou_from=source).train()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        layered = model(PIXELS, every_layer=True)
    random_sum(layered).backward()
    for name, parameter in model.network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any() or name.endswith("key.bias"), name  # softmax: keys' biases move nothing
    assert all(parameter.grad is None for parameter in model.clip.parameters())


@pytest.mark.parametrize("clip", ["tiny-resnet", "tiny-convnext"])
def test_the_frozen_backbone_keeps_its_statistics_and_saves_nothing(clip):
    model = build_tiny(clip).train()
    assert not any(module.training for module in model.clip.modules())
    before = {name: tensor.clone() for name, tensor in model.clip.state_dict().items()}
    saved = []

    def save(tensor):
        saved.append(tensor)
        return tensor

    with saved_tensors_hooks(save, lambda tensor: tensor):
        pyramid = model.network.backbone(PIXELS.flatten(0, 1))
        assert not saved  # no activation is kept for a backward
        assert not any(level.requires_grad or level.grad_fn for level in (*pyramid.levels, pyramid.dense))
        layered = model(PIXELS, every_layer=True)
        assert saved  # the hook works: the decoders do keep theirs
    frozen = {parameter.data_ptr() for parameter in model.clip.parameters()}
    assert not frozen & {tensor.data_ptr() for tensor in saved}
    random_sum(layered).backward()
    for name, tensor in model.clip.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_trained_backbone_would_save_more(tiny_model):
    """What the test above would see if the backbone were not under `no_grad`."""
    saved = []
    visual = tiny_model.clip.visual
    with saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda tensor: tensor):
        visual.stem(PIXELS.flatten(0, 1).requires_grad_())
    assert len(saved) > 5


def test_the_pixel_decoder_keeps_float32_under_autocast(tiny_model):
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        layered = tiny_model(PIXELS, every_layer=True)
    assert layered.mask_features.dtype == torch.float32
    assert layered.mask_embeddings.dtype == torch.bfloat16


def test_gradients_of_the_network_against_differences():
    """Along random directions in the space of all weights, in float64."""
    model = trained(decoder_layers=1, queries=3)
    network = model.network.double()
    model.clip.double()
    pixels = PIXELS.double()[:1]
    # At the attention mask's edge the network has steps; a blank mask head lets every query see everything.
    torch.nn.init.zeros_(network.query_decoder.mask_head.layers[-1].weight)
    torch.nn.init.constant_(network.query_decoder.mask_head.layers[-1].bias, 0)
    parameters = [p for name, p in network.named_parameters() if "mask_head" not in name]
    gradients = torch.autograd.grad(random_sum(network(pixels, every_layer=True)), parameters)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        step = [torch.randn(p.shape, generator=generator, dtype=torch.float64) * 1e-8 for p in parameters]
        values = []
        for sign in (1, -2):
            with torch.no_grad():
                for parameter, change in zip(parameters, step, strict=True):
                    parameter += sign * change
                values.append(random_sum(network(pixels, every_layer=True)).item())
        with torch.no_grad():
            for parameter, change in zip(parameters, step, strict=True):
                parameter += change
        wanted = sum((g * change).sum().item() for g, change in zip(gradients, step, strict=True))
        assert (values[0] - values[1]) / 2 == pytest.approx(wanted, rel=1e-4)


@torch.no_grad()
def test_many_images_are_seen_a_few_at_a_time(monkeypatch):
    model = build_tiny_ovformer(alignment="none")
    pixels = torch.randn(1, 5, 3, 32, 64)
    whole = model(pixels)
    seen = []
    forward = model.network.backbone.forward
    monkeypatch.setattr(segmenter, "IMAGES_AT_ONCE", 2)
    monkeypatch.setattr(model.network.backbone, "forward", lambda x: seen.append(len(x)) or forward(x))
    parts = model(pixels)
    assert seen == [2, 2, 1]
    assert torch.allclose(parts.mask_logits, whole.mask_logits, atol=1e-3)
    with torch.enable_grad():
        model(pixels)
    assert seen[3:] == [5]
