"""The page in a browser, with the small model: from an upload to what is taken away, and what may go wrong."""

from __future__ import annotations

import json
import time
import zipfile

import av
import numpy as np
import psutil
import pytest
from page import DEMO, MODEL, demo_part, limits, served, small_video  # noqa: F401  a fixture

from browser import complaints, dark, sized, wait
from ovvis.outputs.formats.tracks_json import load_tracks
from ovvis.sources.video import open_source
from servers import transport_stream, udp_sender

WORDS = "elephant, owl, octopus, fire truck|fire engine, penguin, airplane|plane"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    with served(folder, limits=limits()) as page:
        yield page.address
    assert list(folder.iterdir()) == []  # nothing outlives the server


def opened(driver, address):
    driver.get(address)
    wait(driver, "document.body.dataset.ready")
    return driver


def give(driver, video, words=WORDS):
    field = driver.find_element("id", "words")
    field.clear()
    field.send_keys(words)
    driver.find_element("id", "file").send_keys(str(video))
    driver.find_element("id", "go").click()


def state(driver, wanted, seconds=90):
    """Wait for the state of the newest job."""
    wait(driver, f"document.querySelector('.job')?.dataset.state === '{wanted}'", seconds=seconds)


def text(driver, selector):
    return driver.execute_script(f"return document.querySelector('{selector}')?.textContent")


def press(driver, selector):
    driver.execute_script(f"document.querySelector('{selector}').click()")


REMOVE = """
const done = arguments[0];
(async () => {
  for (const job of await (await fetch("/api/jobs")).json())
    for (let i = 0; i < 2; i++) await fetch(`/api/jobs/${job.id}`, { method: "DELETE" });  // cancelled, then removed
  done();
})();
"""
EXPORT_ALL = """
const done = arguments[0], id = document.querySelector(".job").dataset.id, said = {};
(async () => {
  for (const option of document.querySelectorAll(".take option")) {
    const made = await (await fetch(`/api/jobs/${id}/exports`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ format: option.value }),
    })).json();
    said[option.value] = made.error ?? (await fetch(made.url)).status;
  }
  done(said);
})();
"""


def removed(driver):
    """Cancel and remove all jobs of a visitor."""
    driver.execute_async_script(REMOVE)


def slide(driver, value):
    driver.execute_script(
        "const range = document.querySelector('.threshold input'); range.value = arguments[0];"
        "range.dispatchEvent(new Event('input'));",
        value,
    )


def viewing(driver, script, *values):
    """Return what a script in the viewer gives."""
    driver.switch_to.frame(driver.find_element("css selector", ".show iframe"))
    try:
        return driver.execute_script(script, *values)
    finally:
        driver.switch_to.default_content()


SET = (
    "const one = document.getElementById(arguments[0]), to = arguments[1];"
    "if (one.type === 'checkbox') one.checked = to; else one.value = to; one.dispatchEvent(new Event('input'));"
)


def frames_of(path):
    return np.stack([frame.image for frame in open_source(path)]).astype(int)


def downloaded(tmp_path, name):
    path, end = tmp_path / "downloads" / name, time.monotonic() + 120
    while not path.is_file():
        assert time.monotonic() < end, list(path.parent.glob("*"))
        time.sleep(0.05)
    return path


def test_from_a_video_to_what_is_taken_away(browser, address, demo_part, tmp_path):  # noqa: F811
    opened(browser, address)
    assert "illustrated objects" in text(browser, "#model-help")
    assert browser.execute_script("return document.activeElement.tagName") == "BODY"
    give(browser, demo_part)
    wait(browser, "document.querySelector('.preview img')?.naturalWidth > 0", seconds=90)  # before the end
    assert "names and scores so far" in text(browser, ".preview figcaption")
    state(browser, "done")
    wait(browser, "document.querySelectorAll('.tracks tbody tr').length")
    assert "12 frames of 480x320" in text(browser, ".state") and "Kept for 10 min more" in text(browser, ".state")
    viewer = browser.find_element("css selector", ".show iframe")
    browser.switch_to.frame(viewer)
    wait(browser, "document.querySelector('video').readyState >= 2")
    assert "6 frames" not in text(browser, "body") and "12 frames" in text(browser, "body")
    browser.switch_to.default_content()
    count = "document.querySelectorAll('.tracks tbody tr').length"
    many = browser.execute_script(f"return {count}")
    assert "octopus" in text(browser, ".tracks tbody") and "penguin" in text(browser, ".tracks tbody")
    slide(browser, 0.75)
    few = browser.execute_script(f"return {count}")
    slide(browser, 0)
    assert 0 < few < many < browser.execute_script(f"return {count}")
    slide(browser, 0.75)
    for format, name in (
        ("tracks", "stickers-tracks.json"),
        ("davis", "stickers-davis.zip"),
        ("painted", "stickers-painted.mp4"),
    ):
        browser.execute_script("document.querySelector('.take select').value = arguments[0]", format)
        press(browser, ".take-button")
        path = downloaded(tmp_path, name)
        if format == "tracks":
            result = load_tracks(path)
            assert len({track.id for track in result.tracks}) == few and result.source == "stickers.mp4"
            # Where the video lay on the server is nobody's business; beside the file it is found again.
            assert result.opened_as["source"] == "stickers.mp4" and "upload-" not in path.read_text()
        elif format == "davis":
            assert sum(name.endswith(".png") for name in zipfile.ZipFile(path).namelist()) == 12
    press(browser, ".drop-job")
    wait(browser, "!document.querySelector('.job')")
    assert complaints(browser) == []


def test_the_painted_video_is_as_the_visitor_sees_it(browser, address, demo_part, tmp_path):  # noqa: F811
    opened(browser, address)
    give(browser, demo_part)
    state(browser, "done")
    wait(browser, "document.querySelector('.show iframe').contentDocument?.getElementById('threshold')?.dataset.tied")
    slide(browser, 0.75)  # the page's slider moves the viewer's, and the viewer's, by hand or key, the page's
    assert viewing(browser, "return document.getElementById('threshold').value") == "0.75"
    viewing(browser, SET, "threshold", "0.4")
    wait(browser, "document.querySelector('.threshold output').textContent === '0.40'")
    browser.switch_to.frame(browser.find_element("css selector", ".show iframe"))
    browser.find_element("id", "stage").send_keys("]")
    browser.switch_to.default_content()
    wait(browser, "document.querySelector('.threshold output').textContent === '0.41'")
    browser.execute_script("document.querySelector('.take select').value = 'painted'")
    original, far = frames_of(demo_part), {}
    for name, score, look in (
        ("nothing", 1, {}),  # no score is that high
        ("tints", 0.3, {"opacity": 1, "outlines": False, "names": False}),
        ("outlines", 0.3, {"opacity": 0, "outlines": True}),
        ("bare", 0.3, {"outlines": False}),
        ("names", 0.3, {"names": True}),
    ):
        slide(browser, score)
        for control, value in look.items():
            viewing(browser, SET, control, value)
        press(browser, ".take-button")
        path = downloaded(tmp_path, "stickers-painted.mp4")
        far[name] = np.abs(frames_of(path) - original).mean()
        path.unlink()
    assert far["nothing"] == pytest.approx(far["bare"], abs=0.05)
    assert far["tints"] > 4 * far["outlines"] > 4 * far["bare"] and far["names"] > 2 * far["bare"]
    assert complaints(browser) == []
    removed(browser)


def test_a_slider_moved_before_the_viewer_is_there_counts(browser, address, demo_part):  # noqa: F811
    opened(browser, address)
    browser.execute_script(
        "new MutationObserver((changes, observer) => {"
        "  const range = document.querySelector('.threshold input'); if (!range) return;"
        "  observer.disconnect(); range.value = 0.75; range.dispatchEvent(new Event('input'));"
        "}).observe(document.body, { childList: true, subtree: true });"
    )
    give(browser, demo_part)
    state(browser, "done")
    wait(browser, "document.querySelector('.show iframe').contentDocument?.getElementById('threshold')?.dataset.tied")
    assert viewing(browser, "return document.getElementById('threshold').value") == "0.75"
    assert viewing(browser, "return ovvisViewer.threshold") == 0.75
    assert text(browser, ".threshold output") == "0.75"
    removed(browser)


def test_a_video_is_dropped_anywhere(browser, address, tmp_path):
    """As a person drops it: the browser gets the file, and must not leave the page for it."""
    opened(browser, address)
    videos = [small_video(tmp_path / name, frames=2) for name in ("a.mp4", "b.mp4")]
    browser.find_element("id", "words").send_keys("dog")
    drop(browser, "#drop", videos[0])
    wait(browser, "document.getElementById('chosen').textContent.startsWith('a.mp4 (')")
    drop(browser, "h1", videos[1])  # beside the field
    wait(browser, "document.getElementById('chosen').textContent.startsWith('b.mp4 (')")
    assert not browser.execute_script("return document.getElementById('drop').classList.contains('over')")
    drop(browser, "#drop", *videos)
    wait(browser, "document.getElementById('form-problem').textContent.startsWith('2 files were dropped')")
    drop(browser, "#drop", tmp_path)
    wait(browser, "document.getElementById('form-problem').textContent.endsWith('is a folder: drop a video')")
    assert browser.current_url == address
    browser.find_element("id", "go").click()  # what was chosen before stays
    state(browser, "done")
    assert text(browser, ".job h3") == "b.mp4" and complaints(browser) == []
    removed(browser)


def drop(driver, selector, *paths):
    """Drag files onto an element and let them go."""
    box = driver.execute_script(
        "const box = document.querySelector(arguments[0]).getBoundingClientRect();"
        "return [box.left + box.width / 2, box.top + box.height / 2]",
        selector,
    )
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        driver.execute_cdp_cmd("Input.dispatchDragEvent", {"type": kind, "x": box[0], "y": box[1], "data": data})


def test_every_format_can_be_taken(browser, address, demo_part, tmp_path):  # noqa: F811
    opened(browser, address)
    give(browser, demo_part)
    state(browser, "done")
    said = browser.execute_async_script(EXPORT_ALL)
    removed(browser)
    assert len(said) > 10 and set(said.values()) == {200}, said


def test_what_is_wrong_is_told_in_one_line(browser, address, tmp_path):
    opened(browser, address)
    problem = "#form-problem"
    browser.find_element("id", "go").click()
    assert text(browser, problem) == "choose a video first"
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(DEMO.read_bytes()[:40] + bytes(range(256)) * 100)
    give(browser, broken, words="dog, Dog")
    wait(browser, "document.getElementById('form-problem').textContent.includes('stands 2 times')")
    give(browser, broken)
    state(browser, "failed")
    said = text(browser, ".job .problem")
    assert "broken.mp4" in said and "upload-" not in said and "/" not in said.replace("and/or", "") and "\n" not in said
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(DEMO.read_bytes()[:40_000])  # its index is whole: what is there is used, and that is told
    give(browser, cut)
    state(browser, "done")
    assert "cut.mp4" in text(browser, ".result .help")
    playlist = tmp_path / "list.mp4"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    give(browser, playlist)
    wait(browser, "document.querySelector('.job .problem')?.textContent.includes('names other files')", seconds=30)
    large = tmp_path / "large.mp4"
    large.write_bytes(b"x" * (2**20 + 1))
    give(browser, large)
    wait(browser, "document.getElementById('form-problem').textContent.includes('more than the 1 MiB')")
    long = small_video(tmp_path / "long.mp4", frames=115)
    give(browser, long)
    wait(
        browser,
        "document.querySelector('.job .problem')?.textContent.includes('longer than the 10 seconds')",
        seconds=30,
    )
    bad_name = small_video(tmp_path / "<img src=x onerror=alert(1)>.mp4", frames=2)
    give(browser, bad_name, words="<b>dog</b>")
    state(browser, "done")
    assert text(browser, ".job h3") == bad_name.name and not browser.execute_script(
        "return document.querySelector('.job b, h3 img')"
    )
    assert "<b>dog</b>" in text(browser, ".asked")
    removed(browser)
    assert [line for line in complaints(browser) if "status of 4" not in line] == []


def test_two_visitors(browsers, address, demo_part):  # noqa: F811
    ann, bob = opened(browsers(), address), opened(browsers(), address)
    give(ann, DEMO)  # nine seconds of video: long enough to be waited for
    state(ann, "running")
    give(bob, demo_part)
    wait(bob, "document.querySelector('.job .state')?.textContent.includes('1 job is before this one')")
    assert len(ann.find_elements("class name", "job")) == len(bob.find_elements("class name", "job")) == 1
    theirs = ann.execute_script("return document.querySelector('.job').dataset.id")
    assert (
        bob.execute_async_script(
            "fetch('/api/jobs/' + arguments[0]).then((answer) => arguments[1](answer.status))", theirs
        )
        == 404
    )
    foreseen = "/^Segmenting [0-9]+ of 216 frames, about [0-9]+ s left$/"
    wait(ann, f"{foreseen}.test(document.querySelector('.job .state').textContent)", seconds=60)
    begun = time.monotonic()
    press(ann, ".drop-job")
    state(ann, "cancelled", 10)
    wait(bob, "document.querySelector('.job').dataset.state !== 'waiting'")
    assert time.monotonic() - begun < 15
    bob.get("about:blank")  # the browser goes away: the job goes on
    time.sleep(1)
    opened(bob, address)
    state(bob, "done")
    assert text(ann, ".job h3") == "stickers.mp4" and not ann.find_elements("class name", "tracks")
    give(ann, demo_part)
    give(ann, demo_part)
    wait(ann, "document.querySelectorAll('.job').length === 3")
    press(ann, ".drop-job")  # the newest, which waits or has just begun
    state(ann, "cancelled", 10)
    for driver in (ann, bob):
        removed(driver)


def test_a_process_that_dies_ends_one_job_alone(browser, address, demo_part):  # noqa: F811
    opened(browser, address)
    give(browser, DEMO)
    wait(browser, "document.querySelector('.job .state')?.textContent.startsWith('Segmenting')", seconds=60)
    _model_process().kill()
    state(browser, "failed", 20)
    assert "ended (signal 9)" in text(browser, ".job .problem")
    give(browser, demo_part)
    state(browser, "done")
    removed(browser)


def _model_process():
    (process,) = [p for p in psutil.Process().children() if "spawn_main" in " ".join(p.cmdline())]
    return process


def test_camera(browser, address):
    opened(browser, address)
    browser.find_element("id", "words").send_keys("dog, cat")
    browser.find_element("id", "tab-video").send_keys("\ue014")  # right arrow
    assert browser.execute_script("return document.activeElement.id") == "tab-camera"
    browser.find_element("id", "camera-start").click()
    wait(browser, "+document.getElementById('camera-picture').dataset.drawn > 2", seconds=60)
    assert "ms from capture to picture" in text(browser, "#camera-rate")
    browser.find_element("id", "words").send_keys(", Dog")
    browser.find_element("id", "camera-words").click()
    wait(browser, "document.getElementById('camera-problem').textContent.includes('stands 2 times')")
    browser.find_element("id", "words").send_keys("gy")
    browser.find_element("id", "camera-words").click()
    drawn = browser.execute_script("return +document.getElementById('camera-picture').dataset.drawn")
    wait(browser, "+document.getElementById('camera-picture').dataset.drawn > arguments[0] + 2", drawn)
    browser.find_element("id", "camera-stop").click()
    wait(browser, "document.getElementById('camera-state').textContent === 'Stopped.'")
    assert complaints(browser) == []


def test_a_camera_makes_way_for_who_waits(browser, address, tmp_path):
    opened(browser, address)
    browser.find_element("id", "words").send_keys("dog")
    browser.find_element("id", "tab-camera").click()
    browser.find_element("id", "camera-start").click()
    wait(browser, "+document.getElementById('camera-picture').dataset.drawn > 1", seconds=60)
    browser.execute_script("document.getElementById('panel-video').hidden = false")
    give(browser, small_video(tmp_path / "a.mp4", frames=2))
    wait(browser, "document.getElementById('camera-problem').textContent.includes('has it for 3 seconds')")
    state(browser, "done")
    removed(browser)


def test_a_camera_of_the_server(browser, demo_part, tmp_path):  # noqa: F811
    stream = tmp_path / "demo.ts"
    with av.open(str(demo_part)) as video, av.open(str(stream), "w") as out:
        (stream_in,) = video.streams.video
        copy = out.add_stream_from_template(stream_in)
        for packet in video.demux(stream_in):
            if packet.dts is not None:
                packet.stream = copy
                out.mux(packet)
    (tmp_path / "served").mkdir()
    with (
        udp_sender(transport_stream(stream), pause=0.02) as camera,
        served(tmp_path / "served", limits=limits(), cameras=[camera, "http://127.0.0.1:9/gone"]) as page,
    ):
        opened(browser, page.address)
        browser.find_element("id", "words").send_keys(WORDS)
        browser.find_element("id", "tab-camera").click()
        assert "this browser's" in text(browser, "#camera") and camera in text(browser, "#camera")
        browser.execute_script(CHOOSE, "camera", "0")
        assert "everybody who may use this page" in text(browser, "#camera-help")
        browser.find_element("id", "camera-start").click()
        wait(browser, "+document.getElementById('camera-picture').dataset.drawn > 2", seconds=60)
        wait(browser, "document.getElementById('camera-counts').textContent.includes('penguin')")
        assert "ms from capture to picture" in text(browser, "#camera-rate")
        browser.execute_script("document.getElementById('words').value = 'dog, Dog'")
        browser.find_element("id", "camera-words").click()
        wait(browser, "document.getElementById('camera-problem').textContent.includes('stands 2 times')")
        browser.execute_script("document.getElementById('words').value = 'owl'")
        browser.find_element("id", "camera-words").click()
        wait(browser, "!document.getElementById('camera-counts').textContent.includes('penguin')")
        browser.get("about:blank")  # the browser goes away: its session ends, and the model is free
        opened(browser, page.address)
        give(browser, small_video(tmp_path / "a.mp4", frames=2))
        state(browser, "done")
        browser.find_element("id", "tab-camera").click()
        browser.execute_script(CHOOSE, "camera", "1")  # which is not there
        browser.find_element("id", "camera-start").click()
        gone = "document.getElementById('camera-problem').textContent.includes('127.0.0.1:9/gone')"
        wait(browser, gone, seconds=60)
        assert browser.find_element("id", "camera-start").is_enabled()
        assert complaints(browser) == []


CHOOSE = """
const one = document.getElementById(arguments[0]);
one.value = arguments[1];
one.dispatchEvent(new Event("change"));
"""


def test_without_cameras_of_the_server_there_is_no_choice(browser, address):
    opened(browser, address)
    browser.find_element("id", "tab-camera").click()
    assert not browser.find_element("id", "camera").is_displayed()
    assert "are not kept" in text(browser, "#camera-help")


def test_what_is_fetched_is_said_before(browser, tmp_path):
    with served(tmp_path, models=[MODEL, "clip-vis-r50"]) as page:
        opened(browser, page.address)
        assert "to be fetched: about" in text(browser, "#model") and "to be fetched: about" in text(browser, "#models")
        browser.execute_script(CHOOSE, "model", "clip-vis-r50")
        assert "the server fetches about" in text(browser, "#model-help")


def test_looks(browser, address):
    """Dark pages are dark, and a narrow one is no wider than the screen."""
    opened(browser, address)
    dark(browser)
    ground = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert max(map(int, ground[4:-1].split(", "))) < 60
    sized(browser, 360, 800)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    named = browser.execute_script(
        "return [...document.querySelectorAll('input, select, button, progress, video, canvas')]"
        ".filter((one) => one.offsetParent).filter((one) => !(one.labels?.length || one.textContent.trim()"
        " || one.ariaLabel)).map((one) => one.outerHTML)"
    )
    assert named == []


def test_a_token_and_results_that_have_had_their_time(browser, tmp_path):
    with served(tmp_path, token="a-token-of-some-length", limits=limits(keep=2.0)) as page:
        browser.get(page.address.partition("?")[0])
        assert "wants a token" in browser.find_element("tag name", "body").text
        opened(browser, page.address)
        assert browser.current_url == page.address.partition("?")[0]
        assert "token" not in json.dumps(browser.get_cookies())
        give(browser, small_video(tmp_path / "a.mp4", frames=2))
        state(browser, "done")
        wait(browser, "!document.querySelector('.job')", seconds=30)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
