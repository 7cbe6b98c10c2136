"""Sine position codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ovvis.models.layers.kept import kept


def sine_code_2d(height: int, width: int, channels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Return the position code of a feature map, (height * width, channels).

    The first half of the channels codes the row, the second the column: sines and cosines in turn, wavelengths
    from 2 pi to 20,000 pi over positions that run from 0 to 2 pi (Mask2Former's normalised code).
    """
    return _code_2d(height, width, channels, device, dtype)


def sine_code_3d(
    frames: int, height: int, width: int, channels: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Return the space-time position code of a window, (frames * height * width, channels).

    The sum of the frame's map code and a code of the frame's place in the window over all channels, the same sines
    and cosines (OVFormer eq. 2). It is not zero with one frame either.
    """
    return _code_3d(frames, height, width, channels, device, dtype)


@kept
def _code_2d(height: int, width: int, channels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    wave = torch.arange(channels // 2, dtype=torch.float32)
    wave = 10_000 ** (2 * torch.div(wave, 2, rounding_mode="floor") / (channels // 2))
    rows, columns = (_sines(size, wave) for size in (height, width))
    code = torch.cat([rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], dim=-1)  # h, w, D
    return code.flatten(0, 1).to(device, dtype)


@kept
def _code_3d(frames: int, height: int, width: int, channels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    place = _code_2d(height, width, channels, torch.device("cpu"), torch.float32)
    wave = torch.arange(channels, dtype=torch.float32)
    wave = 10_000 ** (2 * torch.div(wave, 2, rounding_mode="floor") / channels)
    code = place + _sines(frames, wave)[:, None]  # T, h * w, D
    return code.flatten(0, 1).to(device, dtype)


def _sines(size: int, wave: Tensor) -> Tensor:
    """Return the code of one axis, (size, len(wave))."""
    position = torch.arange(1, size + 1, dtype=torch.float32) / (size + 1e-6) * 2 * math.pi
    angle = position[:, None] / wave
    return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=-1).flatten(1)
