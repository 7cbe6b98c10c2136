"""Which datasets of the catalogue are on this machine, by a quick look at their folders."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ovvis.datasets.catalog import Entry, entries
from ovvis.datasets.open import Dataset, find_dataset


@dataclass(frozen=True, slots=True)
class Presence:
    """What of a dataset is here."""

    dataset: Dataset
    entry: Entry
    annotated: bool  # the annotation file is there
    found: int  # videos (or images) in the folder of frames
    folders: bool  # each folder that must hold some does

    @property
    def state(self) -> str:
        """Return the state in a few words."""
        if not self.annotated and not self.found:
            return "not here"
        if not self.annotated:
            return "no annotations"
        if not self.found:
            return "no frames"
        if self.found < self.entry.videos or not self.folders:
            return f"{self.found:,} of {self.entry.videos:,}"
        return "complete"


def look(root: str | Path | None = None) -> list[Presence]:
    """Return what is here of each split; `ovvis.datasets.check` looks at every file.

    Args:
        root: the folder that the datasets lie in; None: `OVVIS_DATA`, else `datasets` here.
    """
    found = []
    for entry in entries():
        dataset = find_dataset(entry.name, root)
        folders = [dataset.frames / name for name in entry.counted] or [dataset.frames]
        counts = [_count(folder) for folder in folders]
        found.append(Presence(dataset, entry, dataset.annotations.is_file(), sum(counts), all(counts)))
    return found


def _count(folder: Path) -> int:
    """Return how many files and folders a folder has that are not hidden."""
    try:
        with os.scandir(folder) as inside:
            return sum(not item.name.startswith(".") for item in inside)
    except OSError:
        return 0
