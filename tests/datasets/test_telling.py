"""Which format a file or folder has, and what the verbs make of it that nobody told one."""

import json

import pytest

from ovvis.comparing import opening
from ovvis.datasets.telling import tell_format
from ovvis.detections import read
from ovvis.errors import InputError

IMAGES = '{"images": [{"id": 1}], "annotations": [], "videos": []}'
MOTS = "1 1001 1 20 30 abc\n"
LONG = '"counts": "' + 9000 * "0" + '"'  # of a mask, before a result says of what it is

# files by name; what they are; what `ovvis compare` takes them for; what `ovvis track` does
CASES = [
    ({"a.csv": "frame,id"}, "csv", "csv", "csv"),
    ({"a.json": '\ufeff {"format": "ovvis-tracks"'}, "tracks", "tracks", "tracks"),
    ({"a.json": IMAGES}, "coco", "coco", "coco"),
    ({"a.json": '{"videos": [], "annotations": []}'}, "youtube-vis", "youtube-vis", "coco"),
    ({"a.json": "[]"}, "youtube-vis-results", "results", "coco"),
    ({"a.json": '[{"video_id" : 3'}, "youtube-vis-results", "results", "coco"),
    ({"a.json": '[{"segmentations": [{' + LONG}, "youtube-vis-results", "results", "coco"),
    ({"a.json": '[{"image_id": 3, "bbox": [1, 2, 3, 4]}]'}, "coco-results", "results", "coco"),
    ({"a.json": '[{"segmentation": {' + LONG + '}, "image_id": 3}]'}, "coco-results", "results", "coco"),
    ({"a.json": '[{"id": 1, "data": {"image": "a.jpg"}, "annotations": []}]'}, *3 * ["label-studio"]),
    ({"a.json": '[{"score": 1}]'}, None, None, "coco"),  # whose reader says what is missing
    ({"a.xml": "<annotations><meta/><image id='0'>"}, *3 * ["cvat"]),
    ({"a.xml": "<annotations><track id='0'>"}, *3 * ["cvat-video"]),
    ({"a.html": "<html>"}, None, None, None),
    ({"a.txt": MOTS}, None, None, None),
    ({"tracks.json": "{}", "results.json": "[]"}, "tracks", "tracks", "tracks"),
    ({"results.json": "[]", "annotations.json": IMAGES}, "coco", "results", "coco"),
    ({"results/1.json": "[]"}, None, "results", None),
    ({"a.zip": "PK"}, None, "results", None),
    ({"tasks.json": "[]", "images/1.png": ""}, *3 * ["label-studio"]),
    ({"annotations.xml": "<annotations><image id='0'>", "labels.json": "[]"}, *3 * ["cvat"]),
    ({"annotations.json": IMAGES, "JPEGImages/dog/1.jpg": ""}, "coco", "coco", "coco"),
    ({"data.yaml": "names: [dog]", "labels/train/1.txt": "", "images/train/1.png": ""}, *3 * ["yolo"]),
    ({"labels/1.txt": "", "images/1.png": ""}, *3 * ["yolo"]),
    ({"predict/labels/1.txt": ""}, None, None, "yolo"),
    ({"dog/gt/gt.txt": MOTS, "dog/seqinfo.ini": ""}, *3 * ["mots"]),
    ({"gt/gt.txt": "1,1,10,10,5,5,1,1,1\n"}, None, None, "yolo"),  # boxes alone
    ({"instances_txt/dog.txt": MOTS, "seqmap.txt": ""}, *3 * ["kitti-mots"]),
    ({"Annotations/dog/1.png": "", "names.json": "{}", "README.txt": ""}, "davis", "davis", "id-maps"),
    ({"labels/1.png": "", "images/1.jpg": ""}, "davis", "davis", "id-maps"),
    ({"Annotations/dog/.keep": "", "1.png": ""}, None, None, "id-maps"),
    ({"1.png": "", "1.txt": ""}, None, None, None),
    ({"a/b.md": ""}, None, None, None),
]


@pytest.mark.parametrize(("files", "told", "compared", "tracked"), CASES)
def test_formats_are_told(tmp_path, files, told, compared, tracked):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    alone = len(files) == 1 and "/" not in next(iter(files))
    place = tmp_path / next(iter(files)) if alone else tmp_path
    assert tell_format(place) == told
    for guess_format, wanted in ((opening.guess_format, compared), (read.guess_format, tracked)):
        if wanted is None:
            with pytest.raises(InputError, match="cannot be told: say it"):
                guess_format(place)
        else:
            assert guess_format(place) == wanted


def test_a_folder_of_coco_annotations_holds_detections(tmp_path):
    entry = {"image_id": 1, "category_id": 1, "bbox": [2, 3, 5, 5], "score": 0.5}
    whole = {"images": [{"id": 1, "frame_id": 0}], "categories": [], "annotations": [entry]}
    (tmp_path / "annotations.json").write_text(json.dumps(whole))
    sheet = read.read_detections(tmp_path, read.Video((20, 30), 1))
    assert sheet.at(0).boxes().tolist() == [[2, 3, 5, 5]]
