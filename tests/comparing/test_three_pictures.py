"""A comparison in the viewer: a picture for each result on one time line."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from known_sides import FRAMES, SIZE, WHOLE, result, square, track
from PIL import Image

import ovvis
from browser import complaints, dark, sized, wait
from clips import Clip, told
from ovvis import masks

pytest.importorskip("selenium")
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PICTURE = """
const canvas = document.createElement("canvas"), from = arguments[0];
[canvas.width, canvas.height] = from.videoWidth ? [from.videoWidth, from.videoHeight] : [from.width, from.height];
canvas.getContext("2d").drawImage(from, 0, 0);
return canvas.toDataURL("image/png").split(",")[1];
"""
SETTLED = "ovvisViewer.painted.position === arguments[0] && ovvisViewer.now.position === arguments[0]"


def pixels(browser, element):
    png = browser.execute_script(PICTURE, element)
    return np.array(Image.open(io.BytesIO(base64.b64decode(png))))


@pytest.fixture
def page(tmp_path):
    path = Clip("clip.mp4", count=FRAMES, options={"g": "4"}).make(tmp_path, SIZE)
    mine = replace(WHOLE, opened_as={"source": str(path)})
    other = result(track(7, "dog", 2), track(8, "cat", 40, range(5)))
    ovvis.compare({"mine": mine, "<b>theirs": other}, WHOLE).save(tmp_path / "out", video=False)
    return tmp_path / "out" / "viewer.html"


def go(browser, position):
    browser.execute_script("ovvisViewer.clock.pause(); ovvisViewer.clock.seek(arguments[0])", position)
    wait(browser, SETTLED, position)


def test_each_result_has_its_picture(browser, page):
    browser.get(page.as_uri())
    wait(browser, "globalThis.ovvisViewer && ovvisViewer.painted.position !== null")
    titles = [title.text for title in browser.find_elements(By.CSS_SELECTOR, "#stage figcaption")]
    assert titles == ["truth", "mine", "<b>theirs"]
    drawn = browser.find_elements(By.CSS_SELECTOR, "#masks, .masks")
    copies = browser.find_elements(By.CSS_SELECTOR, ".copy")
    assert len(drawn) == 3 and len(copies) == 2
    both, dog = masks.decode(square(2)) | masks.decode(square(40)), masks.decode(square(2))
    for position in (1, 8):
        go(browser, position)
        wanted = [both, both, both if position < 5 else dog]
        for canvas, mask in zip(drawn, wanted, strict=True):
            assert np.array_equal(pixels(browser, canvas)[..., 3] > 0, mask)
        # Right after a jump the browser may tell of a picture before it can be drawn.
        WebDriverWait(browser, 60).until(
            lambda _, at=position: [told(pixels(browser, copy)[..., :3]) for copy in copies] == [at] * 2
        )
    assert complaints(browser) == []


def test_rows_moments_and_what_is_one_object(browser, page):
    browser.get(page.as_uri())
    wait(browser, "globalThis.ovvisViewer && ovvisViewer.painted.position !== null")
    names, numbers = (
        [one.text for one in browser.find_elements(By.CSS_SELECTOR, f"#rows .{part}")] for part in ("name", "number")
    )
    assert [name.removeprefix("▸ ") for name in names] == ["dog"] * 3 + ["cat"] * 3
    assert numbers == ["#1", "#1", "#7", "#2", "#2", "#8"]  # each result's own
    notes = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#rows .note")]
    assert notes == ["truth", "mine", "<b>theirs"] * 2
    colours = browser.execute_script("return ovvisViewer.head.tubes.map((tube) => tube.colour)")
    assert len(set(colours[:3])) == len(set(colours[3:])) == 1 and colours[0] != colours[3]
    (moment, *_) = browser.find_elements(By.CSS_SELECTOR, "#moments li")
    assert "<b>theirs lacks cat #2 of truth" in moment.text
    moment.find_element(By.TAG_NAME, "button").click()
    wait(browser, SETTLED, browser.execute_script("return ovvisViewer.head.moments[0][0]"))
    browser.find_elements(By.CSS_SELECTOR, "#rows .solo")[3].click()  # the cat alone, in all pictures
    assert browser.execute_script("return ovvisViewer.shown().map((tube) => tube.label)") == ["cat"] * 3
    assert not browser.find_element(By.ID, "save-tracks").is_displayed()


def test_narrow_and_dark(browser, page):
    sized(browser, 390, 844)
    dark(browser)
    browser.get(page.as_uri())
    wait(browser, "globalThis.ovvisViewer && ovvisViewer.painted.position !== null")
    boxes = [box.rect for box in browser.find_elements(By.CSS_SELECTOR, "#picture, .picture")]
    assert len({box["x"] for box in boxes}) == 1 and boxes[0]["width"] > 300  # one below the other
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
