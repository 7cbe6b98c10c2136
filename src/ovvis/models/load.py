"""Models by name, with their weights."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import torch

from ovvis.errors import InputError, OvvisError, nearest
from ovvis.models import download
from ovvis.models.accelerations import accelerations
from ovvis.models.built import build_from
from ovvis.models.checkpoint import read_checkpoint
from ovvis.models.default import candidates
from ovvis.models.devices import pick_device, pick_precision
from ovvis.models.export.names import is_exported
from ovvis.models.families import FAMILIES, build_model
from ovvis.models.model import Model
from ovvis.models.own_weights import own_weights
from ovvis.models.recognised import recognise
from ovvis.models.settings import UNTRAINED, Precision
from ovvis.models.zoo import SMALL_MODEL, ModelEntry, find_model

if TYPE_CHECKING:
    from ovvis.models.export.exported import ExportedModel

_log = logging.getLogger(__name__)


def load_model(
    name: str | None = None,
    weights: str | Path | None = None,
    *,
    device: str = "auto",
    precision: Precision = "float32",
    on_progress: download.Progress | None = None,
    ignore_unused: bool = False,
    accelerate: str | Iterable[str] = (),
    **options: Any,
) -> Model | ExportedModel:
    """Return a model, ready to run.

    Args:
        name: a name of the zoo, or a file that `ovvis models export` wrote (.onnx), which ONNX Runtime runs. None takes
            the model that the checkpoint is of; without one too, the best whose weights are here, else the best openly
            licensed one, which is fetched, else the small one in the package (`models.default`); a logged line says
            which and why.
        weights: a checkpoint (the authors' `.pth` or our `.safetensors`); None takes the model's own, which lie in the
            package or are fetched on first use; "untrained" takes none, for trying the machinery.
        device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the best there is.
        precision: floating type of the network; "auto" is bfloat16 where the device is fast in it.
        on_progress: called with bytes done and bytes in all while weights are fetched.
        ignore_unused: whether to go on without tensors of a checkpoint that the model has not.
        accelerate: ways to be faster that are off unless they are asked for: of "kernels", "compile", "graph",
            "overlap", "batch" (see `ovvis.models.accelerations`), or "all".
        options: fields of the model's configuration that differ from the zoo's, such as `iou_activation="relu"`.

    Raises:
        InputError: an unknown model, option, device, precision or acceleration; a checkpoint that is not this model's.
        ResourceError: the weights are not here and cannot be fetched.
    """
    faster = accelerations(accelerate)
    if name is not None and is_exported(name):
        if faster:
            raise InputError(f"accelerate {', '.join(faster)}: ONNX Runtime runs model {name!r}; leave it out")
        return _exported(name, weights, device, precision, on_progress, options)
    where = pick_device(device)
    dtype = pick_precision(precision, where)
    given = None if weights in (None, UNTRAINED) else read_checkpoint(weights)
    if name is None and weights is None:
        return _default(options, on_progress, ignore_unused).for_inference(where, dtype, faster)
    entry = recognise(given) if name is None and given is not None else find_model(name or SMALL_MODEL)
    _check_options(entry.family, options)
    pinned = options.get("decoder_layers")
    if weights == UNTRAINED:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = build_model(replace(entry.config, **options), entry.name)
    elif given is None:
        model = _with_own_weights(entry, options, on_progress, ignore_unused)
    else:
        if name not in (None, "clip-vis-r50", "clip-vis-convnext-b"):
            pinned = pinned or entry.config.decoder_layers
        model = build_from(given, entry, pinned, options, on_progress, ignore_unused=ignore_unused)
    return model.for_inference(where, dtype, faster)


def _exported(
    name: str,
    weights: str | Path | None,
    device: str,
    precision: str,
    on_progress: download.Progress | None,
    options: Mapping[str, Any],
) -> ExportedModel:
    """Return the model of an exported file, which leaves nothing to choose but the device."""
    from ovvis.models.export.exported import load_exported

    if weights is not None:
        raise InputError(f"model {name!r} holds its own weights: leave {str(weights)!r} out, or name the model")
    if options:
        raise InputError(f"option {next(iter(options))!r}: model {name!r} is as it was exported; set it there")
    return load_exported(name, device, precision, on_progress)


def _with_own_weights(
    entry: ModelEntry, options: Mapping[str, Any], on_progress: download.Progress | None, ignore_unused: bool
) -> Model:
    """Return a model of the zoo with its own weights."""
    found = own_weights(entry, on_progress, ignore_unused=ignore_unused)
    depth = options.get("decoder_layers") or entry.config.decoder_layers
    return build_from(found, entry, depth, options, on_progress)


def _default(options: Mapping[str, Any], on_progress: download.Progress | None, ignore_unused: bool) -> Model:
    """Return the best model that can be had where none is named; a line for each that cannot."""
    for choice in candidates():
        entry = find_model(choice.name)
        here = choice.to_fetch_bytes is None and not entry.packaged
        _log.log(logging.INFO if here else logging.WARNING, choice.line)
        _check_options(entry.family, options)
        try:
            return _with_own_weights(entry, options, on_progress, ignore_unused)
        except OvvisError as error:
            if entry.packaged:
                raise
            if isinstance(error, download.NotHad):  # each source's reason has been told
                _log.warning("%s: what to do about that is said by `ovvis models fetch %s`", entry.name, entry.name)
            else:
                _log.warning("%s", error)
    raise AssertionError("the last one lies in the package")


def _check_options(family: str, options: Mapping[str, Any]) -> None:
    kinds = get_type_hints(FAMILIES[family].config)
    for name, value in options.items():
        if name not in kinds:
            raise InputError(f"option {name!r}: {FAMILIES[family].title} has no such setting; {nearest(name, kinds)}")
        kind = kinds[name]
        if get_origin(kind) is Literal:
            if value not in get_args(kind):
                raise InputError(f"option {name}={value!r}: {nearest(str(value), get_args(kind))}")
        elif not _is_a(value, kind) or (kind is int and value < 1):
            rule = "a whole number of at least 1" if kind is int else f"a {getattr(kind, '__name__', kind)}"
            raise InputError(f"option {name}={value!r}: it must be {rule}")


def _is_a(value: Any, kind: Any) -> bool:
    """Return whether a value is of a setting's kind; a whole number is a fraction too, and a flag is neither."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind) or (isinstance(value, int) and isinstance(float(value), kind))
