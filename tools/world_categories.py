"""Make src/ovvis/world/categories.json and src/ovvis/vocabularies/stickers.json from the pinned packages.

    python tools/world_categories.py FOLDER

FOLDER keeps the packages' archives. Groups and names are emojibase's; what is left out, merged and renamed stands in
tools/world_rules.txt. The same packages and rules give the same two files.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from ovvis.world.drawing import Drawings, Sprite, on_grey
from ovvis.world.packages import NAMES, PACKAGES, fetch, members

HERE = Path(__file__).resolve().parent
TARGETS = HERE.parent / "src" / "ovvis"
GROUPS = {3: "nature", 4: "food", 5: "travel", 6: "activity", 7: "object"}
OTHER = "creature"  # of labels that the rules take from emojibase's other groups
LEAST_FAMILIES = 3  # a category with fewer different drawings is left out
NOVEL = 3  # one of so many categories is novel
TRANSLUCENT = 0.25  # share of a drawing that may be half seen through
FULL = 0.93  # share of its square that an object may fill: a card does
TWINS = 7.0  # mean difference in grey levels below which two drawings are one


@dataclass
class Rules:
    """What tools/world_rules.txt says."""

    left_out: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)
    names: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)  # by label: name, synonyms
    wrong: set[tuple[str, str]] = field(default_factory=set)  # package, file


def read_rules(path: Path) -> Rules:
    rules = Rules()
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if not line:
            continue
        if line[0] in "-+!":
            parts = [part.strip() for part in line[1:].split(";")]
            if line[0] == "!":
                package, *files = parts[0].split()[0], *parts[0].split()[1:], *parts[1:]
                rules.wrong |= {(package, file) for file in files}
            else:
                (rules.left_out if line[0] == "-" else rules.added).update(parts)
            continue
        words, _, labels = line.partition("=")
        name, _, synonyms = (part.strip() for part in words.partition("|"))
        spelled = tuple(word.strip() for word in synonyms.split(";") if word.strip())
        for label in labels.split(";") if labels else [name]:
            rules.names.setdefault(label.strip(), (name, spelled))
    return rules


def plain(code: str) -> str:
    return "-".join(part for part in code.lower().split("-") if part != "fe0f")


def slugs(entry: dict, noto: str | None) -> set[str]:
    label = entry["label"].lower().replace("’", "")
    words = {re.sub(r"[^a-z0-9]+", "-", label).strip("-")} | ({noto} if noto else set())
    return words | {f"{word}-face" for word in words}


@lru_cache
def by_code(drawings: Drawings) -> dict[str, str]:
    return {plain(name): name for name in sorted(drawings.names)}


def matches(package: str, drawings: Drawings, chars: dict[str, str], entry: dict, noto: str | None) -> str | None:
    """Return the file of a package that draws an emoji."""
    if package == "fluent-3d":
        return by_code(drawings).get(plain(entry["hexcode"]))
    if chars:
        name = chars.get(plain(entry["hexcode"]))
        return name if name in drawings.names else None
    names = sorted(slugs(entry, noto), key=len)
    if package == "fxemoji":
        names = [name.replace("-", "") for name in names]
    return next((name for name in names if name in drawings.names), None)


def small(sprite: Sprite) -> np.ndarray:
    """Return a drawing before grey as 16 x 16 cells, whatever its shape."""
    image = on_grey(sprite).astype(np.float64)
    rows = np.array_split(np.arange(image.shape[0]), 16)
    columns = np.array_split(np.arange(image.shape[1]), 16)
    return np.array([[image[np.ix_(r, c)].mean((0, 1)) for c in columns] for r in rows])


def fit(sprite: Sprite) -> bool:
    """Tell whether a drawing can be an object: neither a card nor a breath of air, nor smaller than its name."""
    alpha = sprite[..., 3]
    if min(alpha.shape) < 12:
        return False
    inner = (alpha > 24) & (alpha < 200)
    solid = alpha >= 128
    square = min(alpha.shape) > 0.9 * max(alpha.shape)
    return bool(
        inner.sum() < TRANSLUCENT * (alpha > 24).sum() and solid.mean() > 0.1 and not (square and solid.mean() > FULL)
    )


def families(drawn: list[tuple[str, str, str, Sprite]]) -> dict[tuple[str, str], str]:
    """Return for each drawing (package, file) its family, those that hold the same drawing made one."""
    found = {(package, file): family for package, file, family, _ in drawn}
    cells = [small(sprite) for *_, sprite in drawn]
    for i, (package, file, *_) in enumerate(drawn):
        for j in range(i):
            other = drawn[j][:2]
            if np.abs(cells[i] - cells[j]).mean() < TWINS:
                old, new = found[package, file], found[other]
                found = {key: new if family == old else family for key, family in found.items()}
    return found


def rank(text: str) -> str:
    return hashlib.sha256(f"stickers {text}".encode()).hexdigest()


def main() -> None:
    folder = Path(sys.argv[1])
    rules = read_rules(HERE / "world_rules.txt")
    held = members(fetch(NAMES, folder), ("en/data.json",))
    entries = json.loads(held["en/data.json"])
    sources = {package.name: Drawings(package, fetch(package, folder)) for package in PACKAGES}
    chars = {}
    for package in PACKAGES:
        listed = members(fetch(package, folder), ("chars.json",)).get("chars.json", b"{}")
        chars[package.name] = json.loads(listed)
    wanted: dict[str, list[tuple[dict, str]]] = defaultdict(list)
    synonyms: dict[str, tuple[str, ...]] = {}
    labels = set()
    for entry in entries:
        label, group = entry["label"], GROUPS.get(entry.get("group"), OTHER)
        labels.add(label)
        if label in rules.left_out or (group == OTHER and label not in rules.added):
            continue
        name, spelled = rules.names.get(label, (label, ()))
        wanted[name.replace("’", "'")].append((entry, group))
        synonyms[name.replace("’", "'")] = spelled
    for label in sorted((rules.left_out | set(rules.names)) - labels):
        print(f"the rules name {label!r}, which is no label", file=sys.stderr)
    categories = []
    for name, parts in wanted.items():
        drawn = []
        for entry, _ in parts:
            noto = chars["noto"].get(plain(entry["hexcode"]))
            for package in PACKAGES:
                file = matches(package.name, sources[package.name], chars[package.name], entry, noto)
                if (
                    file is None
                    or (package.name, file) in rules.wrong
                    or any(d[:2] == (package.name, file) for d in drawn)
                ):
                    continue
                sprite = sources[package.name].draw(file)
                if fit(sprite):
                    drawn.append((package.name, file, package.family, sprite))
        kinds = families(drawn)
        distinct = sorted(set(kinds.values()))
        if len(distinct) < LEAST_FAMILIES:
            print(f"left out: {name} ({len(distinct)} different drawings)", file=sys.stderr)
            continue
        reserved = min(distinct, key=lambda family: rank(f"reserved {name} {family}"))
        categories.append(
            {
                "name": name,
                "synonyms": [name, *synonyms[name]],
                "group": parts[0][1],
                "drawings": [
                    {"package": p, "file": f} | ({"reserved": True} if kinds[p, f] == reserved else {})
                    for p, f, *_ in drawn
                ],
            }
        )
    groups: dict[str, list[dict]] = defaultdict(list)
    for category in categories:
        groups[category["group"]].append(category)
    for members_ in groups.values():
        ordered = sorted(members_, key=lambda category: rank(category["name"]))
        novel = {category["name"] for category in ordered[::NOVEL]}
        for category in members_:
            category["split"] = "novel" if category["name"] in novel else "base"
    categories.sort(key=lambda category: category["name"].casefold())
    words = [word.casefold() for category in categories for word in category["synonyms"]]
    for word in sorted({word for word in words if words.count(word) > 1}):
        print(f"two categories are called {word!r}", file=sys.stderr)
    keys = ("name", "synonyms", "group", "split", "drawings")
    lines = [json.dumps({key: category[key] for key in keys}, ensure_ascii=False) for category in categories]
    (TARGETS / "world" / "categories.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    words_ = [
        json.dumps({key: c[key] for key in ("name", "synonyms", "split")}, ensure_ascii=False) for c in categories
    ]
    (TARGETS / "vocabularies" / "stickers.json").write_text("[\n" + ",\n".join(words_) + "\n]\n", encoding="utf-8")
    counts = {group: len(of) for group, of in groups.items()}
    base = sum(category["split"] == "base" for category in categories)
    print(
        f"{len(categories)} categories, {base} base, {counts}, {sum(len(c['drawings']) for c in categories)} drawings"
    )


if __name__ == "__main__":
    main()
