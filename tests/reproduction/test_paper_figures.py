"""The papers' figures: what was measured read back, what is drawn of it."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ovvis.errors import InputError
from ovvis.reproduction.drawing import Bars, draw_bars
from ovvis.reproduction.figures import Spread
from ovvis.reproduction.measured import read_measured
from ovvis.reproduction.paper_figures import bars_of, windows_of, write_bars, write_windows
from ovvis.reproduction.projection import in_two_dimensions

PAGE = """
<!-- table families -->

**val: 16 videos of 24 frames for each of the seeds 2, 102; percent, mean ± standard deviation over seeds.**

|  | AP | AP50 | base | novel | against OV2Seg-style | paper | agrees | frames/s | GiB |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| OV2Seg-style | 40.8±2.7 | 61.1±4.4 | 45.8±1.2 | 28.2±7.7 | - | 14.2, 11.9 | - | 13.1 | 1.09 |
| OVFormer, offline | 32.5±2.6 | 48.0±2.5 | 36.5±3.2 | - | -8.4±4.1 | 21.1, 19.9 | no | 13.3 | 2.11 |
| OVFormer, windows of 10 | 35.4 | 50.3 | 40.1 | 23.2 | -5.5 | - | - | 13.7 | 1.65 |
| OVFormer, online | 31.0±4.1 | 45.2±3.9 | 34.1±3.0 | 22.9±7.6 | -9.9±1.5 | - | - | 10.4 | 1.10 |

`ovvis reproduce stickers`.
<!-- end -->

| not | a | table |
<!-- table systems -->
<!-- end -->
"""


def row(name, means, deviations):
    spreads = zip(("AP", "base", "novel"), means, deviations, strict=True)
    return {"name": name, **{figure: {"mean": mean, "deviation": spread} for figure, mean, spread in spreads}}


ROWS = [
    row("OV2Seg-style", (40.8, 45.8, 28.2), (2.7, 1.2, 7.7)),
    row("OVFormer, offline", (32.5, 36.5, None), (2.6, 3.2, None)),
    row("OVFormer, windows of 10", (35.4, 40.1, 23.2), (None, None, None)),
    row("OVFormer, online", (31.0, 34.1, 22.9), (4.1, 3.0, 7.6)),
]
JSON = {"tables": [{"table": "families", "split": "val", "frames": 24, "rows": ROWS}]}


@pytest.fixture
def measured(tmp_path):
    (tmp_path / "page.md").write_text(PAGE)
    return read_measured(tmp_path / "page.md")


def plain(rows):
    def known(spread):
        return None if math.isnan(spread.mean) else spread.mean, spread.deviation

    return [(r.table, r.split, r.row, r.frames, known(r.AP), known(r.base), known(r.novel)) for r in rows]


def test_the_page_and_the_json_say_the_same(tmp_path, measured):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "figures.json").write_text(json.dumps(JSON))
    assert plain(read_measured(tmp_path / "run")) == plain(measured)
    assert plain(measured)[1] == ("families", "val", "OVFormer, offline", 24, (32.5, 2.6), (36.5, 3.2), (None, None))


def test_the_docs_own_tables_are_read():
    found = read_measured(Path(__file__).parents[2] / "docs" / "reproduction-tables.md")
    assert {one.table for one in found} >= {"modules", "weighting", "matching", "families"}
    assert all(0 <= one.AP.mean <= 100 for one in found)


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("a.json", "{", "is damaged"),
        ("a.json", '{"tables": [{}]}', "is damaged"),
        ("a.md", "# nothing", "holds no figures"),
        ("a.txt", "", "give figures.json"),
        ("papers.csv", "a,b\n1,2\n", "is damaged"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path, name, text, rule):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=rule):
        read_measured(tmp_path / name)
    with pytest.raises(InputError, match=r"holds no figures\.json"):
        read_measured(tmp_path / "gone")


def test_windows(tmp_path, measured):
    where, rows = windows_of(measured)
    assert (where, list(rows)) == ("the packaged world", ["1", "10", "all 24"])
    write_windows(where, rows, [tmp_path / "w.png", tmp_path / "w.svg"], tmp_path / "w.csv")
    table = list(csv.reader((tmp_path / "w.csv").read_text().splitlines()))
    assert table[1] == ["1", "31.0", "4.1", "34.1", "3.0", "22.9", "7.6"] and table[3][-2:] == ["", ""]
    with Image.open(tmp_path / "w.png") as picture:
        assert picture.size[0] > 600
    assert "<svg" in (tmp_path / "w.svg").read_text()
    assert windows_of(measured[:1]) is None


def test_real_data_come_before_the_packaged_world(tmp_path, measured):
    lines = ["table,dataset,row,figure,ours"]
    lines += [f"ovformer-fig-5,lvvis_val,T {t},AP,{20 + t}" for t in (1, 5)]
    lines += ["ovformer-fig-5,lvvis_val,T 10,AP,"]
    lines += [f"ovformer-1,lvvis_val,OVFormer R50,{name},{value}" for name, value in (("base", 22.5), ("novel", 21))]
    (tmp_path / "papers.csv").write_text("\n".join(lines))
    found = [*measured, *read_measured(tmp_path)]
    where, rows = windows_of(found)
    assert (where, list(rows), rows["5"].AP.mean) == ("LV-VIS val", ["1", "5"], 25)
    names = [row[0] for row in bars_of(found)[0].rows]
    assert names[-2:] == ["OVFormer", "OVFormer, here"]


def test_bars(tmp_path, measured):
    groups = bars_of(measured)
    published = ["LV-VIS val, published (R50)", "YTVIS19, published (R50)"]
    assert [group.title for group in groups] == [*published, "the packaged world, here"]
    assert ("OV2Seg*", Spread(20.6, None), Spread(10.1, None)) in groups[0].rows  # OVFormer's Fig. 4
    assert ("OVFormer", Spread(22.1, None), Spread(21.8, None)) in groups[0].rows
    write_bars(groups, [tmp_path / "b.png"], tmp_path / "b.csv")
    table = list(csv.reader((tmp_path / "b.csv").read_text().splitlines()))
    assert ["LV-VIS val, published (R50)", "OVFormer", "22.1", "", "21.8", ""] in table
    assert len(bars_of([])) == 2  # what is published alone


def test_the_same_numbers_are_the_same_svg(tmp_path):
    for name in ("a.svg", "b.svg"):
        draw_bars([Bars("one", [("row", Spread(1, None), Spread(2, 0.5))])], [tmp_path / name])
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_two_dimensions_keep_neighbours():
    rng = np.random.default_rng(0)
    vectors = np.concatenate([rng.normal(centre, 0.05, (12, 6)) for centre in np.eye(6)[:3]])
    laid = in_two_dimensions(vectors)
    near = np.linalg.norm(laid[:, None] - laid[None], axis=-1)
    np.fill_diagonal(near, np.inf)
    assert laid.shape == (36, 2) and (near.argmin(1) // 12 == np.arange(36) // 12).all()
    assert np.array_equal(laid, in_two_dimensions(vectors))
    with pytest.raises(ValueError, match="at least 8"):
        in_two_dimensions(vectors[:7])
