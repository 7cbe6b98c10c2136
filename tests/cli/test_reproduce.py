import json
import sys
from dataclasses import replace

import pytest
import torch

from fakes import build_tiny, build_tiny_ov_dvis, build_tiny_ovformer
from ovvis.cli import main as cli
from ovvis.cli import reproduce, segmenter
from ovvis.datasets import stickers
from ovvis.datasets.open import open_dataset
from ovvis.datasets.stickers import SPLITS, write_split
from ovvis.datasets.words import dataset_vocabulary
from ovvis.evaluation.evaluator import Evaluator
from ovvis.evaluation.records import ResultTrack
from ovvis.files.lock import release_lock, take_lock
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models import load as loading
from ovvis.models.devices import DTYPES
from ovvis.reproduction.experiments import EXPERIMENTS, choose
from ovvis.reproduction.measure import Follower
from ovvis.sources.video import open_frames
from tiny_world import tiny_sprites

FEW = {
    name: replace(split, config=replace(split.config, frames=3), videos=min(split.videos, 30))
    for name, split in SPLITS.items()
}
MODEL = {"queries": 12, "short_edge": 64}


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Return what runs the command in a world of few frames and gives its exit code, output and errors."""
    monkeypatch.setattr(stickers, "SPLITS", FEW)
    monkeypatch.setattr(reproduce, "load_sprites", tiny_sprites)
    model = build_tiny(**MODEL)
    monkeypatch.setattr(loading, "load_model", lambda *args, **options: model)
    monkeypatch.chdir(tmp_path)

    def call(*words, model=("--model", "clip-vis-r50", "--weights", "untrained")):
        line = ["ovvis", "reproduce", "stickers", *model, *map(str, words)]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as left:
            cli.run()
        said = capsys.readouterr()
        return left.value.code, said.out, said.err

    return call


@pytest.fixture
def measured(monkeypatch):
    """Count the videos that the network sees."""
    seen, real = [], Follower.__call__

    def call(self, video, *args):
        seen.append(len(self._ways))
        return real(self, video, *args)

    monkeypatch.setattr(Follower, "__call__", call)
    return seen


QUICK = ("--videos", 2, "--long-videos", 1, "--seeds", "0,100")


def test_figures_are_those_of_predictions_on_files(command, tmp_path):
    code, out, _ = command(*QUICK, "--tables", "splits", "--videos", 3)
    assert code == 0 and "The model on each split" in out
    told = json.loads((tmp_path / "reproduction" / "figures.json").read_text())
    (table,) = (t for t in told["tables"] if t["split"] == "val")
    assert (table["seeds"], table["videos"]) == ([2, 102], 3)

    write_split(FEW["val"], tiny_sprites(), tmp_path, 3)
    known = open_dataset("stickers_val", tmp_path)
    vocabulary, ids = dataset_vocabulary(known.categories)
    find = VideoSegmenter(build_tiny(**MODEL), vocabulary)
    evaluator = Evaluator(known.categories, known.truths, known.rules)
    for video in known.videos:
        with find(open_frames(known.paths(video), video.name)) as result:
            tracks = (ResultTrack(video.id, ids[t.label_index], t.score, t.masks) for t in result.tracks)
            evaluator.update(tracks)
    metrics = evaluator.report().metrics
    figures = table["rows"][0]["by_seed"][0]
    assert figures["AP"] == pytest.approx(100 * metrics["all"]["AP"], abs=1e-9)
    assert figures["AP50"] == pytest.approx(100 * metrics["all"]["AP50"], abs=1e-9)
    assert figures["base"] == pytest.approx(100 * metrics["base"]["AP"], abs=1e-9)
    assert figures["novel"] == pytest.approx(100 * metrics["novel"]["AP"], abs=1e-9)


def test_all_tables_then_again_without_measuring(command, measured, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n<!-- table oracles -->\n<!-- end -->\nkept\n")
    code, _, err = command(*QUICK, "--into", page)
    assert code == 0, err
    assert len(measured) == 2 * (2 + 2 + 1)  # seeds x videos of val, val-hard, val-long
    assert "left out" in err and "iou: pixels" in err
    assert "has no lines <!-- table matching -->" in err.replace("\n", " ")
    text = page.read_text()
    assert text.count("| everything |") == 2 and "kept" in text and "`ovvis reproduce stickers" in text
    told = (tmp_path / "reproduction" / "tables.md").read_text()
    assert told.count("| T 11, K 7 |") == 2 and told.count("## ") == 12 and "-->\n<!-- end -->" not in told
    tables = json.loads((tmp_path / "reproduction" / "figures.json").read_text())["tables"]
    rows = {(t["table"], t["split"], r["name"]): r for t in tables for r in t["rows"]}
    alike = [("splits", "as released"), ("weighting", "both"), ("matching", "T 9, K 5"), ("oracles", "nothing given")]
    assert len({str(rows[table, "val", name]["by_seed"]) for table, name in alike}) == 1
    assert rows["oracles", "val", "everything"]["AP50"]["mean"] > 90
    assert rows["splits", "val", "as released"]["frames_per_second"] > 0

    measured.clear()
    again = command(*QUICK, "--into", page)
    assert again[0] == 0 and measured == []
    assert page.read_text() == text
    assert command(*QUICK, "--restart", "--tables", "splits")[0] == 0 and len(measured) == 10


def test_only_what_is_missing_is_measured(command, measured):
    assert command(*QUICK, "--tables", "weighting", "--seeds", 0)[0] == 0
    assert measured == [4, 4, 4]  # two videos of val, one of val-long, four rows
    measured.clear()
    assert command(*QUICK, "--tables", "weighting,modules", "--seeds", 0)[0] == 0
    assert measured == [
        2,
        2,
        2,
    ]  # the third, WOC and TKM, is "both" of the other table
    measured.clear()
    fewer = (*QUICK, "--tables", "weighting", "--seeds", "0", "--videos", 3)
    code, _, err = command(*fewer)  # the table of modules would be lost
    assert code == 2 and "--overwrite" in err and measured == []
    assert command(*fewer, "--overwrite")[0] == 0
    assert measured == [4]


def test_some_splits(command, measured):
    assert command(*QUICK, "--tables", "splits", "--splits", "val", "--seeds", 0)[0] == 0
    rows = len(EXPERIMENTS[0].rows)
    assert EXPERIMENTS[0].name == "splits" and measured == [rows, rows]


def test_shards(command, measured):
    words = (*QUICK, "--tables", "splits", "--videos", 3, "--seeds", 0)
    code, out, _ = command(*words, "--shard", "2/2")
    assert code == 0 and "left to other shards" in out and len(measured) == 2  # video 2 of val and of val-hard
    code, out, _ = command(*words, "--shard", "1/2")
    assert code == 0 and "The model on each split" in out and len(measured) == 7


def test_a_shard_belongs_to_one_process(command, measured, tmp_path):
    words = (*QUICK, "--tables", "splits", "--seeds", 0)
    output = tmp_path / "reproduction"
    output.mkdir()
    lock = take_lock(output, ".1-of-2")
    code, _, err = command(*words, "--shard", "1/2")
    assert code == 2 and "another process is measuring shard 1/2" in err
    code, _, err = command(*words, "--restart")
    assert code == 2 and "would drop what other shards are measuring" in err
    release_lock(lock)
    assert measured == [] and list(output.iterdir()) == []


def test_tables_that_no_run_made_are_not_replaced(command, measured, tmp_path):
    path = tmp_path / "reproduction" / "tables.md"
    path.parent.mkdir()
    path.write_text("mine")
    code, _, err = command(*QUICK, "--tables", "splits", "--seeds", 0)
    assert code == 2 and "tables.md is of another run" in err and measured == [] and path.read_text() == "mine"


def test_a_network_of_some_rows(command, measured):
    words = (*QUICK, "--tables", "iou", "--seeds", 0)
    code, out, err = command(*words, "--network", "iou-pixels=untrained")
    assert code == 0, err
    # Untrained, it is the same network by another name, which is measured once.
    assert "pixels" in out and "left out" not in err and len(measured) == 3


def test_families_and_windows_are_passes_of_their_own(command, monkeypatch, measured, tmp_path):
    def load(name, *args, **options):
        return build_tiny_ovformer() if name == "ovformer-stickers" else build_tiny(**MODEL)

    monkeypatch.setattr(loading, "load_model", load)
    monkeypatch.setattr(segmenter, "weights_files", lambda entry: [])
    words = (*QUICK, "--tables", "families", "--seeds", 0, "--short-edge", 64)
    code, out, err = command(*words, "--network", "ovformer=ovformer-stickers")
    assert code == 0, err
    assert measured == [1] * 2 * 7 and "frames/s" in out and "families: OV2Seg-style" in err
    told = json.loads((tmp_path / "reproduction" / "figures.json").read_text())["tables"][0]["rows"]
    assert [row["name"] for row in told][::6] == ["CLIP-VIS", "OVFormer, offline"]
    assert all(row["frames_per_second"] > 0 for row in told)
    if sys.platform == "linux":
        assert all(row["peak_bytes"] is None or row["peak_bytes"] > 2**20 for row in told)


def test_families_of_the_package(command, monkeypatch):
    loaded = []

    def load(name, *args, **options):
        loaded.append(name)
        return build_tiny(**MODEL) if name == "clip-vis-stickers" else build_tiny_ovformer()

    monkeypatch.setattr(loading, "load_model", load)
    words = ("--videos", 1, "--long-videos", 1, "--seeds", 0, "--short-edge", 64)
    code, _, err = command(*words, "--tables", "families,splits", model=())
    assert code == 0, err
    (left,) = (line for line in err.splitlines() if "left out" in line)
    assert {row.strip()[:17] for row in left.split("wants: ")[1].split(";")} == {
        "families: FC-CLIP",
        "families: OV-DVIS",
        "families: OVForme",
    }
    assert loaded == ["clip-vis-stickers", "ovformer-stickers", "ov2seg-stickers"]
    loaded.clear()
    assert command(*words, "--tables", "splits", "--overwrite", model=())[0] == 0
    assert loaded == ["clip-vis-stickers"]


def test_precisions_are_networks_of_their_own(command, monkeypatch, measured):
    loaded = []

    def load(name, *args, precision, **options):
        loaded.append((name, precision))
        model = build_tiny(**MODEL) if name == "clip-vis-stickers" else build_tiny_ovformer()
        return model.for_inference(torch.device("cpu"), DTYPES[precision])

    monkeypatch.setattr(loading, "load_model", load)
    monkeypatch.setattr(segmenter, "weights_files", lambda entry: [])
    words = ("--videos", 1, "--seeds", 0, "--short-edge", 64, "--tables", "precision", "--splits", "val")
    code, out, err = command(*words, model=())
    assert code == 0, err
    names = ("clip-vis-stickers", "ovformer-stickers", "ov2seg-stickers")
    # The first of each is for rows without a precision: the command loads before it knows them.
    assert loaded == [(n, "float32") for n in names] + [(n, p) for n in names for p in ("float32", "bfloat16")]
    assert len(measured) >= 4 and "against float32" in out and "worst seed" in out and "left out" not in err
    (precision,) = choose(["precision"])
    exported = {"model": segmenter.SegmenterOptions(model="small.onnx")}  # computes in what its export decided
    assert reproduce._in_precisions(precision.rows, exported) == {}


def test_trackers_of_an_ov_dvis_and_its_rows_among_the_families(command, monkeypatch, measured, tmp_path):
    model = build_tiny_ov_dvis(refined=True, queries=12).for_inference(torch.device("cpu"), torch.float32)
    monkeypatch.setattr(loading, "load_model", lambda *args, **options: model)
    words = ("--videos", 1, "--long-videos", 1, "--seeds", 0, "--short-edge", 64)
    code, _, err = command(*words, "--tables", "trackers,families", "--network", "ov-dvis=untrained")
    assert code == 0, err
    # On val and val-long one pass for all trackers but the refiner, which has one of its own. The families' rows are
    # among them, as it is the same network by another name.
    assert sorted(measured) == [1, 1, 8, 8]
    tables = json.loads((tmp_path / "reproduction" / "figures.json").read_text())["tables"]
    rows = {table["table"]: [row["name"] for row in table["rows"]] for table in tables}
    assert rows["trackers"] == [
        "adjacent",
        "topk",
        "longterm",
        "births",
        "sort",
        "overlap",
        "propagate",
        "online",
        "offline",
    ]
    assert [name for name in rows["families"] if name.startswith("OV-DVIS++")] == [
        f"OV-DVIS++, {way}" for way in ("per frame", "online", "offline")
    ]
    measured.clear()
    code, _, err = command(*words, "--overwrite")  # all tables: what does not go with a learnt tracker is left out
    assert code == 0 and "splits: with births" in err and "oracles: identities" in err, err
    assert "Traceback" not in err


def test_what_an_ovformer_cannot_do_is_left_out(command, monkeypatch):
    monkeypatch.setattr(loading, "load_model", lambda *args, **options: build_tiny_ovformer())
    words = ("--videos", 1, "--long-videos", 1, "--seeds", 0, "--short-edge", 64)
    code, out, err = command(*words, "--tables", "formulas,oracles")
    assert code == 0, err
    for row in ("formulas: pooling: mean (eq. 9)", "formulas: class score: cosine (eq. 10)", "oracles: everything"):
        assert row in err and row.split(": ")[1] not in out
    assert "names and identities" in out


def test_a_run_that_is_stopped_goes_on(command, monkeypatch, measured, tmp_path):
    real = Follower.__call__

    def stop(self, video, *args):
        if len(measured) == 3:
            raise KeyboardInterrupt
        return real(self, video, *args)

    words = (*QUICK, "--tables", "splits", "--seeds", 0)
    with monkeypatch.context() as patch:
        patch.setattr(Follower, "__call__", stop)
        code, _, err = command(*words)
    assert code == 130 and "2 videos to go" in err and "the same command goes on" in err
    assert not (tmp_path / "reproduction" / "figures.json").exists()
    measured.clear()
    assert command(*words)[0] == 0 and len(measured) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tables", "weight"], "did you mean weighting"),
        (["--splits", "val-lon"], "did you mean val-long"),
        (["--tables", "weighting", "--splits", "val-hard"], "are not of val-hard"),
        (["--seeds", "0,x"], "seeds '0,x'"),
        (["--seeds", "0,0"], "stand once"),
        (["--seeds", "-4"], "0 or more"),
        (["--seeds", "1"], "the splits' own seeds"),
        (["--network", "iou-pixels"], "NAME=CHECKPOINT"),
        (["--network", "iou=x.safetensors"], "the choices are fc-clip, iou-pixels"),
        (["--shard", "3/2"], "shard '3/2'"),
        (["--shard", "1/2", "--restart"], "other shards"),
        (["--into", "nowhere.md"], "nowhere.md"),
        (["--into", "empty.md"], "<!-- table"),
        (["--output", "empty.md"], "another --output"),
        (["--model", "clip-vis-r5"], "clip-vis-r50"),
    ],
)
def test_refusals(command, words, said, tmp_path):
    (tmp_path / "empty.md").write_text("# Nothing\n")
    code, _, err = command(*QUICK, *words)
    assert code == 2 and said in err.replace("\n", " ")


def test_another_world(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["ovvis", "reproduce", "sticker"])
    with pytest.raises(SystemExit) as left:
        cli.run()
    assert left.value.code == 2 and "Did you mean 'stickers'" in capsys.readouterr().err
