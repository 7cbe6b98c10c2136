"""`ovvis predict` from a dataset to a folder of predictions, stopped in every way that there is."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from fakes import build_tiny, build_tiny_ovformer
from ovvis.cli import main as cli
from ovvis.cli import segmenter
from ovvis.inference import tubes
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models import load

TINY = Path(__file__).parents[1] / "tiny_ovvis.py"
LENGTHS = {11: 3, 5: 2, 8: 4}  # frames of each video, by id, in the file's order
CATEGORIES = [(4, "dog", "base"), (2, "traffic_light", "novel"), (9, "cat", "base")]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three videos of noise in the YouTube-VIS format."""
    rng = np.random.default_rng(0)
    for id, length in LENGTHS.items():
        folder = tmp_path / "data" / "frames" / f"v{id}"
        folder.mkdir(parents=True)
        for i in range(length):
            Image.fromarray(rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    videos = [
        {"id": id, "height": 48, "width": 64, "length": n, "file_names": [f"v{id}/{i}.png" for i in range(n)]}
        for id, n in LENGTHS.items()
    ]
    categories = [
        {"id": id, "name": name, "partition": {"base": 0, "novel": 2}[group]} for id, name, group in CATEGORIES
    ]
    path = tmp_path / "data" / "three.json"
    path.write_text(json.dumps({"videos": videos, "categories": categories}))
    return path


def arguments(dataset: Path, output: Path | str, *more: object) -> list[str]:
    fixed = ["--weights", "untrained", "--device", "cpu", "--short-edge", "0", "--max-tracks", "8"]
    return ["predict", str(dataset), "--output", str(output), *fixed, *map(str, more)]


def predict(monkeypatch: pytest.MonkeyPatch, dataset: Path, output: Path | str, *more: object) -> int:
    monkeypatch.setattr(sys, "argv", ["ovvis", *arguments(dataset, output, *more)])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    return int(leave.value.code or 0)


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line of an error."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("ovvis: ")]
    assert len(lines) == 1
    return lines[0]


def test_a_split_from_end_to_end(quick, monkeypatch, dataset, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    assert predict(monkeypatch, dataset, out) == 0
    entries = json.loads((out / "results.json").read_text())
    assert list(dict.fromkeys(entry["video_id"] for entry in entries)) == list(LENGTHS)
    assert {entry["category_id"] for entry in entries} <= {4, 2, 9} and len(entries) == 3 * 8
    for entry in entries:
        assert len(entry["segmentations"]) == LENGTHS[entry["video_id"]] and 0 <= entry["score"] <= 1
        for rle in filter(None, entry["segmentations"]):
            assert coco.decode(rle).shape == (48, 64)
    novel = json.loads((out / "novel_results.json").read_text())
    assert novel == [entry for entry in entries if entry["category_id"] == 2]
    settings = json.loads((out / "settings.json").read_text())
    assert settings["dataset"]["videos"] == 3 and settings["max_tracks"] == 8
    assert settings["categories"] == [[id, name] for id, name, _ in CATEGORIES]
    printed = capsys.readouterr().out
    assert "frames/s" in printed and "GiB" in printed and "3 of 3" in printed and "submission_novel.zip" in printed


def test_where_the_small_model_alone_is_there_both_ends_say_so(
    quick, tiny_model, monkeypatch, dataset, tmp_path, capsys
):
    monkeypatch.setattr(segmenter, "SMALL_MODEL", tiny_model.name)
    monkeypatch.setattr(sys, "argv", ["ovvis", "predict", str(dataset), "--output", str(tmp_path), "--short-edge", "0"])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    lines = capsys.readouterr().err.splitlines()
    told = [number for number, line in enumerate(lines) if "520 kinds" in line]
    assert not leave.value.code and told == [0, len(lines) - 1] and len(lines) > 1


def test_a_stopped_run_is_taken_up_and_scored(quick, monkeypatch, dataset, tmp_path, capsys):
    """Predict, lose a video, predict on, evaluate against some of the predictions as truth: AP 100 there."""
    out = tmp_path / "out"
    assert predict(monkeypatch, dataset, out) == 0
    entries = json.loads((out / "results.json").read_text())
    (out / "results.json").unlink()
    sorted((out / "results").glob("*.json"))[0].unlink()
    assert predict(monkeypatch, dataset, out) == 0
    best: dict[tuple[int, int], dict[str, object]] = {}
    for entry in entries:
        if any(entry["segmentations"]):
            best.setdefault((entry["video_id"], entry["category_id"]), entry)
    truths = [entry | {"id": i, "iscrowd": 0} for i, entry in enumerate(best.values(), start=1)]
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps(json.loads(dataset.read_text()) | {"annotations": truths}))
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["ovvis", "evaluate", str(truth), str(out), "--output", str(tmp_path / "scores")])
    with pytest.raises(SystemExit) as leave:
        cli.run()
    assert not leave.value.code
    figures = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert figures["count"] == len(entries) == 3 * 8
    assert figures["metrics"]["all"]["AR100"] == 1 and figures["metrics"]["all"]["AP"] > 0.5


@pytest.mark.parametrize("build", [build_tiny, build_tiny_ovformer])
def test_the_entries_are_what_the_segmenter_gives(build, monkeypatch, dataset, tmp_path):
    """The whole way through files and category ids changes nothing, whatever the family."""
    out, built = tmp_path / "out", build()
    monkeypatch.setattr(load, "load_model", lambda *args, **kwargs: built)
    assert predict(monkeypatch, dataset, out) == 0
    model = load.load_model()
    whole = VideoSegmenter(model, [name for _, name, _ in CATEGORIES], short_edge=0, max_tracks=8, cache=False)
    with whole(dataset.parent / "frames" / "v8") as result:
        expected = [
            {
                "video_id": 8,
                "category_id": CATEGORIES[track.label_index][0],
                "score": track.score,
                "segmentations": [
                    None if m is None else {"size": m["size"], "counts": m["counts"].decode()} for m in track.masks
                ],
            }
            for track in result.tracks
        ]
    assert json.loads((out / "results" / "8.json").read_text()) == expected
    assert any(mask for entry in expected for mask in entry["segmentations"])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_what_is_finished_stays_and_the_same_command_goes_on(error, quick, monkeypatch, dataset, tmp_path, capsys):
    assert predict(monkeypatch, dataset, tmp_path / "a") == 0
    capsys.readouterr()
    real, calls = tubes.Tubes.add, 0

    def add(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 5:  # the last frame of the second video
            raise error
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(tubes.Tubes, "add", add)
        assert predict(monkeypatch, dataset, tmp_path / "b") == (130 if isinstance(error, KeyboardInterrupt) else 2)
    line = said(capsys)
    assert tubes.Tubes.add is real and "1 of 3 videos are done and kept" in line and "the same command goes on" in line
    assert ("stopped" if isinstance(error, KeyboardInterrupt) else "no space left") in line
    assert sorted(content(tmp_path / "b")) == ["results/11.json", "settings.json"]
    assert predict(monkeypatch, dataset, tmp_path / "b") == 0
    assert "2 now; 3 of 3" in capsys.readouterr().out
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_nothing_is_done_twice(quick, monkeypatch, dataset, tmp_path):
    assert predict(monkeypatch, dataset, tmp_path / "a") == 0
    before = content(tmp_path / "a")
    monkeypatch.setattr(tubes.Tubes, "add", lambda *args: pytest.fail("a video was run again"))
    assert predict(monkeypatch, dataset, tmp_path / "a") == 0
    assert content(tmp_path / "a") == before


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--short-edge", 32], "short_edge was 0 and is now 32"),
        (["--labels", "dog|puppy, traffic light, cat"], "categories[0] was [4"),
        (["--memory", 7], "tracks.memory was 9 and is now 7"),
        (["--tracker", "adjacent"], "tracks.memory was 9 and is now 1"),
    ],
)
def test_other_settings_are_refused(more, named, quick, monkeypatch, dataset, tmp_path, capsys):
    assert predict(monkeypatch, dataset, tmp_path / "a") == 0
    before = content(tmp_path / "a")
    capsys.readouterr()
    assert predict(monkeypatch, dataset, tmp_path / "a", *more) == 2
    line = said(capsys)
    assert named in line and "--output" in line and "--restart" in line
    assert predict(monkeypatch, dataset, tmp_path / "a", *more, "--restart", "--batch", 0) == 2
    assert content(tmp_path / "a") == before  # a restart that cannot start drops nothing
    assert predict(monkeypatch, dataset, tmp_path / "a", *more, "--restart") == 0
    assert content(tmp_path / "a").keys() == before.keys() and content(tmp_path / "a") != before


def test_another_dataset_is_refused(quick, monkeypatch, dataset, tmp_path, capsys):
    assert predict(monkeypatch, dataset, tmp_path / "a") == 0
    file = json.loads(dataset.read_text())
    file["videos"][0]["file_names"].reverse()
    dataset.write_text(json.dumps(file))
    capsys.readouterr()
    assert predict(monkeypatch, dataset, tmp_path / "a") == 2
    assert "dataset.sha256 was" in said(capsys)


def test_shards_make_what_one_process_makes(quick, monkeypatch, dataset, tmp_path, capsys):
    assert predict(monkeypatch, dataset, tmp_path / "a") == 0
    capsys.readouterr()
    assert predict(monkeypatch, dataset, tmp_path / "b", "--shard", "2/2") == 0
    assert "2 videos without results yet" in " ".join(capsys.readouterr().out.split())
    assert sorted(content(tmp_path / "b")) == ["results/5.json", "settings.json"]
    assert predict(monkeypatch, dataset, tmp_path / "b", "--shard", "1/2") == 0
    assert content(tmp_path / "a") == content(tmp_path / "b")
    capsys.readouterr()
    assert predict(monkeypatch, dataset, tmp_path / "b", "--shard", "1/2", "--restart") == 2
    assert "--restart with --shard 1/2" in said(capsys)


def _unreadable(path: Path) -> None:
    path.write_bytes(b"no image")


def _other_size(path: Path) -> None:
    Image.new("RGB", (32, 32)).save(path)


@pytest.mark.parametrize(
    ("frame", "spoil", "named"),
    [
        ("0.png", Path.unlink, "does not exist; mend it, say with --frames where the frames lie"),
        ("1.png", Path.unlink, "does not exist"),
        ("1.png", _unreadable, "could not be read"),
        ("1.png", _other_size, "32x32"),
        ("0.png", _other_size, "64x48"),
    ],
)
def test_a_broken_video_stops_the_run_or_is_passed_over(
    frame, spoil, named, quick, monkeypatch, dataset, tmp_path, capsys
):
    assert predict(monkeypatch, dataset, tmp_path / "a") == 0
    path = dataset.parent / "frames" / "v5" / frame
    image = path.read_bytes()
    spoil(path)
    capsys.readouterr()
    assert predict(monkeypatch, dataset, tmp_path / "b") == 2
    line = said(capsys)
    assert f"v5{os.sep}{frame}" in line and "(id 5)" in line and named in line and "--skip-broken" in line
    assert not (tmp_path / "b" / "results.json").exists()
    assert predict(monkeypatch, dataset, tmp_path / "b", "--skip-broken") == 3
    assert "1 broken video" in capsys.readouterr().err
    assert named in json.loads((tmp_path / "b" / "broken" / "5.json").read_text())["problem"]
    packed = json.loads((tmp_path / "b" / "results.json").read_text())
    assert {entry["video_id"] for entry in packed} == {11, 8}
    path.write_bytes(image)  # mended: the next run has it
    assert predict(monkeypatch, dataset, tmp_path / "b") == 0
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Give a bucket."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    yield system
    system.store.clear()
    assert not list((tmp_path / "tmp").iterdir())


def in_bucket(memory) -> dict[str, bytes]:
    return {name.removeprefix("/out/"): memory.cat_file(name) for name in sorted(memory.find("/out"))}


def test_to_a_bucket_as_to_a_folder(quick, monkeypatch, dataset, tmp_path, memory, capsys):
    assert predict(monkeypatch, dataset, tmp_path / "alone") == 0
    alone = content(tmp_path / "alone")
    assert predict(monkeypatch, dataset, "memory://out") == 0
    assert in_bucket(memory) == alone
    for name in ("results/5.json", "results.json", "submission.zip"):
        memory.rm_file(f"/out/{name}")
    kept = memory.modified("/out/results/11.json")
    capsys.readouterr()
    assert predict(monkeypatch, dataset, "memory://out") == 0
    assert in_bucket(memory) == alone and memory.modified("/out/results/11.json") == kept
    assert "1 now; 3 of 3 in the folder" in capsys.readouterr().out
    assert predict(monkeypatch, dataset, "memory://out", "--max-tracks", 3) == 2
    assert "memory://out holds results made with other settings: max_tracks was 8 and is now 3" in said(capsys)
    assert in_bucket(memory) == alone
    assert predict(monkeypatch, dataset, "memory://out", "--max-tracks", 3, "--restart") == 0
    assert in_bucket(memory).keys() == alone.keys() and in_bucket(memory) != alone


def test_shards_share_a_bucket(quick, monkeypatch, dataset, tmp_path, memory, capsys):
    assert predict(monkeypatch, dataset, tmp_path / "alone") == 0
    assert predict(monkeypatch, dataset, "memory://out", "--shard", "2/2") == 0
    assert "2 videos without results yet" in capsys.readouterr().out and len(in_bucket(memory)) == 2
    assert predict(monkeypatch, dataset, "memory://out", "--shard", "1/2") == 0
    assert in_bucket(memory) == content(tmp_path / "alone")


def test_a_broken_video_of_a_bucket(quick, monkeypatch, dataset, tmp_path, memory, capsys):
    frame = dataset.parent / "frames/v5/1.png"
    frame.write_bytes(b"no image")
    assert predict(monkeypatch, dataset, "memory://out", "--skip-broken") == 3
    assert "v5" in json.loads(in_bucket(memory)["broken/5.json"])["name"] and "results.json" in in_bucket(memory)
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(frame)
    assert predict(monkeypatch, dataset, "memory://out", "--skip-broken") == 0
    assert "broken/5.json" not in in_bucket(memory) and "results/5.json" in in_bucket(memory)


def test_a_bucket_without_its_library_is_one_line_before_any_work(quick, monkeypatch, dataset, capsys):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.setattr(load, "load_model", lambda *args, **kwargs: pytest.fail("nothing is loaded"))
    assert predict(monkeypatch, dataset, "s3://results/own") == 2
    assert "pip install s3fs" in said(capsys)


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (["--labels", "dog, horse"], "'horse' is no category"),
        (["--labels", "traffic light, Traffic_Light"], "same category"),
        (["--shard", "3/2"], "shard '3/2'"),
        (["--model", "clip-vis-r5"], "clip-vis-r50"),
        (["--prompts", "gone.txt"], "gone.txt"),
        (["--text-embeddings", "gone.npy"], "gone.npy"),
        (["--text-rows", "lvvis"], "--text-rows says"),
        (["--batch", "0"], "batch"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(more, named, quick, monkeypatch, dataset, tmp_path, capsys):
    assert predict(monkeypatch, dataset, tmp_path / "a", *more) == 2
    assert named in said(capsys)
    assert [p.name for p in tmp_path.iterdir()] == ["data"]


def test_a_missing_dataset_is_one_line(quick, monkeypatch, tmp_path, capsys):
    assert predict(monkeypatch, tmp_path / "gone.json", tmp_path / "a") == 2
    assert "gone.json" in said(capsys)


def test_a_subset_of_the_categories(quick, monkeypatch, dataset, tmp_path):
    assert predict(monkeypatch, dataset, tmp_path / "a", "--labels", "cat|kitten, Traffic Light") == 0
    entries = json.loads((tmp_path / "a" / "results.json").read_text())
    assert {entry["category_id"] for entry in entries} <= {9, 2}


def test_a_category_that_only_stands_above_others_is_not_asked_for(quick, monkeypatch, dataset, tmp_path, capsys):
    root = json.loads(dataset.read_text())
    code = {"size": [48, 64], "counts": [3072]}
    root["annotations"] = [{"id": 1, "video_id": 5, "category_id": 4, "segmentations": [code, None]}]
    root["categories"].insert(0, {"id": 0, "name": "Animals", "supercategory": "none"})
    root["categories"][1]["supercategory"] = "animals"
    dataset.write_text(json.dumps(root))
    assert predict(monkeypatch, dataset, tmp_path / "a") == 0
    assert "not asked for: 'Animals'" in capsys.readouterr().err
    settings = json.loads((tmp_path / "a" / "settings.json").read_text())
    assert settings["categories"] == [[4, "dog"], [2, "traffic_light"], [9, "cat"]]
    assert predict(monkeypatch, dataset, tmp_path / "b", "--labels", "animals, dog") == 0
    assert "not asked for" not in capsys.readouterr().err
    assert [row[0] for row in json.loads((tmp_path / "b" / "settings.json").read_text())["categories"]] == [0, 4]


def test_categories_that_differ_by_case_alone(quick, monkeypatch, dataset, tmp_path, capsys):
    root = json.loads(dataset.read_text())
    root["categories"].append({"id": 1, "name": "Dog"})
    dataset.write_text(json.dumps(root))
    assert predict(monkeypatch, dataset, tmp_path / "a") == 2
    line = said(capsys)
    assert "the dataset's categories 'dog' (id 4) and 'Dog' (id 1)" in line and "--labels" in line
    assert predict(monkeypatch, dataset, tmp_path / "a", "--labels", "dog, cat") == 0


def test_wrong_entries_are_passed_over_as_asked(quick, monkeypatch, dataset, tmp_path, capsys):
    root = json.loads(dataset.read_text())
    root["videos"].append(root["videos"][0] | {"height": "high"})
    dataset.write_text(json.dumps(root))
    assert predict(monkeypatch, dataset, tmp_path / "a") == 2
    assert "videos[3].id must be the only 11" in said(capsys)
    assert predict(monkeypatch, dataset, tmp_path / "a", "--skip-broken") == 0
    assert "1 left out: duplicate id" in capsys.readouterr().err


def test_images_make_cocos_results(quick, monkeypatch, tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    images = []
    for id, (height, width) in {30: (40, 56), 4: (64, 48)}.items():
        pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{id}.png")
        images.append({"id": id, "height": height, "width": width, "file_name": f"{id}.png"})
    path = tmp_path / "two.json"
    path.write_text(json.dumps({"images": images, "categories": [{"id": 3, "name": "dog"}], "annotations": []}))
    assert predict(monkeypatch, path, tmp_path / "out", "--frames", tmp_path / "images") == 0
    entries = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {(e["image_id"], *e["segmentation"]["size"]) for e in entries} == {(30, 40, 56), (4, 64, 48)}
    assert all(coco.decode(entry["segmentation"]).shape == tuple(entry["segmentation"]["size"]) for entry in entries)


# Real processes.

KILLS = ["frame:2", "entry:3", "flush:3", "name:2", "frame:3", "entry:5", "packing:9", "name:4", "archive:2"]


class Tiny:
    """The command on a tiny network, each run in a process of its own."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "OVVIS_CACHE": str(folder / "cache"), "PYTHONWARNINGS": "ignore"}
        self.log = (folder / "log.txt").open("w+")
        self._parent = subprocess.Popen(
            [sys.executable, str(TINY)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )

    def run(self, place: str, words: list[str]) -> int:
        """Run the command and return its exit status; -9 after SIGKILL."""
        assert self._parent.stdin and self._parent.stdout
        print(json.dumps([place, *words]), file=self._parent.stdin, flush=True)
        return int(self._parent.stdout.readline())

    def end(self) -> None:
        self._parent.communicate(timeout=60)
        self.log.close()


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_again_and_again(dataset, tmp_path):
    """SIGKILL in the network, in writing, before and after a file has its name, in packing: nothing lost or twice."""
    tiny = Tiny(tmp_path)
    assert tiny.run("never", arguments(dataset, tmp_path / "a")) == 0
    done: dict[str, tuple[int, bytes]] = {}
    leftovers = set()
    for place in KILLS:
        assert tiny.run(place, arguments(dataset, tmp_path / "b")) == -signal.SIGKILL, place
        leftovers |= {p.name.partition(".partial")[0] for p in (tmp_path / "b").rglob(".*.partial*")}
        now = {p.name: (p.stat().st_mtime_ns, p.read_bytes()) for p in (tmp_path / "b" / "results").glob("*.json")}
        assert now.items() >= done.items(), place  # what was finished is not touched again
        done = now
        for name, (_, data) in done.items():
            assert data == (tmp_path / "a" / "results" / name).read_bytes(), place
    assert len(done) == 3
    assert leftovers >= {".11.json", ".5.json", ".8.json", ".results.json", ".submission.zip"}  # each was cut off
    assert tiny.run("never", arguments(dataset, tmp_path / "b")) == 0
    tiny.end()
    assert content(tmp_path / "a") == content(tmp_path / "b")
