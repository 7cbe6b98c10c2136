"""Recipes: short YAML files that are laid over the settings' defaults and over each other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from ovvis.errors import InputError, nearest
from ovvis.files.output import whole_file
from ovvis.models.zoo import find_model
from ovvis.paths import user_path
from ovvis.training.checkpoint import plain
from ovvis.training.config import ModelConfig, TrainConfig
from ovvis.training.limits import refuse_out_of_range
from ovvis.training.overlay import Layer, assignments, differences, overlay, read_layer

CONFIG_FILE = "config.yaml"
_STACKED = 20  # most recipes below one

# What may differ when a run goes on: it changes no weight.
HARMLESS = (
    "about",
    "data.root",
    "validation",
    "run.workers",
    "run.log_every",
    "run.save_every",
    "run.keep",
    "run.carry_clip",
)


def load_config(recipe: str | Path | None, settings: Sequence[str] = ()) -> TrainConfig:
    """Return a run's settings.

    Args:
        recipe: the name of one that comes with ovvis, a YAML file, or None for the defaults.
        settings: texts such as "run.steps=1000", laid over the recipe.

    Raises:
        InputError: no such recipe, or a setting that is unknown or wrong; the message says which and where.
    """
    layers = [*([] if recipe is None else _stack(recipe)), assignments(settings)]
    names = [layer.values["model"]["name"] for layer in layers if _names_model(layer)]
    defaults = TrainConfig()
    if names and isinstance(names[-1], str):
        name = names[-1]
        defaults = replace(defaults, model=ModelConfig(name=name, network=find_model(name).config))
    config = overlay(TrainConfig, plain(defaults), layers)
    refuse_out_of_range(config, {keys: place for layer in layers for keys, place in layer.places.items()})
    return config


def config_of(values: dict[str, Any], where: str) -> TrainConfig:
    """Return resolved settings that `plain` made; `where` is named in an error."""
    return overlay(TrainConfig, {}, [Layer(values, {}, where)])


def recipes() -> dict[str, Path]:
    """Return the recipes that come with ovvis: name -> file."""
    folder = Path(str(files("ovvis") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def save_config(config: TrainConfig, folder: Path) -> Path:
    """Write a run's resolved settings into its folder; `load_config` reads them back."""
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / CONFIG_FILE) as file:
        file.write_text(yaml.safe_dump(plain(config), sort_keys=False, allow_unicode=True), encoding="utf-8")
    return folder / CONFIG_FILE


def refuse_other_run(config: TrainConfig, before: dict[str, Any], folder: Path) -> None:
    """Refuse to go on with other settings than a folder's run was begun with, harmless ones apart.

    A setting that an earlier ovvis had not yet was its default.

    Raises:
        InputError: the message names the first key that differs.
    """
    with suppress(InputError):  # a setting that there is no more differs below
        before = plain(config_of(before, str(folder)))
    for key, old, new in differences(before, plain(config)):
        if not any(key == free or key.startswith(f"{free}.") for free in HARMLESS):
            raise InputError(
                f"{folder} holds a run with {key} = {old}, not {new}; give the same settings to go on with it, or "
                "choose another --output"
            )


def _names_model(layer: Layer) -> bool:
    model = layer.values.get("model")
    return isinstance(model, dict) and "name" in model


def _stack(recipe: str | Path, above: tuple[Path, ...] = ()) -> list[Layer]:
    """Return a recipe's layers: those of the recipe it builds on first."""
    path = _find(recipe, above[-1] if above else None)
    if path in above:
        raise InputError(f"recipe {str(path)!r} builds on itself; mend its `base`")
    if len(above) > _STACKED:
        raise InputError(f"recipe {str(above[0])!r} builds on more than {_STACKED} others; put some together")
    layer = read_layer(path)
    values = dict(layer.values)
    base = values.pop("base", None)
    if above:
        values.pop("about", None)  # what a base is for says nothing of the recipe upon it
    own = Layer(values, layer.places, layer.name)
    if base is None:
        return [own]
    if not isinstance(base, str):
        raise InputError(f"{layer.places[('base',)]}: base is {base!r}, but it must be a recipe's name or file")
    return [*_stack(base, (*above, path)), own]


def _find(recipe: str | Path, user: Path | None) -> Path:
    """Return a recipe's file, by its name or its path; `user` is the recipe that builds on it."""
    known = recipes()
    if str(recipe) in known:
        return known[str(recipe)]
    path = user_path(recipe)
    if user is not None and not path.is_absolute():
        path = user.parent / path
    try:
        if path.is_file():
            return path.resolve()
    except (OSError, ValueError):  # a name that no file can have
        pass
    by = f" (base of {user})" if user else ""
    name = f"recipe {str(recipe)[:200]!r}{by}"
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"{name}: there is none of that name; {nearest(str(recipe)[:200], known)}")
    raise InputError(f"{name}: there is no such file; `ovvis train --list` names those of ovvis")
