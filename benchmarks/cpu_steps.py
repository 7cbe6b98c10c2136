"""What steps of the network cost on a CPU as plain operations and as inference takes them.

Both ways run in turn in this process; the least processor time of each counts, as other programs may run. One thread.

Usage: python benchmarks/cpu_steps.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from timm.models.swin_transformer import WindowAttention
from torch import Tensor, nn

from ovvis.freed_memory import keep_freed_memory
from ovvis.inference.final_masks import resize_matrix, rle_from_logits
from ovvis.masks import encode_columns
from ovvis.models.layers.fused import After, convolve
from ovvis.models.layers.linear import Linear
from ovvis.models.layers.mask_product import mask_product

CALLS = 9
LAST = torch.channels_last
Ways = tuple[Callable[[], object], Callable[[], object]]


def main() -> None:
    """Measure and print the table."""
    keep_freed_memory()
    torch.set_num_threads(1)
    table = Table("step", "type", "plain, ms", "ours, ms", "times")
    with torch.inference_mode():
        for dtype in (torch.float32, torch.bfloat16):
            for name, ways in steps(dtype).items():
                before, after = least(ways)
                kind = str(dtype).removeprefix("torch.")
                table.add_row(name, kind, f"{before:.1f}", f"{after:.1f}", f"{before / after:.2f}")
        before, after = least(final_masks())
        table.add_row("50 final masks", "float32", f"{before:.1f}", f"{after:.1f}", f"{before / after:.2f}")
    Console().print(table)


def least(ways: Ways) -> tuple[float, float]:
    """Return the least processor time of each way, ms."""
    seconds: tuple[list[float], list[float]] = ([], [])
    for turn in range(CALLS + 1):
        for way, times in zip(ways, seconds, strict=True):
            start = time.thread_time()
            way()
            if turn:  # the first call sets up
                times.append(time.thread_time() - start)
    return min(seconds[0]) * 1e3, min(seconds[1]) * 1e3


def steps(dtype: torch.dtype) -> dict[str, Ways]:
    """Return the steps of a frame of 480x853, each in both ways."""
    fine = torch.randn(1, 256, 120, 216).to(dtype, memory_format=LAST)
    tokens, hidden = torch.randn(1, 8505, 256).to(dtype), torch.randn(1, 8505, 1024).to(dtype)
    queries = torch.randn(1, 100, 256).to(dtype)
    windows = torch.randn(45, 144, 256).to(dtype)
    return {
        "convolution 1x1, 64 to 256, ReLU": conv(fine[:, :64].contiguous(memory_format=LAST), 256, 1, None),
        "convolution 1x1, 64 to 256, residual, ReLU": conv(
            fine[:, :64].contiguous(memory_format=LAST), 256, 1, torch.randn_like(fine)
        ),
        "convolution 3x3, 64 to 64, ReLU": conv(fine[:, :64].contiguous(memory_format=LAST), 64, 3, None),
        "8,505 tokens, 256 to 1024, ReLU": dense(tokens, 1024, "relu", None),
        "8,505 tokens, 256 to 1024, GELU": dense(tokens, 1024, "gelu", None),
        "8,505 tokens, 1024 to 256, residual": dense(hidden, 256, "none", tokens),
        "masks of 100 queries": (
            lambda: torch.einsum("bqd,btdhw->bqthw", queries, fine[None]),
            lambda: mask_product(queries, fine[None]),
        ),
        "Swin's attention, 45 windows": swin(windows),
    }


def conv(x: Tensor, width: int, side: int, add: Tensor | None) -> Ways:
    """Return a convolution with a ReLU."""
    layer = nn.Conv2d(x.shape[1], width, side, padding=side // 2).to(x.dtype).to(memory_format=LAST)

    def plain() -> Tensor:
        out = layer(x)
        return F.relu_(out if add is None else out.add_(add))

    return plain, lambda: convolve(layer, x, "relu", add)


def dense(x: Tensor, width: int, after: After, add: Tensor | None) -> Ways:
    """Return a linear layer and what follows."""
    layer = Linear(x.shape[-1], width).to(x.dtype)

    def plain() -> Tensor:
        image = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
        out = F.conv2d(image, layer.weight[:, :, None, None], layer.bias).permute(0, 2, 3, 1)[0]
        out = out if add is None else add + out
        return F.gelu(out) if after == "gelu" else out.relu_() if after == "relu" else out

    return plain, lambda: layer(x, after, add)


def swin(x: Tensor) -> Ways:
    """Return Swin's attention."""
    attention = WindowAttention(x.shape[-1], 8, window_size=12).to(x.dtype)

    def run(fused: bool) -> Tensor:
        attention.fused_attn = fused  # type: ignore[misc]
        out: Tensor = attention(x)
        return out

    return lambda: run(False), lambda: run(True)


def final_masks() -> Ways:
    """Return the masks of 50 blobs at the video's size, by dense products and as inference makes them."""
    blobs = torch.randn(1, 50, 6, 10, generator=torch.Generator().manual_seed(0))
    logits = (F.interpolate(blobs, (120, 216), mode="bicubic")[0] * 8).contiguous()
    down, across = resize_matrix(120, 480), resize_matrix(216, 864)[:853]

    def plain() -> None:
        for one in logits:
            crop = torch.linalg.multi_dot([across, one.T, down.T])
            encode_columns((crop > 0).numpy(), (0, 0), (480, 853))

    return plain, lambda: [rle_from_logits(one, (480, 864), (480, 853), (480, 853)) for one in logits]


if __name__ == "__main__":
    main()
