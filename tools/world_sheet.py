"""Paint contact sheets of the built sprites, a PNG a group: every drawing of a category in a row. For looking at.

python tools/world_sheet.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image, ImageDraw

from ovvis.world.drawing import on_grey
from ovvis.world.sprites import load_sprites

CELL, TEXT, ROWS = 52, 130, 26


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    sprites = load_sprites()
    groups: dict[str, list[int]] = {}
    for i, category in enumerate(sprites.categories):
        groups.setdefault(category.group, []).append(i)
    of: dict[int, list[int]] = {}
    for j, entry in enumerate(sprites.entries):
        of.setdefault(entry.category, []).append(j)
    columns = 3
    for group, members in groups.items():
        for page in range(0, len(members), ROWS * columns):
            shown = members[page : page + ROWS * columns]
            width = TEXT + 8 * CELL
            sheet = Image.new("RGB", (width * columns, min(ROWS, len(shown)) * CELL), (128, 128, 128))
            pen = ImageDraw.Draw(sheet)
            for k, i in enumerate(shown):
                left, top = (k // ROWS) * width, (k % ROWS) * CELL
                category = sprites.categories[i]
                pen.text((left + 2, top + 18), category.name + ("" if category.split == "base" else " *"), "white")
                for n, j in enumerate(of.get(i, ())[:8]):
                    image = Image.fromarray(on_grey(sprites.pixels(j)))
                    image.thumbnail((CELL - 6, CELL - 6))
                    place = (left + TEXT + n * CELL, top + 3)
                    sheet.paste(image, place)
                    if sprites.entries[j].drawing.reserved:
                        pen.rectangle([*place, place[0] + CELL - 5, place[1] + CELL - 6], outline="red")
            sheet.save(folder / f"{group}_{page // (ROWS * columns)}.png")


if __name__ == "__main__":
    main()
