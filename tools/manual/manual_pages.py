"""The pages as the site shows them: those of the repository, which read on GitHub too, with their links followed.

A link from one page to another stays what it is; one to any other file of the repository becomes its address there.
A link that leads nowhere, or to a heading that is not there, is an error: the list of all of them.
"""

import re
from pathlib import Path
from posixpath import normpath, relpath

ROOT = Path(__file__).resolve().parents[2]
REPOSITORY = "https://github.com/ovvis/ovvis"
# Pages that lie beside `docs`, and their names on the site.
BESIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}

FENCE = re.compile(r"^( *)(`{3,}|~{3,}).*?^\1\2 *$", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"(`+)(?:(?!`).)(?:.*?[^`])??\1(?!`)")
LINK = re.compile(r"(!?\[(?:[^\[\]]|\[[^\]]*\])*\])\(([^()\s]+(?:\([^()]*\))?)\)")
BAR = re.compile(
    r"(?<=[| (])`[^`\n]*\\\|[^`\n]*`"
)  # code in a table: GitHub wants its bars escaped, the site shows that
HEADING = re.compile(r"^#{1,6} +(.+?) *#* *$", re.MULTILINE)
ADDRESS = re.compile(r"https?://[a-z0-9.-]+\.[a-z]{2,}(:\d+)?(/[^\s<>\"]*)?(#\S*)?|mailto:\S+@\S+", re.IGNORECASE)


class BrokenLinksError(Exception):
    """Links that lead nowhere, a line each."""


def pages(root: Path = ROOT) -> dict[str, str]:
    """Return each page's path in the repository and its path on the site."""
    docs = sorted(path.relative_to(root).as_posix() for path in (root / "docs").rglob("*.md"))
    beside = {path: name for path, name in BESIDE.items() if (root / path).exists()}
    return beside | {path: path.removeprefix("docs/") for path in docs}


def without_code(text: str) -> str:
    """Return a page with its code blanked out, character by character: what looks like a link in there is none."""
    for kind in (FENCE, CODE):
        text = kind.sub(lambda code: re.sub(r"[^\n]", "\0", code[0]), text)
    return text


def anchors(text: str) -> set[str]:
    """Return the names that a page's headings have as places, as GitHub and the site make them."""
    outside = FENCE.sub("", text)
    found: dict[str, int] = {}
    for heading in HEADING.findall(outside):
        words = LINK.sub(lambda link: link[1].strip("![]"), heading).replace("`", "").replace("*", "")
        name = re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")
        found[name] = found.get(name, -1) + 1
    return {name if not i else f"{name}-{i}" for name, most in found.items() for i in range(most + 1)}


def followed(path: str, text: str, root: Path = ROOT) -> str:
    """Return a page's text as the site takes it.

    Args:
        path: where the page lies in the repository.
        text: what it says.
        root: the repository.

    Raises:
        BrokenLinksError: links that lead nowhere.
    """
    sites = pages(root)
    here = sites[path]
    broken = []

    def follow(target: str) -> str:
        if ":" in target.split("/")[0]:
            if not ADDRESS.fullmatch(target):
                broken.append(f"{path}: {target} is no address")
            return target
        file, _, anchor = target.partition("#")
        aim = normpath(f"{Path(path).parent.as_posix()}/{file}") if file else path
        if not (root / aim).exists() or aim.startswith(".."):
            broken.append(f"{path}: {target} leads nowhere")
            return target
        if anchor and (aim not in sites or anchor not in anchors((root / aim).read_text(encoding="utf-8"))):
            broken.append(f"{path}: {target} names a heading that is not there")
        if not file:
            way = ""
        elif aim in sites:
            way = relpath(sites[aim], Path(here).parent.as_posix())
        elif aim.startswith("docs/") and not aim.endswith(".ipynb"):
            way = relpath(aim.removeprefix("docs/"), Path(here).parent.as_posix())
        else:
            kind = "tree" if (root / aim).is_dir() else "blob"
            way = f"{REPOSITORY}/{kind}/main/{aim}"
        return f"{way}#{anchor}" if anchor else way

    made, at = [], 0
    for link in LINK.finditer(without_code(text)):
        made += [text[at : link.start(2)], follow(link[2])]
        at = link.end(2)
    if broken:
        raise BrokenLinksError("\n".join(broken))
    return BAR.sub(lambda code: code[0].replace("\\|", "|"), "".join([*made, text[at:]]))
