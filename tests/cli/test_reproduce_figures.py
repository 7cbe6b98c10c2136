"""`ovvis reproduce figures`, in a world of few frames."""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from fakes import build_tiny
from ovvis.cli import main as cli
from ovvis.cli import reproduce_figures
from ovvis.datasets import stickers
from ovvis.datasets.stickers import SPLITS
from ovvis.models import load as loading
from ovvis.reproduction import query_points
from tiny_world import tiny_sprites

TABLES = Path(__file__).parents[2] / "docs" / "reproduction-tables.md"


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(
        stickers, "SPLITS", {n: replace(s, config=replace(s.config, frames=6)) for n, s in SPLITS.items()}
    )
    monkeypatch.setattr(reproduce_figures, "load_sprites", tiny_sprites)
    monkeypatch.setattr(loading, "load_model", lambda *_, **__: build_tiny(queries=12, short_edge=64))
    monkeypatch.setattr(query_points, "HALF", 0.001)  # a network that learnt nothing finds little
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["ovvis", "reproduce", "figures", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.run()
        said = capsys.readouterr()
        return left.value.code, said.out, said.err

    return call


MODEL = ("--model", "clip-vis-r50", "--weights", "untrained")


def test_all_figures(command):
    code, out, err = command("--from", TABLES, "--videos", 2, *MODEL)
    assert code == 0, err
    for name in ("embeddings", "base-novel", "windows"):
        with Image.open(f"figures/{name}.png") as picture:
            assert picture.size[1] > 200 and f"{name}.png, .svg, .csv" in out
        assert Path(f"figures/{name}.svg").stat().st_size > 1000
    points = list(csv.DictReader(Path("figures/embeddings.csv").read_text().splitlines()))
    facts = json.loads(Path("figures/embeddings.json").read_text())
    assert facts["points"] == len(points) >= 8 and facts["split"] == "val-long" and facts["frames"] == 6
    kept = [int(point["topk keeps it"]) for point in points]
    assert facts["kept"]["topk"] == pytest.approx(sum(kept) / len(kept), abs=1e-4)
    code, _, err = command("--from", TABLES, "--figures", "windows")
    assert code == 2 and "--overwrite" in err


def test_what_is_not_measured_is_told(command):
    code, out, err = command("--figures", "base-novel,windows")
    assert code == 3 and "ovvis reproduce stickers --tables families" in " ".join(err.split())
    assert "base-novel.png" in out and not Path("figures/windows.png").exists()
    code, _, err = command("--figures", "windows", "--output", "other")
    assert code == 2 and "no figure can be made" in err and not Path("other").exists()


@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("--figures", "bars"), "figure 'bars'"),
        (("--split", "train"), "--split train"),
        (("--from", "nowhere"), "nowhere holds no figures.json"),
    ],
)
def test_what_cannot_be_is_told(command, words, rule):
    code, _, err = command(*words)
    assert code == 2 and rule in err and not Path("figures").exists()


def test_without_scikit_learn_the_extra_is_named(command, monkeypatch):
    monkeypatch.setattr("ovvis.cli.extras.find_spec", lambda _: None)
    code, _, err = command("--figures", "embeddings")
    assert code == 2 and "pip install 'ovvis[figures]'" in err
