"""`ovvis reproduce papers`: the rehearsal's short form, against what `predict` and `evaluate` give."""

import csv
import json
import sys

import pytest

from ovvis.cli import main as cli
from ovvis.reproduction import costs, rehearsal
from ovvis.reproduction.measure import Follower
from ovvis.reproduction.papers import published_tables

TABLES = "clip-vis-2,ovformer-3,ovformer-4"


@pytest.fixture
def command(monkeypatch, capsys):
    """Return what runs a command and gives its exit code, output and errors."""
    monkeypatch.setattr(rehearsal, "VIDEOS", 2)
    monkeypatch.setattr(rehearsal, "FRAMES", 3)
    monkeypatch.setattr(rehearsal, "SHORT_EDGE", 64)
    monkeypatch.setattr(costs, "SIZE", (64, 96))

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["ovvis", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.run()
        said = capsys.readouterr()
        return left.value.code, said.out, said.err.replace("\n", " ")

    return call


@pytest.fixture
def seen(monkeypatch):
    """Count the videos that a network sees."""
    seen, real = [], Follower.__call__

    def call(self, video, *args):
        seen.append(video)
        return real(self, video, *args)

    monkeypatch.setattr(Follower, "__call__", call)
    return seen


def numbers(folder):
    lines = csv.DictReader((folder / "papers.csv").open())
    return {(one["table"], one["row"], one["dataset"], one["figure"]): one for one in lines}


def test_the_rehearsal_gives_what_predict_and_evaluate_give(command, seen, tmp_path, monkeypatch):
    out = tmp_path / "papers"
    code, said, err = command("reproduce", "papers", "--rehearse", "--tables", TABLES, "--output", out)
    assert code == 0, err
    assert "What can be made here" in said and "About" in said
    lines = numbers(out)
    wanted = [n for n in lines.values() if n["published"] and n["made_by"]]
    assert wanted and all(one["ours"] and one["mark"] for one in wanted), "every number has one of ours"
    assert "rehearsal" in (out / "papers.html").read_text() and "rehearsal" in (out / "papers.md").read_text()

    root, weights = out / "rehearsal" / "data", out / "rehearsal" / "weights"
    for dataset, table, row, model in (
        ("burst_val", "clip-vis-2", "WOC and TKM", "clip-vis-r50"),
        ("lvvis_val", "ovformer-3", "alignment", "ovformer-r50-lvis"),
        ("ytvis_2019_val", "ovformer-3", "Baseline", "ov2seg-r50"),
    ):
        plain, shared = tmp_path / dataset, ("--data-root", root)
        file = weights / f"{model}.safetensors"
        assert command("predict", dataset, "--output", plain, "--weights", file, *shared)[0] == 0
        if dataset.startswith("ytvis"):  # a server's: the archive is the same, to the byte
            archive = out / "archives" / dataset / model
            for name in ("submission.zip", "submission_novel.zip", "results.json"):
                assert (archive / name).read_bytes() == (plain / name).read_bytes()
            continue
        assert (
            command("evaluate", dataset, plain, "--output", tmp_path / f"{dataset}-score", "--no-hota", *shared)[0] == 0
        )
        scored = json.loads((tmp_path / f"{dataset}-score" / "metrics.json").read_text())["metrics"]
        for figure, group in (("AP", "all"), ("base", "base"), ("novel", "novel")):
            if (table, row, dataset, figure) in lines:
                ours = float(lines[table, row, dataset, figure]["ours"])
                assert ours == pytest.approx(100 * scored[group]["AP"], abs=1e-9)

    seen.clear()
    again = command("reproduce", "papers", "--rehearse", "--tables", TABLES, "--output", out)
    assert again[0] == 0 and seen == [] and "done" in again[1]
    assert numbers(out) == lines


@pytest.fixture
def world(command, tmp_path):
    """Return the options of a run on stand-ins as if they were a user's own data."""
    data, networks = rehearsal.rehearsal(tmp_path / "made")
    output = tmp_path / "papers"
    given = ("--network", f"clip-vis-r50={networks['clip-vis-r50']}", "--data-root", data, "--output", output)
    return ("reproduce", "papers", "--models", "clip-vis-r50", *given), output


def test_shards_and_a_servers_answer(command, world, seen, tmp_path):
    words, output = world
    words = (*words, "--tables", "clip-vis-2,clip-vis-readme")
    code, said, err = command(*words, "--shard", "2/2")
    assert code == 0 and "left to other shards" in said and len(seen) == 6 and not (output / "papers.md").exists()
    code, said, err = command(*words, "--shard", "1/2")
    assert code == 0 and len(seen) == 12, err
    assert "holds 2 videos here and 837 as published" in err
    line = numbers(output)["clip-vis-readme", "R50", "ytvis_2021_val", "AP"]
    assert line["ours"] == "" and "--answer" in line["why_none"]
    assert "3 archives for servers" in said
    form = (output / "answers-template.toml").read_text()
    assert "# [ytvis_2021_val.clip-vis-r50]  # upload " in form

    answer = tmp_path / "answer.toml"
    answer.write_text("[ytvis_2021_val.clip-vis-r50]\nAP = 30.14\n")
    code, said, err = command(*words, "--answer", answer)
    assert code == 0 and len(seen) == 12, err
    line = numbers(output)["clip-vis-readme", "R50", "ytvis_2021_val", "AP"]
    assert (line["ours"], line["mark"]) == ("30.14", "within")
    assert command(*words)[0] == 0  # an answer is kept
    assert numbers(output)["clip-vis-readme", "R50", "ytvis_2021_val", "AP"]["ours"] == "30.14"


def test_other_weights_are_measured_anew(command, world, seen, tmp_path):
    words = (*world[0], "--tables", "clip-vis-4")
    assert command(*words)[0] == 0 and len(seen) == 6
    other = tmp_path / "made" / "weights" / "clip-vis-convnext-b.safetensors"
    assert command(*words, "--network", f"clip-vis-r50={other}")[0] == 0 and len(seen) == 12


def test_a_run_that_is_stopped_goes_on(command, world, seen, monkeypatch):
    words = (*world[0], "--tables", "clip-vis-4")
    real = Follower.__call__

    def stop(self, video, *args):
        if len(seen) == 3:
            raise KeyboardInterrupt
        return real(self, video, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Follower, "__call__", stop)
        code, _, err = command(*words)
    assert code == 130 and "1 video of ovis_val with clip-vis-r50 to go" in err
    assert command(*words)[0] == 0 and len(seen) == 6


def test_a_plan_makes_nothing(command, tmp_path):
    code, said, _ = command("reproduce", "papers", "--plan", "--data-root", tmp_path, "--output", tmp_path / "none")
    assert code == 0 and not (tmp_path / "none").exists()
    assert "both missing" in said and "Weights missing, clip-vis-r50: ovvis models fetch clip-vis-r50" in said
    assert "Data missing, lvvis_test" in said and "validGT.json" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tables", "clip-vis-6"], "did you mean clip-vis-5"),
        (["--models", "clip-vis-r5"], "did you mean clip-vis-r50"),
        (["--network", "clip-vis-r50"], "MODEL=CHECKPOINT"),
        (["--network", "clip-vis=x"], "no row is made by a model of that name"),
        (["--rehearse", "--data-root", "."], "makes its own data"),
        (["--shard", "3/2"], "shard '3/2'"),
        (["--answer", "none.toml"], "cannot be read"),
        (["--tables", "clip-vis-2", "--data-root", "."], "what is missing"),
    ],
)
def test_refusals(command, words, said, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, _, err = command("reproduce", "papers", *words)
    assert code == 2 and said in err and list(tmp_path.iterdir()) == []


def test_every_table_has_a_name_that_the_help_lists(command):
    code, said, _ = command("reproduce", "papers", "--help")
    assert code == 0 and all(name.split("-")[0] in said for name in published_tables())
