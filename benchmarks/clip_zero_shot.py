"""Measure what a CLIP of the Stickers world knows: names of what lies under true masks, over all categories.

    python benchmarks/clip_zero_shot.py --model clip-vis-stickers --frames 300
    python benchmarks/clip_zero_shot.py --run runs/clip-stickers --frames 300

Each row is a kind of frames or a way to ask. `top-1` and `top-5` are over all regions of at least 40 pixels of the
160x240 frame, each seen through the model's own pooling; `unnamed` is the share that covers no cell of the features.
Needs the sprites of `ovvis world build`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from ovvis.models.clip import ensemble
from ovvis.models.load import load_model
from ovvis.models.model import Model
from ovvis.pixels import network_size, normalise
from ovvis.structures import Prediction, TextEmbeddings
from ovvis.training.clip_words import foreign_words
from ovvis.training.start import trained_model
from ovvis.vocabulary import VILD_PROMPTS, Vocabulary
from ovvis.world.motion import VideoConfig
from ovvis.world.sprites import load_sprites
from ovvis.world.video import Videos

_SEED = 7001  # of no split
_LEAST = 40  # pixels
_SURE = 10.0  # logit of a true mask's pixels
_BATCH = 10

KINDS = {
    "seen drawings, seen backgrounds": VideoConfig(),
    "seen drawings, unseen backgrounds (val)": VideoConfig(reserved_backgrounds=True),
    "unseen drawings, unseen backgrounds (val_hard)": VideoConfig(reserved_backgrounds=True, reserved_drawings=True),
    "stills, seen drawings": VideoConfig(frames=2, objects=(1, 1), sizes=(0.5, 1.0), reserved_backgrounds=True),
    "stills, unseen drawings": VideoConfig(
        frames=2, objects=(1, 1), sizes=(0.5, 1.0), reserved_backgrounds=True, reserved_drawings=True
    ),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="clip-vis-stickers")
    parser.add_argument("--weights", default=None)
    parser.add_argument("--run", type=Path, default=None, help="folder of a run of `ovvis train`")
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--short-edge", type=int, default=256)
    asked = parser.parse_args()
    model = trained_model(asked.run)[0] if asked.run else load_model(asked.model, asked.weights, device="cpu")
    model.eval()
    sprites = load_sprites()
    labels = list(Vocabulary.builtin("stickers", synonyms=True))
    names = [label.name for label in labels]
    plain = texts(model, names, ("{}",))
    vild = texts(model, names, VILD_PROMPTS)
    print(
        "| frames | asked with | regions | top-1 | base | novel | top-5 | unnamed |\n|---|---|---|---|---|---|---|---|"
    )
    split = np.array([label.split == "novel" for label in labels])
    for kind, config in KINDS.items():
        pooled, true = regions(model, Videos(sprites, config), asked.frames, asked.short_edge)
        row(kind, "names, 14 prompts", score(model, pooled, vild), true, split)
        if "(val)" not in kind:
            continue
        row(kind, "names alone", score(model, pooled, plain), true, split)
        other = [label.synonyms[1] if len(label.synonyms) > 1 else label.name for label in labels]
        has = np.array([len(label.synonyms) > 1 for label in labels])[true.numpy()]
        by_synonym = score(model, [p for p, h in zip(pooled, has, strict=True) if h], texts(model, other, VILD_PROMPTS))
        row(kind, "first synonyms", by_synonym, true[torch.from_numpy(has)], split)
        absent = replace(
            vild, vectors=torch.cat([vild.vectors, texts(model, foreign_words(True), VILD_PROMPTS).vectors])
        )
        absent = replace(absent, label_of_row=torch.arange(len(absent.vectors)), labels=(*names, *foreign_words(True)))
        row(kind, f"with {len(foreign_words(True))} words never met", score(model, pooled, absent), true, split)


def texts(model: Model, words: Sequence[str], prompts: Sequence[str]) -> TextEmbeddings:
    """Return the embeddings of words, the mean over prompts."""
    asked = [prompt.replace("{}", word) for word in words for prompt in prompts]
    vectors = ensemble(model.clip.embed_texts(asked).unflatten(0, (len(words), len(prompts))))
    return TextEmbeddings(vectors, torch.arange(len(words)), tuple(words))


@torch.no_grad()
def regions(model: Model, videos: Videos, count: int, short_edge: int) -> tuple[list[Prediction], Tensor]:
    """Return every region as a prediction of one query, and its category."""
    found: list[Prediction] = []
    true: list[int] = []
    config = videos.config
    size = network_size(config.height, config.width, short_edge, 4 * short_edge)
    for images, owners, things in _batches(videos, count):
        pixels = v2.resize(torch.from_numpy(images).permute(0, 3, 1, 2), list(size), antialias=True)
        pixels = F.pad(pixels, (0, -size[1] % 32, 0, -size[0] % 32))
        dense = model.network.backbone(normalise(pixels, size, model.pixel_mean, model.pixel_std)).dense
        for i, (owner, categories) in enumerate(zip(owners, things, strict=True)):
            for n, category in enumerate(categories):
                mask = torch.from_numpy(owner == n + 1)
                if int(mask.sum()) < _LEAST:
                    continue
                grown = F.interpolate(mask.float()[None, None], size=size, mode="bilinear", antialias=True)
                grown = F.pad(grown, (0, -size[1] % 32, 0, -size[0] % 32))
                logits = (F.avg_pool2d(grown, 4) * 2 - 1) * _SURE
                blank = torch.zeros(1, 1, 2)
                found.append(Prediction(logits[:, :, None], blank, None, blank, dense[i][None, None]))
                true.append(category)
    return found, torch.tensor(true)


def _batches(videos: Videos, count: int) -> Iterator[tuple[np.ndarray, list[np.ndarray], list[list[int]]]]:
    for start in range(0, count, _BATCH):
        made = [videos.video(_SEED, number) for number in range(start, min(start + _BATCH, count))]
        frames = [video.frame(len(video) // 2) for video in made]
        things = [[thing.category for thing in video.objects] for video in made]
        yield np.stack([frame.image for frame in frames]), [frame.owner for frame in frames], things


@torch.no_grad()
def score(model: Model, found: Sequence[Prediction], text: TextEmbeddings) -> Tensor:
    """Return the logits of each region, (R, K)."""
    return torch.cat([model.classifier(prediction, text)[0] for prediction in found])


def row(kind: str, asked: str, logits: Tensor, true: Tensor, novel: np.ndarray) -> None:
    """Print one row."""
    blind = (logits == 0).all(1)
    best = logits.topk(5, dim=1).indices
    right = (best[:, 0] == true) & ~blind
    among = (best == true[:, None]).any(1) & ~blind
    is_novel = torch.from_numpy(novel)[true]
    shares = [right, right[~is_novel], right[is_novel], among, blind]
    print(f"| {kind} | {asked} | {len(true)} | " + " | ".join(f"{100 * s.float().mean():.1f}" for s in shares) + " |")


if __name__ == "__main__":
    main()
