"""`ovvis models publish`: weights and their card into a repository of the Hugging Face Hub, in one commit."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.markup import escape

from ovvis.cli.console import notes, out, progress, warn
from ovvis.cli.options import completing
from ovvis.cli.process import quiet_libraries
from ovvis.cli.stopping import STOPPING
from ovvis.errors import InputError, ResourceError
from ovvis.models import publish as hub
from ovvis.models.card import CARD, Published, apart, licence_name, write_card
from ovvis.models.sources import offline
from ovvis.models.zoo import ZOO, ModelEntry, find_model
from ovvis.paths import user_path


def publish(
    model: Annotated[
        str,
        typer.Argument(
            help="A name from `ovvis models`, or a checkpoint of your own.",
            autocompletion=completing(ZOO),
            metavar="NAME_OR_FILE",
        ),
    ],
    to: Annotated[str, typer.Option(help="The repository, made if there is none: OWNER/NAME.", metavar="OWNER/NAME")],
    weights: Annotated[
        Path | None, typer.Option(help="A checkpoint that is the model named, as its authors have it.", metavar="FILE")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="The file's name there; the model's, or the checkpoint's, if not given.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            help="Of the weights, as the Hub calls it (apache-2.0, mit, gpl-3.0, ...): for a checkpoint of your own, "
            "and where `ovvis models` states none."
        ),
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would go; nothing is sent.")] = False,
) -> None:
    """Publish weights: converted, loaded strictly, with a card, in one commit. For authors and maintainers."""
    quiet_libraries()
    if not notes.is_terminal:  # in a file the library's bars are noise
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
    entry, own = _what(model, weights)
    file = _file(name, entry, own)
    licence = _licence(licence, entry)
    hub.check_name(to)
    if not dry_run:
        if why := offline():
            raise ResourceError(f"nothing can be published: {why}; --dry-run shows what would go")
        hub.token()
    there = _look(to, dry_run)
    hub.check_licences(there, file, licence)
    with TemporaryDirectory() as scratch, progress(f"fetching {model}", "B") as fetched:
        with STOPPING.reading():
            from ovvis.models.download import sha256
        path, line = hub.weights_to_publish(entry.name if entry else None, weights or own, Path(scratch), file, fetched)
        digest = sha256(path)
        one = Published(
            file=file, size=path.stat().st_size, sha256=digest, licence=licence, entry=line, own=own is not None
        )
        card = write_card(there.card, one, to)
        state = "as a new repository" if there.commit is None else f"upon {there.commit[:12]}"
        out.print(f"{to} ({state}):", soft_wrap=True)
        out.print(f"  {escape(file)}: {one.size:,} bytes, SHA-256 {digest}, {licence}", soft_wrap=True)
        out.print(f"  {CARD}: {'new' if there.card is None else 'with a section for it, the rest as it is'}")
        if dry_run:
            out.print(f"\n{escape(card)}", soft_wrap=True, highlight=False)
            out.print("Nothing was sent: without --dry-run it is.")
            return
        source = hub.publish(there, file, path, digest, card, private=private)
    out.print(f"Published: {there.page} (commit {source.revision[:12]})", soft_wrap=True)
    out.print(f"To pin it in the zoo: {escape(repr(source))}", soft_wrap=True)


def _what(model: str, weights: Path | None) -> tuple[ModelEntry | None, Path | None]:
    """Return the zoo's line of the model that goes, or the checkpoint that is nobody's but the publisher's."""
    path = user_path(model)
    if model in ZOO or not (path.is_file() or path.suffix or len(path.parts) > 1):
        return find_model(model), None
    if weights is not None:
        raise InputError(f"--weights goes with a name from `ovvis models`, and {model!r} is none; leave it out")
    return None, path


def _file(name: str | None, entry: ModelEntry | None, own: Path | None) -> str:
    stem = (name or (own.stem if own else entry.name if entry else "")).removesuffix(".safetensors")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", stem):
        raise InputError(f"--name {stem!r}: a file's name there has letters, digits, dots and dashes, and no folder")
    if stem in ZOO and (entry is None or entry.name != stem):
        raise InputError(
            f"{stem} is a model of `ovvis models`: give another --name, or, if the file is that model, "
            f"`ovvis models publish {stem} --weights FILE`"
        )
    return f"{stem}.safetensors"


def _licence(asked: str | None, entry: ModelEntry | None) -> str:
    """Return the Hub's name of the weights' licence: what is asked for, else the zoo's."""
    known = licence_name(entry.weights_licence) if entry else None
    if asked is None:
        if known is None:
            whose = f"{entry.name}: its authors state none" if entry else "a checkpoint of your own"
            raise InputError(f"--licence is missing ({whose}): say under which one the weights are published")
        return known
    named = asked.strip().lower()
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", named):
        raise InputError(f"--licence {asked!r}: give the Hub's short name of one, such as apache-2.0, mit or gpl-3.0")
    if known and apart(known, named):
        raise InputError(
            f"--licence {named}: {entry.name if entry else ''} lies under {known}, which this cannot change"
        )
    return named


def _look(to: str, dry_run: bool) -> hub.Repository:
    try:
        return hub.look(to)
    except ResourceError as error:
        if not dry_run:
            raise
        warn(f"what {to} holds is not known ({error}): shown as if it were new")
        return hub.Repository(to)
