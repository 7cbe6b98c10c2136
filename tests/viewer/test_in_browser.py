"""The viewer in a browser: each picture with its own masks, and what a person does."""

import base64
import io
import json
import struct
import tempfile
import webbrowser
from fractions import Fraction

import numpy as np
import pytest
from known_results import SEEN, mask_at, result_of
from PIL import Image

from browser import complaints, dark, sized, wait
from clips import Clip, told
from ovvis import masks
from ovvis.outputs.formats.tracks_json import load_tracks
from ovvis.sources.video import open_source
from ovvis.viewer import Pieces, write_viewer

pytest.importorskip("selenium")
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

SETTLED = "ovvisViewer.painted.position === arguments[0] && ovvisViewer.now.position === arguments[0]"
PICTURE = """
const canvas = document.createElement("canvas"), from = arguments[0];
[canvas.width, canvas.height] = from.videoWidth ? [from.videoWidth, from.videoHeight] : [from.width, from.height];
canvas.getContext("2d").drawImage(from, 0, 0);
return canvas.toDataURL("image/png").split(",")[1];
"""


def clip(folder, name="clip.mp4", size=(48, 64), **changes):
    return Clip(name, **({"count": 24, "options": {"g": "8", "bf": "2"}} | changes)).make(folder, size)


def opened(browser, path, hash=""):
    browser.get("about:blank")
    browser.get(path.as_uri() + hash)
    wait(browser, "globalThis.ovvisViewer && ovvisViewer.now.position >= 0 && ovvisViewer.painted.position !== null")


def shown(browser, result, page, **options):
    written = write_viewer(result, page, **options)
    opened(browser, page)
    return written


def go(browser, position):
    browser.execute_script("ovvisViewer.clock.pause(); ovvisViewer.clock.seek(arguments[0])", position)
    wait(browser, SETTLED, position)


def pixels(browser, id):
    png = browser.execute_script(PICTURE, browser.find_element(By.ID, id))
    return np.array(Image.open(io.BytesIO(base64.b64decode(png))))


def only(browser, *ids):
    """Show some tubes alone, whatever they score."""
    browser.execute_script(
        "ovvisViewer.threshold = 0; ovvisViewer.solo = new Set(arguments[0]); ovvisViewer.refresh()", list(ids)
    )


KINDS = {
    "plain": ({}, {}, "source"),
    "every": ({}, {"every": 3}, "source"),
    "start": ({}, {"start": "5f", "max_frames": 9}, "source"),
    "uneven": ({"times": lambda k: 40 * k + (900 if k > 9 else 0) + k * 7919 % 13}, {}, "source"),
    "late": ({"times": lambda k: 5000 + 33 * k}, {}, "source"),
    "webm": ({"name": "clip.webm", "codec": "libvpx-vp9", "options": {}, "count": 12}, {}, "source"),
    "transport": ({"name": "clip.ts"}, {"every": 2}, "copy"),
    "old": ({"name": "clip.avi", "codec": "mpeg4", "options": {}}, {}, "copy"),
    "odd": ({"name": "clip.mkv", "codec": "ffv1", "options": {}, "size": (49, 65)}, {}, "copy"),
    "uneven copy": ({"name": "c.mkv", "times": lambda k: 40 * k + k * 7919 % 13}, {"every": 2}, "copy"),
}


@pytest.mark.parametrize(("made", "options", "kind"), KINDS.values(), ids=KINDS)
def test_each_picture_has_its_own_masks(browser, tmp_path, made, options, kind):
    path = clip(tmp_path, **made)
    result = result_of(path, **options)
    shown(browser, result, tmp_path / "page.html")
    assert browser.execute_script("return ovvisViewer.head.media.kind") == kind
    count, size = len(result.frame_indices), (result.height, result.width)
    for position in (0, 1, count // 2, count - 1, 2):
        go(browser, position)
        assert browser.execute_script("return ovvisViewer.now.exact")
        assert told(pixels(browser, "video")[..., :3]) == result.frame_indices[position]
        for id in (1, 2, 3):
            only(browser, id)
            wanted = mask_at(id, position, size) if SEEN[id](position) else np.zeros(size, bool)
            assert np.array_equal(pixels(browser, "masks")[..., 3] > 0, wanted)
        only(browser)
    assert complaints(browser) == []


def test_steps_go_through_every_frame_that_was_looked_at(browser, tmp_path):
    result = result_of(clip(tmp_path), every=3)
    shown(browser, result, tmp_path / "page.html")
    for position in range(1, len(result.frame_indices)):
        browser.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_RIGHT)
        wait(browser, SETTLED, position)
        assert told(pixels(browser, "video")[..., :3]) == result.frame_indices[position]
    browser.find_element(By.ID, "back").click()
    wait(browser, SETTLED, len(result.frame_indices) - 2)


def test_between_frames_that_were_looked_at_the_page_says_so(browser, tmp_path):
    result = result_of(clip(tmp_path), every=6)
    shown(browser, result, tmp_path / "page.html")
    go(browser, 1)
    browser.execute_script(
        "ovvisViewer.video = document.getElementById('video'); ovvisViewer.video.currentTime += 2/30"
    )
    wait(browser, "ovvisViewer.now.exact === false")
    assert told(pixels(browser, "video")[..., :3]) == 8
    assert browser.find_element(By.ID, "says").text == "Between frames that were looked at: masks of frame 6."
    go(browser, 2)
    assert browser.find_element(By.ID, "says").text == ""


def test_it_plays_and_every_picture_on_the_way_has_its_masks(browser, tmp_path):
    result = result_of(clip(tmp_path, count=40))
    shown(browser, result, tmp_path / "page.html")
    browser.execute_script(
        "globalThis.met = []; const own = ovvisViewer.clock.onframe;"
        "ovvisViewer.clock.onframe = (now) => {"
        " own(now); met.push([now.position, ovvisViewer.painted.position, now.exact]); }"
    )
    browser.find_element(By.ID, "play").click()
    wait(browser, "document.getElementById('video').ended")
    met = browser.execute_script("return met")
    assert len(met) > 3 and all(position == painted and exact for position, painted, exact in met)
    assert [p for p, _, _ in met] == sorted({p for p, _, _ in met})


def turned(path, matrix):
    """Mark a video as one to be shown turned."""
    data = bytearray(path.read_bytes())
    at = data.find(b"tkhd") + 44
    a, b, c, d = (v << 16 for v in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


TURNS = {"clockwise": (0, 1, -1, 0), "head": (-1, 0, 0, -1), "back": (0, -1, 1, 0), "mirror": (-1, 0, 0, 1)}


@pytest.mark.parametrize("turn", TURNS)
def test_turned_videos_are_upright_under_their_masks(browser, tmp_path, turn):
    path = turned(clip(tmp_path), TURNS[turn])
    result = result_of(path)
    shown(browser, result, tmp_path / "page.html")
    assert browser.execute_script("return ovvisViewer.head.media.kind") == ("copy" if turn == "mirror" else "source")
    go(browser, 3)
    frame = next(f for f in open_source(path) if f.index == 3)
    found = pixels(browser, "video")[..., :3]
    assert found.shape == frame.image.shape
    assert np.abs(found.astype(int) - frame.image).mean() < 12  # another decoder's colours
    only(browser, 1)
    assert np.array_equal(pixels(browser, "masks")[..., 3] > 0, mask_at(1, 3, frame.image.shape[:2]))


def test_pixels_that_are_not_square_are_shown_wide(browser, tmp_path):
    result = result_of(clip(tmp_path))
    result.pixel_aspect = Fraction(64, 45)
    shown(browser, result, tmp_path / "page.html")
    box = browser.find_element(By.ID, "masks").rect
    assert box["width"] / box["height"] == pytest.approx(64 / 48 * 64 / 45, rel=0.01)
    video = browser.find_element(By.ID, "video").rect
    assert video == pytest.approx(box, abs=1)


def test_threshold_hide_solo_find(browser, tmp_path):
    result = result_of(clip(tmp_path))
    shown(browser, result, tmp_path / "page.html")
    rows = lambda: [  # noqa: E731
        int(row.get_attribute("data-id"))
        for row in browser.find_elements(By.CSS_SELECTOR, ".row")
        if row.is_displayed()
    ]
    seen = "return ovvisViewer.shown().map((tube) => tube.id)"
    assert rows() == [1, 2, 3]
    assert browser.find_element(By.ID, "below").text == "1 more score below 0.30."
    browser.execute_script(
        "const s = document.getElementById('threshold'); s.value = 0.55; s.dispatchEvent(new Event('input'))"
    )
    assert rows() == [1, 2]
    browser.execute_script(
        "const s = document.getElementById('threshold'); s.value = 0; s.dispatchEvent(new Event('input'))"
    )
    assert rows() == [1, 2, 3, 4]
    eye = browser.find_element(By.CSS_SELECTOR, "[data-id='2'] .eye")
    eye.click()
    assert browser.execute_script(seen) == [1, 3, 4] and eye.get_attribute("aria-pressed") == "false"
    browser.find_element(By.CSS_SELECTOR, "[data-id='3'] .solo").click()
    assert browser.execute_script(seen) == [3]
    browser.find_element(By.ID, "all").click()
    assert browser.execute_script(seen) == [1, 2, 3, 4]
    browser.find_element(By.ID, "find").send_keys("dog")  # a second name counts
    assert rows() == [1, 2, 3]


def test_pointer_lights_up_and_shows_alone(browser, tmp_path):
    result = result_of(clip(tmp_path))
    shown(browser, result, tmp_path / "page.html")
    only(browser, 1)
    browser.execute_script("document.getElementById('names').click()")
    code = result.tracks[0].masks[0]
    rows, columns = np.nonzero(masks.decode(code))
    box = browser.find_element(By.ID, "masks")
    scale = box.rect["width"] / 64
    k = len(rows) // 2
    x, y = (columns[k] + 0.5) * scale - box.rect["width"] / 2, (rows[k] + 0.5) * scale - box.rect["height"] / 2
    browser.execute_script("ovvisViewer.showAll()")
    only(browser)
    ActionChains(browser).move_to_element_with_offset(box, x, y).perform()
    lit = browser.execute_script("return ovvisViewer.lit")
    over = [i for i in (1, 2, 3, 4) if SEEN[i](0) and mask_at(i, 0, (48, 64))[rows[k], columns[k]]]
    assert lit == min(over, key=lambda i: mask_at(i, 0, (48, 64)).sum())
    assert "lit" in browser.find_element(By.CSS_SELECTOR, f"[data-id='{lit}']").get_attribute("class")
    ActionChains(browser).move_to_element_with_offset(box, x, y).click().perform()
    assert browser.execute_script("return [...ovvisViewer.solo]") == [lit]


SET = "const field = arguments[0]; field.value = arguments[1]; field.dispatchEvent(new Event('input', {bubbles: true}))"


def test_another_colour_is_that_of_mask_row_and_tag(browser, tmp_path):
    shown(browser, result_of(clip(tmp_path)), tmp_path / "page.html")
    only(browser, 1)
    inside = mask_at(1, 0, (48, 64))
    line = browser.find_element(By.CSS_SELECTOR, "[data-id='1'] .line")
    canvas = "return arguments[0].toDataURL('image/png').split(',')[1]"
    drawn = lambda: np.array(Image.open(io.BytesIO(base64.b64decode(browser.execute_script(canvas, line)))))  # noqa: E731
    browser.execute_script(SET, browser.find_element(By.ID, "opacity"), "1")
    for text, colour in (("#123456", (0x12, 0x34, 0x56)), ("#fedcba", (0xFE, 0xDC, 0xBA))):
        browser.execute_script(SET, browser.find_element(By.CSS_SELECTOR, "[data-id='1'] .tint"), text)
        assert (pixels(browser, "masks")[inside] == (*colour, 255)).all()
        strong = drawn()[drawn()[..., 3] == 255]  # the curve; spans are paler
        assert len(strong) and (strong[:, :3] == colour).all()
        tag = pixels(browser, "tags")
        assert (np.abs(tag.astype(int) - (*colour, 255)) <= 1).all(-1).any()
    only(browser, 2)
    assert tuple(pixels(browser, "masks")[mask_at(2, 0, (48, 64))][0, :3]) != (0xFE, 0xDC, 0xBA)  # no other's


def test_the_timeline_shows_less_time_and_turns_its_page(browser, tmp_path):
    result = result_of(clip(tmp_path, times=lambda k: 100 * k))
    shown(browser, result, tmp_path / "page.html")
    only(browser)
    view = lambda: browser.execute_script("return ovvisViewer.view()")  # noqa: E731
    needle = "const n = document.getElementById('needle'); return n.hidden ? null : n.getBoundingClientRect().left + 1"
    line = browser.find_element(By.CSS_SELECTOR, "[data-id='3'] .line")  # seen from frame 4, 0.4 s, on
    first = """
        const { width, height } = arguments[0];
        const flat = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
        flat.drawImage(arguments[0], 0, 0);
        const { data } = flat.getImageData(0, 0, width, height);
        for (let x = 0; x < width; x++)
          for (let y = 0; y < height; y++) if (data[4 * (y * width + x) + 3]) return x / width;
        return null;
    """
    begin, end = view()
    assert begin == 0 and end == pytest.approx(2.3 + 1 / result.fps)
    assert browser.execute_script(first, line) == pytest.approx(0.4 / end, abs=0.01)
    for times in (2, 4):
        browser.find_element(By.ID, "in").click()
        assert view() == pytest.approx([0, end / times])
        assert browser.execute_script(first, line) == pytest.approx(0.4 / (end / times), abs=0.01)
    box = line.rect
    for position in (3, 20):  # on the first page and on the last
        go(browser, position)
        page = 0 if position == 3 else 3
        assert view() == pytest.approx([page * end / 4, (page + 1) * end / 4])
        place = (result.frame_times[position] - view()[0]) / (end / 4)
        assert browser.execute_script(needle) == pytest.approx(box["x"] + place * box["width"], abs=2)
    third = box["width"] / 3 - box["width"] / 2
    ActionChains(browser).move_to_element_with_offset(line, third, 0).click().perform()  # a third into the page
    wait(browser, SETTLED, int((view()[0] + end / 12) * 10))
    for _ in range(12):
        browser.find_element(By.ID, "out").click()
    assert view() == pytest.approx([0, end])
    browser.execute_script("for (let i = 0; i < 20; i++) document.getElementById('in').click()")
    assert browser.execute_script("return ovvisViewer.zoom") == 512
    assert complaints(browser) == []


def test_links_lead_to_a_moment_and_a_track(browser, tmp_path):
    result = result_of(clip(tmp_path, times=lambda k: 40 * k + (900 if k > 9 else 0)))
    write_viewer(result, tmp_path / "page.html")
    for position in (10, 3):  # before the video has begun to load
        opened(browser, tmp_path / "page.html", f"#t={result.frame_times[position]:.4f}&track=2")
        wait(browser, SETTLED, position)
        assert told(pixels(browser, "video")[..., :3]) == position
        assert "selected" in browser.find_element(By.CSS_SELECTOR, "[data-id='2']").get_attribute("class")
    browser.execute_script("location.hash = '#t=0.08'")
    wait(browser, SETTLED, 2)
    browser.find_element(By.TAG_NAME, "body").send_keys(Keys.END)
    wait(browser, SETTLED, 23)
    wait(browser, "location.hash === arguments[0]", f"#t={result.frame_times[23]:g}&track=2")
    opened(browser, tmp_path / "page.html", "#track=4")  # scores less than what is shown
    wait(browser, "ovvisViewer.shown().some((tube) => tube.id === 4)")
    opened(browser, tmp_path / "page.html", "#track=9")
    assert "no track 9" in browser.find_element(By.ID, "says").text


def test_keys_choose_hide_and_solo_tracks(browser, tmp_path):
    shown(browser, result_of(clip(tmp_path)), tmp_path / "page.html")
    body = browser.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.ARROW_DOWN)
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert browser.switch_to.active_element.get_attribute("aria-label").startswith("cat #2, score 0.60, seen from 0.0")
    browser.switch_to.active_element.send_keys("h")
    assert browser.execute_script("return [...ovvisViewer.hidden]") == [2]
    browser.switch_to.active_element.send_keys("a", "s")
    assert browser.execute_script("return [[...ovvisViewer.hidden], [...ovvisViewer.solo]]") == [[], [2]]
    browser.switch_to.active_element.send_keys("?")
    assert browser.find_element(By.ID, "help").is_displayed()


def test_everything_has_a_name_and_can_be_reached(browser, tmp_path):
    shown(browser, result_of(clip(tmp_path)), tmp_path / "page.html")
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = {"button", "slider", "checkbox", "combobox", "searchbox", "ColorWell", "image"}
    found = [node for node in nodes if not node["ignored"] and node["role"]["value"] in roles]
    assert len(found) > 20
    assert [node["role"]["value"] for node in found if not node.get("name", {}).get("value")] == []
    go(browser, 2)
    wait(browser, "document.getElementById('seen').textContent === '0.07 seconds: dog 0.90, cat 0.60'")


def test_saved_picture_and_tracks(browser, tmp_path):
    result = result_of(clip(tmp_path), every=2)
    shown(browser, result, tmp_path / "page.html")
    go(browser, 5)
    browser.execute_script("document.getElementById('names').click()")
    only(browser, 1)
    browser.find_element(By.ID, "save-picture").click()
    saved = await_file(browser, tmp_path / "downloads" / "clip-frame-10.png")
    image = np.array(Image.open(saved))
    assert image.shape[:2] == (48, 64) and (image[..., 3] == 255).all()
    video, mask = pixels(browser, "video").astype(int), mask_at(1, 5, (48, 64))
    changed = np.abs(image.astype(int) - video)[..., :3].sum(-1) > 0
    assert not changed[~mask].any() and changed[mask].mean() > 0.9
    only(browser, 1, 3)
    browser.find_element(By.ID, "save-tracks").click()
    again = load_tracks(await_file(browser, tmp_path / "downloads" / "clip-tracks.json"))
    assert [(track.id, track.label, track.score) for track in again] == [(1, "dog", 0.9), (3, "dog", 0.5)]
    assert list(again.tracks[0].masks) == list(result.tracks[0].masks)
    assert list(again.tracks[1].masks) == list(result.tracks[2].masks)
    assert again.frame_indices == result.frame_indices and again.tracks[0].top_labels == result.tracks[0].top_labels


def await_file(browser, path):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(browser, 60, 0.05).until(lambda _: path.is_file() and path.stat().st_size, f"{path} did not come")
    return path


def test_show_opens_the_viewer_on_the_source(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(webbrowser, "open", lambda address: browser.get(address) is None)
    result = result_of(clip(tmp_path))
    result.show(min_score=0.55)
    wait(browser, "globalThis.ovvisViewer && ovvisViewer.now.position >= 0 && ovvisViewer.painted.position !== null")
    assert browser.execute_script("return ovvisViewer.head.media.kind") == "source"
    assert browser.execute_script("return ovvisViewer.shown().map((tube) => tube.id)") == [1, 2]
    go(browser, 7)
    assert told(pixels(browser, "video")[..., :3]) == 7
    assert browser.execute_script("return ovvisViewer.head.tubes.length") == 4  # the slider brings the others


def test_a_notebooks_cell_is_the_same_viewer_shut_in(browser, tmp_path):
    result = result_of(clip(tmp_path))
    (tmp_path / "cell.html").write_text(f"<!doctype html><title>notebook</title>{result._repr_html_()}", "utf-8")
    browser.get((tmp_path / "cell.html").as_uri())
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    wait(browser, "globalThis.ovvisViewer && ovvisViewer.now.position >= 0 && ovvisViewer.painted.position !== null")
    go(browser, 7)
    assert told(pixels(browser, "video")[..., :3]) == 7
    only(browser, 1)
    assert np.array_equal(pixels(browser, "masks")[..., 3] > 0, mask_at(1, 7, (48, 64)))
    with pytest.raises(WebDriverException, match=r"origin|cross"):
        browser.execute_script("return parent.document.title")
    assert [line for line in complaints(browser) if "cross-origin" not in line] == []
    browser.switch_to.default_content()


NASTY = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">\u202egod"


def test_labels_and_names_of_strangers_stay_text(browser, tmp_path):
    path = clip(tmp_path, "</script><b>&amp;%HEAD%.mp4".replace("/", "\u2215"))
    result = result_of(path, labels=(NASTY, "%SCRIPT%%STYLE%%TITLE%"))
    result.source = f"{NASTY}.mp4"
    result.notes = [NASTY]
    shown(browser, result, tmp_path / "page.html", embed=False)
    visible = NASTY.replace("\u202e", "\\u202e")
    assert browser.title == f"{visible}.mp4"
    assert browser.find_element(By.CSS_SELECTOR, "[data-id='1'] .name").text == visible
    assert browser.find_elements(By.CSS_SELECTOR, "img, body b:not(.name)") == []
    assert complaints(browser) == []
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<img" not in text and text.count("</script>") == 2 + len(Pieces(result))


def test_a_video_beside_the_page_is_found_by_its_relative_path(browser, tmp_path):
    (tmp_path / "my videos #1").mkdir()
    path = clip(tmp_path / "my videos #1", "a:b?.mp4")
    written = shown(browser, result_of(path), tmp_path / "page.html", embed=False)
    assert written.video == path and any("a:b?.mp4" in line for line in written.says)
    go(browser, 7)
    assert browser.execute_script("return ovvisViewer.now.exact")
    path.rename(path.with_name("gone.mp4"))
    opened(browser, tmp_path / "page.html")
    wait(browser, "document.getElementById('says').textContent.includes('cannot be played')")
    go(browser, 5)
    only(browser, 2)
    assert np.array_equal(pixels(browser, "masks")[..., 3] > 0, mask_at(2, 5, (48, 64)))


def test_without_a_video_masks_are_shown_by_their_own_clock(browser, tmp_path):
    result = result_of(clip(tmp_path))
    written = shown(browser, result, tmp_path / "page.html", source=False)
    assert any("no video" in line for line in written.says)
    go(browser, 9)
    only(browser, 1)
    assert np.array_equal(pixels(browser, "masks")[..., 3] > 0, mask_at(1, 9, (48, 64)))
    browser.find_element(By.ID, "play").click()
    wait(browser, "ovvisViewer.now.position === 23 && !ovvisViewer.clock.playing")


def test_scores_frame_by_frame_are_drawn_where_they_are_known(browser, tmp_path):
    result = result_of(clip(tmp_path))
    shown(browser, result, tmp_path / "page.html")
    assert "none for each frame" in browser.find_element(By.ID, "curve").text
    scores = {2: [None if mask is None else 0.25 for mask in result.tracks[1].masks]}
    shown(browser, result, tmp_path / "page.html", scores=scores)
    assert browser.find_element(By.ID, "curve").text == "Curve: score, 0 to 1."


@pytest.mark.parametrize("wish", ["", "light", "dark"])
def test_light_and_dark(browser, tmp_path, wish):
    shown(browser, result_of(clip(tmp_path)), tmp_path / "page.html")
    ground = "return getComputedStyle(document.body).backgroundColor"
    for prefers in (False, True):
        dark(browser, prefers)
        browser.execute_script("ovvisViewer.theme(arguments[0])", wish)
        bright = browser.execute_script(ground) == "rgb(255, 255, 255)"
        assert bright == (wish == "light" or (wish == "" and not prefers))
    browser.execute_script("ovvisViewer.theme('')")


def test_a_narrow_page_needs_no_sideways_scrolling(browser, tmp_path):
    result = result_of(clip(tmp_path))
    write_viewer(result, tmp_path / "page.html")
    sized(browser, 390, 844)
    opened(browser, tmp_path / "page.html")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert browser.find_element(By.ID, "masks").rect["width"] > 300


def test_a_file_that_was_cut_off_says_so(browser, tmp_path):
    page = tmp_path / "page.html"
    write_viewer(result_of(clip(tmp_path)), page, source=False)
    text = page.read_text(encoding="utf-8")
    page.write_text(text[: text.index('id="piece-0"') - 40], encoding="utf-8")
    browser.get(page.as_uri())
    wait(browser, "document.getElementById('says').textContent.includes('cut off')")


def test_the_page_keeps_to_itself(tmp_path):
    result = result_of(clip(tmp_path))
    page = tmp_path / "page.html"
    write_viewer(result, page)
    head = json.loads(page.read_text(encoding="utf-8").split('id="head">')[1].split("</script>")[0])
    assert head["times"] == [round(time, 7) for time in result.frame_times]
    assert "http" not in page.read_text(encoding="utf-8").split('id="piece-0"')[0].replace("http-equiv", "")
