import json
import threading
import time
from io import BytesIO

import numpy as np
import pytest
import requests
from PIL import Image

from browser import complaints, dark, sized, wait
from ovvis.door.guard import Guard
from ovvis.door.listening import listen
from ovvis.errors import InputError
from ovvis.web.gate import Gate
from ovvis.web.live_view import Screen, live_app
from ovvis.web.serving import BesideServer
from servers import until


def picture(value, height=32, width=48):
    return np.full((height, width, 3), value, np.uint8)


class Panel:
    def __init__(self):
        self.labels = ("dog",)
        self.ended = False

    def figures(self):
        return {
            "source": "camera <0>", "seconds": 2.0, "frames": 20, "left_out": 3, "fps": 10.0, "latency_p50": 0.05,
            "latency_p95": 0.08, "ids": 4, "silent_for": 0.1, "ended": self.ended, "problem": None,
            "labels": list(self.labels),
            "instances": [{"id": 4, "label": "dog", "score": 0.9, "colour": "#ff3b4e"}],
        }  # fmt: skip

    def change_labels(self, labels):
        if not labels.strip():
            raise InputError("no label: say what to look for")
        self.labels = tuple(word.strip() for word in labels.split(","))
        return self.labels


@pytest.fixture
def served():
    screen, panel = Screen(), Panel()
    with BesideServer(Gate(live_app(screen, panel), Guard("127.0.0.1")), listen("127.0.0.1", 0)) as server:
        yield screen, panel, f"http://127.0.0.1:{server.port}"
        screen.close()


def parts(answer):
    """Yield the pictures of a stream as they come."""
    raw = answer.raw
    while line := raw.readline():
        assert line == b"--ovvis-picture\r\n" and raw.readline() == b"Content-Type: image/jpeg\r\n"
        length = int(raw.readline().split()[1])
        assert raw.readline() == b"\r\n"
        jpeg = raw.read(length)
        assert raw.readline() == b"\r\n"
        yield round(float(np.asarray(Image.open(BytesIO(jpeg))).mean()))


def test_the_stream_shows_the_newest_picture(served):
    screen, _, url = served
    with requests.get(f"{url}/live/stream", stream=True, timeout=10) as answer:
        assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=ovvis-picture"
        until(lambda: screen.watchers == 1)
        shown = parts(answer)
        for value in (10, 60, 110):
            screen.show(picture(value))
            assert next(shown) == pytest.approx(value, abs=2)
        screen.close()
        assert next(shown, None) is None


def test_a_watcher_who_does_not_read_holds_nobody_up_and_one_who_goes_is_forgotten(served):
    screen, _, url = served
    slow = requests.get(f"{url}/live/stream", stream=True, timeout=10)
    dice = np.random.default_rng(0)
    begun = time.monotonic()
    for _ in range(200):  # far more than the network's buffers take
        screen.show(dice.integers(0, 256, (480, 640, 3), dtype=np.uint8))
    assert time.monotonic() - begun < 10
    with requests.get(f"{url}/live/stream", stream=True, timeout=10) as answer:
        screen.show(picture(200))
        until(lambda: next(parts(answer)) == pytest.approx(200, abs=2))
    slow.close()
    until(lambda: screen.watchers == 0 or screen.show(picture(1)))
    assert requests.get(f"{url}/live/figures", timeout=10).ok


def test_picture_figures_and_page(served):
    screen, _, url = served
    assert requests.get(f"{url}/live/picture.jpg", timeout=10).status_code == 404
    screen.show(picture(90))
    assert requests.get(f"{url}/live/picture.jpg", timeout=10).headers["content-type"] == "image/jpeg"
    assert requests.get(f"{url}/live/figures", timeout=10).json()["labels"] == ["dog"]
    page = requests.get(url, timeout=10)
    assert page.url == f"{url}/live" and "Change labels" in page.text
    for name in ("live.css", "live.js"):
        assert requests.get(f"{url}/live/files/{name}", timeout=10).ok
    for name in ("serving.py", "..%2Fversion.py", "nothing"):
        assert requests.get(f"{url}/live/files/{name}", timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"labels": "horse, cow"}, 200, ["horse", "cow"]),
        ({"labels": " "}, 400, "no label: say what to look for"),
        ({"labels": "@/etc/passwd"}, 400, "labels are words here, such as: dog, cat|kitten"),
        ({"labels": "x" * 200_000}, 422, None),
        ({"words": "dog"}, 422, None),
    ],
)
def test_labels(served, body, code, said):
    _, panel, url = served
    answer = requests.post(f"{url}/live/labels", json=body, timeout=10)
    assert answer.status_code == code
    if said is not None:
        assert answer.json().get("labels", answer.json().get("error")) == said
    assert panel.labels == (("horse", "cow") if code == 200 else ("dog",))


def test_a_form_of_a_strange_page_changes_nothing(served):
    _, panel, url = served
    forged = json.dumps({"labels": "cow"})
    plain = {"Content-Type": "text/plain"}  # what a page may send anywhere without being asked
    assert requests.post(f"{url}/live/labels", data=forged, headers=plain, timeout=10).status_code == 422
    assert panel.labels == ("dog",)
    other = {"Origin": "http://evil.example"}
    assert requests.post(f"{url}/live/labels", json={"labels": "cow"}, headers=other, timeout=10).status_code == 403
    assert panel.labels == ("dog",)
    given = requests.get(f"{url}/live/figures", timeout=10).headers  # nor does another page frame or read what is seen
    assert given["x-frame-options"] == "SAMEORIGIN" and given["cross-origin-resource-policy"] == "same-origin"
    strange = {"Host": "evil.example"}
    assert requests.get(f"{url}/live/figures", headers=strange, timeout=10).status_code == 421


def test_a_token_is_asked_of_everyone():
    screen, panel = Screen(), Panel()
    with BesideServer(Gate(live_app(screen, panel), Guard("0.0.0.0", "secret")), listen("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.port}/live/figures"
        codes = [
            requests.get(url, timeout=10).status_code,
            requests.get(url, params={"token": "wrong"}, timeout=10).status_code,
            requests.get(url, params={"token": "sécret"}, timeout=10).status_code,
            requests.get(url, params={"token": "secret"}, timeout=10).status_code,
            requests.get(url, headers={"Authorization": "Bearer secret"}, timeout=10).status_code,
        ]
        assert codes == [403, 403, 403, 200, 200]
        home = url.removesuffix("/live/figures")
        assert requests.get(home, timeout=10).status_code == 403
        assert requests.get(home, params={"token": "secret"}, timeout=10).url == f"{home}/live?token=secret"
        screen.close()


def test_pictures_from_many_threads_are_encoded_once(monkeypatch):
    screen = Screen()
    screen.show(picture(50))
    first = screen.jpeg()
    threads = [threading.Thread(target=screen.jpeg) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert screen.jpeg() is first or screen.jpeg() == first


# --- in a real browser


def drawn(driver):
    """Return the mean colour of the picture that the page shows."""
    return driver.execute_script(
        "const picture = document.getElementById('picture'), canvas = document.createElement('canvas');"
        "canvas.width = picture.naturalWidth; canvas.height = picture.naturalHeight;"
        "const context = canvas.getContext('2d'); context.drawImage(picture, 0, 0);"
        "return context.getImageData(0, 0, 1, 1).data[0];"
    )


def test_a_browser_shows_the_picture_changes_labels_and_goes_away(served, browser):
    screen, panel, url = served
    browser.get(url)
    for value in (40, 120, 200):
        until(lambda value=value: screen.show(picture(value, 64, 96)) or abs(drawn_or(browser) - value) <= 3)
    assert wait(browser, "document.getElementById('fps').textContent == '10.0'")
    text = browser.execute_script("return document.body.innerText")
    assert "camera <0>" in text and "50 ms" in text and "80 ms" in text and "dog #4" in text
    browser.execute_script("document.getElementById('words').focus()")
    words = browser.find_element("id", "words")
    words.clear()
    words.send_keys("horse, cow")
    browser.find_element("css selector", "#labels button").click()
    assert wait(browser, "document.getElementById('said').textContent == 'Looking for 2 labels.'")
    assert panel.labels == ("horse", "cow")
    words.clear()
    browser.find_element("css selector", "#labels button").click()
    assert wait(browser, "document.getElementById('said').textContent.includes('no label')")
    assert panel.labels == ("horse", "cow")
    assert [line for line in complaints(browser) if "400" not in line] == []  # the refusal just asked for
    browser.get("about:blank")
    until(lambda: screen.show(picture(1)) or screen.watchers == 0)


def drawn_or(driver):
    """Return the picture's colour, or one that none has while there is no picture."""
    ready = driver.execute_script("return document.getElementById('picture').naturalWidth > 0")
    return drawn(driver) if ready else 999


@pytest.mark.parametrize("size", [(1280, 900), (390, 844)], ids=["wide", "narrow"])
def test_the_page_fits_in_any_window_light_and_dark(served, browser, size):
    screen, _, url = served
    sized(browser, *size)
    browser.get(url)
    until(lambda: screen.show(picture(90, 360, 640)) or drawn_or(browser) != 999)
    grounds = []
    for wished in (False, True):
        dark(browser, wished)
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        grounds.append(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
    assert grounds[0] != grounds[1]


def test_the_page_says_when_the_stream_has_ended(served, browser):
    screen, panel, url = served
    browser.get(url)
    until(lambda: screen.show(picture(90)) or drawn_or(browser) != 999)
    panel.ended = True
    screen.close()
    assert wait(browser, "document.getElementById('state').textContent == 'The stream has ended.'")
