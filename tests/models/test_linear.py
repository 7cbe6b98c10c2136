import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ovvis.models.layers.linear import Linear, linear, replace_linears


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7,), (1, 7), (2, 3, 7), (2, 600, 7), (0, 7), (2, 0, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_is_a_linear_layer(shape, bias, dtype):
    torch.manual_seed(0)
    x, layer = torch.randn(shape, dtype=dtype), nn.Linear(7, 5, bias).to(dtype)
    out = linear(x, layer.weight, layer.bias)
    assert out.shape == (*shape[:-1], 5)
    assert out.dtype == dtype
    close = {torch.float32: 1e-6, torch.float64: 1e-12, torch.bfloat16: 2e-2}[dtype]
    torch.testing.assert_close(out, F.linear(x, layer.weight, layer.bias), atol=close, rtol=close)


def test_reads_any_order_of_memory():
    torch.manual_seed(0)
    x, layer = torch.randn(3, 6, 4).permute(2, 1, 0), nn.Linear(3, 5)
    torch.testing.assert_close(linear(x, layer.weight, layer.bias), layer(x))


def test_gradients_are_those_of_a_linear_layer():
    torch.manual_seed(0)
    layer, x = nn.Linear(4, 3), torch.randn(2, 5, 4)
    grads = []
    for function in (F.linear, linear):
        inputs = [x.clone().requires_grad_(), *(p.detach().clone().requires_grad_() for p in layer.parameters())]
        grads.append(torch.autograd.grad(function(*inputs).square().sum(), inputs))
    for ours, theirs in zip(*grads, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_replacing_keeps_names_parameters_and_kinds():
    class Special(nn.Linear):
        pass

    module = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.Linear(3, 2, bias=False)), Special(2, 2))
    before = dict(module.named_parameters())
    x = torch.randn(6, 4)
    expected = module(x)
    replace_linears(module)
    assert [type(module[0]), type(module[1][0]), type(module[2])] == [Linear, Linear, Special]
    after = dict(module.named_parameters())
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    torch.testing.assert_close(module(x), expected)
