"""What detectors write, and what strangers write in their place."""

import json

import numpy as np
import pytest
from PIL import Image

from ovvis import masks
from ovvis.detections.read import guess_format, read_detections
from ovvis.detections.sheet import Video
from ovvis.errors import InputError
from ovvis.outputs.formats.tracks_json import save_tracks
from ovvis.structures import Track, VideoResult

SIZE = (20, 30)
VIDEO = Video(SIZE, 4)


def square(x, y, side):
    mask = np.zeros(SIZE, dtype=bool)
    mask[y : y + side, x : x + side] = True
    return masks.encode(mask)


def written(code):
    return {"size": code["size"], "counts": code["counts"].decode()}


def entry(image, score=0.9, category=1, **parts):
    parts = parts or {"segmentation": written(square(2, 3, 5))}
    return {"image_id": image, "category_id": category, "score": score, **parts}


def coco(tmp_path, entries, name="results.json"):
    file = tmp_path / name
    file.write_text(json.dumps(entries))
    return file


def boxes(sheet, frame):
    return sheet.at(frame).boxes().tolist()


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ({"segmentation": written(square(2, 3, 5))}, [2, 3, 5, 5]),
        ({"segmentation": {"size": list(SIZE), "counts": [43, 5, 552]}}, [2, 3, 1, 5]),
        ({"segmentation": [[2, 3, 7, 3, 7, 8, 2, 8]]}, [2, 3, 5, 5]),
        ({"bbox": [2, 3, 5, 5]}, [2, 3, 5, 5]),
        ({"bbox": [2.4, 2.6, 5, 5.2]}, [2, 3, 5, 5]),  # pixels whose centres lie within
        ({"segmentation": [], "bbox": [2, 3, 5, 5]}, [2, 3, 5, 5]),
        ({"bbox": [-4, -2, 10, 8]}, [0, 0, 6, 6]),  # cut at the edge
    ],
)
def test_masks_of_every_form(tmp_path, parts, wanted):
    sheet = read_detections(coco(tmp_path, [entry(0, **parts)]), VIDEO)
    assert boxes(sheet, 0) == [wanted]
    assert len(sheet.at(1)) == 0 and sheet.at(0).labels == ("category 1",)


@pytest.mark.parametrize(
    ("ids", "first", "wanted"),
    [
        ([0, 2], None, [0, 2]),
        ([0, 4], None, [0, 4]),  # beyond the end: told when the video ends
        ([1, 4], None, [0, 3]),  # from 1, since the last is the video's number of frames
        ([1, 3], 1, [0, 2]),
        ([1, 3], 0, [1, 3]),
        (["1", 4.0], None, [0, 3]),
    ],
)
def test_frames_from_0_or_1(tmp_path, ids, first, wanted):
    sheet = read_detections(coco(tmp_path, [entry(id) for id in ids]), VIDEO, first=first)
    assert sorted(sheet.numbers) == wanted


def test_images_say_which_frame_they_are(tmp_path):
    images = [{"id": 70, "file_name": "b/f10.jpg"}, {"id": 80, "file_name": "b/f9.jpg"}]
    listed = coco(tmp_path, {"images": images, "categories": [{"id": 1, "name": "dog"}]}, "images.json")
    results = coco(tmp_path, [entry(70), entry(80, category=7)])
    sheet = read_detections(results, VIDEO, annotations=listed)
    assert [sheet.at(t).labels for t in range(2)] == [("category 7",), ("dog",)]
    assert sheet.notes["things of a category that nobody names, called by its number"] == 1
    # their files' names are those of the video's frames
    named = Video(SIZE, 4, {"f9": 2, "f10": 3})
    assert sorted(read_detections(results, named, annotations=listed).numbers) == [2, 3]
    # an object with all lists; frames by number
    images = [{"id": 5, "frame_id": 3, "height": 20, "width": 30}]
    whole = coco(tmp_path, {"images": images, "annotations": [entry(5), {**entry(5), "iscrowd": 1}]})
    assert len(read_detections(whole, VIDEO).at(3)) == 1


def test_categories_have_names(tmp_path):
    results = coco(tmp_path, [entry(0, category=18), entry(0, category=91)])
    sheet = read_detections(results, VIDEO, categories={18: "dog"})
    assert sheet.at(0).labels == ("dog", "category 91")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([entry(0, score=87.5)], "score 87.5 must lie in [0, 1]: divide percents by 100"),
        ([entry(0, score=-0.1)], "score -0.1 must lie in [0, 1]"),
        ([entry(1), entry(3)], "may count frames from 0 or from 1: say which with --first-frame 0"),
        ([entry(1), entry(900)], "image_id 900 is no frame of a video of 4"),
        ([entry(-1)], "image_id -1 is no frame's number"),
        ([entry("dog.jpg")], '[0].image_id is "dog.jpg", which no image has'),
        ([{"image_id": 0, "score": 1}], "[0] must have a segmentation or a bbox"),
        ([entry(0, bbox=[1, 2, 3])], "[0] must have a segmentation or a bbox of four numbers"),
        ([entry(0, bbox=[1, 2, -3, 4])], "[0].bbox must be x, y, width and height in pixels"),
        ([entry(0, bbox=[1e308, 2, 1e308, 4])], "[0].bbox must be x, y, width and height in pixels"),
        ([{"score": 1}], "image_id is missing"),
        ([entry(0, bbox=[1, 2, 3, 4], embedding=e) for e in ([1, 2], [1])], "an embedding must be 2 finite numbers"),
        ({"images": []}, "must be a list of results, or have a field annotations"),
        (
            {"images": [{"id": 0, "height": 40, "width": 60}], "annotations": []},
            "images[0] is 60 x 40 pixels where the video has 30 x 20",
        ),
        (
            {"images": [{"id": 0, "video_id": 1}, {"id": 1, "video_id": 2}], "annotations": []},
            "lists images of 2 videos",
        ),
        (
            {"images": [{"id": 0, "frame_id": 1}, {"id": 1, "frame_id": 1}], "annotations": []},
            "lists a frame or an image's id twice",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path, entries, said):
    with pytest.raises(InputError) as caught:
        read_detections(coco(tmp_path, entries), VIDEO)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_masks_of_another_size_are_refused_when_they_are_looked_at(tmp_path):
    small = {"size": [10, 15], "counts": "T1"}
    sheet = read_detections(coco(tmp_path, [entry(0, segmentation=small)]), VIDEO)
    with pytest.raises(InputError, match=r"\[0\].segmentation.size must be the frame's height and width, \[20, 30\]"):
        sheet.at(0)


def test_what_is_not_there_is_counted(tmp_path):
    empty = {"size": list(SIZE), "counts": [600]}
    given = [entry(0, bbox=[40, 3, 5, 5]), entry(0, segmentation=empty), entry(0, bbox=[0, 0, 30, 20])]
    sheet = read_detections(coco(tmp_path, given), VIDEO)
    assert boxes(sheet, 0) == [[0, 0, 30, 20]]
    assert dict(sheet.notes) == {
        "boxes without a mask: the whole box stands for it": 2,
        "boxes that reach out of the frame, cut at its edge": 1,
        "boxes without a pixel in the frame, left out": 1,
        "masks without a pixel, left out": 1,
    }


def yolo(tmp_path, **files):
    folder = tmp_path / "predict" / "labels"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return folder.parent


POLYGON = "0.1 0.1 0.3 0.1 0.3 0.4 0.1 0.4"  # 3 to 9 across, 2 to 8 down


def test_yolo(tmp_path):
    folder = yolo(tmp_path, clip_1=f"16 {POLYGON} 0.75\n0 0.5 0.5 0.2 0.3\n", clip_4=f"16 {POLYGON}\n", clip_2="")
    assert guess_format(folder) == "yolo"
    sheet = read_detections(folder, VIDEO, categories={16: "dog"})
    assert boxes(sheet, 0) == [[3, 2, 6, 6], [12, 7, 6, 6]] and len(sheet.at(3)) == 1
    assert sheet.at(0).labels == ("dog", "class 0") and sheet.at(0).scores.tolist() == [0.75, 1]
    assert sheet.notes["things without a score, which count as 1"] == 2
    assert len(sheet.at(1)) == 0  # an empty file


def test_yolo_names_and_frames_of_files(tmp_path):
    folder = yolo(tmp_path, beach=f"0 {POLYGON}", house=f"0 {POLYGON}")
    (folder / "data.yaml").write_text("names: [cat]")
    sheet = read_detections(folder, Video(SIZE, 2, {"beach": 0, "house": 1}))
    assert [sheet.at(t).labels for t in range(2)] == [("cat",), ("cat",)]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"a_1": "dog 0.5 0.5 0.1 0.1", "a_4": ""}, "line 1 must be a class and numbers"),
        ({"a_1": "0 0.5 0.5", "a_4": ""}, "line 1 must have x and y of three corners or more"),
        ({"a_1": f"0 {POLYGON} 0.9 7\n", "a_4": ""}, "line 1 must have x and y of three corners"),
        ({"a_1": f"0 {POLYGON} 0.9 1\n" * 3, "a_4": ""}, "every line ends in a whole number, which is a track's id"),
        ({"a": f"0 {POLYGON}"}, "the name 'a' must end in its frame's number"),
        ({"a_1": "", "b_1": ""}, "two names end in 1"),
        ({"a_1": "", "a_2": ""}, "may count frames from 0 or from 1"),
        ({"a_0": f"0 {POLYGON} 80.5"}, "score 80.5 must lie in [0, 1]"),
    ],
)
def test_strange_yolo(tmp_path, files, said):
    with pytest.raises(InputError) as caught:
        read_detections(yolo(tmp_path, **files), VIDEO)
    assert said in str(caught.value)


def test_id_maps(tmp_path):
    folder = tmp_path / "maps"
    folder.mkdir()
    for number, values in ((1, [0, 7]), (4, [7, 8])):
        image = np.zeros(SIZE, dtype=np.uint8)
        image[2:8, 3:9], image[10:14, 20:24] = values
        Image.fromarray(image).save(folder / f"frame{number:05d}.png")
    sheet = read_detections(folder, VIDEO)
    assert boxes(sheet, 0) == [[20, 10, 4, 4]]
    assert sorted(boxes(sheet, 3)) == [[3, 2, 6, 6], [20, 10, 4, 4]]
    with pytest.raises(InputError, match="is 30 x 20 pixels where the video has 60 x 40"):
        read_detections(folder, Video((40, 60), 4))


def result():
    track = Track(1, "dog", 0, 0.8, (("dog", 0.8), ("cat", 0.2)), [square(2, 3, 5), None, square(4, 3, 5)], SIZE)
    other = Track(1, "cat", 1, 0.2, track.top_labels, track.masks, SIZE)
    return VideoResult([track, other], "dog.mp4", *SIZE, 24.0, [0, 2, 4], [0.0, 0.1, 0.2], ("dog", "cat"))


def test_tracks_without_their_identities(tmp_path):
    save_tracks(result(), tmp_path / "tracks.json")
    for place in (tmp_path, tmp_path / "tracks.json"):
        sheet = read_detections(place, Video(SIZE, 5))
        assert sorted(sheet.numbers) == [0, 4] and boxes(sheet, 4) == [[4, 3, 5, 5]]
        assert sheet.at(4).labels == ("dog",) and sheet.at(4).scores.tolist() == [0.8]
    with pytest.raises(InputError, match="is of frames of 30 x 20 pixels, and the video has 8 x 9"):
        read_detections(tmp_path, Video((9, 8), 5))


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("nowhere", {}, "does not exist"),
        ("notes.txt", {}, "what detections these are cannot be told: say it with --from coco"),
        ("notes.txt", {"format": "cocoo"}, "--from cocoo: did you mean coco"),
        ("notes.txt", {"format": "yolo"}, "must be a folder"),
        ("notes.txt", {"format": "csv", "annotations": "x"}, "--annotations lists the images of COCO's results"),
        (".", {}, "cannot be told"),
    ],
)
def test_files_that_are_none(tmp_path, name, options, said):
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "more.png").touch()
    with pytest.raises(InputError) as caught:
        read_detections(tmp_path / name, VIDEO, **options)
    assert said in str(caught.value)
