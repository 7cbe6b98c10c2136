"""What the page offers to choose from: models with their sizes, lists of words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovvis.errors import InputError
from ovvis.models.default import default_model
from ovvis.models.export.names import exported_path, is_exported
from ovvis.models.measured import measured
from ovvis.models.places import weights_path
from ovvis.models.sources import offline
from ovvis.models.zoo import ZOO, ModelEntry, find_model
from ovvis.sources.devices import device_place, is_device
from ovvis.sources.place import address_place, is_address, shown_address
from ovvis.vocabulary import Vocabulary, builtin_names

_FLOAT = 4_000_000  # bytes of a million weights


@dataclass(frozen=True, slots=True)
class ExportedEntry:
    """A file of `ovvis models export` that the page offers; visitors see its name alone, no folder of the server."""

    path: Path
    model: str  # that it was exported from
    precision: str
    licence: str  # of the weights
    vocabulary: str  # in words, where one came with the weights; else empty

    @property
    def name(self) -> str:
        """What visitors call it."""
        return self.path.name


Entry = ModelEntry | ExportedEntry


def offered(names: Sequence[str] = (), device: str = "auto", precision: str = "auto") -> list[Entry]:
    """Return the models that the page offers: those named, or all whose weights can be had.

    Args:
        names: of the zoo, or files of `ovvis models export`.
        device: where the files must run; see `providers_for`.
        precision: which they must have, unless it is "auto".

    Raises:
        InputError: there is no such model, or its weights cannot be had; two files have the same name, or one cannot
            be used so.
    """
    if not names:
        return [entry for entry in ZOO.values() if _had(entry)]
    entries: list[Entry] = []
    for name in dict.fromkeys(names):
        entry = _exported(name, device, precision) if is_exported(name) else find_model(name)
        if isinstance(entry, ModelEntry) and not _had(entry):
            raise InputError(f"{entry.name}: no weights of it are published, so the page cannot offer it")
        if any(other.name == entry.name for other in entries):
            raise InputError(f"--model {name}: another file is called {entry.name} too; rename one of them")
        entries.append(entry)
    return entries


def _had(entry: ModelEntry) -> bool:
    return bool(entry.sources) or weights_path(entry).is_file()


def _exported(name: str, device: str, precision: str) -> ExportedEntry:
    from ovvis.models.export.header import check_precision, read_header
    from ovvis.models.export.providers import providers_for

    path = exported_path(name).absolute()
    header = read_header(path)[1]
    check_precision(header, precision, path)
    providers_for(device)
    own = f"{len(header.labels):,} words of its training" if header.labels else ""
    return ExportedEntry(path, header.name, header.precision, header.licence, own)


def files(entries: Sequence[Entry]) -> dict[str, str]:
    """Return what `load_model` is given for names that are files."""
    return {entry.name: str(entry.path) for entry in entries if isinstance(entry, ExportedEntry)}


def models(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return a row for each model: what it is, whether it is here, how much would be fetched."""
    chosen = _first(entries)
    return [
        _row(entry, entry.name == chosen) if isinstance(entry, ModelEntry) else _file_row(entry, entry.name == chosen)
        for entry in entries
    ]


def check_model(name: str, entries: Sequence[Entry]) -> Entry:
    """Return an offered model.

    Raises:
        InputError: it is not offered, or is neither here nor to be fetched.
    """
    for entry in entries:
        if entry.name == name:
            why = offline()
            if why and isinstance(entry, ModelEntry) and not weights_path(entry).is_file():
                raise InputError(f"{name} is not on the server, which fetches nothing ({why}): choose another model")
            return entry
    raise InputError(f"model {name[:80]!r} is not offered here: choose one of the list")


def check_cameras(cameras: Sequence[str]) -> list[str]:
    """Return sources of this machine that the page may show.

    Raises:
        InputError: one is no camera, screen or address, or a camera is not there.
    """
    for camera in cameras:
        if is_device(camera):
            device_place(camera)
        elif is_address(camera) and not camera.startswith("file:"):
            address_place(camera)
        else:
            raise InputError(f"--camera {camera}: it must be a camera (camera:0), a screen (screen:) or an address")
    return list(cameras)


def camera_name(camera: str) -> str:
    """Return what visitors call one of the server's cameras: no password is in it."""
    return shown_address(camera) if is_address(camera) else camera.partition("?")[0]


def _first(entries: Sequence[Entry]) -> str:
    """Return the model that is chosen at first: the one that runs unnamed, if it is offered and here."""
    default = default_model(ask=False)
    names = {entry.name: entry for entry in entries}
    if default.name in names and default.to_fetch_bytes is None:
        return default.name
    here = [one.name for one in entries if not isinstance(one, ModelEntry) or weights_path(one).is_file()]
    return here[0] if here else entries[0].name


def _row(entry: ModelEntry, chosen: bool) -> dict[str, Any]:
    here = weights_path(entry).is_file()
    known = next((source.size for source in entry.sources if source.size), None)
    runs = [run for run in measured() if run.model == entry.name]
    return {
        "name": entry.name,
        "chosen": chosen,
        "here": here,
        "packaged": entry.packaged,
        "fetch_bytes": None if here else known or entry.parameters * _FLOAT,
        "parameters_millions": entry.parameters,
        "trained_on": entry.training_data,
        "ap": entry.published_ap,
        "licence": entry.weights_licence,
        "own_words": entry.vocabulary or None,
        "seconds_a_frame": runs[-1].seconds if runs else None,
    }


def _file_row(entry: ExportedEntry, chosen: bool) -> dict[str, Any]:
    return {
        "name": entry.name,
        "chosen": chosen,
        "here": True,
        "packaged": False,
        "exported": f"{entry.model} in {entry.precision}, exported",
        "fetch_bytes": None,
        "parameters_millions": None,
        "trained_on": "",
        "ap": {},
        "licence": entry.licence,
        "own_words": entry.vocabulary or None,
        "seconds_a_frame": None,
    }


def vocabularies() -> list[dict[str, Any]]:
    """Return the built-in lists of words, with how many each has."""
    return [{"name": name, "count": len(Vocabulary.builtin(name))} for name in builtin_names()]


def check_words(words: str, entry: Entry) -> str:
    """Return words that can be looked for.

    Raises:
        InputError: there are none and the model brings none, or they cannot be read as words.
    """
    words = words.strip()
    if words.startswith("@"):
        raise InputError("words: type them, or choose a list; a file of the server cannot be named")
    if words:
        Vocabulary.parse(words, files=False)
    elif not entry.vocabulary:
        raise InputError('words: say what to look for, such as "dog, traffic light"')
    return words
