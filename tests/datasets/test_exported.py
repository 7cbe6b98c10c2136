"""What was taken away comes back: the same masks, names and frames, or what is said to be lost."""

import json
import shutil

import numpy as np
import pytest

from exported import SIZE, dense, frames, result
from ovvis.datasets.exported import READ, read_exported, write_imported
from ovvis.datasets.open import open_dataset
from ovvis.errors import InputError
from ovvis.masks import decode
from ovvis.outputs.export import FORMATS, export
from ovvis.outputs.read_back import UNSCORED
from ovvis.structures import one_label_each

SHOWN = [track for track in one_label_each(result().tracks) if track.score >= 0.3]
FLAT = ("davis", "mots", "kitti-mots")  # a pixel is one instance's


def there_and_back(tmp_path, name):
    row = FORMATS[name]
    options = {"best": True, "min_score": 0.3} if row.everything else {}
    place = export(result(), name, tmp_path / f"my-video{row.suffix}", **options).path
    return read_exported(place, name)


def expected(name, position):
    truth = dense(SHOWN, position)
    if name in FLAT and 3 in truth and 7 in truth:
        truth[7] = truth[7] & ~truth[3]
    return truth


@pytest.mark.parametrize("name", [name for name in READ if name not in ("yolo", "cvat-video", "csv")])
def test_masks_names_and_frames_come_back(tmp_path, name):
    (video,) = there_and_back(tmp_path, name)
    found = video.result
    assert (found.height, found.width) == SIZE and found.frame_indices == [0, 2, 4, 6]
    assert list(video.files) == [f"{'my video' if name == 'tracks' else 'my-video'}/{i:05d}.jpg" for i in (0, 2, 4, 6)]
    assert {track.label for track in found.tracks} == {"dog", "cat"}
    for position in range(4):
        by_label = {track.label: track.masks[position] for track in found.tracks}
        truth = expected(name, position)
        for label, id in (("dog", 3), ("cat", 7)):
            mask = by_label[label]
            got = np.zeros(SIZE, dtype=bool) if mask is None else decode(mask)
            assert (got == truth.get(id, np.zeros(SIZE, dtype=bool))).all(), (label, position)
    kept = name in ("tracks", "label-studio", "coco", "youtube-vis")
    assert {track.label: track.score for track in found.tracks} == (
        {"dog": 0.9, "cat": 0.8} if kept else dict.fromkeys(("dog", "cat"), 1)
    )
    assert video.notes.get(UNSCORED, 0) == (0 if kept else 2)
    if name in ("tracks", "mots", "label-studio", "cvat"):
        assert {track.id % 1000 for track in found.tracks} == {3, 7}


@pytest.mark.parametrize("name", ["coco", "youtube-vis"])
def test_scores_of_strangers_are_kept_where_they_can_be_scores(tmp_path, name):
    file = export(result(), name, tmp_path / "out").path / "annotations.json"
    beyond = "scores that do not lie in 0 to 1, taken as none"
    for stated, kept, note in [
        ("0.25", 0.25, None),
        ("1", 1.0, None),
        ("95", 1.0, beyond),
        ("-0.1", 1.0, beyond),
        ('"high"', 1.0, UNSCORED),
        ("null", 1.0, UNSCORED),
    ]:
        data = json.loads(file.read_text())
        data["annotations"] = [entry | {"score": json.loads(stated)} for entry in data["annotations"]]
        (tmp_path / "stated.json").write_text(json.dumps(data))
        (video,) = read_exported(tmp_path / "stated.json", name)
        assert {track.score for track in video.result.tracks} == {kept}
        assert note is None or video.notes[note] >= 2
        assert note is not None or UNSCORED not in video.notes


def test_a_table_knows_the_frames_of_its_rows(tmp_path):
    (video,) = there_and_back(tmp_path, "csv")
    assert video.result.frame_indices == [0, 2, 4, 6] and {t.id: t.score for t in video.result.tracks} == {
        3: 0.9,
        7: 0.8,
    }
    assert video.result.frame_times[1] == pytest.approx(1 / 6, abs=1e-6)
    for position in range(4):
        found = dense(video.result.tracks, position)
        truth = dense(SHOWN, position)
        assert found.keys() == truth.keys() and all((found[id] == truth[id]).all() for id in truth)


def test_yolo_has_no_identities_so_each_frame_is_a_video(tmp_path):
    videos = there_and_back(tmp_path, "yolo")
    assert [video.files for video in videos] == [(f"train/my-video_{i:05d}.jpg",) for i in (0, 2, 4, 6)]
    for position, video in enumerate(videos):
        found = {track.label: decode(track.masks[0]) for track in video.result.tracks}
        truth = {{3: "dog", 7: "cat"}[id]: mask for id, mask in dense(SHOWN, position).items()}
        assert found.keys() == truth.keys() and all((found[label] == truth[label]).all() for label in truth)
    assert sum(video.notes[key] for video in videos for key in video.notes if "no identities" in key) == 5


def test_cvat_video_draws_on_between_key_frames(tmp_path):
    (video,) = there_and_back(tmp_path, "cvat-video")
    assert video.result.frame_indices == list(range(7))
    for position, index in enumerate((0, 2, 4, 6)):
        found, truth = dense(video.result.tracks, index), dense(SHOWN, position)
        assert sorted(int(m.sum()) for m in found.values()) == sorted(int(m.sum()) for m in truth.values())
    assert [dense(video.result.tracks, i).keys() for i in (1, 5)] == [{1}, {2}]
    assert video.notes["frames between key frames, where the polygon of the last one is taken"] == 4


def test_a_dataset_to_train_on(tmp_path):
    videos = there_and_back(tmp_path, "cvat")
    done = write_imported(videos, tmp_path / "own", source=frames())
    assert (done.videos, done.frames, done.tracks, done.labels) == (1, 4, 2, ("dog", "cat"))
    data = open_dataset(tmp_path / "own/annotations.json")
    (video,) = data.videos
    assert all(path.is_file() for path in data.paths(video)) and len(data.paths(video)) == 4
    assert [sum(mask is not None for mask in truth.masks) for truth in data.truths] == [3, 2]


def test_several_videos_become_a_folder_of_tracks(tmp_path):
    write_imported(there_and_back(tmp_path, "yolo"), tmp_path / "own", "tracks")
    assert len(list((tmp_path / "own").glob("*/tracks.json"))) == 4
    write_imported(there_and_back(tmp_path / "again", "cvat"), tmp_path / "one", "tracks")
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["tracks.json"]


def test_an_answer_of_label_studio_counts_before_the_prediction(tmp_path):
    home = export(result(), "label-studio", tmp_path / "out").path
    tasks = json.loads((home / "tasks.json").read_text())
    dog = tasks[0]["predictions"][0]["result"][0]
    tasks[0]["annotations"] = [{"result": [{**dog, "meta": {}, "score": None}, {"type": "choices", "value": {}}]}]
    tasks[1]["annotations"] = [{"result": [], "was_cancelled": True}]
    (home / "export.json").write_text(json.dumps(tasks))
    (video,) = read_exported(home / "export.json", "label-studio")
    assert {track.id: track.frames for track in video.result.tracks} == {3: [1, 3], 7: [1, 2], 8: [0]}
    assert set(video.notes.values()) == {1, 3}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "message"),
    [
        ("mots", "my-video/gt/gt.txt", "1 4003", "0 4003", r"line 1: frame -1 is none of the 4"),
        ("mots", "my-video/gt/gt.txt", " 24 32 ", " 24 33 ", r"line 1 must be the mask of 24 x 32 pixels"),
        ("mots", "my-video/gt/gt.txt", " 24 32 ", " 24 32 4 ", r"line 1 must have 6 fields"),
        ("mots", "my-video/seqinfo.ini", "imWidth=32", "imWidth=x", r"must state imWidth, imHeight and seqLength"),
        ("mots", "my-video/seqinfo.ini", "0 2 4 6", "0 4 2 6", r"sourceFrames must be 4 rising numbers"),
        ("mots", "my-video/seqinfo.ini", "imWidth=32", "imWidth=999999999", "cannot be"),
        ("yolo", "labels/train/my-video_00000.txt", "1 ", "dog ", r"line 1 must be a class and numbers"),
        ("yolo", "labels/train/my-video_00000.txt", " 0.", " 9.", r"line 1 must have x and y of three corners"),
        ("yolo", "data.yaml", "names", "nomes", r"must have names, a list or an object"),
        ("yolo", "data.yaml", "frame_size", "size", r"has no image in .* so its frame's size is not known"),
        ("cvat", "annotations.xml", 'rle="', 'rle="9, ', "its box or its runs do not fit the image"),
        ("cvat", "annotations.xml", 'left="2"', 'left="-2"', "left of a mask must be a whole number, not '-2'"),
        ("cvat", "annotations.xml", "</annotations>", "", "must be CVAT's XML, and is not"),
        ("cvat", "annotations.xml", ">3<", ">x<", "track_id 'x' must be a whole number"),
        ("cvat", "annotations.xml", "<annotations>", '<!DOCTYPE a [<!ENTITY b "c">]><annotations>', "CVAT's XML"),
        ("cvat-video", "annotations.xml", "original_size", "size_", "CVAT's XML, and is not|must state original_size"),
        ("cvat-video", "annotations.xml", 'frame="2"', 'frame="999999999"', "frames cannot be"),
        ("label-studio", "tasks.json", '"rle": [0, 0', '"rle": [9, 0', "its brush mask is damaged"),
        ("label-studio", "tasks.json", '"rle": [0, 0', '"rle": [-1, 0', "its brush mask is damaged"),
        (
            "label-studio",
            "tasks.json",
            '"original_height": 24',
            '"original_height": 25',
            "must have one size, and have 2",
        ),
        ("label-studio", "tasks.json", "[\n", "", "must be a list, not an object"),
    ],
)
def test_strangers_files_are_refused_with_their_place(tmp_path, name, file, old, new, message):
    home = export(result(), name, tmp_path / "out").path
    edit(home / file, old, new)
    with pytest.raises(InputError, match=message):
        read_exported(home, name)


def test_a_damaged_table(tmp_path):
    path = export(result(), "csv", tmp_path / "out.csv").path
    edit(path, "24x32:", "24x32:~")
    with pytest.raises(InputError, match="line 2 is no row of this table"):
        read_exported(path, "csv")
    path.write_text("frame,label\n1,dog\n")
    with pytest.raises(InputError, match="it lacks id, mask"):
        read_exported(path, "csv")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("x", "mot"), "format mot has no masks to read back"),
        (("x", "cvatt"), "format 'cvatt': did you mean cvat"),
        (("nowhere", "cvat"), "nowhere does not exist"),
        (("a.zip", "cvat"), "is an archive: unpack it"),
        ((".", "davis"), "must hold a folder of frames"),
        ((".", "yolo"), "cannot be read"),
        ((".", "mots"), r"must be such a file or hold \*/gt/gt.txt"),
    ],
)
def test_refusals(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a").touch()
    shutil.make_archive("a", "zip", "x")
    with pytest.raises(InputError, match=message):
        read_exported(*arguments)
