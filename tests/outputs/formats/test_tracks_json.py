import json
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from ovvis.errors import InputError
from ovvis.masks import decode, encode
from ovvis.outputs.formats import masks_in_file
from ovvis.outputs.formats import tracks_json as module
from ovvis.outputs.formats.masks_in_file import MasksInFile
from ovvis.outputs.formats.tracks_json import save_tracks
from ovvis.structures import Track, VideoResult

KEYS = ("video_id", "category_id", "score", "segmentations")


@pytest.fixture(params=["in memory", "in the file"], autouse=True)
def kept(request, monkeypatch):
    """Where the masks stay."""
    if request.param == "in the file":
        monkeypatch.setattr(masks_in_file, "LARGE", 0)
    return request.param


def load_tracks(path):
    """Return what a file holds, each mask looked at."""
    result = module.load_tracks(path)
    for track in result.tracks:
        list(track.masks)
    return result


def square(top: int, left: int, side: int):
    mask = np.zeros((6, 8), dtype=bool)
    mask[top : top + side, left : left + side] = True
    return encode(mask)


def example(**changes) -> VideoResult:
    shared = [square(0, 0, 2), None, square(1, 3, 3)]
    named = (("dog", 0.1 + 0.2), ("cat", 1 / 3))
    values = {
        "tracks": [
            Track(2, "dog", 1, 0.1 + 0.2, named, shared),
            Track(2, "cat", 0, 1 / 3, named, shared),
            Track(1, "cat", 0, 0.0, (("cat", 0.0),), [None, None, None]),
        ],
        "source": "vidéo 1.mp4",
        "height": 6,
        "width": 8,
        "fps": 30000 / 1001,
        "frame_indices": [0, 2, 4],
        "frame_times": [0.0, 2 * 1001 / 30000, 4 * 1001 / 30000],
        "labels": ("cat", "dog"),
        "settings": {"model": "x", "sizes": [1, 2], "nested": {"a": None}},
        "seconds": {"read": 0.125},
        "problem": None,
    }
    return VideoResult(**(values | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tracks": []},
        {"source": "vidéo \udcff.mp4"},
        {"pixel_aspect": Fraction(64, 45), "notes": ["x is HDR: converted", "y"]},
        {"problem": "frame 7 is damaged", "settings": {}, "seconds": {}},
        {"tracks": [], "frame_indices": [], "frame_times": [], "labels": ()},
    ],
)
def test_round_trip(tmp_path, changes):
    result = example(**changes)
    save_tracks(result, tmp_path / "tracks.json")
    assert load_tracks(tmp_path / "tracks.json") == result


def test_files_that_say_nothing_of_pixels_and_notes(tmp_path):
    """Those of earlier versions."""
    path = tmp_path / "tracks.json"
    save_tracks(example(pixel_aspect=Fraction(4, 3), notes=["a"]), path)
    content = json.loads(path.read_text())
    assert content["video"].pop("pixel_aspect") == [4, 3] and content.pop("notes") == ["a"]
    path.write_text(json.dumps(content))
    assert load_tracks(path) == example()


@pytest.mark.parametrize("wrong", [[4], [4, 0], [-4, 3], [4, 3, 1]])
def test_pixels_that_cannot_be(tmp_path, wrong):
    path = tmp_path / "tracks.json"
    save_tracks(example(), path)
    content = json.loads(path.read_text())
    content["video"]["pixel_aspect"] = wrong
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"video.pixel_aspect must be two whole numbers, 1 or more"):
        load_tracks(path)


def test_labels_of_one_tube_share_masks(tmp_path):
    save_tracks(example(), tmp_path / "tracks.json")
    first, second, other = load_tracks(tmp_path / "tracks.json").tracks
    assert first.masks is second.masks
    assert first.masks is not other.masks


def test_where_masks_stay(tmp_path, kept):
    save_tracks(example(), tmp_path / "tracks.json")
    first, _, other = load_tracks(tmp_path / "tracks.json").tracks
    assert isinstance(first.masks, MasksInFile) == (kept == "in the file")
    assert first.masks[-1] == square(1, 3, 3) and first.masks[1:] == [None, square(1, 3, 3)] and len(first.masks) == 3
    assert first.masks == example().tracks[0].masks and first.masks != other.masks and first.masks != "abc"
    with pytest.raises(IndexError):
        first.masks[3]


@pytest.mark.parametrize("count", [1, 63, 64, 65, 200])
def test_masks_in_any_order(tmp_path, monkeypatch, count):
    monkeypatch.setattr(masks_in_file, "LARGE", 0)
    rng = np.random.default_rng(count)
    shapes = [encode(rng.random((6, 8)) < p) if p > 0.2 else None for p in rng.random(count)]
    shapes[0] = encode(np.zeros((6, 8), dtype=bool))
    given = example(
        tracks=[Track(1, "cat", 0, 0.5, (), shapes)], frame_indices=list(range(count)), frame_times=[0.0] * count
    )
    save_tracks(given, tmp_path / "tracks.json")
    masks = module.load_tracks(tmp_path / "tracks.json").tracks[0].masks
    for i in (*rng.integers(-count, count, 50).tolist(), *range(count), *range(count - 1, -1, -1)):
        assert masks[i] == shapes[i]
        assert masks.has_pixels(i % count) == (shapes[i] is not None and decode(shapes[i]).any())
    assert list(masks) == shapes


def test_the_file_itself(tmp_path):
    save_tracks(example(), tmp_path / "tracks.json")
    root = json.loads((tmp_path / "tracks.json").read_text())
    assert (root["format"], root["version"]) == ("ovvis-tracks", 1)
    entry = root["tracks"][0]
    assert {k: entry[k] for k in KEYS} == {
        "video_id": 1,
        "category_id": 2,
        "score": 0.1 + 0.2,
        "segmentations": [
            {"size": [6, 8], "counts": square(0, 0, 2)["counts"].decode()},
            None,
            {"size": [6, 8], "counts": square(1, 3, 3)["counts"].decode()},
        ],
    }
    assert (entry["id"], entry["label"], entry["labels"]) == (2, "dog", [["dog", 0.1 + 0.2], ["cat", 1 / 3]])
    assert entry["boxes"] == [[0, 0, 2, 2], None, [3, 1, 3, 3]]
    assert entry["areas"] == [4, None, 9]


def test_numpy_numbers_and_paths_can_be_written(tmp_path):
    track = Track(1, "cat", np.int64(0), np.float32(0.5), (("cat", np.float32(0.5)),), [None])  # type: ignore[arg-type]
    result = example(tracks=[track], frame_indices=[np.int64(3)], frame_times=[0], settings={"at": tmp_path})
    save_tracks(result, tmp_path / "tracks.json")
    loaded = load_tracks(tmp_path / "tracks.json")
    assert loaded.tracks[0].score == 0.5
    assert loaded.settings == {"at": str(tmp_path)}


def test_masks_are_asked_for_one_at_a_time(tmp_path):
    alive = []

    class Lazy(Sequence):
        def __len__(self):
            return 50

        def __getitem__(self, i):
            if i >= 50:
                raise IndexError
            return Counted(square(0, 0, 2))

    class Counted(dict):
        def __init__(self, value):
            super().__init__(value)
            alive.append(1)
            assert sum(alive) <= 2

        def __del__(self):
            alive.append(-1)

    result = example(
        tracks=[Track(1, "cat", 0, 0.5, (), Lazy())], frame_indices=list(range(50)), frame_times=[0.0] * 50
    )
    save_tracks(result, tmp_path / "tracks.json")
    assert len(json.loads((tmp_path / "tracks.json").read_text())["tracks"][0]["segmentations"]) == 50


def changed(path: str, value: object):
    """Return a change of the JSON at a dotted path; the value `...` removes the field."""

    def change(root):
        *parents, last = [int(p) if p.isdigit() else p for p in path.split(".")]
        for key in parents:
            root = root[key]
        if value is ...:
            del root[last]
        else:
            root[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (changed("format", "coco"), ["field format must be 'ovvis-tracks'", "coco"]),
        (changed("format", ...), ["field format"]),
        (changed("version", 2), ["field version must be 1, not 2"]),
        (changed("video", ...), ["field video is missing"]),
        (changed("video.height", "6"), ["field video.height must be a whole number", '"6"']),
        (changed("video.height", True), ["field video.height must be a whole number", "true"]),
        (changed("video.fps", None), ["field video.fps must be a number"]),
        (changed("video.frames", 3), ["field video.frames must be a list"]),
        (changed("video.frames.1", 0.5), ["field video.frames[1] must be a whole number"]),
        (changed("video.times", [0.0]), ["field video.times must have one entry for each of the 3 frames"]),
        (changed("vocabulary.0", 1), ["field vocabulary[0] must be a text"]),
        (changed("seconds.read", "1"), ["field seconds.read must be a number"]),
        (changed("settings", []), ["field settings must be an object"]),
        (changed("problem", 5), ["field problem must be a text or null"]),
        (changed("tracks", ...), ["field tracks is missing"]),
        (changed("tracks.0", "x"), ["field tracks[0] must be an object"]),
        (changed("tracks.1.score", ...), ["field tracks[1].score is missing"]),
        (changed("tracks.1.score", "high" * 20), ["field tracks[1].score must be a number", "..."]),
        (changed("tracks.0.category_id", 3), ["field tracks[0].category_id", "1 to 2, not 3"]),
        (changed("tracks.0.label", "cat"), ["field tracks[0].label", '"dog"']),
        (changed("tracks.0.labels.1", ["cat"]), ["field tracks[0].labels", "must be [label, score]"]),
        (changed("tracks.0.labels.1", "ab"), ["field tracks[0].labels[1] must be a list"]),
        (changed("tracks.0.segmentations", []), ["field tracks[0].segmentations", "3 frames"]),
        (
            changed("tracks.0.segmentations.0", 1),
            ["field tracks[0].segmentations[0] must be an object or null"],
        ),
        (changed("tracks.0.segmentations.0.size", [8, 6]), ["segmentations[0].size must be the video's"]),
        (changed("tracks.0.segmentations.0.counts", [1]), ["segmentations[0].counts must be a text"]),
        (changed("tracks.0.segmentations.0.counts", "é"), ["segmentations[0].counts must be ASCII"]),
    ],
)
def test_a_wrong_field_is_named(tmp_path, change, words):
    path = tmp_path / "tracks.json"
    save_tracks(example(), path)
    root = json.loads(path.read_text())
    change(root)
    path.write_text(json.dumps(root))
    assert_one_line(path, words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["must be JSON"]),
        (b"\xff\xfe\x00", ["must be JSON"]),
        (b"not json", ["must be JSON", "line 1"]),
        (b"[1, 2]", ["must hold a JSON object"]),
        (b"[" * 200_000, ["must be JSON"]),
        (None, ["cannot be read", "No such file"]),
    ],
)
def test_no_such_json(tmp_path, content, words):
    path = tmp_path / "tracks.json"
    if content is not None:
        path.write_bytes(content)
    assert_one_line(path, words)


def test_a_cut_file(tmp_path):
    path = tmp_path / "tracks.json"
    save_tracks(example(), path)
    whole = path.read_bytes()
    for end in range(0, len(whole) - 3, 50):
        path.write_bytes(whole[:end])
        assert_one_line(path, ["damaged or cut off"])


def test_a_number_that_json_does_not_know(tmp_path):
    with pytest.raises(ValueError, match="JSON compliant"):
        save_tracks(example(fps=float("nan")), tmp_path / "tracks.json")


def assert_one_line(path, words):
    with pytest.raises(InputError) as caught:
        load_tracks(path)
    message = str(caught.value)
    assert "\n" not in message
    for word in [str(path), *words]:
        assert word in message


@pytest.mark.parametrize("code", ["", "0", "~~~", "1", "PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP0"])
def test_codes_that_are_none_of_the_frames_pixels(tmp_path, code):
    """COCO's tools would read past their end: nothing may decode them."""
    path = tmp_path / "tracks.json"
    save_tracks(example(), path)
    content = json.loads(path.read_text())
    content["tracks"][0]["segmentations"][2]["counts"] = code
    path.write_text(json.dumps(content))
    with pytest.raises(
        InputError, match=r"tracks\[0\]\.segmentations\[2\]\.counts must be the run-length code of 6 x 8"
    ):
        load_tracks(path)
