"""`ovvis train`: a recipe in, a run that can stop and go on, and a model for `ovvis segment` out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from ovvis.cli.console import out
from ovvis.cli.extras import need
from ovvis.cli.options import Mirror
from ovvis.cli.process import quiet_libraries
from ovvis.errors import InputError
from ovvis.freed_memory import keep_freed_memory
from ovvis.models.sources import use_mirror
from ovvis.paths import user_path

NEEDED = ("lightning_fabric", "tensorboard")  # of the extra `train`


def train(
    recipe: Annotated[str | None, typer.Argument(help="A name from `ovvis train --list`, or a YAML file.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting, such as run.steps=1000; as often as needed.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run; one that was stopped goes on. ovvis-train-RECIPE else.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Train on this: a name from `ovvis datasets`, or a JSON (data.train).")
    ] = None,
    frames: Annotated[Path | None, typer.Option(help="Its folder of frames (data.frames).")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Folder that the datasets lie in (data.root).")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    mirror: Mirror = None,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Check data, shapes, memory and one step; say how long the run takes.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the recipes.")] = False,
    exported: Annotated[
        Path | None,
        typer.Option("--export", help="Write model.safetensors from the last checkpoint of this run, or from one."),
    ] = None,
    replayed: Annotated[
        Path | None, typer.Option("--replay", help="Compute a step that was not finite again, from its dump.")
    ] = None,
) -> None:
    """Train a model by a recipe. A run that was stopped, or killed, goes on when the command is given again."""
    if recipe is None and not listed and exported is None and replayed is None:
        raise InputError("no recipe: give a name from `ovvis train --list`, or a YAML file")
    use_mirror(mirror)
    quiet_libraries()
    from ovvis.training.recipes import load_config

    if listed:
        _list()
        return
    need("ovvis train", "train", NEEDED)
    from ovvis.cli import training_run  # PyTorch, which takes seconds

    if exported is not None:
        training_run.export_run(exported)
    elif replayed is not None:
        training_run.replay_dump(replayed, device)
    elif recipe is not None:
        config = load_config(recipe, _settings(settings or [], data, frames, data_root))
        folder = user_path(output or Path(f"ovvis-train-{Path(recipe).stem}")).absolute()
        place = _first_there(folder)
        if not place.is_dir():
            raise InputError(f"--output {folder}: {place} is a file, but it must be a folder; choose another")
        keep_freed_memory()
        if dry:
            training_run.rehearse(config, device)
        else:
            training_run.run(config, device, folder)


def _first_there(folder: Path) -> Path:
    """Return the folder, or the first above it that exists.

    Raises:
        InputError: it is a name that no folder can have, or lies where this user may not look.
    """
    try:
        return next(path for path in (folder, *folder.parents) if path.exists())
    except (OSError, ValueError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise InputError(f"--output {str(folder)[:200]!r} can be no folder ({said}); choose another") from error


def _settings(texts: list[str], data: str | None, frames: Path | None, root: Path | None) -> list[str]:
    """Return the settings that the options stand for, then those of `--set`."""
    options = {"data.train": data and [data], "data.frames": frames and [str(frames)], "data.root": root and str(root)}
    if data and frames is None:
        options["data.frames"] = []
    return [
        *(f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None),
        *texts,
    ]  # JSON is YAML


def _list() -> None:
    """Print the recipes."""
    from ovvis.training.recipes import load_config, recipes

    title = "Recipes: ovvis train NAME --output DIR"
    # No edge, little padding: at 80 columns no word of the others breaks.
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("name", no_wrap=True)  # it is to be typed
    for column in ("reproduces", "expected AP", "GPU time"):
        table.add_column(column)
    table.add_column("steps", justify="right", no_wrap=True)
    for name in recipes():
        config = load_config(name)
        about = config.about
        table.add_row(name, about.reproduces, about.expected, about.gpu_time, f"{config.run.steps:,}")
    out.print(table)
