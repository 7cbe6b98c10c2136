"""Verbs that are imported when they are called, so that the command's help and light verbs start at once."""

from __future__ import annotations

from importlib import import_module
from keyword import iskeyword
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from ovvis.cli.ray_options import with_words
from ovvis.cli.stopping import STOPPING

SETTINGS = {"help_option_names": ["-h", "--help"]}


class Verbs(TyperGroup):
    """A command whose verbs are named in a table."""

    groups: ClassVar[dict[str, dict[str, str]]] = {}

    @classmethod
    def of(cls, groups: dict[str, dict[str, str]]) -> type[Verbs]:
        """Return the class for tables of names and lines of help, a group of the help each, in its order."""
        return type("VerbsOfTable", (cls,), {"groups": groups})

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        unread = {
            name: _Unread(name, help=line, rich_help_panel=group)
            for group, verbs in self.groups.items()
            for name, line in verbs.items()
        }
        self.commands = unread | dict(self.commands)


class _Unread(TyperCommand):
    """Stands in the help for a verb, and gives way to it when the verb is called."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Read the verb and let it take the arguments."""
        return load(self.name or "").make_context(info_name, with_words(args), parent=parent, **extra)


def several(help: str, **more: Any) -> typer.Typer:
    """Return what the commands of a verb of several words are added to: its module's `app`."""
    return typer.Typer(
        help=help, add_completion=False, pretty_exceptions_enable=False, context_settings=SETTINGS, **more
    )


def load(name: str) -> Any:
    """Return the command of a verb: its module's `app`, or its function of the same name."""
    with STOPPING.reading():
        own = f"{name}_" if iskeyword(name) else name  # `import` is no name of a module
        module = import_module(f"ovvis.cli.{own}")
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        app.command(name, context_settings=SETTINGS)(getattr(module, own))
    return typer.main.get_command(app)
