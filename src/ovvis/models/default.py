"""Which model runs where none is named, and why.

The best whose weights are here; else the best openly licensed one, which is fetched; else the small one in the package.
"Best" is the published AP on LV-VIS val, the one benchmark of this task whose vocabulary is large. A model without that
figure comes behind all that have one, by OVIS, YouTube-VIS 2019, then images.

Nothing here needs PyTorch, so that a page or a light command can ask, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovvis.models.download import mirror_record
from ovvis.models.places import weights_path
from ovvis.models.reach import unreachable
from ovvis.models.sources import MIRROR, mirror, mirrored, offline
from ovvis.models.zoo import SMALL_MODEL, ModelEntry, list_models
from ovvis.vocabulary import Vocabulary

FETCHED = ("clip-vis-convnext-b", "clip-vis-r50")
"""What is fetched where nothing is here, in order: the best by LV-VIS val AP of those whose weights and training data
are openly licensed, and whose file has at most 1 GB. Neither GPL, nor for research alone, nor without a licence."""

_BENCHMARKS = ("LV-VIS val", "OVIS", "YTVIS19")
_FLOAT = 4_000_000  # bytes of a million weights, as the authors' files hold them


@dataclass(frozen=True, slots=True)
class Default:
    """A model that may run where none is named.

    Attributes:
        name: of the zoo.
        why: the reason, as what follows a colon.
        to_fetch_bytes: about how many bytes are fetched for it; None where its weights are here.
    """

    name: str
    why: str
    to_fetch_bytes: int | None = None

    @property
    def line(self) -> str:
        """What a run says before it loads this model."""
        what = f"taking {self.name}"
        if self.to_fetch_bytes is not None:
            what = f"fetching {self.name} once, about {self.to_fetch_bytes / 1e6:,.0f} MB"
        return f"No model is named, {what}: {self.why}"


def default_model(*, ask: bool = True) -> Default:
    """Return the model that runs where none is named, as things stand; no PyTorch is needed.

    Args:
        ask: whether to look if there is a network, which takes up to four seconds where there is none; without, there
            is taken to be one, unless `OVVIS_OFFLINE` or `HF_HUB_OFFLINE` is set.
    """
    return next(candidates(ask=ask))


def candidates(*, ask: bool = True) -> Iterator[Default]:
    """Yield the models that may run where none is named, the best first; the next one is for where it does not load.

    The last lies in the package. A network is looked for when all that are here have been yielded.

    Args:
        ask: as for `default_model`.
    """
    here = sorted(filter(_here, list_models()), key=merit, reverse=True)
    for entry in here:
        rank = "the best" if entry is here[0] else "the next best"
        yield Default(entry.name, f"{rank} of the published models whose weights are here {_of(entry)}")
    have = "none of the published weights here can be used" if here else "no published weights are here"
    why_not = offline()
    if why_not is None:
        failed: list[str] = []
        for entry, size, which in _to_fetch(here, ask):
            if ask and (why_not := unreachable(_addresses(entry))):
                break
            rank = "the next best" if failed else "the best"
            failed.append(f"{entry.name} could not be had")
            yield Default(entry.name, f"{have}, and it is {rank} {which} {_of(entry)}", size)
        why_not = why_not or "; ".join(failed)
    yield Default(SMALL_MODEL, f"{have}, and none can be fetched ({why_not}); it is the small model in the package")


def merit(entry: ModelEntry) -> tuple[float, ...]:
    """Return what models are compared by; the larger, the better.

    >>> from ovvis.models.zoo import ZOO
    >>> merit(ZOO["clip-vis-r50"]) > merit(ZOO["ov-dvis-convnext-l"]) > merit(ZOO["fc-clip-r50"])
    True
    """
    images = max(entry.image_ap.values(), default=-1.0)
    return (*(entry.published_ap.get(name, -1.0) for name in _BENCHMARKS), images)


def small_model_warning() -> str:
    """Return what to say at the beginning and the end of a run of the small model that nobody asked for."""
    kinds = len(Vocabulary.builtin(SMALL_MODEL.rpartition("-")[2]))
    return (
        f"{SMALL_MODEL} knows {kinds} kinds of illustrated objects and nothing else: in real footage it finds "
        f"nothing of worth. Published models are for that: `ovvis models fetch {FETCHED[0]}`, or a mirror of them "
        f"({MIRROR}, --mirror)."
    )


def _here(entry: ModelEntry) -> bool:
    """Return whether a model's published weights lie on this machine: in the cache, or in a mirror that is a folder."""
    if entry.packaged:
        return False
    in_mirror = mirror()
    files = [weights_path(entry)]
    if isinstance(in_mirror, Path):
        files += [in_mirror / entry.file, in_mirror / f"{entry.name}.pth"]
    return any(file.is_file() for file in files)


def _to_fetch(tried: list[ModelEntry], ask: bool) -> Iterator[tuple[ModelEntry, int, str]]:
    """Yield what may be fetched, how many bytes that is, and whence: what a mirror says that it has, then `FETCHED`."""
    address = mirror()
    if ask and isinstance(address, str) and unreachable([address]) is None:
        record = mirror_record(address)
        has = [entry for entry in list_models() if entry.file in record and entry not in tried and not entry.packaged]
        for entry in sorted(has, key=merit, reverse=True):
            yield entry, _stated(record[entry.file]) or entry.parameters * _FLOAT, f"of those in the mirror {address}"
        tried = [*tried, *has]
    zoo = {entry.name: entry for entry in list_models()}
    for entry in (zoo[name] for name in FETCHED if name in zoo):
        if entry not in tried:
            known = next((source.size for source in entry.sources if source.size), None)
            yield entry, known or entry.parameters * _FLOAT, "that is openly licensed"


def _stated(record: Any) -> int | None:
    size = record.get("size") if isinstance(record, dict) else None
    return size if isinstance(size, int) and size > 0 else None


def _addresses(entry: ModelEntry) -> list[str]:
    places = [*mirrored(entry.file), *entry.sources]
    return [source.address for source in places if "://" in source.address]


def _of(entry: ModelEntry) -> str:
    """Return a model's figure and licence, in brackets."""
    figures = {**entry.published_ap, **entry.image_ap}
    name = next((name for name in (*_BENCHMARKS, *figures) if name in figures), None)
    figure = "no AP published" if name is None else f"{name} AP {figures[name]:.1f}"
    return f"({figure}; weights: {entry.weights_licence})"
