import json
import math
from dataclasses import replace

import pytest

from ovvis.errors import InputError
from ovvis.reproduction.figures import Figures, Outcome, RowOutcome, Spread
from ovvis.reproduction.rows import Experiment, Row
from ovvis.reproduction.tables import as_json, fill, header, markdown, page, rich_table

PAPER = {}  # AP that "the paper" has, by the row, which stays here so that no other gets its id


class Told(Experiment):
    """An experiment with a paper of its own."""

    def paper(self, row, split):
        found = [PAPER.get(id(r), (r, None))[1] for r in self.rows if r.name == row]
        return None if found[0] is None else (found[0], None)


def row(name, aps, paper=None):
    figures = tuple(Figures(ap, ap + 10, ap + 1, math.nan) for ap in aps)
    made = RowOutcome(Row(name), figures, 9.5)
    PAPER[id(made.row)] = made.row, paper
    return made


def outcome(*rows, name="trial", reference="plain"):
    experiment = Told(name, "A trial", "What it is.", ("val",), tuple(r.row for r in rows), reference)
    return Outcome(experiment, "val", tuple(range(len(rows[0].by_seed))), 7, 24, rows)


PLAIN = row("plain", (10.0, 14.0), 8.0)


def test_spread_by_hand():
    assert Spread.of([1.0, 2.0, 3.0]) == Spread(2.0, 1.0)
    assert str(Spread.of([10.0, 14.0])) == "12.0±2.8"
    assert str(Spread.of([10.04])) == "10.0"
    assert str(Spread.of([math.nan])) == "-"


@pytest.mark.parametrize(
    ("aps", "paper", "verdict"),
    [
        ((11.0, 15.5), 9.0, "yes"),  # 1.25 ± 0.35
        ((11.0, 15.5), 7.0, "no"),
        ((9.0, 12.5), 7.0, "yes"),
        ((9.0, 12.5), 9.0, "no"),
        ((9.0, 17.5), 9.0, "unclear"),  # 1.25±3.2
        ((11.0, 15.5), 8.2, ""),  # the paper sees no difference
        ((11.0, 15.5), None, ""),
    ],
)
def test_verdict(aps, paper, verdict):
    other = row("other", aps, paper)
    assert outcome(PLAIN, other).verdict(other) == verdict
    assert outcome(PLAIN, other).verdict(PLAIN) == ""
    one_seed = row("plain", (10.0,), 8.0), row("other", (12.0,), 9.0)
    assert outcome(*one_seed).verdict(one_seed[1]) == "unclear"


def test_markdown_by_hand():
    other = row("a|b", (11.0, 15.5), 9.0)
    lines = markdown([outcome(PLAIN, other)]).splitlines()
    assert lines[0] == (
        "**val: 7 videos of 24 frames for each of the seeds 0, 1; percent, mean ± standard deviation over seeds.**"
    )
    assert lines[2] == "|  | AP | AP50 | base | novel | against plain | paper | agrees |"
    assert lines[4] == "| plain | 12.0±2.8 | 22.0±2.8 | 13.0±2.8 | - | - | 8.0 | - |"
    assert lines[5] == "| a\\|b | 13.2±3.2 | 23.2±3.2 | 14.2±3.2 | - | +1.2±0.4 | 9.0 | yes |"
    assert len({line.replace("\\|", "").count("|") for line in lines[2:]}) == 1


def test_a_table_without_reference_and_paper():
    alone = outcome(row("plain", (1.0,)), reference="")
    assert header(alone) == ["", "AP", "AP50", "base", "novel"]
    assert "one seed, no spread" in markdown([alone])
    assert len(rich_table(alone).columns) == 5
    fast = replace(alone, experiment=replace(alone.experiment, speed=True))
    assert markdown([fast]).splitlines()[-1] == "| plain | 1.0 | 11.0 | 2.0 | - | 9.5 | - |"
    large = replace(fast, rows=(replace(fast.rows[0], peak=3 * 2**29),))
    assert markdown([large]).splitlines()[-1].endswith("| 9.5 | 1.50 |")


def test_rows_with_references_of_their_own():
    first, other = row("A, whole", (10.0, 14.0, 20.0)), row("B, whole", (50.0, 60.0, 70.0))
    half = replace(row("A, half", (10.2, 13.4, 20.1)), row=Row("A, half", against="A, whole"))
    last = replace(row("B, half", (50.1, 60.0, 70.0)), row=Row("B, half", against="B, whole"))
    made = outcome(first, half, other, last, reference="")
    made = replace(made, experiment=replace(made.experiment, against="whole", worst=True))
    lines = markdown([made]).splitlines()
    assert lines[2] == "|  | AP | AP50 | base | novel | against whole | worst seed |"
    assert [line.split(" | ")[-2:] for line in lines[4:]] == [
        ["-", "- |"],
        ["-0.1±0.4", "-0.6 |"],
        ["-", "- |"],
        ["+0.0±0.1", "+0.1 |"],
    ]
    (table,) = as_json([made], {})["tables"]
    assert table["reference"] == "whole" and table["rows"][1]["difference"]["mean"] == pytest.approx(-0.1)


def test_filling_a_page():
    one, two = outcome(PLAIN, name="one"), outcome(PLAIN, name="two")
    text = "# Mine\n\n<!-- table one -->\nold\n<!-- end -->\nkept\n<!-- table other -->\nas it is\n<!-- end -->\n"
    filled, absent = fill(text, [one, two], "made today")
    assert absent == ["two"]
    assert "old" not in filled and "kept" in filled and "as it is" in filled
    assert markdown([one]) in filled and "made today" in filled
    assert fill(filled, [one, two], "made today")[0] == filled  # again changes nothing
    with pytest.raises(InputError, match="<!-- table one -->"):
        fill("# Nothing\n", [one, two], "")


def test_a_page_of_its_own():
    text = page([outcome(PLAIN, name="one"), outcome(PLAIN, name="two")], "made today")
    assert text.count("| plain |") == 2 and text.startswith("# ")
    assert fill(text, [outcome(PLAIN, name="two")], "made today")[0] == text


def test_json_knows_no_nan():
    told = json.loads(json.dumps(as_json([outcome(PLAIN, row("b", (1.0, 2.0)))], {"date": "today"}), allow_nan=False))
    (table,) = told["tables"]
    assert table["rows"][0]["novel"] == {"mean": None, "deviation": None}
    assert table["rows"][1]["difference"]["mean"] == -10.5
    assert table["rows"][0]["by_seed"][1]["AP50"] == 24
