"""Datasets and results as strangers bring them: two videos with perfect results, bent; what the commands say."""

import json

import numpy as np
import pytest
from PIL import Image

from command import call
from ovvis.evaluation.rules import RULES
from ovvis.masks import encode

HEIGHT, WIDTH, FRAMES = 12, 16, 3


def square(x):
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[3:9, x : x + 6] = True
    return mask


def code(mask):
    return {"size": [HEIGHT, WIDTH], "counts": encode(mask)["counts"].decode()}


def toy():
    truth = {
        "videos": [
            {"id": i, "height": HEIGHT, "width": WIDTH, "file_names": [f"{name}/{t}.png" for t in range(FRAMES)]}
            for i, name in enumerate("ab", 1)
        ],
        "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}],
        "annotations": [
            {"id": i, "video_id": i, "category_id": i, "segmentations": [code(square(2 + t)) for t in range(FRAMES)]}
            for i in (1, 2)
        ],
    }
    results = [
        {key: annotation[key] for key in ("video_id", "category_id", "segmentations")} | {"score": 0.9}
        for annotation in truth["annotations"]
    ]
    return truth, results


@pytest.fixture
def scored(monkeypatch, tmp_path, capsys):
    """Return what evaluates a bent dataset: exit code, AP in percent (None without one), what was told."""
    for name in "ab":
        (tmp_path / "JPEGImages" / name).mkdir(parents=True)
        for t in range(FRAMES):
            Image.fromarray(square(2 + t)).save(tmp_path / "JPEGImages" / name / f"{t}.png")

    def run(bend=lambda truth, results: None, *options, text=json.dumps):
        truth, results = toy()
        bend(truth, results)
        (tmp_path / "own.json").write_text(text(truth))
        (tmp_path / "res.json").write_text(text(results))
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        left = call(monkeypatch, "evaluate", tmp_path / "own.json", tmp_path / "res.json", "--output", out, *options)
        told = capsys.readouterr().err
        figures = json.loads((out / "metrics.json").read_text())["metrics"]["all"] if out.exists() else {}
        return left, figures and round(100 * figures["AP"]), told

    return run


def test_perfect_results(scored):
    assert scored() == (0, 100, "")


def from_0(truth, results):
    for i, annotation in enumerate(truth["annotations"]):
        annotation["id"] = i


@pytest.mark.parametrize("rules", [name for name in RULES if name != "lvis"])  # those are for images
def test_annotations_from_0(scored, rules):
    """The evaluators' own figure, and why it is not 100, and how it is."""
    left, figure, told = scored(from_0, "--rules", rules, "--no-hota")
    assert (left, figure) == (0, 50)
    assert "an annotation has the id 0" in told and "--renumber" in told
    assert scored(from_0, "--rules", rules, "--no-hota", "--renumber") == (0, 100, "")


def test_check_tells_of_annotations_from_0(scored, monkeypatch, tmp_path, capsys):
    scored(from_0)
    assert call(monkeypatch, "datasets", "check", tmp_path / "own.json") == 0
    told = capsys.readouterr()
    assert "an annotation has the id 0" in told.err and "nothing is wrong" in told.out


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"video_id": 77}, "unknown video"),
        ({"category_id": 77}, "unknown category"),
        ({"segmentations": [None]}, "frame counts differ"),
        ({"segmentations": [code(square(2)), None, code(square(2)) | {"counts": "0"}]}, "damaged mask"),
    ],
)
def test_a_bad_annotation(scored, change, kind):
    def bend(truth, results):
        truth["annotations"][0] |= change

    left, figure, told = scored(bend)
    assert (left, figure) == (2, {}) and "annotations[0]" in told and len(told.splitlines()) == 1
    left, figure, told = scored(bend, "--skip-bad")
    assert (left, figure) == (0, 100)
    assert f"1 left out: {kind} (" in told and "own.json: field annotations[0]" in told


@pytest.mark.parametrize(
    "change",
    [
        {"video_id": 77},
        {"score": float("nan")},
        {"segmentations": "x"},
        {"segmentations": [{"size": [1, 1], "counts": "1"}]},
    ],
)
def test_a_bad_result(scored, change):
    def bend(truth, results):
        results.append(results[0] | change)

    left, _, told = scored(bend)
    assert left == 2 and "[2]" in told and len(told.splitlines()) == 1
    left, figure, told = scored(bend, "--skip-bad")
    assert (left, figure) == (0, 100)
    assert "1 " in told and "left out" in told and "res.json: field [2]" in told


def no_number(truth, results):
    truth["info"] = results[0]["more"] = float("nan")


def numbers_as_text(truth, results):
    truth["videos"][0]["id"] = results[0]["video_id"] = "1"
    truth["categories"][1]["id"] = results[1]["category_id"] = 2.0


@pytest.mark.parametrize("bend", [lambda truth, results: None, no_number, numbers_as_text])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_what_does_no_harm(scored, bend, mark):
    assert scored(bend, text=lambda root: mark + json.dumps(root)) == (0, 100, "")


def test_frames_as_images(scored):
    def bend(truth, results):
        frames = [
            {"id": 10 * video["id"] + t, "video_id": video["id"], "frame_id": t, "file_name": name}
            for video in truth["videos"]
            for t, name in enumerate(video.pop("file_names"))
        ]
        truth["images"] = frames[::-1]
        truth["annotations"] = [
            {"id": 0, "image_id": 10 * a["video_id"] + t, "instance_id": 0, "category_id": a["category_id"]}
            | {"segmentation": segmentation}
            for a in truth["annotations"]
            for t, segmentation in enumerate(a["segmentations"])
        ]

    assert scored(bend) == (0, 100, "")


@pytest.mark.parametrize("of_truth", [True, False])
def test_boxes_alone(scored, of_truth):
    def bend(truth, results):
        for entry in truth["annotations"] if of_truth else results:
            entry["bboxes"] = [[0, 0, 2, 2]] * len(entry.pop("segmentations"))

    left, _, told = scored(bend)
    assert left == 2 and "masks are missing" in told if of_truth else "the result is a box alone" in told


def test_a_category_that_only_stands_above_others(scored):
    def bend(truth, results):
        truth["categories"].append({"id": 0, "name": "animals"})
        for category in truth["categories"][:2]:
            category["supercategory"] = "animals"
        results.append(results[0] | {"category_id": 0})

    assert scored(bend) == (0, 100, "")
