"""A model's own weights: packaged, or fetched from where their authors put them and converted."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from ovvis.errors import OvvisError, ResourceError
from ovvis.files.output import make_way
from ovvis.models import download
from ovvis.models.built import build_from
from ovvis.models.checkpoint import CLASSES, Checkpoint, read_checkpoint, write_checkpoint
from ovvis.models.convert import has_clip
from ovvis.models.packaged import packaged_model
from ovvis.models.places import weights_path
from ovvis.models.recognised import recognise
from ovvis.models.zoo import ModelEntry, find_model
from ovvis.paths import user_path

_log = logging.getLogger(__name__)


def convert(
    source: str | Path | Checkpoint,
    target: str | Path,
    name: str | None = None,
    *,
    overwrite: bool = True,
    tell: Callable[[str], object] | None = None,
    on_progress: download.Progress | None = None,
    ignore_unused: bool = False,
) -> ModelEntry:
    """Convert an authors' checkpoint into our safetensors, after loading it strictly.

    Args:
        source: the authors' file, or what was read of one.
        target: the file to write.
        name: the model it must be; None finds out.
        overwrite: whether an older file may be replaced.
        tell: is called with what was changed in reading it.
        on_progress: called with bytes done and bytes in all while the CLIP's weights are fetched, if they must be.
        ignore_unused: whether to go on without tensors of the file that the model has not.

    Returns:
        The zoo's line of the model that it is.

    Raises:
        InputError: it is no checkpoint of a known model, or another than `name`; the target is there already.
        ResourceError: the target cannot be written.
    """
    target = user_path(target)
    make_way(target, overwrite)
    checkpoint = source if isinstance(source, Checkpoint) else read_checkpoint(source)
    entry = find_model(name) if name else recognise(checkpoint)
    depth = entry.config.decoder_layers if name else None
    model = build_from(checkpoint, entry, depth, {}, on_progress, ignore_unused=ignore_unused)
    if tell is not None:
        for note in model.notes:
            tell(note)
    try:
        state = model.state_dict()
        if checkpoint.classes is not None:
            state[CLASSES] = checkpoint.classes
        write_checkpoint(target, state, model.family, asdict(model.config), overwrite=overwrite)
    except OvvisError:
        raise
    except OSError as error:
        raise ResourceError(
            f"{str(target)!r} cannot be written ({error.strerror or error}); choose another place"
        ) from error
    return entry


def own_weights(
    entry: ModelEntry, on_progress: download.Progress | None = None, *, ignore_unused: bool = False
) -> Checkpoint:
    """Return a model's own weights, from the package or from where its authors put them.

    Raises:
        InputError: the file here is not the one that was recorded.
        ResourceError: they are not here and cannot be fetched.
    """
    if entry.packaged:
        return packaged_model(entry)
    return read_checkpoint(fetch_weights(entry, on_progress, ignore_unused=ignore_unused))


def fetch_weights(
    entry: ModelEntry,
    on_progress: download.Progress | None = None,
    folder: Path | None = None,
    *,
    ignore_unused: bool = False,
) -> Path:
    """Return the published weights of a model; fetch, convert and verify them on first use, its CLIP's first.

    Args:
        entry: the zoo's line.
        on_progress: called with bytes done and bytes in all.
        folder: where they are kept; None for the cache folder.
        ignore_unused: whether to go on without tensors of the authors' file that the model has not.

    Raises:
        InputError: the file here is not the one that was recorded.
        ResourceError: they are not here and cannot be fetched.
    """
    target = weights_path(entry) if folder is None else folder / entry.file
    if not entry.published and not target.is_file():
        raise ResourceError(
            f"{entry.name}: no weights of it are published; train it, or give a checkpoint as --weights"
        )
    if target.is_file():
        download.check_checksum(target)
        return target

    def finish(raw: Path, made: Path) -> None:
        found = read_checkpoint(raw) if raw.suffix == ".safetensors" else None
        if found is not None and found.family is not None and has_clip(found.state):
            build_from(found, entry, entry.config.decoder_layers, {})
            shutil.copyfile(raw, made)  # bit by bit, so that its digest is the same on every machine
        else:
            convert(raw, made, entry.name, tell=_log.warning, on_progress=on_progress, ignore_unused=ignore_unused)

    download.fetch(entry.sources, target, finish, on_progress)
    return target
