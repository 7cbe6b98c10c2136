"""What the papers' tables need: which data and weights are here, what is missing, and how it is had."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ovvis.datasets.catalog import entry
from ovvis.datasets.open import find_dataset
from ovvis.errors import InputError
from ovvis.models.measured import measured
from ovvis.models.places import weights_path
from ovvis.models.zoo import ZOO, find_model
from ovvis.reproduction.plan import Work
from ovvis.reproduction.videos import DatasetVideos

RECIPES = {
    "iou-pixels": "ovvis train clip-vis-r50-lvis --set model.network.iou_from=pixels, then --network iou-pixels=FILE",
    "ov2seg-swin-b": "ovvis train ov2seg-swin-b-lvis, then --network ov2seg-swin-b=FILE",
}
"""How weights that nobody published are made."""


@dataclass(frozen=True, slots=True)
class Need:
    """Whether a piece of work can be done here."""

    work: Work
    videos: DatasetVideos | None  # None: the data is not here
    data_missing: str  # what is missing and how it is had; "" where it is here
    weights_missing: str

    @property
    def ready(self) -> bool:
        """Whether it can be done."""
        return not self.data_missing and not self.weights_missing

    @property
    def scored(self) -> bool:
        """Whether the truth is here; else a server has it."""
        return self.videos is not None and bool(self.videos.dataset.truths)

    @property
    def asks_server(self) -> bool:
        """Whether a server scores it."""
        kept_there = entry(self.work.dataset).truth == "server" or self.videos is not None
        return kept_there and not self.scored

    @property
    def frames(self) -> int:
        """The frames of the dataset; 0 where it is not here."""
        return 0 if self.videos is None else sum(map(self.videos.length, range(len(self.videos))))

    @property
    def passes(self) -> int:
        """How often the network sees them: once for all rows with windows of one length."""
        entry = ZOO.get(self.work.model)
        own = getattr(entry.config, "window", 1) if entry else 1
        windows = {row.settings.get("window", own) for row in self.work.experiment.rows}
        refined = {row.settings.get("learnt") == "offline" for row in self.work.experiment.rows}
        return len(windows) * len(refined)


def look_for(works: Sequence[Work], root: Path | None, networks: Mapping[str, str]) -> list[Need]:
    """Return what is here for each piece of work.

    Args:
        works: what is to be done.
        root: the folder that the datasets lie in; None: where `ovvis datasets` looks.
        networks: checkpoints to take in place of the zoo's, by model.
    """
    data = {name: _data(name, root) for name in dict.fromkeys(work.dataset for work in works)}
    weights = {name: _weights(name, networks) for name in dict.fromkeys(work.model for work in works)}
    return [Need(work, *data[work.dataset], weights[work.model]) for work in works]


def _data(name: str, root: Path | None) -> tuple[DatasetVideos | None, str]:
    dataset = find_dataset(name, root)
    known = entry(name)
    note = f" ({known.note})" if known.note else ""
    if not dataset.annotations.is_file():
        return None, f"{dataset.annotations} is missing{note}; get it from {known.page}"
    if not dataset.frames.is_dir():
        return None, f"the frames are missing ({dataset.frames}); get them from {known.page}"
    try:
        return DatasetVideos(dataset.read()), ""
    except InputError as error:
        return None, str(error)


def _weights(name: str, networks: Mapping[str, str]) -> str:
    if name in networks:
        return ""
    if name not in ZOO:
        return f"no weights are published: {RECIPES[name]}"
    line = find_model(name)
    if weights_path(line).is_file():
        return ""
    if not line.published:
        return f"no weights are published: {RECIPES.get(name, 'train it')}"
    return f"ovvis models fetch {name}"


def unusual(need: Need) -> Iterable[str]:
    """Yield what makes the figures of a dataset something else than the paper's, a sentence each."""
    if need.videos is None:
        return
    dataset = need.videos.dataset
    known = entry(dataset.name)
    if known.videos != len(dataset.videos):
        yield (
            f"{dataset.name} holds {len(dataset.videos):,} videos here and {known.videos:,} as published: its figures "
            "are those of what is here"
        )
    if known.truth == "public" and not dataset.truths:
        yield f"{dataset.name} holds no truth here, so that a server must score it: {known.note or known.page}"
    yield from map(str, dataset.notes)


def seconds_a_frame(model: str, precision: str) -> float | None:
    """Return what a frame of a model took here, by the latest run; None where there was none."""
    found = [one.seconds for one in measured() if one.model == model and one.precision == precision]
    return found[-1] if found else None
