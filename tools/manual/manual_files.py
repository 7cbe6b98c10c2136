"""The page of the source files: each with the first line of its docstring, which says what it is for."""

import ast

from manual_pages import REPOSITORY, ROOT

SOURCE = ROOT / "src" / "ovvis"
TITLE = """# Files

Every source file, and what it is for. What the rooms are, and who may import whom: [Design](design.md).
"""


def page() -> str:
    """Return the page, as Markdown."""
    rooms: dict[str, list[str]] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        line = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        if line:
            place = path.relative_to(SOURCE).as_posix()
            link = f"{REPOSITORY}/blob/main/src/ovvis/{place}"
            room = "/".join(path.parent.relative_to(SOURCE).parts) or "ovvis"
            rooms.setdefault(room, []).append(f"- [`{place}`]({link}): {line}")
    return "\n".join([TITLE, *(f"## {room}\n\n" + "\n".join(lines) + "\n" for room, lines in sorted(rooms.items()))])
