"""What the package asks for, as its metadata states it, and what of that is here. Nothing is imported for it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

from ovvis.doctor.rows import Row

PACKAGE = "ovvis"
LIBRARIES, EXTRAS = "libraries", "extras"
NOT_FOR_USERS = ("dev", "docs")

# What a person wants an extra for.
PURPOSES = {
    "comparison": "ovvis reproduce stickers",
    "fiftyone": "ovvis export --to fiftyone",
    "figures": "ovvis reproduce figures",
    "onnx": "ovvis models export, --model FILE.onnx",
    "pandas": "result.to_pandas()",
    "ray": "--ray",
    "sam2": "ovvis track --tracker propagate",
    "train": "ovvis train",
    "web": "ovvis serve, ovvis live's page",
    "world": "ovvis world build",
}

# What a library is imported as, where that is not its name with other marks between words.
MODULES = {
    "griffelib": "griffe",
    "lightning-fabric": "lightning_fabric",
    "open-clip-torch": "open_clip",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-learn": "sklearn",
}


@dataclass(frozen=True, slots=True)
class Need:
    """A library that is asked for."""

    name: str  # as its metadata spells it, small letters and dashes
    versions: str  # such as ">=2.14"; empty for any
    extra: str  # empty for what everybody needs

    @property
    def module(self) -> str:
        """What it is imported as."""
        return MODULES.get(self.name, self.name.replace("-", "_"))

    @property
    def installed(self) -> str | None:
        """The version that is here."""
        return _version(self.name)

    @property
    def good(self) -> bool:
        """Whether the version that is here is one that is asked for."""
        here = self.installed
        return here is not None and meets(here, self.versions)


def needs() -> list[Need]:
    """Return all that the package asks for, extras with what they take from each other.

    Raises:
        PackageNotFoundError: the package runs from a folder, without having been installed.
    """
    found: list[Need] = []
    for line in metadata.requires(PACKAGE) or ():
        words, _, marker = line.partition(";")
        extra = re.search(r"""extra\s*==\s*['"]([\w.-]+)['"]""", marker)
        found += _needs_of(words.strip(), extra[1] if extra else "")
    return _with_shared(found)


def meets(version: str, versions: str) -> bool:
    """Return whether a version is one of those asked for; where that cannot be told, it is.

    >>> meets("2.13.0+cpu", ">=2.14"), meets("2.14.1+cpu", ">=2.14"), meets("odd", ">=1")
    (False, True, True)
    """
    try:
        from packaging.specifiers import SpecifierSet
        from packaging.version import Version

        return SpecifierSet(versions, prereleases=True).contains(Version(version))
    except Exception:  # packaging is not here, or the version is none by its rules
        return True


def extras() -> list[Row]:
    """Return a row for each extra: whole, or what is missing."""
    asked: dict[str, list[Need]] = {}
    for need in needs():
        if need.extra and need.extra not in NOT_FOR_USERS:
            asked.setdefault(need.extra, []).append(need)
    pages = _version("yt-dlp")  # of no extra: it must be as new as the pages that it reads
    about = Row(
        EXTRAS,
        "yt-dlp: pages with videos",
        pages or "missing",
        "ok" if pages else "note",
        "" if pages else "pip install yt-dlp",
    )
    return [*(_extra(name, wanted) for name, wanted in asked.items()), about]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _extra(extra: str, wanted: list[Need]) -> Row:
    name = f"{extra}: {PURPOSES[extra]}" if extra in PURPOSES else extra
    lacking = [need for need in wanted if not need.good]
    if not lacking:
        return Row(EXTRAS, name, ", ".join(f"{need.name} {need.installed}" for need in wanted))
    old = [f"{need.name} {need.installed} (needs {need.versions})" for need in lacking if need.installed]
    absent = [need.name for need in lacking if not need.installed]
    words = [*old, *([f"missing: {', '.join(absent)}"] if absent else [])]
    return Row(EXTRAS, name, "; ".join(words), "note", f"pip install '{PACKAGE}[{extra}]'")


def _needs_of(words: str, extra: str) -> Iterable[Need]:
    match = re.match(r"([A-Za-z0-9._-]+)\s*(?:\[([^\]]*)\])?\s*\(?([^)]*)\)?$", words)
    if match is None:
        return
    name = re.sub(r"[-_.]+", "-", match[1]).lower()
    if name == PACKAGE:  # an extra that takes another
        yield from (Need(f"{PACKAGE}[{other.strip()}]", "", extra) for other in (match[2] or "").split(","))
    else:
        yield Need(name, match[3].replace(" ", ""), extra)


def _with_shared(found: list[Need]) -> list[Need]:
    """Put what an extra takes from another in place of the other's name."""
    out: list[Need] = []
    for need in found:
        other = re.fullmatch(rf"{PACKAGE}\[(.*)\]", need.name)
        if other is None:
            out.append(need)
        else:
            out += [Need(one.name, one.versions, need.extra) for one in found if one.extra == other[1]]
    return out
