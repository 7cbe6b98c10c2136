"""`ovvis evaluate` from its arguments to its table and files."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from ovvis.cli import main as cli
from ovvis.outputs.formats.tracks_json import save_tracks
from ovvis.structures import Track, VideoResult

PARITY = Path(__file__).parents[1] / "parity"
TRUTH, RESULTS = PARITY / "eval_small_gt.json", PARITY / "eval_small_results.json"
EXPECTED = json.loads((PARITY / "eval_small_expected.json").read_text())


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["ovvis", "evaluate", *map(str, arguments)])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    return int(leave.value.code or 0)


@pytest.mark.parametrize("rules", ["lvvis", "burst"])
def test_files_hold_the_released_figures(monkeypatch, tmp_path, rules):
    out = tmp_path / "out"
    assert call(monkeypatch, TRUTH, RESULTS, "--rules", rules, "--output", out) == 0
    assert sorted(p.name for p in out.iterdir()) == ["categories.csv", "metrics.csv", "metrics.json"]
    content = json.loads((out / "metrics.json").read_text())
    rows = {row["group"]: row for row in csv.DictReader((out / "metrics.csv").read_text().splitlines())}
    for group, figures in EXPECTED[rules]["metrics"].items():
        if group in content["metrics"]:
            for name, value in figures.items():
                assert float(rows[group][name]) == content["metrics"][group][name]
                if group == "all":
                    assert content["metrics"][group][name] == pytest.approx(value, abs=1e-9, rel=0)
    categories = list(csv.DictReader((out / "categories.csv").read_text().splitlines()))
    assert len(categories) == len(content["categories"]) > 5


def test_table(monkeypatch, capsys):
    assert call(monkeypatch, TRUTH, RESULTS, "--rules", "lvvis", "--by-category") == 0
    printed = capsys.readouterr().out
    figure = f"{100 * EXPECTED['lvvis']['metrics']['all']['AP']:.1f}"
    assert figure in next(line for line in printed.splitlines() if line.strip().startswith("all "))
    assert "the best first" in printed and "novel" in printed and "…" not in printed


def test_unknown_rules_cost_no_time(monkeypatch, capsys):
    assert call(monkeypatch, TRUTH, RESULTS, "--rules", "lvviss") == 2
    assert "did you mean lvvis" in capsys.readouterr().err


def test_bad_results_leave_nothing_behind(monkeypatch, capsys, tmp_path):
    bad = tmp_path / "r.json"
    bad.write_text(RESULTS.read_text()[:-30])
    assert call(monkeypatch, TRUTH, bad, "--output", tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert "damaged or cut off" in error and "Traceback" not in error
    assert [p.name for p in tmp_path.iterdir()] == ["r.json"]


def test_older_figures_are_replaced_only_when_asked(monkeypatch, capsys, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "explain.html").write_text("of another run")
    assert call(monkeypatch, TRUTH, RESULTS, "--output", out) == 2
    assert f"{out} holds explain.html already" in capsys.readouterr().err
    assert [file.name for file in out.iterdir()] == ["explain.html"]
    assert call(monkeypatch, TRUTH, RESULTS, "--output", out, "--overwrite") == 0
    assert sorted(file.name for file in out.iterdir()) == ["categories.csv", "metrics.csv", "metrics.json"]


def test_a_dataset_without_truth(monkeypatch, capsys, tmp_path):
    content = json.loads(TRUTH.read_text()) | {"annotations": None}
    (tmp_path / "test.json").write_text(json.dumps(content))
    assert call(monkeypatch, tmp_path / "test.json", RESULTS) == 2
    assert "holds no truth" in capsys.readouterr().err


def test_what_is_left_out_is_told(monkeypatch, capsys, tmp_path):
    entries = json.loads(RESULTS.read_text())
    entries[0]["video_id"] = 999
    (tmp_path / "r.json").write_text(json.dumps(entries))
    assert call(monkeypatch, TRUTH, tmp_path / "r.json") == 2
    assert "video_id is 999" in capsys.readouterr().err
    assert call(monkeypatch, TRUTH, tmp_path / "r.json", "--skip-unknown") == 0
    assert "1 results left out for a video_id" in capsys.readouterr().err


def test_explain(monkeypatch, capsys, tmp_path):
    out = tmp_path / "out"
    assert call(monkeypatch, TRUTH, RESULTS, "--rules", "lvvis", "--explain", "--output", out) == 0
    assert "what AP is lost to" in capsys.readouterr().out
    names = ["categories.csv", "errors.csv", "explain.html", "explain.json", "metrics.csv", "metrics.json"]
    assert sorted(p.name for p in out.iterdir()) == names
    content = json.loads((out / "explain.json").read_text())
    metrics = json.loads((out / "metrics.json").read_text())["metrics"]
    for group, figures in content["groups"].items():
        assert figures["AP"] == pytest.approx(metrics[group]["AP"], abs=1e-12)
        if figures["AP"] >= 0:
            assert figures["losses"]["everything"]["AP"] == pytest.approx(1 - figures["AP"])
    assert content["groups"]["all"]["AP"] == pytest.approx(EXPECTED["lvvis"]["metrics"]["all"]["AP"], abs=1e-9, rel=0)
    # Each line is an entry of the file: its video's track of that number, with its category and score.
    tracks = {}
    for entry in json.loads(RESULTS.read_text()):
        tracks.setdefault(entry["video_id"], []).append(entry)
    categories = {c["name"]: c["id"] for c in json.loads(TRUTH.read_text())["categories"]}
    lines = list(csv.DictReader((out / "errors.csv").read_text().splitlines()))
    assert len(lines) > 10
    for line in lines:
        if line["track"]:
            entry = tracks[int(line["video"])][int(line["track"])]
            assert (entry["category_id"], entry["score"]) == (categories[line["category"]], float(line["score"]))
    assert "data:image/jpeg" in (out / "explain.html").read_text()


def test_explain_needs_a_folder(monkeypatch, capsys):
    assert call(monkeypatch, TRUTH, RESULTS, "--explain") == 2
    assert "--output" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "shown"), [([], True), (["--no-hota"], False), (["--rules", "lvvis"], False)])
def test_hota_is_printed_for_burst(monkeypatch, capsys, tmp_path, options, shown):
    case = json.loads((PARITY / "hota_small.json").read_text())
    for name in ("truth", "results"):
        (tmp_path / f"{name}.json").write_text(json.dumps(case[name]))
    rules = [] if "--rules" in options else ["--rules", "burst"]
    arguments = tmp_path / "truth.json", tmp_path / "results.json", "--output", tmp_path / "out", *options, *rules
    assert call(monkeypatch, *arguments) == 0
    assert ("HOTA" in capsys.readouterr().out) == shown
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert ("hota" in content) == shown
    if shown:
        for group in ("all", "common", "uncommon"):
            assert content["hota"][group] == pytest.approx(case["expected"][group], abs=1e-9, rel=0)


def test_hota_of_boxes_is_named_so(monkeypatch, capsys, tmp_path):
    truth = json.loads(TRUTH.read_text())
    truth["categories"][0]["name"] = "armchair"  # a distractor of BURST
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    arguments = tmp_path / "truth.json", RESULTS, "--output", tmp_path / "out", "--overwrite", "--hota"
    found = {}
    for rules, shown in (("masks", "HOTA of masks"), ("released", "HOTA of boxes")):
        assert call(monkeypatch, *arguments, "--hota-rules", rules) == 0
        printed = capsys.readouterr()
        assert shown in printed.out
        assert ("distractor" in printed.out + printed.err) == (rules == "released")
        content = json.loads((tmp_path / "out" / "metrics.json").read_text())
        assert content["hota_rules"] == rules
        found[rules] = content["hota"]["all"]
    assert found["masks"] != found["released"]
    assert call(monkeypatch, *arguments, "--hota-rules", "boxes") == 2
    assert "masks, released" in capsys.readouterr().err


def of_images(tmp_path, said):
    """Write a file of COCO's form, whose first images say what is not annotated, and results; return both."""
    code = {"size": [4, 4], "counts": "0`0"}
    root = {
        "images": [{"id": i, "height": 4, "width": 4, "file_name": f"{i}.jpg"} for i in (1, 2)],
        "categories": [{"id": 1, "name": "cup", "frequency": "r"}, {"id": 2, "name": "bed", "frequency": "f"}],
        "annotations": [{"id": i, "image_id": i, "category_id": i, "segmentation": code, "area": 16} for i in (1, 2)],
    }
    for image in root["images"][:said]:
        image |= {"neg_category_ids": [], "not_exhaustive_category_ids": [1]}
    found = [(1, 1, 0.5), (1, 2, 0.9), (2, 2, 0.5)]  # a bed in an image of which nobody says whether it holds one
    results = [{"image_id": i, "category_id": k, "score": s, "segmentation": code} for i, k, s in found]
    truth, file = tmp_path / "truth.json", tmp_path / "results.json"
    truth.write_text(json.dumps(root))
    file.write_text(json.dumps(results))
    return truth, file


@pytest.mark.parametrize(
    ("said", "options", "ap", "told"),
    [
        (2, [], 1, "counted by LVIS' rules"),
        (2, ["--rules", "coco"], 0.75, ""),
        (2, ["--rules", "lvis"], 1, ""),
        (1, [], 0.75, "1 of 2 images say what is not annotated"),
        (1, ["--rules", "lvis"], 1, ""),
        (0, [], 0.75, ""),
    ],
)
def test_lvis_files_are_counted_as_lvis_does(monkeypatch, capsys, tmp_path, said, options, ap, told):
    truth, results = of_images(tmp_path, said)
    assert call(monkeypatch, truth, results, "--output", tmp_path / "out", *options) == 0
    content = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert content["metrics"]["all"]["AP"] == pytest.approx(ap)
    printed = capsys.readouterr().err
    assert told in printed and bool(told) == ("rules" in printed)
    if content["rules"] == "LVIS":
        assert content["metrics"]["all"]["APr"] == content["metrics"]["rare"]["AP"] == pytest.approx(1)
        assert (tmp_path / "out" / "metrics.csv").read_text().splitlines()[0].endswith("APr,APc,APf,AR300,ARs,ARm,ARl")


def test_lvis_is_explained_and_shown_by_category(monkeypatch, capsys, tmp_path):
    truth, results = of_images(tmp_path, 2)
    assert call(monkeypatch, truth, results, "--output", tmp_path / "out", "--explain", "--by-category") == 0
    printed, page = capsys.readouterr().out, (tmp_path / "out" / "explain.html").read_text()
    assert "AR300" in printed and "AR300" in page and "AR100" not in printed + page
    content = json.loads((tmp_path / "out" / "explain.json").read_text())
    assert sum(content["groups"]["all"]["errors_at_50"].values()) == 0  # the bed does not count


def test_lvis_needs_to_know_what_is_annotated(monkeypatch, capsys, tmp_path):
    assert call(monkeypatch, *of_images(tmp_path, 0), "--rules", "lvis") == 2
    assert "neg_category_ids" in capsys.readouterr().err


def segmented(tmp_path):
    """Write the results of the first video as `ovvis segment` does, and as a results file with its truth alone."""
    root = json.loads(TRUTH.read_text())
    video, names = root["videos"][0], {c["id"]: c["name"] for c in root["categories"]}
    entries = [entry for entry in json.loads(RESULTS.read_text()) if entry["video_id"] == video["id"]]
    labels = sorted(names[entry["category_id"]] for entry in entries)
    labels = list(dict.fromkeys(labels))

    def masks(entry):
        return [code and {"size": code["size"], "counts": code["counts"].encode()} for code in entry["segmentations"]]

    found = [
        Track(i, name := names[e["category_id"]], labels.index(name), e["score"], ((name, e["score"]),), masks(e))
        for i, e in enumerate(entries, 1)
    ]
    frames = list(range(len(video["file_names"])))
    times = [float(i) for i in frames]
    result = VideoResult(found, "some.mp4", video["height"], video["width"], 1.0, frames, times, tuple(labels))
    save_tracks(result, tmp_path / "tracks.json")
    root |= {
        "videos": [video],
        "annotations": [entry for entry in root["annotations"] if entry["video_id"] == video["id"]],
    }
    (tmp_path / "one.json").write_text(json.dumps(root))
    (tmp_path / "results.json").write_text(json.dumps(entries))
    return video["id"]


def test_what_segment_wrote_is_scored(monkeypatch, capsys, tmp_path):
    video = segmented(tmp_path)
    tracks = tmp_path / "tracks.json"
    assert call(monkeypatch, TRUTH, tracks) == 2
    assert "--video ID_OR_NAME" in capsys.readouterr().err
    figures = []
    for truth, results, *more in (
        (TRUTH, tracks, "--video", video, "--explain"),
        (tmp_path / "one.json", tmp_path / "results.json"),
    ):
        out = tmp_path / results.stem
        assert call(monkeypatch, truth, results, "--rules", "lvvis", "--hota", "--output", out, *more) == 0
        content = json.loads((out / "metrics.json").read_text())
        figures.append([content["metrics"]["all"], content["hota"]["all"]])
        if more:
            assert "scored: 1 of the " in capsys.readouterr().err
            assert any("scored: 1 of the" in line for line in content["left_out"])
            assert "data:image/jpeg" in (out / "explain.html").read_text()
    assert figures[0] == figures[1] and figures[0][0]["AP"] > 0


def test_video_is_for_what_segment_wrote(monkeypatch, capsys):
    assert call(monkeypatch, TRUTH, RESULTS, "--video", 1) == 2
    assert "--video is for a tracks.json" in capsys.readouterr().err


def test_a_threshold_that_is_no_number(monkeypatch, capsys):
    assert call(monkeypatch, TRUTH, RESULTS, "--hota-min-score", "nan") == 2
    assert "--hota-min-score nan: it must be a number" in capsys.readouterr().err


def test_no_results_are_given(monkeypatch, capsys):
    assert call(monkeypatch, TRUTH, " ") == 2
    error = capsys.readouterr().err.strip()
    assert "no results are given" in error and "\n" not in error
