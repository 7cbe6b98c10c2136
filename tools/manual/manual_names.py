"""The page of the Python interface: the public names with their signatures and docstrings, read without importing."""

import re
from typing import Any

import griffe
from manual_pages import ROOT

import ovvis

# Every name of `ovvis.__all__` stands in one of these.
GROUPS = {
    "Models and videos": ("load_model", "list_models", "VideoSegmenter", "Vocabulary", "open_source", "track"),
    "Results": ("VideoResult", "Track", "FrameResult", "Instance", "load_result", "compare"),
    "Files": ("export", "render", "Style", "save_tracks", "load_tracks"),
    "Errors": ("OvvisError", "InputError", "ResourceError"),
}
TITLE = """# Python

The public names. Everything else may change from one version to the next.

A first look is in [the README](index.md#python); [Results](results.md) shows what to do with what you get.
"""
WIDTH = 96


def page() -> str:
    """Return the page, as Markdown.

    Raises:
        ValueError: a public name stands in no group.
    """
    named = {name for names in GROUPS.values() for name in names}
    if missing := set(ovvis.__all__) - named - {"__version__"}:
        raise ValueError(f"in no group of {__name__}: {', '.join(sorted(missing))}")
    package = griffe.load("ovvis", search_paths=[ROOT / "src"], docstring_parser="google")
    parts = [TITLE]
    for group, names in GROUPS.items():
        parts.append(f"## {group}\n")
        parts += [described(f"ovvis.{name}", found(package, name), 3) for name in names]
    return "\n".join(parts)


def found(package: Any, name: str) -> Any:
    """Return what a public name stands for, wherever it is defined."""
    thing = package[f"{ovvis._ROOMS[name]}.{name}"]
    return thing.final_target if thing.is_alias else thing


def described(title: str, thing: Any, level: int) -> str:
    """Return what the page says of a function, a class with its public members, or a property."""
    lines = ["#" * level + f" `{title}`", ""]
    if not thing.is_attribute:
        lines += ["```python", signature(title.rpartition(".")[2], thing), "```", ""]
    elif thing.annotation is not None:
        lines += [f"`{thing.annotation}`", ""]
    for part in thing.docstring.parsed if thing.docstring else ():
        lines += [*told(part), ""]
    if thing.is_class:
        for name, member in thing.all_members.items():
            member = member.final_target if member.is_alias else member
            shown = not name.startswith("_") or name in ("__call__", "__getitem__")
            if shown and member.docstring and (member.is_function or "property" in member.labels):
                lines.append(described(f"{thing.name}.{name}", member, level + 1))
    return "\n".join(lines)


def signature(name: str, thing: Any) -> str:
    """Return how something is called, broken into lines where it is long."""
    parameters, star = [], False
    for one in thing.parameters:
        kind = str(one.kind.value)
        if one.name in ("self", "cls"):
            continue
        mark = {"variadic positional": "*", "variadic keyword": "**"}.get(kind, "")
        if kind == "keyword-only" and not star:
            parameters.append("*")
        star = star or kind == "keyword-only" or mark == "*"
        text = mark + one.name + (f": {one.annotation}" if one.annotation is not None else "")
        if one.default is not None and not mark:
            text += f" = {one.default}" if one.annotation is not None else f"={one.default}"
        parameters.append(text)
    gives = f" -> {thing.returns}" if thing.is_function and thing.returns is not None else ""
    line = f"{name}({', '.join(parameters)}){gives}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {text},\n" for text in parameters) + f"){gives}"


def told(part: Any) -> list[str]:
    """Return a docstring's section as lines of Markdown."""
    kind = part.kind.value
    if kind == "text":
        return [spaced(part.value)]
    if kind == "admonition":
        return [f"**{part.title or part.value.kind}**", "", spaced(part.value.contents)]
    if kind == "examples":
        return [spaced(text if str(which.value) == "text" else f"```pycon\n{text}\n```") for which, text in part.value]
    if kind not in ("parameters", "attributes", "returns", "yields", "raises", "warns"):
        raise ValueError(f"a docstring's section of the kind {kind} is not shown yet")
    lines = [f"**{kind.capitalize()}**", ""]
    for one in part.value:
        name = getattr(one, "name", "") or (str(one.annotation) if kind in ("raises", "warns") else "")
        lines.append(f"- {f'`{name}`: ' if name else ''}{' '.join(one.description.split())}")
    return lines


def spaced(text: str) -> str:
    """Return a docstring's text with its examples as code."""
    return re.sub(r"((?:^>>> .*\n?(?:^(?!\s*$).*\n?)*)+)", r"```pycon\n\1\n```\n", text, flags=re.MULTILINE)
