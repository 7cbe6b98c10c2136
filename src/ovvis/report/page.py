"""The pieces of an HTML report: a page with its style, tables, bars; text, colours, masks and rows are the viewer's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files

from ovvis.viewer.page import asset, digest, escape

__all__ = ["bars", "escape", "figures", "page", "section", "table"]


DRAWN = ("codes.js", "painter.js", "rows.js")
"""What the viewer draws masks and rows with."""


def page(title: str, subtitle: str, sections: Iterable[str], foot: str, drawn: bool = False) -> str:
    """Return a whole document that needs nothing from elsewhere.

    Args:
        title: its heading.
        subtitle: a line below it.
        sections: HTML.
        foot: the last line.
        drawn: whether sections hold videos, whose masks and rows a script draws.
    """
    style = asset("tokens.css") + (asset("rows.css") if drawn else "") + _own("style.css")
    code = f'"use strict";\n(() => {{\n{"".join(map(asset, DRAWN))}{_own("strips.js")}}})();\n' if drawn else ""
    allowed = f"script-src 'sha256-{digest(code)}'; " if drawn else ""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; {allowed}img-src data:; '
        "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<main>\n"
        f'<header><h1>{escape(title)}</h1><p class="sub">{escape(subtitle)}</p></header>\n'
        + "".join(sections)
        + f"<footer>{escape(foot)}</footer>\n</main>\n"
        + (f"{asset('row.html')}<script>{code}</script>\n" if drawn else "")
        + "</body>\n</html>\n"
    )


def _own(name: str) -> str:
    return files("ovvis.report").joinpath(name).read_text(encoding="utf-8")


def section(title: str, lead: str, *parts: str) -> str:
    """Return a section of the page; `parts` are HTML."""
    return f'<section>\n<h2>{escape(title)}</h2>\n<p class="lead">{escape(lead)}</p>\n{"".join(parts)}</section>\n'


def figures(pairs: Iterable[tuple[str, str]]) -> str:
    """Return large figures side by side: name and value."""
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs)
    return f'<dl class="figures">{cells}</dl>\n'


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """Return a table whose first `words` columns hold text and whose others hold numbers."""

    def line(cells: Sequence[str], tag: str) -> str:
        kinds = ["" if i < words else ' class="n"' for i in range(len(cells))]
        return "".join(f"<{tag}{kind}>{escape(c)}</{tag}>" for c, kind in zip(cells, kinds, strict=True))

    body = "".join(f"<tr>{line(row, 'td')}</tr>\n" for row in rows)
    return f'<div class="wide"><table><thead><tr>{line(head, "th")}</tr></thead><tbody>\n{body}</tbody></table></div>\n'


def bars(rows: Sequence[tuple[str, str, Sequence[float]]], series: Sequence[str]) -> str:
    """Return horizontal bars, one for each series, under a common scale.

    Args:
        rows: name, what it means, and a value for each series: 0 or more, in points.
        series: names; the first has the strongest colour.
    """
    top = max((value for _, _, values in rows for value in values), default=0) or 1
    out = []
    for name, meaning, values in rows:
        drawn = "".join(
            f'<div class="bar s{i % 5}" title="{escape(label)}: {value:.1f} points">'
            f'<span class="fill" style="width:{82 * value / top:.2f}%"></span>'
            f'<span class="value">{value:.1f}</span></div>'
            for i, (label, value) in enumerate(zip(series, values, strict=True))
        )
        out.append(
            f'<div class="measure"><div class="what"><b>{escape(name)}</b><span>{escape(meaning)}</span></div>'
            f'<div class="drawn">{drawn}</div></div>\n'
        )
    key = "".join(f'<span class="key s{i % 5}"><i></i>{escape(label)}</span>' for i, label in enumerate(series))
    legend = f'<p class="keys">{key}</p>\n' if len(series) > 1 else ""
    return f'{legend}<div class="bars">{"".join(out)}</div>\n'
