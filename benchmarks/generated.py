"""Training data that a program can make: images and polygons of LVIS's sizes and numbers, and plain targets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ovvis.structures import Target

CATEGORIES = 1203


def lvis_like(folder: Path, images: int) -> Path:
    """Write images and an annotation file of LVIS's format; return the file."""
    rng = np.random.default_rng(0)
    listed, annotations = [], []
    for number in range(1, images + 1):
        height, width = (480, 640) if rng.random() < 0.75 else (640, 480)
        coarse = rng.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
        picture = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)).astype(int)
        picture = np.clip(picture + rng.normal(0, 8, picture.shape), 0, 255).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number:012}.jpg", quality=92)
        listed.append({"id": number, "height": height, "width": width, "file_name": f"{number:012}.jpg"})
        for _ in range(min(int(rng.lognormal(2.0, 1.0)) + 1, 300)):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": min(int(rng.pareto(0.6)) + 1, CATEGORIES),
                    "segmentation": [_blob(rng, height, width)],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": i, "name": f"thing {i}", "frequency": "f"} for i in range(1, CATEGORIES + 1)]
    file = folder / "lvis_like.json"
    file.write_text(json.dumps({"categories": categories, "images": listed, "annotations": annotations}))
    return file


def _blob(rng: np.random.Generator, height: int, width: int) -> list[float]:
    """Return a polygon of 40 corners, mostly small, as x, y, x, y, ..."""
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = min(rng.lognormal(3.0, 1.0), 250) * rng.uniform(0.7, 1.3, 40)
    x = np.clip(rng.uniform(0, width) + radius * np.cos(angles), 0, width)
    y = np.clip(rng.uniform(0, height) + radius * np.sin(angles), 0, height)
    return np.stack([x, y], 1).round(2).ravel().tolist()


def ellipses(count: int, size: int, seed: int) -> Target:
    """Return a square frame's instances: ellipses of every size."""
    generator = torch.Generator().manual_seed(seed)
    centre, radius = torch.rand(count, 2, generator=generator), torch.rand(count, 2, generator=generator) * 0.25 + 0.02
    place = torch.linspace(0, 1, size)
    y, x = ((place - centre[:, i, None]) / radius[:, i, None] for i in (0, 1))
    masks = (y[:, :, None] ** 2 + x[:, None] ** 2 < 1)[:, None]
    return Target(masks, torch.zeros(count).long(), torch.arange(count))
