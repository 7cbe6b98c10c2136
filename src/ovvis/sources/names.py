"""A name for each of several videos that no other has, on any disk; of a million without holding them all."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from ovvis.paths import user_path
from ovvis.sources.listing import VIDEO_SUFFIXES
from ovvis.sources.place import address_stem, is_address, shown_address


class Names:
    """The names of the folders of videos.

    Args:
        videos: read from the beginning several times; a name is eight bytes of memory, but of those that share
            theirs.
    """

    def __init__(self, videos: Iterable[str]) -> None:
        keys = Keys(source_name(text).casefold() for text in videos)
        shared = keys.repeated()
        self.notes: list[str] = []
        self._chosen: dict[str, str] = {}
        while shared:
            group = [text for text in videos if key_of(source_name(text).casefold()) in shared]
            names, self.notes = distinct_names(group)
            self._chosen = dict(zip(group, names, strict=True))
            longer = {key_of(name.casefold()) for name in names} - shared
            taken = keys.among(longer)  # a longer name may be another video's own
            if not taken:
                break
            shared |= taken

    def of(self, video: str) -> str:
        """Return the name of a video."""
        return self._chosen.get(video) or source_name(video)


class Keys:
    """Numbers that stand for texts: two of one number are one text, but for one chance in a million millions."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._keys = np.sort(np.frombuffer(array("Q", map(key_of, texts)).tobytes(), np.uint64))

    def __len__(self) -> int:
        return len(self._keys)

    def repeated(self) -> set[int]:
        """Return the numbers of texts that are there more than once."""
        return set(self._keys[1:][self._keys[1:] == self._keys[:-1]].tolist())

    def among(self, keys: Collection[int]) -> set[int]:
        """Return those of some numbers that are there."""
        asked = np.array(sorted(keys), np.uint64)
        return set(asked[np.isin(asked, self._keys, kind="sort")].tolist())


def key_of(text: str) -> int:
    """Return the number that stands for a text."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def source_name(text: str) -> str:
    """Return a short name for a source, which a folder can have.

    >>> source_name("films/my dog.mp4"), source_name("rtsp://me:secret@10.0.0.7/ch1"), source_name("camera:0")
    ('my-dog', 'ch1', 'camera-0')
    """
    if is_address(text):
        return _plain(address_stem(text))
    if text == "-":
        return "stdin"
    path = user_path(text)
    if path.suffix.lower() in VIDEO_SUFFIXES:
        return _plain(path.stem)
    return _plain(path.resolve().stem if path.exists() else text)


def distinct_names(sources: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return a name for each source that differs from all others, on any disk, and what to say of those that did not.

    The names do not depend on the order: another run with the same sources gives the same.

    >>> distinct_names(["a/dog.mp4", "b/dog.mp4", "cat.mp4", "cat.avi"])[0]
    ['a-dog', 'b-dog', 'cat-mp4', 'cat-avi']
    """
    names = [source_name(text) for text in sources]
    shared = _twice(names)
    if not shared:
        return names, []
    kinds, parents, both = zip(*(_longer(text) for text in sources), strict=True)
    chosen = list(names)
    for key in shared:
        places = [i for i, name in enumerate(names) if name.casefold() == key]
        for other in (kinds, parents, both):
            if len({other[i].casefold() for i in places}) == len(places):
                break
        for i in places:
            chosen[i] = other[i]
    numbers: Counter[str] = Counter()
    for i in sorted(range(len(chosen)), key=lambda i: sources[i]):
        key = chosen[i].casefold()
        numbers[key] += 1
        if numbers[key] > 1:
            chosen[i] = f"{chosen[i]}-{numbers[key]}"
    count = sum(name.casefold() in shared for name in names)
    example = next(i for i, name in enumerate(names) if name.casefold() in shared)
    return chosen, [f"{count} videos share their names, such as {names[example]}: its folder is {chosen[example]}"]


def _twice(names: Sequence[str]) -> list[str]:
    return [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]


def _longer(text: str) -> tuple[str, str, str]:
    """Return a source's name with its ending, with its folder, and with both."""
    if is_address(text):
        whole = _plain(re.sub(r"^\w+://", "", shown_address(text)))
        return whole, whole, whole
    path, name = user_path(text), source_name(text)
    kind, folder = path.suffix.lower(), path.resolve().parent.name
    return _plain(f"{name}-{kind[1:]}"), _plain(f"{folder}-{name}"), _plain(f"{folder}-{name}-{kind[1:]}")


def _plain(text: str) -> str:
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "frames"
