"""Everything that the papers' tables need, small and made up: data in its real layouts, networks, servers."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from ovvis.datasets.open import find_dataset, open_dataset
from ovvis.datasets.youtube_vis import read_youtube_vis
from ovvis.evaluation.evaluator import Evaluator
from ovvis.models import clip_vis, ovformer
from ovvis.models.checkpoint import write_checkpoint
from ovvis.models.packaged import packaged_model
from ovvis.models.settings import FamilyConfig
from ovvis.models.zoo import ZOO
from ovvis.predictions.result_files import ResultFiles
from ovvis.predictions.submission import PACKED
from ovvis.reproduction.answers import Key
from ovvis.reproduction.figures import figures_of
from ovvis.reproduction.papers import published_tables
from ovvis.reproduction.plan import NETWORKS
from ovvis.reproduction.rows import IOU_PIXELS
from ovvis.reproduction.stand_ins import SERVERS, write_stand_ins

DATA, WEIGHTS, DONE = "data", "weights", "made"
VIDEOS, FRAMES = 2, 12  # of each split
NOISE = 0.05  # added to packaged weights, as a share of each tensor's own spread
SHORT_EDGE = 96


def rehearsal(folder: Path) -> tuple[Path, dict[str, str]]:
    """Make stand-ins of all datasets, and a small filled checkpoint for each model that makes rows.

    Args:
        folder: where to; what is there of the same kind is used again.

    Returns:
        The data root, and the checkpoint of each model.
    """
    data, done = folder / DATA, folder / DONE
    if not done.is_file():
        write_stand_ins(data, VIDEOS, FRAMES)
    models = {row.model for table in published_tables().values() for row in table.rows if row.model}
    networks = {name: _network(name, folder / WEIGHTS) for name in sorted(models | set(NETWORKS.values()))}
    done.touch()
    return data, networks


def _network(name: str, folder: Path) -> str:
    """Write a filled checkpoint: a packaged network of the family, shaken so that no two are alike."""
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        family, base, config = _stand_in(name)
        state = packaged_model(ZOO[base]).state
        write_checkpoint(path, _shaken(state, zlib.crc32(name.encode())), family, asdict(config))
    return str(path)


def _stand_in(name: str) -> tuple[str, str, FamilyConfig]:
    """Return a model's family, the packaged network of its kind, and its configuration of that size."""
    if name == IOU_PIXELS or ZOO[name].family == clip_vis.FAMILY:
        base = "clip-vis-stickers"
        released = {"birth": None, "names": 0.0, "silence": 0.1, "none_logit": None}
        more = {"iou_from": "pixels"} if name == IOU_PIXELS else {}
        return clip_vis.FAMILY, base, replace(ZOO[base].config, short_edge=SHORT_EDGE, **released, **more)  # type: ignore[arg-type]
    entry = ZOO[name]
    base = "ov2seg-stickers" if entry.family == ovformer.OV2SEG else "ovformer-stickers"
    kept = {field: getattr(entry.config, field) for field in ("temporal", "window", "momentum", "choice", "alignment")}
    return entry.family, base, replace(ZOO[base].config, short_edge=SHORT_EDGE, **kept)


def _shaken(state: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    out = {}
    for name, tensor in state.items():
        if tensor.is_floating_point() and tensor.numel() > 1:
            noise = torch.randn(tensor.shape, generator=random) * float(tensor.float().std()) * NOISE
            tensor = (tensor.float() + noise).to(tensor.dtype)
        out[name] = tensor
    return out


def ask_servers(data: Path, archives: Mapping[Key, Path]) -> dict[Key, dict[str, float]]:
    """Score archives with what the made-up servers keep, as the real ones do; percent.

    Args:
        data: the data root.
        archives: the folder of each dataset's and model's archives.
    """
    out = {}
    for (name, model), folder in archives.items():
        seen = open_dataset(name, data)
        dataset = find_dataset(name, data)
        kept = read_youtube_vis(data / SERVERS / f"{name}.json", dataset.frames, name, seen.rules, problems=None)
        judge = Evaluator(seen.categories, kept.truths, seen.rules, [video.id for video in seen.videos])
        for tracks in ResultFiles(str(folder / PACKED), seen):
            judge.update(tracks)
        figures = figures_of(judge.report())
        out[name, model] = {kind: getattr(figures, kind) for kind in _sound(figures, ("AP", "base", "novel"))}
    return out


def _sound(figures: object, names: Iterable[str]) -> list[str]:
    return [name for name in names if getattr(figures, name) == getattr(figures, name)]
