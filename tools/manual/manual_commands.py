"""The page of the command line: every verb with every argument and option, read from the command itself."""

import re
from collections.abc import Iterator
from typing import Any

from ovvis.cli.lazy import load
from ovvis.cli.main import GROUPS

CODE = re.compile(r"(`[^`]+`)")
TITLE = """# Command line

Every verb with all its options, as `ovvis VERB --help` shows them. The [Cookbook](cookbook.md) has whole commands for
what people do most.

Exit codes: 0 done, 1 done but standard output took no more, 2 bad input or something that ran out, 3 the input was
usable in part, 128 and more: stopped by a signal.
"""


def verbs() -> Iterator[tuple[str, str, Any]]:
    """Yield each verb's group, its name ("models fetch"), and its command."""
    for group, lines in GROUPS.items():
        for name in lines:
            yield from _below(group, name, load(name))


def _below(group: str, name: str, command: Any) -> Iterator[tuple[str, str, Any]]:
    yield group, name, command
    for part, inner in getattr(command, "commands", {}).items():
        yield from _below(group, f"{name} {part}", inner)


def page() -> str:
    """Return the page, as Markdown."""
    parts, last = [TITLE], ""
    for group, name, command in verbs():
        if group != last:
            parts.append(f"## {group}\n")
            last = group
        parts.append(section(name, command))
    return "\n".join(parts)


def section(name: str, command: Any) -> str:
    """Return what the page says of one verb."""
    context = command.make_context(name, [], resilient_parsing=True)
    usage = re.sub(r"\{(.+?)\}(\.\.\.)?", r"\1", " ".join(command.collect_usage_pieces(context)))
    lines = [f"### ovvis {name}", "", plain(" ".join((command.help or "").split())), ""]
    lines += ["```text", f"ovvis {name} {usage}", "```", ""]
    panels: dict[str, list[str]] = {}
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None:
            panel = getattr(parameter, "rich_help_panel", None) or ""
            panels.setdefault(panel, []).append(f"- `{record[0].strip()}`: {plain(' '.join(record[1].split()))}")
    for panel, items in panels.items():
        lines += [*([f"**{panel}**", ""] if panel else []), *items, ""]
    return "\n".join(lines)


def plain(text: str) -> str:
    """Return text of a help as Markdown that shows just that."""
    pieces = CODE.split(text.replace("\\[", "["))
    shown = {character: "\\" + character for character in "\\*_[]"} | {"<": "&lt;", "&": "&amp;"}
    return "".join(p if i % 2 else "".join(shown.get(c, c) for c in p) for i, p in enumerate(pieces))
