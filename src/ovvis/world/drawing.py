"""From a package's files to sprites: vector drawings by resvg, WebP by Pillow, cropped and scaled to one size."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ovvis.errors import InputError, ResourceError
from ovvis.world.packages import Package, members

SIDE = 128  # pixels of a sprite's longer side
_DRAWN = 256  # pixels that a drawing's square is drawn at
_SEEN = 8  # alpha, of 255, below which a border is cropped

Sprite = NDArray[np.uint8]  # h, w, 4: red, green, blue times alpha, and alpha


class Drawings:
    """The drawings of one package by their file names; each is drawn when it is asked for.

    Args:
        package: which.
        archive: its file.

    Raises:
        InputError: the archive is not what the package holds.
    """

    def __init__(self, package: Package, archive: Path) -> None:
        self.package = package
        self._webp = members(archive, (".webp",))
        self._icons: dict[str, dict[str, str]] = {}
        self._box = (0, 0)
        if not self._webp:
            try:
                held = json.loads(members(archive, ("package/icons.json", "icons.json"))["icons.json"])
            except (KeyError, ValueError) as error:
                raise InputError(f"{archive} holds no drawings: remove it and build again") from error
            self._icons, self._box = held["icons"], (held.get("width", 16), held.get("height", 16))
            for name, alias in held.get("aliases", {}).items():
                if set(alias) == {"parent"} and alias["parent"] in self._icons:
                    self._icons.setdefault(name, self._icons[alias["parent"]])

    @property
    def names(self) -> set[str]:
        """All file names, without their suffix."""
        return {Path(name).stem for name in self._webp} or set(self._icons)

    def draw(self, name: str) -> Sprite:
        """Return a drawing as a sprite.

        Raises:
            InputError: the package has none of that name, or it is empty.
            ResourceError: the library that draws is not installed.
        """
        try:
            square = self._image(name)
        except KeyError as error:
            raise InputError(f"{self.package.npm} {self.package.version} has no drawing {name!r}") from error
        seen = square.getchannel("A").point(lambda value: 255 if value >= _SEEN else 0).getbbox()
        if seen is None:
            raise InputError(f"{self.package.npm} {self.package.version}: drawing {name!r} is empty")
        cropped = square.crop(seen).convert("RGBa")  # colours times alpha: a resize takes no colour from nowhere
        scale = SIDE / max(cropped.size)
        size = max(round(cropped.width * scale), 1), max(round(cropped.height * scale), 1)
        resized = cropped.resize(size, Image.Resampling.BOX if scale < 0.6 else Image.Resampling.BILINEAR)
        pixels = np.frombuffer(resized.tobytes(), dtype=np.uint8).reshape(size[1], size[0], 4).copy()
        np.minimum(pixels[..., :3], pixels[..., 3:], out=pixels[..., :3])
        return pixels

    def _image(self, name: str) -> Image.Image:
        if self._webp:
            with Image.open(io.BytesIO(self._webp[f"assets/{name}.webp"])) as opened:
                return opened.convert("RGBA")
        icon = self._icons[name]
        width, height = icon.get("width", self._box[0]), icon.get("height", self._box[1])
        text = (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{icon.get("left", 0)} {icon.get("top", 0)} {width} {height}">{icon["body"]}</svg>'
        )
        drawn = _resvg()(svg_string=text, width=_DRAWN, height=_DRAWN, skip_system_fonts=True)
        with Image.open(io.BytesIO(drawn)) as opened:
            return opened.convert("RGBA")


def _resvg() -> Callable[..., bytes]:
    try:
        from resvg_py import svg_to_bytes
    except ImportError as error:
        raise ResourceError('drawing sprites needs resvg-py: install it with pip install "ovvis[world]"') from error
    drawn: Callable[..., bytes] = svg_to_bytes
    return drawn


def on_grey(sprite: Sprite, grey: int = 128) -> NDArray[np.uint8]:
    """Return a sprite before a grey ground (h, w, 3)."""
    colours, alpha = sprite[..., :3].astype(np.uint16), sprite[..., 3:].astype(np.uint16)
    return (colours + grey * (255 - alpha) // 255).astype(np.uint8)
