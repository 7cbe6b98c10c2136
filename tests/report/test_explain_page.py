import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from browser import complaints
from ovvis.datasets.annotations import Annotations, Video
from ovvis.evaluation.explain import Explainer
from ovvis.evaluation.records import Category, ResultTrack, TruthTrack
from ovvis.evaluation.rules import LVVIS, YOUTUBE_VIS
from ovvis.masks import decode, encode
from ovvis.outputs.render import colour
from ovvis.report.explain_page import explain_page
from ovvis.report.strips import PLAIN, WIDTH, make_strip

CATEGORIES = (Category(1, "<dog> & co", ("base",)), Category(2, "cat", ("novel",)), Category(3, "cow"))
HEIGHT, BREADTH, FRAMES = 40, 80, 6
VOID = {"meta", "img", "br", "link", "input"}


def bar(left):
    mask = np.zeros((HEIGHT, BREADTH), dtype=bool)
    mask[10:30, left : left + 20] = True
    return encode(mask)


HERE, THERE = [bar(0)] * FRAMES, [bar(50)] * FRAMES
TRUTHS = (TruthTrack(1, 1, 1, HERE), TruthTrack(2, 1, 2, THERE), TruthTrack(3, 2, 2, HERE))
RESULTS = [
    ResultTrack(1, 1, 0.9, [*HERE[:3], *THERE[3:]]),  # identity switch
    ResultTrack(1, 2, 0.8, [*THERE[:3], *HERE[3:]]),
    ResultTrack(1, 3, 0.2, [*HERE[:3], *THERE[3:]]),  # the first tube under another name
    ResultTrack(2, 3, 0.7, HERE),  # a cat called a cow
]


class Reader(HTMLParser):
    """Follows the tags; keeps what a browser would fetch."""

    def __init__(self, text):
        super().__init__()
        self.open, self.fetched, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        self.fetched += [value for name, value in attributes if name in ("src", "href", "srcset", "data")]
        assert tag not in ("link", "iframe")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture
def annotations(tmp_path):
    for name in ("park", "street"):
        (tmp_path / name).mkdir()
        for frame in range(FRAMES):
            Image.new("RGB", (BREADTH, HEIGHT), (20, 160, 60)).save(tmp_path / name / f"{frame}.png")
    videos = [
        Video(i, name, HEIGHT, BREADTH, tuple(f"{folder}/{f}.png" for f in range(FRAMES)))
        for i, name, folder in ((1, "park", "park"), (2, "9", "street"))
    ]
    return Annotations("small", tmp_path, CATEGORIES, tuple(videos), TRUTHS, LVVIS)


def explain(results=RESULTS):
    explainer = Explainer(CATEGORIES, TRUTHS)
    explainer.update(results)
    return explainer.explain()


def strips(annotations, explanation, results=RESULTS):
    videos = {video.id: video for video in annotations.videos}
    return [
        make_strip(explanation, annotations, videos[v], loss, [r for r in results if r.video_id == v])
        for v, loss in explanation.worst_videos()
    ]


def picture(uri):
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).astype(int)


def mask(strip, shown, frame):
    """Return a track's mask in a frame that is shown."""
    code = shown.codes[strip.frames.index(frame)].encode()
    return decode({"size": list(strip.size), "counts": code}) if code else np.zeros(strip.size, bool)


def test_a_strip_has_what_was_found_and_the_truth(annotations):
    explanation = explain()
    park = next(strip for strip in strips(annotations, explanation) if strip.name == "park")
    assert (park.frames, park.plain, park.hidden, park.folder) == ((0, 2, 3, 5), False, 1, "")
    assert (park.size, park.length) == ((HEIGHT, BREADTH), FRAMES)
    assert [(item.id, item.name, item.kind, item.score) for item in park.found] == [
        (1, "<dog> & co", "switch", 0.9),
        (2, "cat", "switch", 0.8),
    ]
    assert [(item.id, item.name, item.kind) for item in park.true] == [
        (1, "<dog> & co", "switch"),
        (2, "cat", "switch"),
    ]
    assert [item.colour for item in park.found] == [item.colour for item in park.true] == [colour(0), colour(1)]
    assert dict(park.wrong) == {"switch": 2, "both": 1}
    here, there = decode(bar(0)), decode(bar(50))
    for frame, left, right in ((0, 0, 1), (5, 1, 0)):
        assert (mask(park, park.found[left], frame) == here).all()
        assert (mask(park, park.found[right], frame) == there).all()
        assert (mask(park, park.true[0], frame) == here).all()
    assert park.found[0].timeline["spans"] == [[0, 5]] and park.found[0].timeline["sizes"] == [1] * 6
    assert np.abs(picture(park.images[0]) - (20, 160, 60)).max() < 8  # nothing is painted into it


def test_frames_that_are_not_there_are_grey(annotations):
    (annotations.frames / "park" / "0.png").unlink()
    (annotations.frames / "park" / "2.png").write_bytes(b"no image")
    park = next(strip for strip in strips(annotations, explain()) if strip.name == "park")
    assert park.plain
    assert np.abs(picture(park.images[0])[2, 40] - PLAIN).max() < 4
    assert "not on this disk" in explain_page(explain(), "small", "r.json", [park])


def test_large_frames_are_made_small(annotations):
    video = Video(1, "large", 1080, 1920, annotations.videos[0].files)
    large_mask = np.zeros((1080, 1920), dtype=bool)
    large_mask[100:500, 100:900] = True
    truths = (TruthTrack(1, 1, 1, [encode(large_mask)] * FRAMES),)
    explainer = Explainer(CATEGORIES, truths)
    large = Annotations("large", annotations.frames, CATEGORIES, (video,), truths, LVVIS)
    strip = make_strip(explainer.explain(), large, video, 1.0, [])
    assert picture(strip.images[0]).shape == (270, WIDTH, 3) and strip.size == (270, WIDTH)
    rows, columns = np.nonzero(mask(strip, strip.true[0], 0))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (25, 124, 25, 224)
    assert strip.found == () and [item.kind for item in strip.true] == ["missed"]


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(annotations):
    explanation = explain()
    text = explain_page(explanation, 'small "set"', "<results>.json", strips(annotations, explanation))
    reader = Reader(text)
    assert reader.open == []
    assert reader.fetched and all(value.startswith("data:image/jpeg;base64,") for value in reader.fetched)
    assert "url(" not in text and "@import" not in text
    assert "http" not in re.sub(r"base64,[^\"]*", "", text).replace("http-equiv", "")
    assert "<dog>" not in text and "<results>" not in text
    words = " ".join(reader.words)
    gain = 100 * explanation.losses()["switch"]["AP"]
    for part in ("Identity switch", f"+{gain:.1f}", "9 (street)", "<dog> & co (base)", "novel", "frame 5"):
        assert part in words
    assert re.search(r"cat\s+cow\s+1\s+2", " ".join(words.split())) is not None


def test_rows_say_what_became_of_each(annotations):
    explanation = explain()
    text = explain_page(explanation, "small", "r.json", strips(annotations, explanation))
    told = [json.loads(part) for part in re.findall(r'<script type="application/json">(.*?)</script>', text)]
    notes = {(t["label"], t["note"]["text"], t["note"]["kind"]) for t in told[0]["found"] + told[0]["truth"]}
    assert notes == {("<dog> & co", "identity switch", "bad"), ("cat", "identity switch", "bad")}
    assert told[1]["found"][0]["note"] == {"text": "wrong name", "kind": "bad"}
    assert (told[0]["unit"], told[0]["marks"], told[0]["times"]) == ("frame", [0, 2, 3, 5], list(range(FRAMES)))


def test_masks_and_rows_are_drawn_by_the_viewers_script(browser, annotations, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By

    explanation = explain()
    path = tmp_path / "explain.html"
    path.write_text(explain_page(explanation, "small", "r.json", strips(annotations, explanation)), encoding="utf-8")
    browser.get(path.as_uri())
    park = browser.find_element(By.CSS_SELECTOR, "article.video")
    assert "park" in park.text and complaints(browser) == []

    def pixels(side, frame):
        canvas = park.find_elements(By.CSS_SELECTOR, f".frames.{side} canvas")[frame]
        png = browser.execute_script("return arguments[0].toDataURL('image/png').split(',')[1]", canvas)
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))

    here, there = decode(bar(0)), decode(bar(50))
    first, second = (list(bytes.fromhex(colour(i)[1:])) for i in (0, 1))
    for side, frame, left, right in (
        ("found", 0, first, second),
        ("found", 3, second, first),
        ("truth", 3, first, second),
    ):
        image = pixels(side, frame).astype(int)
        assert ((image[..., 3] > 0) == (here | there)).all()
        assert np.abs(image[here][:, :3] - left).max() <= 2 and np.abs(image[there][:, :3] - right).max() <= 2
    rows = park.find_elements(By.CSS_SELECTOR, ".rows.found .row")
    assert [row.text.split("\n")[-1] for row in rows] == [
        "<dog> & co #1 0.90 identity switch",
        "cat #2 0.80 identity switch",
    ]
    assert "seen from frame 0 to 5" in rows[0].find_element(By.CLASS_NAME, "select").get_attribute("aria-label")
    rows[0].find_element(By.CLASS_NAME, "eye").click()
    assert ((pixels("found", 0)[..., 3] > 0) == there).all() and (pixels("truth", 0)[..., 3] > 0)[here].all()
    rows[0].find_element(By.CLASS_NAME, "eye").click()
    ActionChains(browser).move_to_element(rows[1].find_element(By.CLASS_NAME, "line")).perform()
    lit = pixels("found", 0)[..., 3]
    assert lit[10:30, 50:70].min() > lit[10:30, 0:20].max()
    assert complaints(browser) == []


def test_a_page_without_a_loss_without_results_without_truths(annotations):
    perfect = [ResultTrack(t.video_id, t.category_id, 0.5, t.masks) for t in TRUTHS]
    for explanation in (explain(perfect), explain([]), Explainer(CATEGORIES, ()).explain()):
        assert Reader(explain_page(explanation, "small", "r.json", [])).open == []


def test_a_result_on_a_crowd_is_neither_right_nor_wrong(annotations):
    truths = (TruthTrack(1, 1, 1, HERE), TruthTrack(2, 1, 2, THERE, is_crowd=True))
    explainer = Explainer(CATEGORIES, truths, YOUTUBE_VIS)
    results = [ResultTrack(1, 1, 0.9, HERE), ResultTrack(1, 2, 0.8, THERE)]
    explainer.update(results)
    crowded = Annotations("crowd", annotations.frames, CATEGORIES, annotations.videos[:1], truths, YOUTUBE_VIS)
    strip = make_strip(explainer.explain(), crowded, annotations.videos[0], 0.0, results)
    assert [(item.name, item.kind, item.passed) for item in strip.found] == [
        ("<dog> & co", "", False),
        ("cat", "", True),
    ]
    assert [(item.kind, item.passed) for item in strip.true] == [("", False), ("", True)]
    assert "not counted" in explain_page(explainer.explain(), "crowd", "r.json", [strip])
