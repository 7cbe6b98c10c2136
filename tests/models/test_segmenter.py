import pytest
import torch

from fakes import build_tiny


@pytest.mark.parametrize("clip", ["tiny-resnet", "tiny-convnext"])
def test_the_last_layer_of_training_is_the_prediction(clip):
    model = build_tiny(clip)
    pixels = torch.randn(2, 1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        prediction, layered = model(pixels), model(pixels, every_layer=True)
    layers = len(model.network.query_decoder.layers) + 1
    assert layered.mask_embeddings.shape == (layers, 2, 6, 32)
    masks = torch.einsum("bqd,btdhw->bqthw", layered.mask_embeddings[-1], layered.mask_features)
    torch.testing.assert_close(masks, prediction.mask_logits)
    torch.testing.assert_close(layered.object_logits[-1], prediction.object_logits)
    torch.testing.assert_close(layered.mask_ious[-1], prediction.mask_ious)
    torch.testing.assert_close(layered.embeddings[-1], prediction.embeddings)
    assert not torch.allclose(layered.object_logits[0], layered.object_logits[-1])
