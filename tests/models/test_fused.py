import pytest
import timm
import torch
import torch.nn.functional as F
from timm.models.swin_transformer import WindowAttention
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ovvis.models.backbones.fused_blocks import FusedBottleneck, FusedConvNeXt, fuse_blocks
from ovvis.models.backbones.timm_features import SwinBackbone
from ovvis.models.layers import fused
from ovvis.models.layers.folding import fold_batch_norm
from ovvis.models.layers.fused import ConvRelu, can_fuse, convolve
from ovvis.models.layers.linear import Linear, followed

CLOSE = {torch.float32: 2e-6, torch.bfloat16: 2e-2}
BOTH = pytest.mark.parametrize("dtype", list(CLOSE))


@pytest.fixture
def missing(monkeypatch):
    """A PyTorch without the private name."""
    monkeypatch.setattr(fused, "_in_one_pass", lambda *given: torch.ops.mkldnn.there_is_no_such_name(*given))
    can_fuse.cache_clear()
    yield
    monkeypatch.undo()
    can_fuse.cache_clear()


def steps(layer, x, after, add):
    out = layer(x) if add is None else layer(x) + add
    return {"none": lambda x: x, "relu": F.relu, "gelu": F.gelu}[after](out)


def conv_case(dtype, kind):
    torch.manual_seed(0)
    made = {
        "1x1": nn.Conv2d(8, 6, 1),
        "3x3": nn.Conv2d(8, 6, 3, padding=1, bias=False),
        "strided": nn.Conv2d(8, 6, 3, stride=2, padding=1),
        "dilated": nn.Conv2d(8, 6, 3, padding=(2, 1), dilation=(2, 1)),
        "groups": nn.Conv2d(8, 6, 3, groups=2),
        "same": nn.Conv2d(8, 6, 3, padding="same"),
        "reflected": nn.Conv2d(8, 6, 3, padding=1, padding_mode="reflect"),
    }
    return made[kind].to(dtype).requires_grad_(False), torch.randn(2, 8, 9, 7).to(dtype)


@BOTH
@pytest.mark.parametrize("kind", ["1x1", "3x3", "strided", "dilated", "groups", "same", "reflected"])
@pytest.mark.parametrize("after", ["none", "relu", "gelu"])
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_one_pass_gives_what_the_steps_give(dtype, kind, after, added, last):
    layer, x = conv_case(dtype, kind)
    if last:
        layer, x = layer.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    plain = layer(x)
    add = torch.randn(plain.shape).to(dtype) if added else None
    before = None if add is None else add.clone()
    got = convolve(layer, x, after, add)
    assert got.dtype == dtype
    torch.testing.assert_close(got, steps(layer, x, after, add), atol=CLOSE[dtype], rtol=CLOSE[dtype])
    assert add is None or torch.equal(add, before)


def test_every_cpu_with_onednn_takes_one_pass():
    """Else nothing here tests anything."""
    assert can_fuse(torch.float32) == torch.backends.mkldnn.is_available()
    assert can_fuse(torch.bfloat16) or not torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert not can_fuse(torch.float64) and not can_fuse(torch.float16)


@pytest.mark.parametrize("name", ["_in_one_pass", "dense"])
@pytest.mark.parametrize("wrong", [lambda *given: torch.zeros(1), lambda x, *_: x])
def test_an_operation_that_says_something_else_is_not_used(monkeypatch, name, wrong):
    monkeypatch.setattr(fused, name, wrong)
    can_fuse.cache_clear()
    assert not can_fuse(torch.float32)
    monkeypatch.undo()
    can_fuse.cache_clear()


@BOTH
def test_a_missing_operation_changes_nothing(missing, dtype):
    assert not can_fuse(dtype)
    layer, x = conv_case(dtype, "3x3")
    torch.testing.assert_close(convolve(layer, x, "relu"), F.relu(layer(x)), atol=0, rtol=0)


def test_where_steps_are_read_they_are_taken_one_by_one():
    layer, x = conv_case(torch.float32, "3x3")
    with FlopCounterMode(display=False) as count:
        convolve(layer, x, "relu")
    assert count.get_total_flops() == 2 * 2 * 6 * 9 * 7 * 8 * 9
    wanted = F.relu(layer(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert convolve(layer, x, "relu").dtype == torch.bfloat16
    torch.testing.assert_close(torch.jit.trace(ConvRelu.of(layer), x)(x), wanted, atol=0, rtol=0)
    exported = torch.export.export(ConvRelu.of(layer), (x,))
    assert not [node for node in exported.graph.nodes if "mkldnn" in str(node.target)]


def test_gradients_are_those_of_the_steps():
    layer, x = conv_case(torch.float32, "3x3")
    layer.requires_grad_(True)
    grads = []
    for function in (lambda: convolve(layer, x, "relu", torch.ones(1, 6, 9, 7)), lambda: F.relu(layer(x) + 1)):
        grads.append(torch.autograd.grad(function().square().sum(), layer.weight)[0])
    torch.testing.assert_close(*grads)
    x.requires_grad_(True)
    layer.requires_grad_(False)
    assert convolve(layer, x, "relu").requires_grad


@BOTH
def test_a_changed_weight_counts_at_once(dtype):
    """Whatever way it is changed in."""
    layer, x = conv_case(dtype, "3x3")
    dense, tokens = Linear(8, 6).to(dtype).requires_grad_(False), torch.randn(1, 2000, 8).to(dtype)

    def check():
        torch.testing.assert_close(convolve(layer, x, "relu"), F.relu(layer(x)), atol=CLOSE[dtype], rtol=CLOSE[dtype])
        wanted = F.relu(F.linear(tokens, dense.weight, dense.bias))
        torch.testing.assert_close(dense(tokens, "relu"), wanted, atol=CLOSE[dtype], rtol=CLOSE[dtype])

    check()
    for module in (layer, dense):
        module.weight.add_(1)
    check()
    for module in (layer, dense):
        module.weight.data.mul_(-0.5)
    check()
    for module in (layer, dense):
        module.load_state_dict({name: -tensor + 0.25 for name, tensor in module.state_dict().items()})
    check()
    for module in (layer, dense):
        module.weight = nn.Parameter(torch.randn_like(module.weight), requires_grad=False)
    check()
    for module in (layer, dense):
        module.weight.data = torch.randn_like(module.weight)
    check()


@BOTH
@pytest.mark.parametrize("kind", [nn.Linear, Linear])
@pytest.mark.parametrize("shape", [(2, 5, 8), (1, 2000, 8), (0, 8), (8,)])
def test_linear_layers_and_what_follows(dtype, kind, shape):
    torch.manual_seed(0)
    layer, x = kind(8, 6).to(dtype).requires_grad_(False), torch.randn(shape).to(dtype)
    add = torch.randn(*shape[:-1], 6).to(dtype)
    for after in ("none", "relu", "gelu"):
        for other in (None, add):
            plain = F.linear(x, layer.weight, layer.bias)
            wanted = steps(lambda _, plain=plain: plain, x, after, other)
            torch.testing.assert_close(followed(layer, x, after, other), wanted, atol=CLOSE[dtype], rtol=CLOSE[dtype])


ENCODERS = [
    ("resnet50", {}, FusedBottleneck, 16),
    ("resnet26d", {}, FusedBottleneck, 8),  # its stem is of three convolutions, its shortcuts pool
    ("resnetblur50", {}, FusedBottleneck, 16),  # whose blocks blur before they go on
    ("resnext50_32x4d", {}, FusedBottleneck, 16),
    ("seresnet50", {}, FusedBottleneck, 0),  # something in between
    ("resnet18", {}, FusedBottleneck, 0),
    ("convnext_atto", {}, FusedConvNeXt, 0),  # its MLP is of convolutions
    ("convnext_tiny", {}, FusedConvNeXt, 18),
    ("convnextv2_tiny", {}, FusedConvNeXt, 0),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options", "kind", "count"), ENCODERS)
def test_fused_blocks_are_the_encoders(name, options, kind, count):
    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False, features_only=True, **options).eval().requires_grad_(False)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(std=0.1)
            part.running_var.uniform_(0.5, 2)
    for tensor_name, tensor in model.named_parameters():
        if tensor_name.endswith("gamma"):
            tensor.normal_()
    pixels = torch.randn(1, 3, 64, 96)
    wanted = model(pixels)
    fold_batch_norm(model)
    fuse_blocks(model)
    assert sum(isinstance(part, kind) for part in model.modules()) == count
    for ours, theirs in zip(model(pixels), wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4 * float(theirs.abs().max()), rtol=1e-4)


@torch.no_grad()
def test_a_swin_takes_the_fused_attention_and_says_the_same():
    torch.manual_seed(0)
    model, pixels = SwinBackbone("swin_tiny_patch4_window7_224").eval(), torch.randn(1, 3, 64, 96)
    wanted = model(pixels).levels
    fuse_blocks(model)
    attentions = [part for part in model.modules() if isinstance(part, WindowAttention)]
    assert len(attentions) == 12 and all(part.fused_attn for part in attentions)
    for ours, theirs in zip(model(pixels).levels, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
