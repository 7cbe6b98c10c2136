"""The sprites of every drawing in one file: built once, then read as they are asked for."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ovvis.errors import InputError
from ovvis.paths import cache_folder
from ovvis.world.categories import Category, Drawing, categories, listing
from ovvis.world.drawing import SIDE, Drawings, Sprite
from ovvis.world.packages import PACKAGES, fetch

Advance = Callable[[int, int], object]  # what is done, and how much there is
PINNED = "e5212277fa1b4794ffc4135da36edcdb03665a9df6e10c83df1632d9a01a6f00"
"""The digest of the sprites as they were drawn when the list was made."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A sprite's place in the world."""

    category: int  # place in the list of categories
    drawing: Drawing
    sha256: str  # of its height, width and pixels


class Sprites:
    """All sprites of a file, or a few made by hand; each is read when it is asked for.

    Args:
        known: the categories.
        entries: N; what each sprite is.
        packed: N; each one's compressed pixels.
        sizes: N; each one's height and width.
    """

    def __init__(
        self,
        known: Sequence[Category],
        entries: Sequence[Entry],
        packed: Sequence[bytes],
        sizes: Sequence[tuple[int, int]],
    ) -> None:
        self.categories, self.entries = tuple(known), tuple(entries)
        self._packed, self._sizes = list(packed), list(sizes)

    @classmethod
    def of(cls, known: Sequence[Category], drawn: Iterable[tuple[int, Drawing, Sprite]]) -> Sprites:
        """Return sprites from their pixels: category's place, drawing, pixels (h, w, 4) with colours times alpha."""
        entries, packed, sizes = [], [], []
        for category, drawing, pixels in drawn:
            data = np.ascontiguousarray(pixels, dtype=np.uint8).tobytes()
            size = (int(pixels.shape[0]), int(pixels.shape[1]))
            entries.append(Entry(category, drawing, hashlib.sha256(repr(size).encode() + data).hexdigest()))
            packed.append(zlib.compress(data, 6))
            sizes.append(size)
        return cls(known, entries, packed, sizes)

    @property
    def digest(self) -> str:
        """Return the SHA-256 of all sprites together."""
        lines = [
            f"{self.categories[e.category].name} {e.drawing.package} {e.drawing.file} {e.sha256}" for e in self.entries
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def __len__(self) -> int:
        return len(self.entries)

    def pixels(self, index: int) -> Sprite:
        """Return a sprite (h, w, 4), colours times alpha."""
        flat: NDArray[np.uint8] = np.frombuffer(zlib.decompress(self._packed[index]), dtype=np.uint8)
        return flat.reshape(*self._sizes[index], 4)

    def save(self, path: Path) -> None:
        """Write the file."""
        about = [[e.category, e.drawing.package, e.drawing.file, e.drawing.reserved, e.sha256] for e in self.entries]
        starts = np.cumsum([0, *map(len, self._packed)], dtype=np.int64)
        tensors: dict[str, NDArray[Any]] = {
            "data": np.frombuffer(b"".join(self._packed), dtype=np.uint8),
            "starts": starts,
            "sizes": np.array(self._sizes, dtype=np.int32).reshape(-1, 2),
        }
        # One entry: safetensors writes several in any order, and the same sprites are to be the same file.
        words = json.dumps({"categories": msgspec.to_builtins(self.categories), "entries": about})
        path.write_bytes(save(tensors, metadata={"world": words}))

    @classmethod
    def load(cls, path: Path) -> Sprites:
        """Read the file.

        Raises:
            InputError: it is no such file.
        """
        try:
            with safe_open(str(path), framework="numpy") as file:
                words = json.loads(file.metadata()["world"])
                data, starts, sizes = (file.get_tensor(name) for name in ("data", "starts", "sizes"))
            known = msgspec.convert(words["categories"], type=tuple[Category, ...])
            entries = [Entry(c, Drawing(p, f, r), sha) for c, p, f, r, sha in words["entries"]]
        except (SafetensorError, KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
            raise InputError(f"{path} holds no sprites: remove it and run ovvis world build again") from error
        packed = [data[start:end].tobytes() for start, end in pairwise(starts)]
        return cls(known, entries, packed, [(int(h), int(w)) for h, w in sizes])


def sprites_path() -> Path:
    """Return where the sprites of this version's list lie."""
    key = hashlib.sha256(listing())
    key.update(repr([(p.archive, p.sha512, SIDE) for p in PACKAGES]).encode())
    return cache_folder() / "world" / f"stickers-{key.hexdigest()[:12]}.safetensors"


def load_sprites(path: Path | None = None) -> Sprites:
    """Return the built sprites.

    Raises:
        InputError: they are not built, or the file is damaged.
    """
    path = path or sprites_path()
    if not path.is_file():
        raise InputError(f"the world's sprites are not here ({path}): make them with ovvis world build")
    return Sprites.load(path)


def draw_all(archives: Path, advance: Advance | None = None) -> Sprites:
    """Fetch the packages and draw every drawing of the list.

    Args:
        archives: the folder that keeps the packages' archives.
        advance: is told how many sprites are done, and how many there are.

    Raises:
        ResourceError: npm, the network or the drawing library is missing.
        InputError: a package is not what is pinned.
    """
    known = categories()
    total = sum(len(category.drawings) for category in known)
    sources = {package.name: Drawings(package, fetch(package, archives)) for package in PACKAGES}

    def drawn() -> Iterator[tuple[int, Drawing, Sprite]]:
        done = 0
        for i, category in enumerate(known):
            for drawing in category.drawings:
                yield i, drawing, sources[drawing.package].draw(drawing.file)
                done += 1
                if advance:
                    advance(done, total)

    return Sprites.of(known, drawn())
