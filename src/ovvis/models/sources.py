"""Where weights come from: the Hugging Face Hub, Google Drive, an address, a mirror of the user's own.

Nothing here asks a network, so that the zoo is read at once.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ovvis.errors import InputError
from ovvis.paths import user_path

MIRROR = "OVVIS_MIRROR"
"""The variable that names the user's own mirror: a folder, or the address of one."""
COOKIES = "OVVIS_COOKIES"
"""The variable that names a browser's cookies: a file in Netscape's format (`cookies.txt`)."""
OFFLINE = ("OVVIS_OFFLINE", "HF_HUB_OFFLINE")
"""Variables of which each alone keeps everything off the network."""

DRIVE = "https://drive.google.com/uc?id="
HUB = "https://huggingface.co"


@dataclass(frozen=True, kw_only=True)
class Pinned:
    """What is known of a file before it is fetched; what is None is recorded at the first use."""

    size: int | None = None  # bytes
    sha256: str | None = None  # of the file as its authors published it, hexadecimal digits


@dataclass(frozen=True)
class Hub(Pinned):
    """A file in a repository of the Hugging Face Hub."""

    repository: str
    file: str
    revision: str = "main"  # a branch, a tag or a commit

    @property
    def address(self) -> str:
        """The page in a browser."""
        return f"{hub_address()}/{self.repository}/blob/{self.revision}/{self.file}"

    @property
    def title(self) -> str:
        """A short name."""
        return f"the Hugging Face Hub ({self.repository}/{self.file})"


@dataclass(frozen=True)
class HubSearch(Pinned):
    """Files in a repository of the Hugging Face Hub that are not known by name: each that fits is tried in turn."""

    repository: str
    folder: str  # that they lie in
    words: tuple[str, ...]  # all of which their names hold, in any order
    least: int = 0  # bytes; a smaller file cannot hold the model
    last: tuple[str, ...] = ()  # words of names that are tried after the others
    revision: str = "main"

    @property
    def address(self) -> str:
        """The folder's page in a browser, and what to look for there."""
        page = f"{hub_address()}/{self.repository}/tree/{self.revision}/{quote(self.folder)}"
        return f"{page} (a file with {' and '.join(self.words)} in its name)"

    @property
    def title(self) -> str:
        """A short name."""
        return f"the Hugging Face Hub ({self.repository}/{self.folder}: {', '.join(self.words)})"


@dataclass(frozen=True)
class Drive(Pinned):
    """A file on Google Drive that anyone with its address may read."""

    id: str

    @property
    def address(self) -> str:
        """The page in a browser."""
        return f"{DRIVE}{self.id}"

    @property
    def title(self) -> str:
        """A short name."""
        return f"Google Drive ({self.address})"


@dataclass(frozen=True)
class Url(Pinned):
    """Any other address."""

    url: str

    @property
    def address(self) -> str:
        """The page in a browser."""
        return self.url

    @property
    def title(self) -> str:
        """A short name."""
        return self.url


@dataclass(frozen=True)
class Local(Pinned):
    """A file on this machine, in the user's own mirror."""

    path: Path

    @property
    def address(self) -> str:
        """The path."""
        return str(self.path)

    @property
    def title(self) -> str:
        """The path."""
        return f"the mirror ({self.path})"


Source = Hub | HubSearch | Drive | Url | Local


def offline() -> str | None:
    """Return the variable, with its value, that keeps everything off the network; None where none does."""
    for name in OFFLINE:
        value = os.environ.get(name, "").strip()
        if value.lower() not in ("", "0", "no", "false", "off"):
            return f"{name}={value}"
    return None


def hub_address() -> str:
    """Return the address of the Hub, or of what stands in for it (`HF_ENDPOINT`)."""
    return (os.environ.get("HF_ENDPOINT") or HUB).rstrip("/")


def use_mirror(place: str | None) -> None:
    """Make a place the mirror of this process and of those that it starts, in front of `OVVIS_MIRROR`.

    Args:
        place: a folder or the address of one; None changes nothing.

    Raises:
        InputError: there is no such folder.
    """
    if place is None:
        return
    if not _is_address(place):
        folder = user_path(place.removeprefix("file://"))
        if not folder.is_dir():
            raise InputError(
                f"mirror {place!r}: there is no such folder; `ovvis models fetch NAME --to FOLDER` makes one, and an "
                "address begins with http:// or https://"
            )
        place = str(folder.absolute())
    os.environ[MIRROR] = place


def mirror() -> Path | str | None:
    """Return the user's own mirror: a folder, or an address without a slash at its end; None where there is none."""
    place = os.environ.get(MIRROR, "").strip()
    if not place:
        return None
    return place.rstrip("/") if _is_address(place) else user_path(place.removeprefix("file://"))


def _is_address(place: str) -> bool:
    return "://" in place and not place.startswith("file://")


def mirrored(file: str) -> list[Source]:
    """Return the places of the user's own mirror where a file may lie; none where there is no mirror.

    The mirror may also hold the file as the model's authors made it, by the same name with `.pth`.

    Args:
        file: its name among the weights, with a suffix.
    """
    folder, names = mirror(), [file, f"{Path(file).stem}.pth"]
    if folder is None:
        return []
    if isinstance(folder, str):
        return [Url(f"{folder}/{name}") for name in names]
    there = [folder / name for name in names if (folder / name).is_file()]
    return [Local(path) for path in there or [folder / file]]


def in_words(sources: Sequence[Source]) -> str:
    """Return the addresses of sources as one line.

    >>> in_words([Hub("a/b", "c.pth"), Url("https://x.org/c.pth")])
    'https://huggingface.co/a/b/blob/main/c.pth or https://x.org/c.pth'
    """
    return " or ".join(source.address for source in sources)
