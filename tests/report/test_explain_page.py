import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from ovvis.datasets.annotations import Annotations, Video
from ovvis.evaluation.explain import Explainer
from ovvis.evaluation.records import Category, ResultTrack, TruthTrack
from ovvis.evaluation.rules import LVVIS, YOUTUBE_VIS
from ovvis.masks import encode
from ovvis.outputs.render import colour
from ovvis.report.explain_page import explain_page
from ovvis.report.strips import PLAIN, WIDTH, make_strip

CATEGORIES = (Category(1, "<dog> & co", ("base",)), Category(2, "cat", ("novel",)), Category(3, "cow"))
HEIGHT, BREADTH, FRAMES = 40, 80, 6
VOID = {"meta", "img", "br", "link"}


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
        assert tag not in ("script", "link", "iframe")

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


def decode(uri):
    head, data = uri.split(",")
    assert head == "data:image/jpeg;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).astype(int)


def test_a_strip_shows_what_was_found_above_the_truth(annotations):
    explanation = explain()
    park = next(strip for strip in strips(annotations, explanation) if strip.name == "park")
    assert (park.frames, park.plain, park.hidden, park.folder) == ((0, 2, 3, 5), False, 1, "")
    assert [(item.name, item.kind, item.score) for item in park.found_legend] == [
        ("<dog> & co", "switch", 0.9),
        ("cat", "switch", 0.8),
    ]
    assert [(item.name, item.kind) for item in park.true_legend] == [("<dog> & co", "switch"), ("cat", "switch")]
    assert {item.colour for item in park.found_legend} == {colour(0), colour(1)}
    assert dict(park.wrong) == {"switch": 2, "both": 1}
    first, last, true = decode(park.found[0]), decode(park.found[-1]), decode(park.true[-1])
    here, there = (20, 10), (20, 60)
    assert first.shape == (HEIGHT, BREADTH, 3)
    tint = {code: np.array(list(bytes.fromhex(code[1:]))) * 115 / 256 for code in (colour(0), colour(1))}
    green = np.array([20, 160, 60]) * 141 / 256
    for image, left, right in ((first, 0, 1), (last, 1, 0), (true, 0, 1)):
        assert np.abs(image[here] - green - tint[colour(left)]).max() < 20
        assert np.abs(image[there] - green - tint[colour(right)]).max() < 20
    assert np.abs(true[2, 40] - (20, 160, 60)).max() < 20


def test_frames_that_are_not_there_are_grey(annotations):
    (annotations.frames / "park" / "0.png").unlink()
    (annotations.frames / "park" / "2.png").write_bytes(b"no image")
    park = next(strip for strip in strips(annotations, explain()) if strip.name == "park")
    assert park.plain
    assert np.abs(decode(park.true[0])[2, 40] - PLAIN).max() < 4
    assert "not on this disk" in explain_page(explain(), "small", "r.json", [park])


def test_large_frames_are_made_small(annotations):
    video = Video(1, "large", 1080, 1920, annotations.videos[0].files)
    mask = np.zeros((1080, 1920), dtype=bool)
    mask[100:500, 100:900] = True
    truths = (TruthTrack(1, 1, 1, [encode(mask)] * FRAMES),)
    explainer = Explainer(CATEGORIES, truths)
    large = Annotations("large", annotations.frames, CATEGORIES, (video,), truths, LVVIS)
    strip = make_strip(explainer.explain(), large, video, 1.0, [])
    assert decode(strip.true[0]).shape == (270, WIDTH, 3)
    assert strip.found_legend == () and [item.kind for item in strip.true_legend] == ["missed"]


def test_the_page_is_whole_and_needs_nothing_from_elsewhere(annotations):
    explanation = explain()
    text = explain_page(explanation, 'small "set"', "<results>.json", strips(annotations, explanation))
    reader = Reader(text)
    assert reader.open == []
    assert reader.fetched and all(value.startswith("data:image/jpeg;base64,") for value in reader.fetched)
    assert "url(" not in text and "@import" not in text and "http" not in re.sub(r"base64,[^\"]*", "", text)
    assert "<dog>" not in text and "<results>" not in text
    words = " ".join(reader.words)
    gain = 100 * explanation.losses()["switch"]["AP"]
    for part in ("Identity switch", f"+{gain:.1f}", "9 (street)", "<dog> & co (base)", "novel", "frame 5"):
        assert part in words
    assert re.search(r"cat\s+cow\s+1\s+2", " ".join(words.split())) is not None


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
    assert [(item.name, item.kind, item.passed) for item in strip.found_legend] == [
        ("<dog> & co", "", False),
        ("cat", "", True),
    ]
    assert [(item.kind, item.passed) for item in strip.true_legend] == [("", False), ("", True)]
    assert "not counted" in explain_page(explainer.explain(), "crowd", "r.json", [strip])
