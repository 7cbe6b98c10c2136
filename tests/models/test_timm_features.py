import pytest
import timm
import torch

from ovvis.models.backbones.timm_features import SwinBackbone, build_timm_backbone


@torch.no_grad()
def test_a_swin_is_timms_where_nothing_is_padded():
    """At multiples of 7 cells on every level, the order of shift and padding makes no difference."""
    name = "swin_tiny_patch4_window7_224"
    backbone = SwinBackbone(name).eval()
    theirs = timm.create_model(name, pretrained=False, features_only=True, always_partition=True).eval()
    state = {name: tensor for name, tensor in backbone.state_dict().items() if not name.startswith("norms.")}
    theirs.load_state_dict({name.replace("layers.", "layers_"): tensor for name, tensor in state.items()})
    pixels = torch.randn(1, 3, 224, 224)
    for ours, level, norm in zip(backbone(pixels).levels, theirs(pixels), backbone.norms, strict=True):
        assert torch.allclose(ours, norm(level).permute(0, 3, 1, 2), atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "channels"),
    [("test_resnet", (32, 48, 192, 96)), ("swin_s3_tiny_224", (96, 192, 384, 768))],
)
def test_four_levels_at_any_size(name, channels):
    backbone = build_timm_backbone(name, frozen_norm=True, drop_path=0.0).eval()
    assert backbone.channels == channels
    levels = backbone(torch.randn(2, 3, 96, 160)).levels
    assert [level.shape for level in levels] == [
        (2, width, 96 // stride, 160 // stride) for width, stride in zip(channels, (4, 8, 16, 32), strict=True)
    ]
    # An image knows nothing of the others.
    one = torch.randn(1, 3, 64, 96)
    both = backbone(torch.cat([one, torch.randn(1, 3, 64, 96)])).levels
    assert torch.allclose(backbone(one).levels[-1][0], both[-1][0], atol=1e-3)


def test_frozen_norms_are_not_trained():
    frozen = build_timm_backbone("test_resnet", frozen_norm=True, drop_path=0.0)
    trained = build_timm_backbone("test_resnet", frozen_norm=False, drop_path=0.0)
    bias = {name for name, _ in trained.named_parameters() if name.endswith("bn1.bias")}
    assert bias and not bias & {name for name, _ in frozen.named_parameters()}
    before = frozen.state_dict()["net.bn1.running_mean"].clone()
    frozen.train()(torch.randn(2, 3, 64, 64))
    assert torch.equal(frozen.state_dict()["net.bn1.running_mean"], before)


@pytest.mark.parametrize(("name", "word"), [("resnet5000", "resnet5000"), ("test_vit", "strides")])
def test_what_cannot_be_a_backbone(name, word):
    with pytest.raises(ValueError, match=word):
        build_timm_backbone(name, frozen_norm=True, drop_path=0.0)
