"""Each export, read by the format's own tool, or by its documented rule where that tool is no library."""

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from exported import SIZE, dense, frames, result
from ovvis.outputs.export import export
from ovvis.outputs.formats.id_maps import palette
from ovvis.outputs.formats.label_studio import packed, unpacked
from ovvis.structures import one_label_each

SHOWN = [track for track in one_label_each(result().tracks) if track.score >= 0.3]
T = 4


def written(tmp_path, name, suffix="", **options):
    return export(result(), name, tmp_path / f"out{suffix}", **options).path


def flat(position):
    """Return the truth where a pixel is one instance's: the better one's."""
    out = np.zeros(SIZE, dtype=int)
    for track in reversed(SHOWN):
        for id, mask in dense([track], position).items():
            out[mask] = id
    return out


def same(found, position, expected=None):
    expected = dense(SHOWN, position) if expected is None else expected
    assert found.keys() == expected.keys()
    assert all((found[id] == expected[id]).all() for id in found)


def test_davis_is_a_palette_image(tmp_path):
    home = written(tmp_path, "davis", source=frames())
    for position, index in enumerate((0, 2, 4, 6)):
        with Image.open(home / f"Annotations/my-video/{index:05d}.png") as image:
            assert image.mode == "P" and bytes(image.getpalette())[:12] == palette()[:12]
            assert (np.asarray(image) == flat(position)).all()
        with Image.open(home / f"JPEGImages/my-video/{index:05d}.jpg") as image:
            assert abs(int(np.asarray(image)[..., 0].mean()) - 20 * index) < 8
    assert palette()[3:12] == bytes([128, 0, 0, 0, 128, 0, 128, 128, 0])  # as DAVIS has them
    assert json.loads((home / "names.json").read_text()) == {"my-video": {"3": "dog", "7": "cat"}}


def test_one_png_an_object(tmp_path):
    home = written(tmp_path, "masks") / "Annotations/my-video"
    folders = {"003-dog": 3, "007-cat": 7}
    assert {path.name for path in home.iterdir()} == set(folders)
    for position, index in enumerate((0, 2, 4, 6)):
        found = {id: np.asarray(Image.open(home / name / f"{index:05d}.png")) == 255 for name, id in folders.items()}
        same({id: mask for id, mask in found.items() if mask.any()}, position)


def quietly(make):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("builtins.print", lambda *_, **__: None)
        return make()


def test_coco_by_pycocotools(tmp_path):
    home = written(tmp_path, "coco")
    coco = quietly(lambda: COCO(home / "annotations.json"))
    assert [image["file_name"] for image in coco.loadImgs([1, 2])] == ["my-video/00000.jpg", "my-video/00002.jpg"]
    for position in range(T):
        entries = coco.loadAnns(coco.getAnnIds(imgIds=position + 1))
        same({entry["instance_id"]: coco.annToMask(entry).astype(bool) for entry in entries}, position)
        assert all(entry["area"] == coco_masks.area(coco.annToRLE(entry)) for entry in entries)
        assert {coco.cats[entry["category_id"]]["name"] for entry in entries} <= {"dog", "cat"}
    results = written(tmp_path, "coco-results", ".json")
    loaded = quietly(lambda: coco.loadRes(str(results)))
    assert len(loaded.anns) == 3 + 2 + 2 + 4  # every label, every score
    assert loaded.anns[1]["bbox"] == [2.0, 2.0, 12.0, 10.0]


def test_youtube_vis_by_trackeval(tmp_path):
    datasets = pytest.importorskip("trackeval.datasets")
    truth, found = tmp_path / "youtube_vis_own", tmp_path / "found_youtube_vis_own" / "mine" / "data"
    truth.mkdir(parents=True)
    found.mkdir(parents=True)
    home = written(tmp_path, "youtube-vis", best=True)
    shutil.copy(home / "annotations.json", truth / "gt.json")
    export(result(), "youtube-vis-results", found / "results.json")
    settings = {
        "GT_FOLDER": f"{tmp_path}/",  # it adds youtube_vis_ and the split
        "TRACKERS_FOLDER": f"{tmp_path}/found_",
        "SPLIT_TO_EVAL": "own",
        "PRINT_CONFIG": False,
    }
    data = quietly(lambda: datasets.YouTubeVIS(settings))
    raw = quietly(lambda: data.get_raw_seq_data("mine", data.seq_list[0]))
    assert raw["num_timesteps"] == T
    for position in range(T):
        got = [coco_masks.decode(mask).astype(bool) for mask in raw["gt_dets"][position]]
        expected = dense(SHOWN, position)
        assert sorted(int(mask.sum()) for mask in got) == sorted(int(mask.sum()) for mask in expected.values())


@pytest.mark.parametrize("kind", ["mots", "kitti-mots"])
def test_mots_by_trackeval(tmp_path, kind):
    datasets = pytest.importorskip("trackeval.datasets")
    named = result(labels=("pedestrian", "car", "wild cat"), tracks=[])
    names = {"cat": "pedestrian", "dog": "car", "wild cat": "wild cat"}
    kinds = type(result().tracks[0])
    named.tracks = [kinds(t.id, names[t.label], t.label_index, t.score, t.top_labels, t.masks) for t in result().tracks]
    home = export(named, kind, tmp_path / "gt").path
    (tmp_path / "found" / "mine").mkdir(parents=True)
    file = home / ("my-video/gt/gt.txt" if kind == "mots" else "instances_txt/my-video.txt")
    (tmp_path / "found" / "mine" / "my-video.txt").write_bytes(file.read_bytes())
    settings = {
        "GT_FOLDER": str(home),
        "TRACKERS_FOLDER": str(tmp_path / "found"),
        "TRACKER_SUB_FOLDER": "",
        "SEQ_INFO": {"my-video": T},
        "SKIP_SPLIT_FOL": True,
        "PRINT_CONFIG": False,
        "GT_LOC_FORMAT": str(file).replace("my-video", "{seq}"),
    }
    if kind == "kitti-mots":
        settings["SEQMAP_FOLDER"] = str(home)
        shutil.copy(home / "seqmap.txt", home / "evaluate_mots.seqmap.val")
        settings["SPLIT_TO_EVAL"] = "val"
    data = quietly(lambda: (datasets.MOTSChallenge if kind == "mots" else datasets.KittiMOTS)(settings))
    raw = quietly(lambda: data.get_raw_seq_data("mine", "my-video"))
    for position in range(T):
        ids = [int(id) for id in raw["gt_ids"][position]]
        got = [coco_masks.decode(mask).astype(bool) for mask in raw["gt_dets"][position]]
        truth = flat(position)
        expected = {1003: truth == 3, 2007: truth == 7}
        same(dict(zip(ids, got, strict=True)), position, {id: mask for id, mask in expected.items() if mask.any()})
        assert raw["similarity_scores"][position].diagonal().tolist() == [1.0] * len(ids)


def test_mot_by_trackeval(tmp_path):
    datasets = pytest.importorskip("trackeval.datasets")
    home = written(tmp_path, "mot")
    (tmp_path / "found" / "mine").mkdir(parents=True)
    shutil.copy(home / "my-video.txt", tmp_path / "found" / "mine" / "my-video.txt")
    settings = {
        "GT_FOLDER": str(home),
        "TRACKERS_FOLDER": str(tmp_path / "found"),
        "TRACKER_SUB_FOLDER": "",
        "SEQ_INFO": {"my-video": None},  # its length is read from seqinfo.ini
        "SKIP_SPLIT_FOL": True,
        "PRINT_CONFIG": False,
    }
    data = quietly(lambda: datasets.MotChallenge2DBox(settings))
    raw = quietly(lambda: data.get_raw_seq_data("mine", "my-video"))
    assert raw["num_timesteps"] == T
    assert [ids.tolist() for ids in raw["gt_ids"]] == [[3], [3, 7], [7], [3]]
    assert raw["tracker_dets"][1][1].tolist() == [11, 7, 14, 14]  # the format counts from 1
    assert raw["tracker_confidences"][1].tolist() == [0.9, 0.8]
    assert raw["gt_classes"][1].tolist() == [2, 1] and raw["tracker_classes"][1].tolist() == [-1, -1]


def test_csv(tmp_path):
    path = written(tmp_path, "csv", ".csv")
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert [(row["frame"], row["id"], row["label"]) for row in rows][:2] == [("0", "3", "dog"), ("2", "3", "dog")]
    assert (rows[0]["x"], rows[0]["y"], rows[0]["width"], rows[0]["height"], rows[0]["area"]) == (
        "2", "2", "12", "10", "111",
    )  # fmt: skip
    for position, index in enumerate((0, 2, 4, 6)):
        found = {}
        for row in rows:
            size, _, code = row["mask"].partition(":")
            if row["frame"] == str(index):
                mask = {"size": list(map(int, size.split("x"))), "counts": code.encode()}
                found[int(row["id"])] = coco_masks.decode(mask).astype(bool)
        same(found, position)


def painted(corners, size):
    """Paint a polygon as OpenCV does for Ultralytics: what it encloses by the even-odd rule, and its outline."""
    height, width = size
    x, y = (corners * (width, height)).astype(int).T  # polygon2mask cuts to whole pixels
    columns = np.arange(width)
    inside = np.zeros(size, dtype=bool)
    x0, y0, x1, y1 = x, y, np.roll(x, -1), np.roll(y, -1)
    for r in range(height):
        crossing = ((y0 <= r) & (y1 > r)) | ((y1 <= r) & (y0 > r))
        at = x0[crossing] + (r - y0[crossing]) * (x1 - x0)[crossing] / (y1 - y0)[crossing]
        inside[r] = (at[:, None] <= columns).sum(0) % 2 == 1
    for a, b, c, d in zip(x0, y0, x1, y1, strict=True):
        steps = max(abs(c - a), abs(d - b), 1)
        line = np.rint(np.linspace((a, b), (c, d), steps + 1)).astype(int)
        line = line[(line[:, 0] < width) & (line[:, 1] < height)]
        inside[line[:, 1], line[:, 0]] = True
    return inside


def test_yolo_by_its_documented_rule(tmp_path):
    """Class, then x and y from 0 to 1. Exact as COCO's tools draw polygons; OpenCV paints the outline too."""
    home = written(tmp_path, "yolo", source=frames())
    assert sorted(path.name for path in (home / "images/train").iterdir())[0] == "my-video_00000.jpg"
    assert "names:\n  0: cat\n  1: dog\n  2: wild cat\n" in (home / "data.yaml").read_text()
    overlaps = []
    for position, index in enumerate((0, 2, 4, 6)):
        lines = (home / f"labels/train/my-video_{index:05d}.txt").read_text().splitlines()
        expected = list(dense(SHOWN, position).items())
        assert [int(line.split()[0]) for line in lines] == [{3: 1, 7: 0}[id] for id, _ in expected]
        for line, (_, mask) in zip(lines, expected, strict=True):
            corners = np.array(line.split()[1:], dtype=float).reshape(-1, 2)
            assert corners.min() >= 0 and corners.max() <= 1
            pixels = (corners * SIZE[::-1]).ravel().tolist()
            assert (coco_masks.decode(coco_masks.frPyObjects([pixels], *SIZE))[..., 0].astype(bool) == mask).all()
            drawn = painted(corners, SIZE)
            overlaps.append((drawn & mask).sum() / (drawn | mask).sum())
    assert min(overlaps) > 0.7  # of objects of ten pixels, which have the longest outline for their area


@pytest.mark.parametrize("seed", range(4))
def test_label_studios_code(seed):
    random = np.random.default_rng(seed)
    for mask in (random.random((9, 13)) < 0.5, np.ones((300, 310), dtype=bool), np.zeros((1, 1), dtype=bool)):
        code = packed(mask)
        assert (unpacked(code, mask.shape) == mask).all()


def test_label_studios_code_by_its_own_decoder():
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    mask = np.random.default_rng(0).random((9, 13)) < 0.5
    assert (brush.decode_rle(packed(mask)).reshape(9, 13, 4)[..., 3] == mask * 255).all()
    assert packed(mask) == brush.encode_rle(np.repeat(mask.ravel() * np.uint8(255), 4))


def test_label_studio_tasks(tmp_path):
    home = written(tmp_path, "label-studio")
    tasks = json.loads((home / "tasks.json").read_text())
    config = ElementTree.parse(home / "config.xml").getroot()
    names = {label.get("value") for label in config.iter("Label")}
    for position, task in enumerate(tasks):
        regions = task["predictions"][0]["result"]
        found = {}
        for region in regions:
            assert region["from_name"] == config.find("BrushLabels").get("name")
            assert (
                region["to_name"] == config.find("Image").get("name") and set(region["value"]["brushlabels"]) <= names
            )
            track = int(region["meta"]["text"][0].removeprefix("track "))
            found[track] = unpacked(region["value"]["rle"], (region["original_height"], region["original_width"]))
        same(found, position)
    assert tasks[1]["data"]["image"] == "/data/local-files/?d=my-video/00002.jpg"


def test_cvat_by_its_documented_rule(tmp_path):
    """https://docs.cvat.ai/docs/other/xml_format: a mask is a box and run lengths in it, row by row, from 0 on."""
    home = written(tmp_path, "cvat")
    root = ElementTree.parse(home / "annotations.xml").getroot()
    assert root.findtext("version") == "1.1"
    for position, image in enumerate(root.iterfind("image")):
        found = {}
        for shape in image:
            left, top, width, height = (int(shape.get(key)) for key in ("left", "top", "width", "height"))
            runs = list(map(int, shape.get("rle").split(",")))
            inside = np.concatenate([np.full(run, i % 2 == 1) for i, run in enumerate(runs)]).reshape(height, width)
            mask = np.zeros(SIZE, dtype=bool)
            mask[top : top + height, left : left + width] = inside
            found[int(shape.find("attribute").text)] = mask
        same(found, position)
    labels = json.loads((home / "labels.json").read_text())
    assert [label["name"] for label in labels] == ["cat", "dog"]
    assert labels[0]["attributes"][0]["name"] == "track_id"


def test_cvat_video(tmp_path):
    root = ElementTree.parse(written(tmp_path, "cvat-video") / "annotations.xml").getroot()
    dog, cat = root.iterfind("track")
    facts = [(shape.get("frame"), shape.get("outside"), shape.get("keyframe")) for shape in dog]
    assert facts == [("0", "0", "1"), ("2", "0", "1"), ("4", "1", "1"), ("6", "0", "1")]
    assert [shape.get("outside") for shape in cat] == ["0", "0", "1"]


def test_crops(tmp_path):
    home = written(tmp_path, "crops-transparent", source=frames())
    with Image.open(home / "003-dog/00000.png") as image:
        pixels, mask = np.asarray(image), dense(SHOWN, 0)[3][2:12, 2:14]
    assert (pixels[..., 3] == mask * 255).all() and (pixels[mask][:, 2] == 90).all() and not pixels[~mask].any()
    home = export(result(), "crops", tmp_path / "plain", source=frames()).path
    with Image.open(home / "007-cat/00002.jpg") as image:
        assert image.size == (14, 14) and abs(float(np.asarray(image)[..., 2].mean()) - 90) < 6


@pytest.mark.parametrize(
    ("suffix", "codec", "decoder"), [(".webm", "vp9", "libvpx-vp9"), (".mov", "prores", None)], ids=["webm", "mov"]
)
def test_cutout_has_alpha(tmp_path, suffix, codec, decoder):
    path = written(tmp_path, "cutout", suffix, source=frames())
    pictures = []
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name == codec
        reader = av.CodecContext.create(decoder, "r") if decoder else stream.codec_context
        for packet in file.demux(stream):
            pictures += [frame.to_ndarray(format="rgba") for frame in reader.decode(packet)]
    assert len(pictures) == T
    for position, picture in enumerate(pictures):
        inside = np.any([*dense(SHOWN, position).values()], axis=0)
        seen = picture[..., 3] > 127
        assert (seen & inside).sum() / (seen | inside).sum() > 0.97
    if shutil.which("ffprobe"):
        told = subprocess.run(
            ["ffprobe", "-v", "error", "-show_streams", "-of", "json", path], capture_output=True, check=True
        )
        stream = json.loads(told.stdout)["streams"][0]
        assert (stream["width"], stream["height"]) == SIZE[::-1]
        assert stream["pix_fmt"].startswith("yuva") or stream["tags"].get("alpha_mode") == "1"


def test_a_cutout_for_each(tmp_path):
    home = written(tmp_path, "cutouts", source=list(frames()))
    assert sorted(path.name for path in home.iterdir()) == ["003-dog.webm", "007-cat.webm"]
    for path in home.iterdir():
        with av.open(str(path)) as file:
            assert sum(1 for _ in file.decode(video=0)) == T


@pytest.fixture
def fiftyone():
    """FiftyOne, and a database that speaks MongoDB's protocol (CONTRIBUTING.md)."""
    package = pytest.importorskip("fiftyone")
    try:
        package.list_datasets()
    except Exception as error:  # of FiftyOne, of MongoDB
        pytest.skip(f"FiftyOne has no database here: {str(error).partition(chr(10))[0]}")
    return package


def test_fiftyone(tmp_path, fiftyone):
    home = written(tmp_path, "fiftyone", source=frames())
    assert fiftyone.list_datasets() == []  # what the export needed is gone
    dataset = fiftyone.Dataset.from_dir(str(home), dataset_type=fiftyone.types.FiftyOneDataset)
    try:
        sample = dataset.first()
        dataset.compute_metadata()
        assert (dataset.first().metadata.total_frame_count, len(sample.frames)) == (4, 4)
        for position in range(4):
            frame, truth = sample.frames[position + 1], dense(SHOWN, position)
            assert frame.source_frame == 2 * position
            found = {d.index: d for d in frame.detections.detections}
            assert found.keys() == truth.keys()
            for id, detection in found.items():
                mask = detection.to_segmentation(frame_size=SIZE[::-1], target=1).mask
                assert (mask.astype(bool) == truth[id]).all()
                assert (detection.label, detection.confidence) == {3: ("dog", 0.9), 7: ("cat", 0.8)}[id]
    finally:
        dataset.delete()


def test_coco_by_fiftyone(tmp_path, fiftyone):
    home = written(tmp_path, "coco", source=frames())
    dataset = fiftyone.Dataset.from_dir(
        data_path=str(home / "JPEGImages"),
        labels_path=str(home / "annotations.json"),
        dataset_type=fiftyone.types.COCODetectionDataset,
        label_types=["segmentations"],
        extra_attrs=False,
    )
    try:
        labelled = {Path(s.filepath).stem: s.ground_truth.detections for s in dataset if s.ground_truth}
        assert {name: [(d.label, d.confidence) for d in found] for name, found in labelled.items()} == {
            "00000": [("dog", 0.9)],
            "00002": [("dog", 0.9), ("cat", 0.8)],
            "00004": [("cat", 0.8)],
            "00006": [("dog", 0.9)],
        }
    finally:
        dataset.delete()
