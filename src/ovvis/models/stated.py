"""A configuration that a file states, judged before anything is built of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import timm
import torch
from torch import Tensor

from ovvis.errors import InputError
from ovvis.models.clip import clip_config
from ovvis.models.settings import CLIP_ENCODER, DecoderConfig

Config = TypeVar("Config", bound=DecoderConfig)

DEEPEST = 64  # layers
_MOST = {
    **dict.fromkeys(("pixel_layers", "decoder_layers", "tracker_layers", "refiner_layers"), DEEPEST),
    "heads": 256,
    "points": 64,
    "width": 8192,
    "tracker_hidden": 8192,
}
_MOST_OTHER = 100_000  # of any other whole number
_CHANNELS = (8, 8, 8, 8)  # of a backbone that stands in; few, so that what depends on them does not count
_PARTS = ("network.pixel_decoder.", "network.query_decoder.")


def stated_config(kind: type[Config], values: Mapping[str, Any], state: Mapping[str, Tensor], where: str) -> Config:
    """Return the configuration that a checkpoint states.

    Args:
        kind: the family's.
        values: the settings by name, all of them known.
        state: the checkpoint's tensors, which must be as many as the settings make.
        where: the file, for the error.

    Raises:
        InputError: a value is of another kind or absurd, an architecture is unknown, or the tensors are not of it.
    """
    config = sound_config(kind, values, where)
    _check_count(config, state, where)
    return config


def sound_config(kind: type[Config], values: Mapping[str, Any], where: str) -> Config:
    """Return a configuration that a file states, whose tensors are not looked at.

    Args:
        kind: the family's.
        values: the settings by name, all of them known.
        where: the file, for the error.

    Raises:
        InputError: a value is of another kind or absurd, or an architecture is unknown.
    """
    hints = get_type_hints(kind)
    for field in fields(kind):
        if field.name in values and (rule := _broken(field.name, hints[field.name], values[field.name])):
            raise InputError(
                f"{where}: its setting {field.name} is {_short(values[field.name])}, and must be {rule}; fetch it again"
            )
    config = kind(**values)
    for name in ("clip", "clip_weights", "backbone"):
        architecture = getattr(config, name, None)
        if architecture is not None and not _known(name, architecture):
            raise InputError(f"{where}: its setting {name} is {_short(architecture)}, which is none that is known")
    if config.width % config.heads or config.width % 4:
        raise InputError(f"{where}: its width {config.width} is no multiple of its {config.heads} heads, or of 4")
    return config


def check_depth(depth: int, where: str) -> int:
    """Return a number of decoder layers that tensors speak of.

    Raises:
        InputError: it is absurd.
    """
    if depth > DEEPEST:
        raise InputError(f"{where} names {depth:,} decoder layers, of {DEEPEST} that a model may have; fetch it again")
    return depth


def _broken(name: str, hint: Any, value: Any) -> str | None:
    """Return the rule that a value breaks, or None."""
    if get_origin(hint) in (Union, UnionType):
        if value is None and NoneType in get_args(hint):
            return None
        (hint,) = (arg for arg in get_args(hint) if arg is not NoneType)
    if get_origin(hint) is Literal:
        choices = get_args(hint)
        return None if isinstance(value, str) and value in choices else f"one of {', '.join(map(str, choices))}"
    if hint is bool:
        return None if isinstance(value, bool) else "true or false"
    if hint is str:
        return None if isinstance(value, str) and 0 < len(value) <= 200 else "a name"
    if isinstance(value, bool) or not isinstance(value, (int, float) if hint is float else int):
        return "a number" if hint is float else "a whole number"
    if hint is float:
        return None if abs(value) <= 1e6 else "a number between -1,000,000 and 1,000,000"
    most = _MOST.get(name, _MOST_OTHER)
    return None if 1 <= value <= most else f"a whole number from 1 to {most:,}"


def _known(name: str, architecture: str) -> bool:
    if not re.fullmatch(r"[\w.-]+", architecture):  # both libraries take other names for addresses or files
        return False
    if name == "clip_weights":
        return "." not in architecture
    if name == "clip":
        return clip_config(architecture) is not None
    return architecture == CLIP_ENCODER or bool(timm.is_model(architecture))


def _check_count(config: DecoderConfig, state: Mapping[str, Tensor], where: str) -> None:
    """Refuse settings that make far more numbers than a file holds, before they are made."""
    held = sum(tensor.numel() for name, tensor in state.items() if name.startswith(_PARTS))
    with torch.device("meta"):
        parts = config.decoders(SimpleNamespace(channels=_CHANNELS))  # type: ignore[arg-type]
    made = sum(parameter.numel() for part in parts for parameter in part.parameters())
    if made > 2 * held + 1_000_000:
        raise InputError(
            f"{where}: its settings make decoders of {made:,} numbers, and it holds {held:,}; fetch it again"
        )


def _short(value: Any) -> str:
    text = ascii(value) if not isinstance(value, int) or abs(value) < 10**30 else "a number of many digits"
    return text if len(text) <= 40 else text[:37] + "..."
