"""Takes the pictures of the viewer that the documentation shows: light, dark, narrow.

python tools/picture_viewer.py RESULT VIDEO FOLDER    (chromium, chromedriver and Selenium must be there)
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from browser import dark, fresh, open_browser, sized, wait
from ovvis.results.loading import load_result
from ovvis.viewer import write_viewer

VIEWS = {"light": (1280, 860, False), "dark": (1280, 860, True), "narrow": (390, 844, False)}
MOMENT = "#t=2.5"


def main(result: str, video: str, folder: Path) -> None:
    """Write FOLDER/viewer-NAME.png, each with few colours, which a page of documentation loads quickly."""
    with TemporaryDirectory() as scratch:
        page = Path(scratch) / "page.html"
        write_viewer(load_result(result), page, video)
        driver = fresh(open_browser(Path(scratch), Path(scratch) / "profile"), Path(scratch))
        for name, (width, height, night) in VIEWS.items():
            sized(driver, width, height)
            dark(driver, night)
            driver.get("about:blank")
            driver.get(page.as_uri() + MOMENT)
            wait(driver, "globalThis.ovvisViewer && ovvisViewer.now.time > 2.4 && ovvisViewer.seen.length > 0")
            driver.execute_script("document.activeElement.blur()")
            path = folder / f"viewer-{name}.png"
            driver.save_screenshot(str(path))
            Image.open(path).convert("RGB").quantize(160).save(path, optimize=True)
        driver.quit()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
