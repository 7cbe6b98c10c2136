"""A run as tables and a picture."""

import re

from PIL import Image

from benchmark_made_up import record, result
from ovvis.benchmark.compare import compare
from ovvis.benchmark.picture import COLOURS, DARK, REST, STAGES, curves, draw
from ovvis.benchmark.tables import comparison, page, seconds, tables, title

MADE = record(
    result([0.2, 0.1, 0.4]),
    result([0.3], words=9),
    result([0.5], height=128, width=192, peak=300.0),
    result([1.0], task="text", words=9),
    result([], words=11),
)


def test_tables():
    speed, stages, texts, costs = tables(MADE)
    own = "1. 64x96, 5 words"  # what all rows share stands in the title
    assert speed.title == "Seconds a frame, clip-vis-stickers, 2 frames, float32"
    assert speed.rows[0] == [own, "0.200", "0.100 to 0.400", "5", "50", "100"]
    assert stages.columns == ["row", "backbone", "masks"] and stages.rows[0] == ["1.", "100.0", "50.0"]
    assert texts.rows == [["1. clip-vis-stickers, texts of 9 words, float32", "1.00", "1.00 to 1.00", "9"]]
    # OVFormer's Table 4 stands beside ours, counted as its authors count.
    assert costs.rows == [["backbone", "23.5", "87.5", "23.5", "71.3"]]
    assert costs.columns[1:] == ["M", "G at 800x1333", "M, Table 4", "G, Table 4 (800x1333)"]
    assert len(speed.rows) == 3, "a row without a sample is in no table"


def test_memory_by_stage_stands_in_the_order_of_the_seconds():
    one, other = result([1.0]), result([1.0], words=9)
    one.stage_mib = {"network": 40.4, "masks": 7.0, "backbone": 30.0}
    other.stage_mib = {"read": 1.0}
    other.samples[0].stages = {"masks": 1.0, "read": 0.5}
    _, stages, memory, _ = tables(record(one, other))
    assert stages.columns == ["row", "backbone", "masks", "read"] and stages.rows[1] == ["2.", "", "1000.0", "500.0"]
    assert memory.columns == ["row", "backbone", "masks", "read", "network"]
    assert memory.rows == [["1.", "30", "7", "", "40"], ["2.", "", "", "1", ""]]


def test_page():
    MADE.results[-1].problem = "it fell over"
    text = page(MADE, comparison(compare(MADE, MADE), MADE, MADE), "benchmark.png")
    assert "![Seconds a frame](benchmark.png)" in text
    assert "| row | median | range | frames/s | loaded MiB | peak MiB |" in text
    assert "11 words, 2 frames, float32: it fell over" in text
    assert "too few" in text and "random weights" in text
    assert all(line.count("|") == 1 + len(line.strip("|").split("|")) for line in text.splitlines() if line[:1] == "|")


def test_seconds_keep_three_digits():
    assert [seconds(x) for x in (123.4, 12.34, 1.234, 0.1234)] == ["123.4", "12.34", "1.23", "0.123"]


def test_a_title_names_what_is_not_usual():
    plain, odd = (result([1.0], **c).row for c in ({}, {"device": "cuda", "batch": 2, "way": "x", "tracker": "topk"}))
    assert title(plain) == "clip-vis-stickers, 64x96, 5 words, 2 frames, float32"
    assert title(odd) == "clip-vis-stickers, 64x96, 5 words, 2 frames, cuda, float32, batch 2, topk, x"


def test_curves_join_rows_that_differ_in_one_thing():
    videos = MADE.measured[:3]
    by_words, by_size = curves(videos, "words"), curves(videos, "size")
    assert [[r.row.words for r in line] for line in by_words.values()] == [[5, 9]]
    assert [[r.row.height for r in line] for line in by_size.values()] == [[64, 128]]
    assert curves(videos, "frames") == {}
    assert [*by_words, *by_size] == ["clip-vis-stickers"] * 2
    others = [result([1.0], words=n, precision="bfloat16") for n in (5, 9)]
    assert list(curves([*videos, *others], "words")) == ["clip-vis-stickers, float32", "clip-vis-stickers, bfloat16"]


def test_picture(tmp_path):
    assert draw(MADE, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.format == "PNG" and min(image.size) > 300
    assert not draw(record(), tmp_path / "b.png") and not (tmp_path / "b.png").exists()


def test_a_drawing_is_dark_on_dark_pages(tmp_path):
    assert draw(MADE, tmp_path / "a.svg")
    head, drawn = (tmp_path / "a.svg").read_text().split("</style>", 1)
    assert "prefers-color-scheme: dark" in head
    found = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", drawn))
    assert set(DARK) <= found <= {*DARK, *COLOURS, *STAGES.values(), REST}
    assert "fill: #" not in re.sub(r'style="[^"]*"', "", drawn)
