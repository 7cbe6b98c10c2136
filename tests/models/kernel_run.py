"""Prints how far the Triton kernel is from PyTorch's way in each case; run with TRITON_INTERPRET=1, on the CPU."""

import json

import torch

from ovvis.models.layers.deformable_attention import DeformableAttention
from ovvis.models.layers.deformable_kernel import sample
from ovvis.models.layers.kernels import difference, use_kernels
from ovvis.models.layers.samplers import GridSampler

SHAPES = {"odd": ((3, 5), (7, 4), (1, 9)), "one cell": ((1, 1),), "two": ((4, 4), (2, 3))}
# name: shapes, heads, points, channels, windows, tokens, how far the places are spread
CASES = {
    "several levels": ("odd", 2, 3, 4, 2, 37, 2),
    "channels that are no power of two": ("odd", 3, 2, 5, 1, 9, 2),
    "one cell": ("one cell", 1, 1, 2, 3, 5, 1),
    "far outside": ("two", 2, 4, 4, 2, 33, 1e4),
    "as many tokens as a block": ("two", 1, 1, 8, 1, 32, 1),
}


def case(shapes, heads, points, channels, windows, tokens, far, dtype):
    shapes = SHAPES[shapes]
    draw = torch.Generator().manual_seed(0)
    value = torch.randn(windows, sum(h * w for h, w in shapes), heads, channels, generator=draw).to(dtype)
    count = heads * len(shapes) * points
    raw = torch.randn(windows, tokens, 3 * count, generator=draw)
    raw[..., : 2 * count] *= far
    raw, reference = raw.to(dtype), torch.rand(tokens, 2, generator=draw)
    layer = DeformableAttention(heads * channels, heads, len(shapes), points)
    wanted = GridSampler(value, shapes)(*layer.aim(raw, reference, shapes))
    found = sample(value, raw, reference, shapes, points)
    assert found.dtype == wanted.dtype == dtype and found.shape == wanted.shape
    return float((found.float() - wanted.float()).abs().max()), float(wanted.float().abs().max())


@torch.no_grad()
def main():
    told = {"apart": {}}
    for name, numbers in CASES.items():
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            told["apart"][f"{name}, {dtype}"] = case(*numbers, dtype)
    told["checked"] = [difference(sample, 2, 2, 2, 4, torch.device("cpu"), t) for t in (torch.float32, torch.bfloat16)]
    told["wrong"] = difference(lambda *a: sample(*a).roll(1, 1), 2, 2, 2, 4, torch.device("cpu"), torch.float16)
    broken = torch.zeros(1, 3, 6)
    broken[0, 1, 0], broken[0, 2, 4] = float("nan"), float("inf")
    seen = sample(torch.ones(1, 4, 1, 2), broken, torch.full((3, 2), 0.5), ((2, 2),), 2)[0].isfinite().all(-1)
    told["finite"] = seen.tolist()
    # A whole layer, by the kernel and without it.
    layer = DeformableAttention(8, 2, 3, 2)
    torch.nn.init.normal_(layer.offsets.weight)
    torch.nn.init.normal_(layer.weights.weight)
    shapes = SHAPES["odd"]
    tokens, reference = torch.randn(2, 52, 8), torch.rand(52, 2)
    outputs = []
    for kernel in (None, sample):
        layer.kernel = kernel
        sampler = GridSampler(layer.value(tokens).unflatten(-1, (2, -1)), shapes)
        outputs.append(layer(tokens, reference, sampler, tokens.clone()))
    told["layer"] = float((outputs[0] - outputs[1]).abs().max())
    told["line"] = use_kernels(layer, torch.device("cpu"), torch.float32)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
