"""Calibrate "none of these": the logit of an answer beside the vocabulary, on videos that nothing was chosen on.

    python benchmarks/none_of_these.py --videos 60 --picture docs/none_of_these.png

Each object that the model finds is asked about with word lists of several lengths: some hold its label, some miss it,
and some are of other words altogether (--foreign). With a list that holds it an answer is right if the label is the
best one and its score reaches --shown; with the others, if no score does. The value chosen is the highest of those
that still keep --keep of the right answers that there are without it, with lists of every length.

Scores are the model's own, of whole tracks, but for silenced frames. Without --dataset the videos are the Stickers
world's, of a seed that no split uses, all categories, before the backgrounds of validation; they need the sprites of
`ovvis world build`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ovvis import masks
from ovvis.cli.console import progress
from ovvis.datasets.open import open_dataset
from ovvis.datasets.stickers import SPLITS
from ovvis.datasets.words import dataset_vocabulary
from ovvis.inference import scoring
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.trackers import build_tracker
from ovvis.models.load import load_model
from ovvis.models.settings import VideoSettings
from ovvis.pixels import pad
from ovvis.sources.source import Source
from ovvis.sources.video import open_frames, open_source
from ovvis.vocabulary import Label, Vocabulary, plain_word
from ovvis.world.sprites import load_sprites
from ovvis.world.video import Videos

SEED = 90  # of the world's videos; splits use 1 to 4, training 11
OFF = -1e4  # as a logit of "none of these": there is no such answer


@dataclass(frozen=True, slots=True)
class Case:
    """A video with its truth."""

    source: Source
    labels: list[int]  # N; place in the vocabulary
    masks: list[list[NDArray[np.bool_] | None]]  # N, T


@dataclass(frozen=True, slots=True)
class Found:
    """One object that the model found."""

    label: int  # its true one
    logits: Tensor  # T, K
    ious: Tensor | None  # T; predicted
    objects: Tensor  # 2; mean object logits
    quality: float  # mean confidence of the mask's pixels


@dataclass(frozen=True, slots=True)
class Curve:
    """What happens at each value (V), for lists of one kind and length; shares of the objects found."""

    kind: str  # "holds", "misses" or "foreign"
    length: int
    good: list[float]  # right answers of lists that hold the object; rejections by the others


def main() -> None:
    asked = _options()
    torch.set_num_threads(asked.threads)
    model = load_model(asked.model, asked.weights, device=asked.device)
    settings = replace(model.video, none_logit=None)
    if settings.class_score != "softmax":
        raise SystemExit(f"{model.name} scores each label by itself: there is no softmax to put another answer into")
    cases, names = (dataset_cases if asked.dataset else world_cases)(asked)
    own = {plain_word(word) for label in names for word in label.synonyms}
    foreign = [label for label in Vocabulary.parse(asked.foreign) if own.isdisjoint(map(plain_word, label.synonyms))]
    segmenter = VideoSegmenter(model, Vocabulary([*names, *foreign]), settings=settings)
    found, objects = look(segmenter, cases, asked.videos, None if asked.true_masks else asked.least_iou)
    if not found:
        raise SystemExit(
            f"none of {objects} objects was found with an IoU of {asked.least_iou}: nothing to calibrate on"
        )
    values = np.arange(*asked.values).tolist()
    curves = [
        ask(found, kind, length, (len(names), len(foreign)), settings, [OFF, *values], asked)
        for length in asked.lengths
        for kind in ("holds", "misses", "foreign")
    ]
    best = choose(curves, values, asked.keep)
    show(curves, values, best, f"{model.name}, {len(found)} of {objects} objects of {asked.videos} videos found", asked)
    if asked.picture:
        draw(curves, values, best, asked.picture)
    if asked.json:
        rows = [{"kind": c.kind, "length": c.length, "good": c.good} for c in curves]
        asked.json.write_text(json.dumps({"values": values, "chosen": values[best], "curves": rows}))


def world_cases(asked: argparse.Namespace) -> tuple[Iterator[Case], list[Label]]:
    """Return videos that no split has, and the labels of all categories."""
    sprites = load_sprites()
    videos = Videos(sprites, replace(SPLITS["val"].config, reserved_drawings=asked.hard))

    def made() -> Iterator[Case]:
        for number in range(asked.videos):
            video = videos.video(SEED, number)
            frames = list(video)
            truth = [[frame.mask(n) for frame in frames] for n in range(len(video.objects))]
            labels = [thing.category for thing in video.objects]
            yield Case(open_source([frame.image for frame in frames]), labels, truth)

    return made(), [Label(category.name, category.synonyms) for category in sprites.categories]


def dataset_cases(asked: argparse.Namespace) -> tuple[Iterator[Case], list[Label]]:
    """Return videos of a dataset, evenly from the whole, and its labels."""
    known = open_dataset(asked.dataset, asked.data_root, asked.frames)
    vocabulary, ids = dataset_vocabulary(known.categories)
    place = {category: i for i, category in enumerate(ids)}
    chosen = sorted({int(i) for i in np.linspace(0, len(known.videos) - 1, min(asked.videos, len(known.videos)))})

    def read() -> Iterator[Case]:
        for video in (known.videos[i] for i in chosen):
            truths = known.truths_of(video)
            codes = [[None if code is None else masks.decode(code) for code in truth.masks] for truth in truths]
            source = open_frames(known.paths(video), video.name)
            yield Case(source, [place[truth.category_id] for truth in truths], codes)

    return read(), list(vocabulary)


@torch.no_grad()
def look(
    segmenter: VideoSegmenter, cases: Iterable[Case], count: int, least_iou: float | None
) -> tuple[list[Found], int]:
    """Return the objects whose best tube has at least an IoU over the video, and the number of all objects.

    With None for the IoU every object is taken for found, under its true masks and with full confidence.
    """
    found, objects = [], 0
    with progress("looking", "videos", count) as done:
        for number, case in enumerate(cases, 1):
            objects += len(case.labels)
            found += _under_truth(segmenter, case) if least_iou is None else _look(segmenter, case, least_iou)
            done(number)
    return found, objects


def _look(segmenter: VideoSegmenter, case: Case, least_iou: float) -> list[Found]:
    run, tracker = segmenter.look(case.source), build_tracker(segmenter.settings)
    logits, ious, objects, shared, areas = [], [], [], [], []
    confidence, pixels = 0.0, 0.0
    for number, (_, seen) in enumerate(run):
        order = seen.followed_by(tracker, segmenter.settings)
        small = seen.masks[order, 0] > 0  # Q, h, w
        truth = torch.stack([_small(track[number], run.size, run.padded, small.shape[1:]) for track in case.masks])
        flat, true = small.flatten(1).float().cpu(), truth.flatten(1).float()
        shared.append(flat @ true.T)
        areas.append(flat.sum(1)[:, None] + true.sum(1)[None])
        logits.append(seen.logits[order].cpu())
        ious.append(None if seen.prediction.mask_ious is None else seen.prediction.mask_ious[0].float()[order].cpu())
        objects.append(seen.object_logits[order].cpu())
        confidence, pixels = confidence + seen.confidence[order].sum(1).cpu(), pixels + seen.pixels[order].sum(1).cpu()
    both = torch.stack(shared).sum(0)
    overlap = both / (torch.stack(areas).sum(0) - both).clamp(min=1)  # Q, N
    quality = (confidence / (pixels + 1e-6)).tolist()
    out = []
    for n, label in enumerate(case.labels):
        q = int(overlap[:, n].argmax())
        if overlap[q, n] >= least_iou:
            own = None if ious[0] is None else torch.stack([iou[q] for iou in ious])
            mean = torch.stack([o[q] for o in objects]).mean(0)
            out.append(Found(label, torch.stack([frame[q] for frame in logits]), own, mean, quality[q]))
    return out


def _under_truth(segmenter: VideoSegmenter, case: Case) -> list[Found]:
    run, logits, visible = segmenter.look(case.source), [], []
    for number, (_, seen) in enumerate(run):
        cells = seen.masks.shape[2:]
        truth = torch.stack([_small(track[number], run.size, run.padded, cells) for track in case.masks])
        masks = torch.where(truth, 10.0, -10.0)[None, :, None].to(seen.masks)
        prediction = replace(seen.prediction, mask_logits=masks)
        logits.append(segmenter.model.classifier(prediction, segmenter.text)[0].float().cpu())
        visible.append(truth.flatten(1).any(1))
    seen_in = torch.stack(visible)  # T, N
    sure = torch.tensor([30.0, 0.0])
    return [
        Found(label, torch.stack(logits)[seen_in[:, n], n], None, sure, 1.0)
        for n, label in enumerate(case.labels)
        if seen_in[:, n].any()
    ]


def _small(mask: NDArray[np.bool_] | None, size: tuple[int, int], padded: tuple[int, int], cells: torch.Size) -> Tensor:
    """Return a true mask on the grid of the network's masks."""
    if mask is None:
        return torch.zeros(cells, dtype=torch.bool)
    image = torch.from_numpy(mask).float()[None, None]
    resized = F.interpolate(image, size, mode="bilinear", antialias=True)
    return F.interpolate(pad(resized, padded), cells, mode="area")[0, 0] > 0.5


def ask(
    found: list[Found],
    kind: str,
    length: int,
    sizes: tuple[int, int],
    settings: VideoSettings,
    values: list[float],
    asked: argparse.Namespace,
) -> Curve:
    """Ask about every object with lists of one kind and length.

    Args:
        found: the objects.
        kind: "holds", "misses" or "foreign".
        length: labels in a list; shorter where there are not so many.
        sizes: labels of the dataset, and foreign ones behind them.
        settings: how scores are made.
        values: logits of "none of these".
        asked: --shown and --draws.
    """
    rng = np.random.default_rng([SEED, length])
    good = np.zeros(len(values))
    count = 0
    for one in found:
        others = np.setdiff1d(np.arange(sizes[0]), [one.label])
        for _ in range(asked.draws):
            if kind == "foreign":
                words = sizes[0] + rng.choice(sizes[1], min(length, sizes[1]), replace=False)
            else:
                held = [one.label] if kind == "holds" else []
                rest = rng.choice(others, min(length - len(held), len(others)), replace=False)
                words = np.concatenate([held, rest]).astype(int)
            scores = track_scores(one, words, settings, values)  # V, K
            best = scores.max(1)
            right = (best.indices == 0) & (best.values >= asked.shown) if kind == "holds" else best.values < asked.shown
            good += right.numpy()
            count += 1
    return Curve(kind, length, (good / count).tolist())


def track_scores(one: Found, words: NDArray[np.int64], settings: VideoSettings, values: list[float]) -> Tensor:
    """Return the track's scores (V, K) for a list of words, at each logit of "none of these"."""
    logits = one.logits[:, torch.from_numpy(words)]
    rows = []
    for value in values:
        classes = scoring.class_scores(logits, settings.class_score, None, value)
        rows.append(scoring.window_scores(classes, one.ious, settings).mean(0))
    scores = scoring.tube_scores(torch.stack(rows), one.objects.expand(len(rows), 2), settings)
    return scores * one.quality if settings.mask_quality else scores


def choose(curves: list[Curve], values: list[float], keep: float) -> int:
    """Return the place of the highest value that keeps enough of the right answers that there are without it."""
    right = np.array([curve.good for curve in curves if curve.kind == "holds"])  # lengths, values
    enough = np.flatnonzero((right[:, 1:] >= keep * right[:, :1]).all(0))
    return int(enough[-1]) if len(enough) else 0


def show(curves: list[Curve], values: list[float], best: int, title: str, asked: argparse.Namespace) -> None:
    """Print what is right without the answer, and with the value chosen."""
    console = Console(width=120)
    table = Table(title=title, title_justify="left")
    for column in ("labels", "kept", "with", "rejected", "with", "foreign rejected", "with"):
        table.add_column(column, justify="right")
    for length in asked.lengths:
        of = {curve.kind: curve.good for curve in curves if curve.length == length}
        kinds = ("holds", "misses", "foreign")
        table.add_row(str(length), *(f"{of[kind][i]:.1%}" for kind in kinds for i in (0, best + 1)))
    console.print(table)
    console.print(
        f"none_logit {values[best]:g}: keeps at least {asked.keep:.0%} of what is right without it, at each length"
    )
    console.print(f"score shown from {asked.shown:g}; {asked.draws} lists for each object; {time.strftime('%Y-%m-%d')}")


def draw(curves: list[Curve], values: list[float], best: int, path: Path) -> None:
    """Draw the shares over the value."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    titles = {
        "holds": "kept: right, of lists that hold the object",
        "misses": "rejected, of lists that miss it",
        "foreign": "rejected, of lists of other words",
    }
    figure, panels = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained", sharey=True)
    for panel, (kind, title) in zip(panels, titles.items(), strict=True):
        for curve in (c for c in curves if c.kind == kind):
            line = panel.plot(values, curve.good[1:], label=f"{curve.length} labels")[0]
            panel.axhline(curve.good[0], color=line.get_color(), linestyle=":", linewidth=0.8)
        panel.axvline(values[best], color="black", linewidth=0.8)
        panel.set(title=title, xlabel="logit of none of these", ylim=(0, 1))
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("share of the objects found")
    panels[0].legend()
    figure.savefig(path, dpi=110)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a name from `ovvis models`; the default one if not given")
    parser.add_argument("--weights")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dataset", help="a name from `ovvis datasets` or a JSON; the world's own videos if not given")
    parser.add_argument("--frames", type=Path)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--hard", action="store_true", help="the world's drawings that are never trained on")
    parser.add_argument("--videos", type=int, default=60)
    parser.add_argument("--lengths", type=int, nargs="+", default=[5, 20, 100, 300])
    parser.add_argument("--draws", type=int, default=4, help="lists of each kind and length for each object")
    parser.add_argument("--foreign", default="lvis_v1", help="words of which lists that miss the object are made too")
    parser.add_argument("--values", type=float, nargs=3, default=[-5, 40, 0.5], help="from, to, step")
    parser.add_argument("--shown", type=float, default=0.3, help="score from which a track is shown")
    parser.add_argument("--keep", type=float, default=0.9)
    parser.add_argument(
        "--true-masks",
        action="store_true",
        help="naming alone: every object under its true masks",
    )
    parser.add_argument("--least-iou", type=float, default=0.5, help="of an object that counts as found")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
