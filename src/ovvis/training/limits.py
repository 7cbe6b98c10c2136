"""What numbers a run's settings may have: generous, so that a slip of the keyboard is told before anything is built.

What a group's own dataclass forbids (a share above 1, zero steps) is said there; here stand the sizes from which on
nothing would fit a machine, or end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from ovvis.errors import InputError
from ovvis.training.config import TrainConfig

OTHERS = (-1e9, 1e9)  # of every number that is not named below

# Least and most of a setting; of each entry of a list.
RANGES: Mapping[str, tuple[float, float]] = {
    "model.network.width": (1, 8192),
    "model.network.queries": (1, 10_000),
    "model.network.pixel_layers": (1, 100),
    "model.network.decoder_layers": (1, 100),
    "model.network.heads": (1, 256),
    "model.network.points": (1, 64),
    "model.network.pixel_hidden": (1, 65_536),
    "model.network.decoder_hidden": (1, 65_536),
    "model.network.short_edge": (32, 8192),
    "model.network.window": (1, 1000),
    "model.network.memory": (1, 1000),
    "model.network.matched": (1, 1000),
    "model.network.momentum": (0, 1),
    "model.network.drop_path": (0, 0.99),
    "data.weights": (1e-9, 1e9),
    "data.sampling.frames": (1, 1000),
    "data.augment.size": (1, 16_384),
    "data.augment.min_scale": (1e-3, 100),
    "data.augment.max_scale": (1e-3, 100),
    "data.augment.short_edges": (1, 16_384),
    "data.augment.long_edge": (1, 65_536),
    "loss.points": (1, 1_000_000),
    "loss.oversample": (1, 100),
    "optimizer.rate": (0, 1e30),
    "run.clip_gradients": (0, 1e30),  # so large: no clipping
    "run.batch": (1, 65_536),
    "run.workers": (0, 512),
    "run.seed": (0, 2**32 - 1 - 65_536),  # each process adds its number; NumPy's seeds have 32 bits
    "validation.short_edge": (32, 16_384),
    "validation.long_edge": (32, 65_536),
    "validation.pictures": (0, 1000),
}
POSITIVE = ("loss.", "clip.", "optimizer.", "run.", "validation.", "data.")  # nothing in these groups is below 0


def refuse_out_of_range(config: TrainConfig, place: Mapping[tuple[str, ...], str]) -> None:
    """Refuse settings with a number that no run can have.

    Args:
        config: the settings.
        place: where each key was stated.

    Raises:
        InputError: the message names the key, its place and the range.
    """
    for keys, value in _leaves(config):
        key = ".".join(keys)
        least, most = RANGES.get(key, (0.0 if key.startswith(POSITIVE) else OTHERS[0], OTHERS[1]))
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, (int, float)) and not isinstance(number, bool) and not least <= number <= most:
                where = next((place[keys[:i]] for i in range(len(keys), 0, -1) if keys[:i] in place), "defaults")
                raise InputError(f"{where}: {key} is {number:.6g}, but it must lie between {least:,g} and {most:,g}")
    network = config.model.network
    if network.width % network.heads:
        raise InputError(
            f"model.network.width {network.width} must be a multiple of model.network.heads {network.heads}: each head "
            "has its share"
        )


def _leaves(config: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the keys and the value of every setting."""
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from _leaves(value, (*above, field.name))
        else:
            yield (*above, field.name), value
