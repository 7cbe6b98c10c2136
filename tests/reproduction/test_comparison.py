import csv
import io
from pathlib import Path

import pytest

from ovvis.errors import InputError
from ovvis.reproduction.answers import filled, read_answers, template
from ovvis.reproduction.comparison import Cell, compare
from ovvis.reproduction.paper_pages import as_csv, html, markdown
from ovvis.reproduction.papers import Column, choose_tables

AP = Column("lvvis_val", "AP")


@pytest.mark.parametrize(
    ("published", "ours", "tolerance", "mark"),
    [
        (18.8, 19.1, 0.3, "within"),
        (18.8, 19.149, 0.3, "within"),  # 19.1 as printed
        (18.8, 19.16, 0.3, "outside"),
        (18.8, 18.44, 0.3, "outside"),
        (18.8, 16.8, 2.0, "within"),
        (None, 16.8, 2.0, ""),
        (18.8, None, 2.0, ""),
    ],
)
def test_marks(published, ours, tolerance, mark):
    assert Cell(AP, "", published, ours, "").mark(tolerance) == mark


FOUND = {
    ("clip-vis-1: CLIP-VIS R50", "lvvis_val"): {"AP": 19.5, "base": 15.0, "novel": 26.0},
    ("clip-vis-1: CLIP-VIS R50", "burst_val"): {"AP": 5.2, "novel": 7.0, "uncommon": 3.3},
    ("clip-vis-1: OpenVIS R50+R50", "burst_val"): {"AP": 2.0, "novel": 9.0, "uncommon": 2.2},
}
STATES = {("clip-vis-1: CLIP-VIS R50", "ytvis_2019_val"): "a server has the truth"}


@pytest.fixture
def compared():
    return compare(choose_tables(["clip-vis-1"]), FOUND, STATES, {"clip-vis-1: CLIP-VIS R50": "clip-vis-r50"})


def test_pages_tell_published_ours_and_the_difference(compared):
    for text in (markdown(compared, "Title", "foot"), html(compared, "Title", "foot")):
        assert "18.8 → 19.5 (+0.7 ✓)" in text and "22.8 → 26.0 (+3.2 ✗)" in text
        assert "CLIP-VIS R50 on YTVIS19: a server has the truth." in text
        assert "Detic-XMem R50: LV-VIS test novel 13.3" in text and "✓ within 2, ✗ outside" in text
        # Of a number with an asterisk ours is APu too.
        assert "2.3* → 2.2 (-0.1 ✓)" in text


def test_csv_holds_a_line_for_every_number(compared):
    lines = list(csv.DictReader(io.StringIO(as_csv(compared))))
    assert len(lines) == 21 * 11
    (line,) = (
        one for one in lines if (one["row"], one["dataset"], one["figure"]) == ("CLIP-VIS R50", "lvvis_val", "AP")
    )
    assert (line["published"], line["ours"], line["difference"], line["mark"]) == ("18.8", "19.5", "0.700", "within")
    assert line["made_by"] == "clip-vis-r50" and line["place"] == "Table I" and line["source"] == "clip-vis-v1"
    (apu,) = (one for one in lines if one["row"] == "OpenVIS R50+R50" and one["published"] == "2.3*")
    assert (apu["figure"], apu["ours"]) == ("uncommon", "2.2")


KEYS = [("ytvis_2019_val", "clip-vis-r50"), ("lvvis_test", "ovformer-r50")]


def test_answers_go_round(tmp_path):
    file = tmp_path / "answers.toml"
    values = {KEYS[0]: {"AP": 32.2, "novel": 24.25}, KEYS[1]: {"base": 0.0}}
    file.write_text(filled(values))
    assert read_answers(file, KEYS).figures == values
    form = template(KEYS, {KEYS[0]: Path("papers/x")})
    assert "# [ytvis_2019_val.clip-vis-r50]  # upload papers/x" in form
    file.write_text(form)
    assert read_answers(file, KEYS).figures == {}
    file.write_text(form.replace("# [ytvis", "[ytvis").replace("# AP = ", "AP = 0.322", 1))
    read = read_answers(file, KEYS)
    assert read.figures == {KEYS[0]: {"AP": 0.322}} and "below one percent" in read.doubts[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[ytvis_2019.clip-vis-r50]\nAP = 1", "did you mean ytvis_2019_val"),
        ("[ytvis_2019_val.clip-vis-r5]\nAP = 1", "clip-vis-r50"),
        ("[ytvis_2019_val.clip-vis-r50]\nmAP = 1", "no figure 'mAP'"),
        ("[ytvis_2019_val.clip-vis-r50]\nAP = 322", "percentage from 0 to 100, not 322"),
        ("[ytvis_2019_val.clip-vis-r50]\nAP = true", "percentage"),
        ("[ytvis_2019_val.clip-vis-r50]\nAP = nan", "percentage"),
        ("[ytvis_2019_val.clip-vis-r50]\nAP =", "write lines such as AP = 32.2"),
        ("ytvis_2019_val = 3", "write [ytvis_2019_val.MODEL]"),
        ("[ytvis_2019_val]\nclip-vis-r50 = 3", "write [ytvis_2019_val.clip-vis-r50]"),
    ],
)
def test_answers_that_are_refused(tmp_path, text, said):
    file = tmp_path / "answers.toml"
    file.write_text(text)
    with pytest.raises(InputError) as refused:
        read_answers(file, KEYS)
    assert said in str(refused.value)


def test_a_file_of_answers_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_answers(tmp_path / "none.toml", KEYS)
