"""What evaluation servers answered, typed into a TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ovvis.errors import InputError, nearest
from ovvis.reproduction.papers import AP, BASE, NOVEL

FIGURES = (AP, BASE, NOVEL)
Key = tuple[str, str]  # dataset, model


@dataclass(frozen=True, slots=True)
class Answers:
    """Figures of servers, percent."""

    figures: Mapping[Key, Mapping[str, float]]
    doubts: tuple[str, ...] = ()  # values that may not be what was meant, a sentence each


def read_answers(path: Path, expected: Collection[Key]) -> Answers:
    """Read a file of answers: a group [DATASET.MODEL] for each, with AP, base and novel in percent.

    Args:
        path: the file.
        expected: what a server may have been asked.

    Raises:
        InputError: it cannot be read, or names what was not asked, or a value is no percentage.
    """
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no text"
        raise InputError(
            f"--answer {path} cannot be read ({reason}): give a TOML file, such as the template"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"--answer {path}: {error}; write lines such as AP = 32.2 below [DATASET.MODEL]") from error
    datasets = dict.fromkeys(dataset for dataset, _ in expected)
    figures: dict[Key, dict[str, float]] = {}
    doubts: list[str] = []
    for dataset, models in read.items():
        if dataset not in datasets:
            raise InputError(f"--answer {path}: no server is asked about {dataset!r}; {nearest(dataset, datasets)}")
        asked = [model for other, model in expected if other == dataset]
        for model, values in (models if isinstance(models, dict) else {}).items():
            if model not in asked:
                raise InputError(f"--answer {path}, {dataset}: {model!r} is not asked there; {nearest(model, asked)}")
            place = f"{dataset}.{model}"
            figures[dataset, model] = _values(path, place, values)
            small = [f"{name} = {value:g}" for name, value in figures[dataset, model].items() if 0 < value < 1]
            if small:
                doubts.append(
                    f"--answer {path}, [{place}]: {', '.join(small)} is below one percent; if the server gives shares "
                    "of 1, multiply them by 100"
                )
        if not isinstance(models, dict):
            raise InputError(f"--answer {path}: write [{dataset}.MODEL], and AP below it; not {dataset} = ...")
    return Answers(figures, tuple(doubts))


def _values(path: Path, place: str, values: Any) -> dict[str, float]:
    if not isinstance(values, dict):
        raise InputError(f"--answer {path}: write [{place}], and AP = ... below it")
    for name, value in values.items():
        if name not in FIGURES:
            raise InputError(f"--answer {path}, [{place}]: there is no figure {name!r}; {nearest(name, FIGURES)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise InputError(f"--answer {path}, [{place}]: {name} must be a percentage from 0 to 100, not {value!r}")
    return {name: float(value) for name, value in values.items()}


def filled(answers: Mapping[Key, Mapping[str, float]]) -> str:
    """Return a file of answers."""
    return "\n".join(
        f"[{dataset}.{model}]\n" + "".join(f"{name} = {value!r}\n" for name, value in figures.items())
        for (dataset, model), figures in answers.items()
    )


def template(expected: Collection[Key], uploads: Mapping[Key, Path]) -> str:
    """Return a file of answers to be filled in.

    Args:
        expected: what servers are asked.
        uploads: the folder of the archives of each, where they are made.
    """
    lines = [
        "# What the servers answer, in percent (0.322 is 32.2). Take away the # in front of what you have.",
        "# AP comes of submission.zip, base and novel of submission_base.zip and submission_novel.zip.",
    ]
    for dataset, model in expected:
        where = uploads.get((dataset, model))
        lines += ["", f"# [{dataset}.{model}]" + (f"  # upload {where}" if where else "  # no archive is made yet")]
        lines += [f"# {name} = " for name in FIGURES]
    return "\n".join(lines) + "\n"
