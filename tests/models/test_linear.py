import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ovvis.models.layers import linear as linears
from ovvis.models.layers.linear import Linear, linear, products, replace_linears


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 7), (0, 7)])
@pytest.mark.parametrize("order", ["as it lies", "every second", "turned"])
def test_products_with_many_rows(monkeypatch, dtype, shape, order):
    torch.manual_seed(0)
    x, made = torch.randn(shape).to(dtype), torch.randn(8, 14).to(dtype)
    rows = {"as it lies": made[:, :7].contiguous(), "every second": made[:, ::2], "turned": made.T[:7, :8].T}[order]
    close = {torch.float32: 1e-6, torch.float64: 1e-12, torch.bfloat16: 2e-2}[dtype]
    for many in (8, 9):  # by oneDNN, and by PyTorch
        monkeypatch.setattr(linears, "_MANY", many)
        got = products(x, rows)
        assert got.dtype == dtype
        torch.testing.assert_close(got, x @ rows.T, atol=close, rtol=close)


def test_products_have_a_gradient(monkeypatch):
    monkeypatch.setattr(linears, "_MANY", 1)
    x, rows = torch.randn(2, 7, requires_grad=True), torch.randn(5, 7)
    torch.testing.assert_close(torch.autograd.grad(products(x, rows).sum(), x)[0], rows.sum(0).expand(2, -1))


def test_an_exported_product_takes_any_number_of_rows():
    class Product(torch.nn.Module):
        def forward(self, x, rows):
            return products(x, rows)

    axes = ({}, {0: torch.export.Dim("words", min=1, max=2**24)})
    program = torch.export.export(Product(), (torch.ones(2, 3), torch.ones(9, 3)), dynamic_shapes=axes)
    assert program.module()(torch.ones(2, 3), torch.ones(5, 3)).shape == (2, 5)
