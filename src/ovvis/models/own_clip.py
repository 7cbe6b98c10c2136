"""The frozen CLIP's own weights: from the package, from where they were fetched before, or from open_clip's places."""

from __future__ import annotations

import shutil
from pathlib import Path

import open_clip
from torch import Tensor

from ovvis.errors import InputError
from ovvis.models import download
from ovvis.models.checkpoint import read_checkpoint, write_checkpoint
from ovvis.models.clip import packaged_config
from ovvis.models.packaged import CLIP_FAMILY, packaged_clip
from ovvis.models.places import clip_path, packaged_path
from ovvis.models.settings import FamilyConfig
from ovvis.models.sources import Hub, Source, Url
from ovvis.models.torch_file import line_of

_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")  # as open_clip looks for them


def pretrained_clip(config: FamilyConfig, on_progress: download.Progress | None = None) -> dict[str, Tensor]:
    """Return the frozen CLIP's own weights under our names; those that are not packaged are fetched once and kept.

    Raises:
        InputError: the file here is not the one that was recorded.
        ResourceError: they are not here and cannot be fetched.
    """
    if packaged_config(config.clip) is not None or packaged_path(config.clip).is_file():
        return packaged_clip(config.clip, config.clip_weights)
    return read_checkpoint(fetch_clip(config, on_progress)).state


def _is_ours(raw: Path, settings: dict[str, str]) -> bool:
    """Return whether a file is one that we have written, such as a mirror's."""
    try:
        found = read_checkpoint(raw)
    except InputError:
        return False
    return (found.family, found.config) == (CLIP_FAMILY, settings)


def fetch_clip(config: FamilyConfig, on_progress: download.Progress | None = None, folder: Path | None = None) -> Path:
    """Return the file of a CLIP's own weights; fetch, convert and verify them on first use.

    Args:
        config: of a model that has this CLIP.
        on_progress: called with bytes done and bytes in all.
        folder: where they are kept; None for the cache folder.

    Raises:
        InputError: the file here is not the one that was recorded; open_clip knows no such weights.
        ResourceError: they are not here and cannot be fetched.
    """
    name, tag = config.clip, config.clip_weights
    settings = {"clip": name, "weights": tag}
    target = clip_path(name, tag, folder)
    if target.is_file():
        download.check_checksum(target)
        return target

    def finish(raw: Path, made: Path) -> None:
        if _is_ours(raw, settings):
            shutil.copyfile(raw, made)
            return
        try:
            clip = open_clip.create_model(name, pretrained=str(raw))
        except Exception as error:  # open_clip and PyTorch raise many kinds
            raise InputError(f"checkpoint {str(raw)!r} holds no weights of {name} ({line_of(error)})") from error
        state = {f"clip.model.{key}": tensor for key, tensor in clip.state_dict().items()}
        write_checkpoint(made, state, CLIP_FAMILY, settings)

    sources = clip_sources(name, tag)
    remedy = (
        f"connect to the network once, give a checkpoint that carries its CLIP, or carry {target.name} here in a "
        "mirror, which `ovvis models fetch --to FOLDER` makes on another machine"
    )
    download.fetch(sources, target, finish, on_progress, remedy)
    return target


def clip_sources(name: str, tag: str) -> list[Source]:
    """Return where open_clip has a CLIP's weights from.

    Raises:
        InputError: it knows none of that tag.
    """
    known = open_clip.get_pretrained_cfg(name, tag) or {}
    sources: list[Source] = []
    repository, _, file = str(known.get("hf_hub", "")).rpartition("/")
    if repository:
        sources += [Hub(repository, one) for one in ([file] if file else _FILES)]
    if address := known.get("url"):
        sources.append(Url(address))
    if not sources:
        raise InputError(
            f"CLIP weights {name}/{tag}: open_clip knows none of that tag; see open_clip.list_pretrained()"
        )
    return sources
