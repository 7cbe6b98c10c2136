"""Options that verbs share, one by one or as a record, and what a shell completes values from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from ovvis.datasets.catalog import entries


def completing(names: Collection[str] | Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Return what gives a shell the names that begin as what is typed; where none does, it completes files.

    Args:
        names: all there are; of a record's options (see `sharing`) no lambda, which would not find its module's names.
    """

    def complete(incomplete: str) -> list[str]:
        return [name for name in (names() if callable(names) else names) if name.startswith(incomplete)]

    return complete


def grouped(title: str) -> partial[Any]:
    """Return what declares options, as `typer.Option` does, that `--help` shows in a group of this title."""
    return partial(typer.Option, rich_help_panel=title)


def sharing(record: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that gives a verb all options of a record, as if they stood in its own signature.

    Args:
        record: a dataclass whose fields are annotated as typer's parameters. The verb has one parameter of this type:
            the options stand in its place, and it is given the record. A field whose metadata say `typed: False` is no
            option: it is the verb's to fill.
    """

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        own, shared = get_type_hints(verb, include_extras=True), get_type_hints(record, include_extras=True)
        (slot,) = [name for name, kind in own.items() if kind is record]
        typed = [field for field in fields(record) if field.metadata.get("typed", True)]
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(verb).parameters.values():
            if parameter.name != slot:
                parameters.append(parameter.replace(annotation=own[parameter.name]))
                continue
            for field in typed:
                default = inspect.Parameter.empty if field.default is MISSING else field.default
                kind, hint = inspect.Parameter.KEYWORD_ONLY, shared[field.name]
                parameters.append(inspect.Parameter(field.name, kind, default=default, annotation=hint))

        def run(**given: Any) -> None:
            verb(**{slot: record(**{field.name: given.pop(field.name) for field in typed})}, **given)

        run.__name__, run.__doc__, run.__module__ = verb.__name__, verb.__doc__, verb.__module__
        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in parameters]  # typer calls by name
        run.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in keyword}
        return run

    return decorate


DatasetName = Annotated[
    str,
    typer.Argument(
        help="A name from `ovvis datasets`, or the path of your own JSON.",
        autocompletion=completing(lambda: (entry.name for entry in entries())),
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        "--data-root",
        help="Folder that the datasets lie in; without it OVVIS_DATA, else ./datasets.",
        metavar="DIR",
    ),
]
Frames = Annotated[
    Path | None,
    typer.Option(
        "--frames",
        help="Folder that the frames lie in, for your own JSON; without it JPEGImages, frames or images beside it.",
        metavar="DIR",
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace results that are there already; they are refused otherwise.")
]
IgnoreUnused = Annotated[
    bool,
    typer.Option("--ignore-unused", help="Go on without tensors of the file that the model has not, if nothing else."),
]
Mirror = Annotated[
    str | None,
    typer.Option(
        "--mirror",
        help="A folder of weights, or the address of one, that is looked into first; OVVIS_MIRROR if not given.",
        metavar="PLACE",
    ),
]
