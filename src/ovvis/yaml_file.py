"""YAML that strangers wrote, read within bounds: its size, its depth, and what its aliases unfold to.

Nothing but plain values is made of it, whatever its tags ask for.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from ovvis.errors import InputError

MOST_CHARACTERS = 1 << 18
MOST_VALUES = 100_000  # with every alias written out
DEEPEST = 50  # values inside values

_PLAIN = re.compile(r"tag:yaml\.org,2002:\w+")


class Loader(yaml.SafeLoader):
    """YAML in which 1e-4 is a number, as in JSON and YAML 1.2; PyYAML takes it for text."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Make a value's node; refuse one that lies too deep, before Python's own stack ends."""
        self.depth += 1
        if self.depth > DEEPEST:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem=f"more than {DEEPEST} values lie inside each other", problem_mark=mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def compose(text: str, where: str, remedy: str) -> yaml.Node | None:
    """Return the nodes of a YAML document, with the places of each; None for an empty one.

    Args:
        text: the document.
        where: what it is, such as "settings 'a.yaml'"; begins each error's line.
        remedy: what to do about one that is no YAML; ends it.

    Raises:
        InputError: it is no YAML, or holds more than the bounds, or itself.
    """
    if len(text) > MOST_CHARACTERS:
        raise InputError(
            f"{where} holds {len(text):,} characters, and YAML is read up to {MOST_CHARACTERS:,}: make it shorter"
        )
    try:
        root = yaml.compose(text, Loader=Loader)
    except yaml.reader.ReaderError as error:  # it knows no line
        line = text.count("\n", 0, error.position) + 1
        raise _refused(error, f"{where}, line {line}", remedy) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _refused(error, where, remedy) from error
    if root is not None:
        count, depth = _written_out(root, {}, where)
        if count > MOST_VALUES or depth > DEEPEST:
            raise InputError(
                f"{where} unfolds to more than {MOST_VALUES:,} values or {DEEPEST} inside each other: use fewer "
                "aliases (*name)"
            )
    return root


def construct(root: yaml.Node | None, where: str, remedy: str) -> Any:
    """Return the values of nodes that `compose` gave.

    Raises:
        InputError: a value is not what its tag says, such as the date 2024-13-45.
    """
    loader = Loader("")
    try:
        return None if root is None else loader.construct_document(root)
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise _refused(error, where, remedy) from error
    finally:
        loader.dispose()


def as_written(node: yaml.Node | None, where: str = "YAML") -> Any:
    """Return nodes as lists, dicts and texts, each text as it is written: `no` is "no"; nothing is None.

    Raises:
        InputError: a key stands twice, or a tag is none of plain YAML's.

    >>> as_written(compose("names: [no, 007, ~]", "x", "y"))
    {'names': ['no', '007', None]}
    """
    if node is not None and not _PLAIN.fullmatch(node.tag):
        raise InputError(f"{where}, line {node.start_mark.line + 1}: tag {node.tag[:60]!r} is not read; remove it")
    if isinstance(node, yaml.MappingNode):
        out: dict[str, Any] = {}
        for key, value in node.value:
            name = str(as_written(key, where))
            if name in out:
                raise InputError(f"{where}, line {key.start_mark.line + 1}: {name[:40]!r} stands twice; keep one")
            out[name] = as_written(value, where)
        return out
    if isinstance(node, yaml.SequenceNode):
        return [as_written(item, where) for item in node.value]
    return None if node is None or node.tag == "tag:yaml.org,2002:null" else str(node.value)


def _refused(error: Exception, where: str, remedy: str) -> InputError:
    mark = getattr(error, "problem_mark", None)
    line = f", line {mark.line + 1}" if mark else ""
    what = getattr(error, "problem", None) or (str(error).splitlines() or [type(error).__name__])[0]
    remedy = "indent with blanks, not with tabs" if r"'\t'" in what else remedy
    return InputError(f"{where}{line}: no YAML that can be read ({what[:120]}); {remedy}")


def _written_out(node: yaml.Node, known: dict[int, tuple[int, int] | None], where: str) -> tuple[int, int]:
    """Return how many values a node holds and how deep, itself one of them, each alias as often as it stands."""
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            line = node.start_mark.line + 1
            raise InputError(f"{where}, line {line}: a value holds itself by an alias (*name); write it out")
        return size
    known[id(node)] = None
    inside: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        inside = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        inside = node.value
    sizes = [_written_out(part, known, where) for part in inside]
    known[id(node)] = size = (
        min(1 + sum(n for n, _ in sizes), MOST_VALUES + 1),
        1 + max((d for _, d in sizes), default=0),
    )
    return size
