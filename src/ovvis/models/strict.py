"""Weights into a model: every tensor used, none missing, or a list of those that are not that can be pasted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from ovvis.errors import InputError

MOST = 60  # lines of one kind in a report
GO_ON = "nothing else stands in the way: --ignore-unused (of ovvis convert and ovvis models fetch) goes on without them"


class TensorsDiffer(InputError):  # noqa: N818  what is so, as the error's other names
    """The tensors of a file are not those of the model; `report` lists all of them."""


def load_strictly(
    module: torch.nn.Module,
    state: Mapping[str, Tensor],
    where: str,
    unknown: Mapping[str, Tensor] | None = None,
    *,
    ignore_unused: bool = False,
) -> list[str]:
    """Copy a state into a module: every tensor used, none missing, all shapes and values as they must be.

    Args:
        module: the model.
        state: our names.
        where: the file, for the error.
        unknown: further tensors of the file, under names that no model has.
        ignore_unused: whether to go on without tensors that the module has not.

    Returns:
        Names of the tensors that were left out; without `ignore_unused` none.

    Raises:
        TensorsDiffer: names or shapes differ.
        InputError: a tensor holds values that are not finite, or of another kind.
    """
    own = module.state_dict()
    counters = {name for name in own if name.endswith("num_batches_tracked")}
    missing = {name: tuple(own[name].shape) for name in own if name not in state and name not in counters}
    unused = {name: tuple(tensor.shape) for name, tensor in state.items() if name not in own}
    unused |= {name: tuple(tensor.shape) for name, tensor in (unknown or {}).items()}
    shapes = {
        name: (tuple(tensor.shape), tuple(own[name].shape))
        for name, tensor in state.items()
        if name in own and own[name].shape != tensor.shape
    }
    if missing or shapes or (unused and not ignore_unused):
        raise _differ(where, missing, unused, shapes)
    used = {name: tensor for name, tensor in state.items() if name in own}
    for name, tensor in used.items():
        if own[name].is_floating_point() != tensor.is_floating_point():
            raise InputError(f"{where}: tensor {name} holds {tensor.dtype} where this model has {own[name].dtype}")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise InputError(f"{where}: tensor {name} holds values that are not finite; the file is damaged")
    module.load_state_dict({**{n: own[n] for n in counters}, **used})
    return sorted(unused)


Shape = tuple[int, ...]


def _differ(
    where: str, missing: Mapping[str, Shape], unused: Mapping[str, Shape], shapes: Mapping[str, tuple[Shape, Shape]]
) -> TensorsDiffer:
    """Return the error of tensors that are not a model's, with all of them in its report."""
    if missing or unused:
        kinds = ((sorted(missing), "missing"), (sorted(unused), "unknown"))
        parts = [f"{len(names)} {what} (first: {names[0]})" for names, what in kinds if names]
        said = f"{where}: not a checkpoint of this model: tensors {' and '.join(parts)}"
        if not missing and not shapes:
            said = f"{said}; {GO_ON}"
    else:
        name, (theirs, ours) = next(iter(shapes.items()))
        said = (
            f"{where}: tensor {name} has shape {theirs}, this model has {ours}; "
            "give the checkpoint of this model, or name the model that the checkpoint belongs to"
        )
    error = TensorsDiffer(said)
    error.report = "\n".join(
        line
        for title, lines in (
            ("missing from the file", [(name, _sides(shape)) for name, shape in missing.items()]),
            ("unused of the file", [(name, _sides(shape)) for name, shape in unused.items()]),
            ("of another shape (file -> model)", [(n, f"{_sides(a)} -> {_sides(b)}") for n, (a, b) in shapes.items()]),
        )
        if lines
        for line in _section(title, lines)
    )
    return error


def _section(title: str, tensors: Iterable[tuple[str, str]]) -> list[str]:
    """Return the lines of one kind of tensors; names that differ only in numbers, of one shape, share a line."""
    groups: dict[tuple[str, str], list[list[int]]] = {}
    tensors = sorted(tensors)
    for name, shape in tensors:
        numbers = [int(number[:9]) for number in re.findall(r"\d+", name)]
        groups.setdefault((re.sub(r"\d+", "#", name), shape), []).append(numbers)
    lines = []
    for (pattern, shape), found in groups.items():
        for column in zip(*found, strict=True):
            low, high = min(column), max(column)
            pattern = pattern.replace("#", str(low) if low == high else f"{low}-{high}", 1)
        lines.append(f"  {pattern}  {shape}{f'  ({len(found)} tensors)' if len(found) > 1 else ''}")
    more = [f"  ... and {len(lines) - MOST} lines more"] if len(lines) > MOST else []
    return [f"{title}: {len(tensors)}", *lines[:MOST], *more]


def _sides(shape: Shape) -> str:
    return "x".join(map(str, shape)) or "a number"
