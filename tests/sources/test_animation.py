"""Animations beside a compositor that follows the formats' words: GIF89a's disposals, APNG's dispose and blend."""

from __future__ import annotations

import random
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from image_files import gif, png_file
from ovvis.sources.video import open_source

H, W = 6, 8
COLOURS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
SEEDS = range(40)


def on_white(canvas: np.ndarray) -> np.ndarray:
    return np.where(canvas[..., 3:] == 255, canvas[..., :3], 255)


def some_place(dice: random.Random) -> tuple[int, int, int, int]:
    left, top = dice.randrange(W), dice.randrange(H)
    return left, top, dice.randrange(1, W - left + 1), dice.randrange(1, H - top + 1)


@pytest.mark.parametrize("seed", SEEDS)
def test_gif(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    parts = [((0, 0, W, H), dice.randrange(1, 4), dice.choice([0, 1]), None)]
    parts += [(some_place(dice), dice.randrange(4), dice.randrange(4), dice.choice([None, 0])) for _ in range(6)]
    (tmp_path / "a.gif").write_bytes(gif(parts, (W, H)))
    canvas, expected = np.zeros((H, W, 4), np.uint8), []
    for (left, top, width, height), colour, disposal, clear in parts:
        before, place = canvas.copy(), np.s_[top : top + height, left : left + width]
        if colour != clear:
            canvas[place] = (*COLOURS[colour], 255)
        expected.append(on_white(canvas))
        if disposal == 2:  # the background's colour is transparent where the part has a transparent one
            canvas[place] = (0, 0, 0, 255) if clear is None else 0
        elif disposal == 3:
            canvas = before
    assert np.array_equal([frame.image for frame in open_source(tmp_path / "a.gif")], expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_png(tmp_path: Path, seed: int) -> None:
    dice, noise = random.Random(seed), np.random.default_rng(seed)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", W, H, 8, 6, 0, 0, 0)), (b"acTL", struct.pack(">II", 6, 0))]
    canvas, expected, number = np.zeros((H, W, 4), np.uint8), [], 0
    for k in range(6):
        left, top, width, height = some_place(dice) if k else (0, 0, W, H)
        dispose, over = dice.randrange(3), dice.randrange(2)
        pixels = noise.integers(0, 256, (height, width, 4), dtype=np.uint8)
        pixels[..., 3] = noise.choice([0, 255], (height, width))
        where = struct.pack(">IIIIIHHBB", number, width, height, left, top, 1, 10, dispose, over)
        data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in pixels))
        chunks.append((b"fcTL", where))
        chunks.append((b"fdAT", struct.pack(">I", number + 1) + data) if k else (b"IDAT", data))
        number += 2 if k else 1
        before, place = canvas.copy(), np.s_[top : top + height, left : left + width]
        canvas[place] = np.where(pixels[..., 3:] == 255, pixels, canvas[place]) if over else pixels
        expected.append(on_white(canvas))
        if dispose == 1 or (dispose == 2 and not k):
            canvas[place] = 0
        elif dispose == 2:
            canvas = before
    (tmp_path / "a.png").write_bytes(png_file([*chunks, (b"IEND", b"")]))
    frames = list(open_source(tmp_path / "a.png"))
    assert np.array_equal([frame.image for frame in frames], expected)
    assert [round(frame.time, 6) for frame in frames] == [k / 10 for k in range(6)]
