"""From a checkpoint to the model that it is of, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from ovvis.errors import InputError
from ovvis.models import download
from ovvis.models.checkpoint import Checkpoint
from ovvis.models.convert import decoder_depth, has_clip, query_count
from ovvis.models.families import FAMILIES, build_model
from ovvis.models.model import Model
from ovvis.models.own_clip import pretrained_clip
from ovvis.models.recognised import check_architecture, entries_alike
from ovvis.models.settings import FamilyConfig
from ovvis.models.stated import check_depth, stated_config
from ovvis.models.strict import TensorsDiffer, load_strictly
from ovvis.models.zoo import ModelEntry
from ovvis.structures import TextEmbeddings
from ovvis.version import __version__
from ovvis.vocabulary import Vocabulary


def build_from(
    checkpoint: Checkpoint,
    entry: ModelEntry,
    pinned_depth: int | None,
    options: Mapping[str, Any],
    on_progress: download.Progress | None = None,
    *,
    ignore_unused: bool = False,
) -> Model:
    """Return a model with a checkpoint's weights, on the CPU, in float32, not yet changed for inference.

    The decoder's depth and the number of its queries are what the tensors say: OV2Seg's authors configured 300 queries
    and evaluated with 100.

    Args:
        checkpoint: what `read_checkpoint` gave.
        entry: the zoo's line of the model asked for.
        pinned_depth: the number of decoder layers that was asked for, or None.
        options: fields of the configuration that differ from the zoo's.
        on_progress: called with bytes done and bytes in all while the CLIP's weights are fetched, if they must be.
        ignore_unused: whether to go on without tensors of the file that the model has not; `Model.notes` says so.

    Raises:
        InputError: the checkpoint is another model's.
    """
    where = f"checkpoint {str(checkpoint.path)!r}"
    check_architecture(checkpoint, entry, where)
    depth = check_depth(decoder_depth(checkpoint.state), where)
    if pinned_depth is not None and depth != pinned_depth:
        deep = [other.name for other in entries_alike(checkpoint) if other.config.decoder_layers == depth]
        raise InputError(
            f"{where} has {depth} decoder layers, but {entry.name} was asked for with {pinned_depth}; name the model "
            f"that the file belongs to{': ' if deep else ''}{' or '.join(deep)}"
        )
    config: FamilyConfig = entry.config
    if checkpoint.config:
        config = stated_config(FAMILIES[entry.family].config, checkpoint.config, checkpoint.state, where)
    queries = query_count(checkpoint.state) or config.queries
    config = replace(config, **{"queries": queries, **options, "decoder_layers": depth})
    model = _built(config, entry, where)
    state = checkpoint.state
    if not has_clip(state):
        state = {**state, **pretrained_clip(config, on_progress)}
    floats = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    try:
        left = load_strictly(model, floats, where, checkpoint.unknown, ignore_unused=ignore_unused)
    except TensorsDiffer as error:
        error.report = f"{_headline(checkpoint.path, entry.name)}\n{error.report}"
        raise
    model.source = checkpoint.path.name
    if checkpoint.unwrapped:
        model.notes = (f"{where}: {checkpoint.unwrapped!r} before every tensor's name is left out",)
    if left:
        model.notes += (f"{where}: {len(left)} of its tensors are not used (first: {left[0]})",)
    model.texts = _texts(checkpoint, entry)
    return model


def _headline(path: Path, model: str) -> str:
    """Return what a report begins with; no folder, as it is for others' eyes."""
    size = path.stat().st_size if path.is_file() else 0
    return f"ovvis {__version__}, {model}, {path.name} of {size:,} bytes"


def _built(config: FamilyConfig, entry: ModelEntry, where: str) -> Model:
    """Return the untrained model of a configuration."""
    try:
        return build_model(config, entry.name)
    except InputError:
        raise
    except (ValueError, TypeError, RuntimeError, ArithmeticError, LookupError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise InputError(f"{where}: its configuration makes no model ({reason}); fetch it again, or mend it") from error


def _texts(checkpoint: Checkpoint, entry: ModelEntry) -> TextEmbeddings | None:
    """Return the vocabulary that a checkpoint carries, where the zoo knows whose labels they are."""
    if checkpoint.classes is None or not entry.vocabulary:
        return None
    names = Vocabulary.builtin(entry.vocabulary).names
    if len(names) != len(checkpoint.classes):
        return None
    return TextEmbeddings(F.normalize(checkpoint.classes.float(), dim=-1), torch.arange(len(names)), names)
