"""Results of one video side by side: what may be compared, what differs in words, what is written."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from known_sides import FRAMES, SIZE, WHOLE, result, square, track
from PIL import Image

import ovvis
from clips import Clip
from ovvis.comparing.opening import called, open_result, split_format
from ovvis.comparing.panels import Layout
from ovvis.errors import InputError
from ovvis.outputs.export import export
from ovvis.outputs.formats.tracks_json import save_tracks
from ovvis.sources.video import open_source


def some(result, numbers):
    """Return a result as of some of its frames."""
    tracks = [replace(track, masks=[track.masks[i] for i in numbers]) for track in result.tracks]
    return replace(result, tracks=tracks, frame_indices=list(numbers), frame_times=[i / 30 for i in numbers])


def said(found):
    return [[one.text for one in moment.said] for moment in found.moments]


WORDS = {
    "a missing object": (result(track(1, "dog", 2)), {(0, "b lacks cat #2 of a")}),
    "for some frames": (result(track(5, "dog", 2), track(6, "cat", 40, range(5))), {(5, "b lacks cat #2 of a")}),
    "one too many": (
        result(*WHOLE.tracks, track(7, "dog", 20, [4], top=30)),
        {(4, "a lacks dog #7 of b")},
    ),
    "another name": (result(track(3, "cat", 2), track(4, "cat", 40)), {(0, "dog #1 of a is cat #3 of b")}),
    "other masks": (
        result(track(1, "dog", 2), track(2, "cat", 43)),
        {(0, "cat #2 of a and cat #2 of b overlap by 0.60")},  # 9 of 15 columns
    ),
    "another identity": (
        result(track(1, "dog", 2, range(8)), track(9, "dog", 2, range(8, FRAMES)), track(2, "cat", 40)),
        {(8, "here dog #1 of a is dog #9 of b, else dog #1")},
    ),
}


@pytest.mark.parametrize(("other", "wanted"), WORDS.values(), ids=WORDS)
def test_what_differs_in_words(other, wanted):
    found = ovvis.compare({"a": WHOLE, "b": other}, moments=1)
    (moment,) = found.moments
    assert {(moment.frame, text) for text in (one.text for one in moment.said)} == wanted


def test_results_that_are_alike_have_no_moment():
    found = ovvis.compare([WHOLE, WHOLE])
    assert found.moments == () and [side.name for side in found.sides] == ["clip", "clip (2)"]
    assert found.values.tolist() == [0] * FRAMES


def test_with_the_truth_how_much_worse_one_is_counts():
    missed, both = result(track(1, "dog", 2)), result(track(1, "dog", 2, [0]), track(2, "cat", 40))
    found = ovvis.compare({"one": missed, "two": both}, WHOLE)
    assert [side.name for side in found.sides] == ["truth", "one", "two"] and len(found.pairs) == 2
    # Frame 0: one lacks the cat, two lacks nothing. After it each lacks one of two.
    assert found.values.tolist() == [0.5] + [0] * (FRAMES - 1)
    assert said(found) == [["one lacks cat #2 of truth"]]
    alone = ovvis.compare({"one": missed}, WHOLE, moments=1)
    assert alone.values.tolist() == [0.5] * FRAMES


def test_what_all_have_wrong_is_not_told():
    one, two = (
        result(track(1, "cat", 2, range(6)), track(2, "cat", 40)),
        result(track(1, "cat", 2), track(2, "cat", 40)),
    )
    found = ovvis.compare({"one": one, "two": two}, WHOLE, moments=1, by="masks")
    assert found.moments[0].frame == 6 and said(found) == [
        ["one lacks dog #1 of truth", "dog #1 of truth is cat #1 of two"]
    ]
    swapped = result(track(1, "cat", 2), track(2, "cat", 43))
    found = ovvis.compare({"one": swapped, "two": two}, WHOLE, moments=1)
    assert said(found) == [["cat #2 of truth and cat #2 of one overlap by 0.60"]]  # both call the dog a cat
    little = ovvis.compare({"one": result(track(1, "cat", 2), track(2, "cat", 41)), "two": two}, WHOLE, moments=1)
    assert said(little) == [["cat #2 of truth and cat #2 of one overlap by 0.85"]]


def test_three_results_and_their_colours():
    other = result(track(8, "cat", 40), track(9, "dog", 2), track(10, "dog", 20, top=30))
    found = ovvis.compare({"a": WHOLE, "b": other, "c": result(track(3, "dog", 21, top=30))})
    assert len(found.pairs) == 3
    assert found.numbers() == [[0, 1], [1, 0, 2], [2]]


def test_by():
    renamed = result(track(1, "cat", 2), track(2, "cat", 40, range(10)))
    both = {"a": WHOLE, "b": renamed}
    frames = {
        by: [m.frame for m in ovvis.compare(both, by=by, moments=1).moments] for by in ("names", "masks", "identities")
    }
    assert frames == {"names": [0], "masks": [10], "identities": []}


REFUSED = {
    "sizes": (replace(WHOLE, height=24), "64 x 48 pixels and b of 64 x 24"),
    "frames": (replace(WHOLE, frame_indices=[i + 50 for i in range(FRAMES)]), "no frame in common"),
    "times": (replace(WHOLE, frame_times=[i / 24 for i in range(FRAMES)]), "frame 1 is shown at 0.033 s in a and at 0"),
    "another video": (some(replace(WHOLE, source="other.mp4"), range(6)), "--same-video"),
    "twice": (replace(WHOLE, frame_indices=[0, *range(11)]), "a frame twice"),
}  # fmt: skip


@pytest.mark.parametrize(("other", "rule"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_of_one_video_is_refused(other, rule):
    with pytest.raises(InputError, match=rule):
        ovvis.compare({"a": WHOLE, "b": other})


def test_what_differs_of_the_results_themselves_is_said():
    fewer = some(WHOLE, range(0, FRAMES, 3))
    found = ovvis.compare({"a": WHOLE, "b": fewer})
    assert found.aligned.indices == (0, 3, 6, 9) and found.values.tolist() == [0] * 4
    assert found.notes == ("compared: the 4 frames that all have (a 12, b 4)",)
    named = ovvis.compare({"a": WHOLE, "b": replace(WHOLE, source="copy.mp4")})
    assert named.notes == ("a is of 'clip.mp4' and b of 'copy.mp4': taken for one video, as size and frames agree",)
    assert (
        ovvis.compare({"a": WHOLE, "b": replace(fewer, source="copy.mp4")}, same_video=True).values.tolist() == [0] * 4
    )
    words = ovvis.compare({"a": WHOLE, "b": result(track(1, "dog", 2), labels=("dog", "cat", "ox"))})
    assert words.notes == ("b alone was asked for 'ox'",)
    others = ovvis.compare({"a": WHOLE, "b": result(track(1, "ox", 2, labels=("ox", "ant")), labels=("ox", "ant"))})
    assert any("b shares no label with the others" in note for note in others.notes)


def dataset(folder, name="dog", files=None, label="dog"):
    """Write the truth of WHOLE's dog as a dataset."""
    code = square(2)
    mask = {"size": list(SIZE), "counts": code["counts"].decode()}
    names = files or [f"{name}/{i:05d}.jpg" for i in range(FRAMES)]
    videos = [{"id": 1, "height": SIZE[0], "width": SIZE[1], "file_names": names}]
    truth = {
        "videos": [*videos, {"id": 2, "height": 9, "width": 9, "file_names": ["b/0.jpg"]}],
        "categories": [{"id": 3, "name": label, "synonyms": ["hound"]}, {"id": 4, "name": "cat"}],
        "annotations": [{"id": 5, "video_id": 1, "category_id": 3, "segmentations": [mask] * len(names)}],
    }
    (folder / "truth.json").write_text(json.dumps(truth))
    return folder / "truth.json"


def test_a_datasets_truth(tmp_path):
    truth = dataset(tmp_path, "clip")
    hound = result(track(1, "hound", 2, labels=("hound",)), labels=("hound",))
    found = ovvis.compare({"a": hound}, truth)  # the video is known by the source's name, the word by a synonym
    assert found.sides[0].name == "truth" and found.values.tolist() == [0] * FRAMES
    with pytest.raises(InputError, match="say with --video"):
        ovvis.compare({"a": replace(WHOLE, source="x.mp4")}, truth)
    chosen = ovvis.compare({"a": replace(WHOLE, source="x.mp4")}, truth, video="clip", moments=1)
    assert said(chosen) == [["cat #2 of a is not true"]]
    every = dataset(tmp_path, "clip", [f"clip/{i:05d}.jpg" for i in range(0, FRAMES, 5)])
    found = ovvis.compare({"a": hound}, every)
    assert found.aligned.indices == (0, 5, 10) and "the 3 frames that all have (a 12, truth 3)" in found.notes[0]
    with pytest.raises(InputError, match="does not exist"):
        ovvis.compare({"a": hound}, tmp_path / "gone.json")


def test_results_of_a_dataset_and_its_own_truth(tmp_path):
    truth = dataset(tmp_path, "clip")
    mask = {"size": list(SIZE), "counts": square(2)["counts"].decode()}
    entry = {"video_id": 1, "category_id": 4, "score": 0.8, "segmentations": [mask] * FRAMES}
    (tmp_path / "results.json").write_text(json.dumps([entry]))
    with pytest.raises(InputError, match="say of which with --dataset"):
        ovvis.compare([tmp_path / "results.json", WHOLE])
    found = ovvis.compare([tmp_path / "results.json"], dataset=truth, video="clip", moments=1)
    assert said(found) == [[f"dog #5 of truth is cat #1 of {tmp_path.name}"]]


FORMATS = ("tracks", "csv", "davis", "coco", "youtube-vis", "mots", "cvat", "cvat-video", "label-studio", "masks")


@pytest.mark.parametrize("format", FORMATS)
def test_whatever_import_reads_can_be_compared(tmp_path, format):
    done = export(WHOLE, format, tmp_path / ("out" + {"csv": ".csv", "tracks": ".json"}.get(format, "")))
    found = ovvis.compare({"a": WHOLE, "b": done.path})
    assert found.by == "all" and len(found.aligned.indices) == FRAMES
    assert found.pairs[0].differences.by("masks").max() < (0.02 if format == "cvat-video" else 1e-9)


def test_formats_that_cannot_be_told_or_followed(tmp_path):
    (tmp_path / "notes.txt").write_text("1 2 3")
    with pytest.raises(InputError, match=r"say it as FORMAT:notes\.txt"):
        open_result(tmp_path / "notes.txt", None, None)
    export(WHOLE, "yolo", tmp_path / "yolo")
    with pytest.raises(InputError, match="no identities"):
        open_result(tmp_path / "yolo", None, None)
    assert split_format("davis:x")[0] == "davis" and split_format("C:x")[0] is None
    assert called("a/results.json") == "a" and called("mots:b/c.txt") == "c"


@pytest.mark.parametrize(
    ("count", "shape", "widest", "grid"),
    [
        (2, (640, 360), 1920, (2, 1)),
        (3, (640, 360), 1000, (3, 1)),
        (4, (640, 360), 1920, (2, 2)),
        (5, (64, 36), 1920, (3, 2)),
    ],
)
def test_layout(count, shape, widest, grid):
    layout = Layout.of(count, shape, widest)
    assert (layout.columns, layout.rows) == grid and layout.size[0] <= widest + 1
    assert layout.size[0] % 2 == layout.size[1] % 2 == 0
    assert layout.panel[0] <= shape[0]


@pytest.fixture
def saved(tmp_path):
    path = Clip("clip.mp4", count=FRAMES).make(tmp_path, SIZE)
    place = {"source": str(path)}
    for name, made in (("one", WHOLE), ("two", WORDS["for some frames"][0])):
        (tmp_path / name).mkdir()
        save_tracks(replace(made, opened_as=place), tmp_path / name / "tracks.json")
    return tmp_path


def test_written(saved):
    found = ovvis.compare([saved / "one", saved / "two"])
    written = found.save(saved / "out")
    names = {"compare.mp4", "moments.png", "viewer.html", "moments.csv", "frames.csv", "compare.json"}
    assert set(written.files) == names <= {file.name for file in (saved / "out").iterdir()}
    frames = list(open_source(saved / "out" / "compare.mp4"))
    layout = Layout.of(2, SIZE[::-1], 1920)
    assert len(frames) == FRAMES and frames[0].image.shape[:2] == (layout.size[1] + 30, layout.size[0])
    with Image.open(saved / "out" / "moments.png") as picture:
        sheet = np.asarray(picture)
    assert sheet.shape[0] > len(found.moments) * SIZE[0] and sheet.std() > 10
    rows = list(csv.reader((saved / "out" / "moments.csv").read_text().splitlines()))
    assert rows[1] == ["5", "0.1667", "0.5", "missing object", "two lacks cat #2 of one"]
    table = list(csv.DictReader((saved / "out" / "frames.csv").read_text().splitlines()))
    assert len(table) == FRAMES and [row["masks"] for row in table[4:6]] == ["0.0", "0.5"]
    facts = json.loads((saved / "out" / "compare.json").read_text())
    assert facts["pairs"][0]["mean"]["masks"] == pytest.approx(0.5 * 7 / 12, abs=1e-6)
    with pytest.raises(InputError, match="already"):
        found.save(saved / "out")


def test_without_the_video_masks_stand_on_grey(tmp_path):
    other = WORDS["a missing object"][0]
    written = ovvis.compare([WHOLE, other]).save(tmp_path / "out", video=False)
    assert any("plain ground" in line for line in written.says) and not (tmp_path / "out" / "compare.mp4").exists()
    with pytest.raises(InputError, match=r"gone\.mp4"):
        ovvis.compare([WHOLE, other]).save(tmp_path / "again", source="gone.mp4")
    assert not (tmp_path / "again").exists()


def test_the_command(saved, monkeypatch):
    from typer.testing import CliRunner

    from ovvis.cli.main import app

    monkeypatch.chdir(saved)
    done = CliRunner().invoke(app, ["compare", "one", "mine=two", "--moments", "2"])
    assert done.exit_code == 0, (done.output, done.exception)
    assert (
        "mine lacks cat #2 of one" in " ".join(done.stdout.split())
        and (saved / "ovvis-compare" / "viewer.html").is_file()
    )
    again = CliRunner().invoke(app, ["compare", "one", "one/tracks.json", "--no-paint", "--no-page"])
    assert "are alike in every frame" in again.output and (saved / "ovvis-compare-2" / "frames.csv").is_file()
    for words, told in (
        (["one"], "two results or more"),
        (["one", "two", "--by", "colour"], "by colour"),
        (["a=one", "a=two"], "has the name a"),
        (["one", "nowhere"], "nowhere does not exist"),
        (["one", "two", "--output", "ovvis-compare"], "--overwrite"),
    ):
        assert told in str(CliRunner().invoke(app, ["compare", *words]).exception), words


def test_times_of_results_that_know_none_are_the_videos(saved):
    export(WHOLE, "csv", saved / "mine.csv")
    export(WORDS["a missing object"][0], "csv", saved / "theirs.csv")
    found = ovvis.compare([saved / "mine.csv", saved / "theirs.csv"])
    assert any("24 frames a second" in note for note in found.notes)
    found.save(saved / "out", source=saved / "clip.mp4")  # of 30 a second
    assert '"kind":"source"' in (saved / "out" / "viewer.html").read_text()


def test_another_video_is_refused(saved):
    Clip("slow.mp4", count=FRAMES, times=lambda k: 100 * k).make(saved, SIZE)
    found = ovvis.compare([saved / "one", saved / "two"])
    with pytest.raises(InputError, match=r"frame 1 of the video is shown at 0\.100 s"):
        found.save(saved / "out", source=saved / "slow.mp4")
    assert not (saved / "out").exists()
