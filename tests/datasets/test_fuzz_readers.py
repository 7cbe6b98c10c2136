"""Whatever a file holds, a reader gives a sound record or an `InputError` of one line. See docs/datasets.md.

`OVVIS_FUZZ=20000 pytest tests/datasets/test_fuzz_readers.py` tries as many inputs a property.
"""

import copy
import io
import json
import os
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ovvis import masks
from ovvis.datasets.annotations import Annotations, Video
from ovvis.datasets.burst import read_burst
from ovvis.datasets.check import check
from ovvis.datasets.coco import read_coco
from ovvis.datasets.coco_video import read_coco_video
from ovvis.datasets.open import find_dataset, open_dataset
from ovvis.datasets.problems import Problems
from ovvis.datasets.youtube_vis import read_youtube_vis
from ovvis.errors import InputError
from ovvis.evaluation.records import Category
from ovvis.predictions.result_files import ResultFiles

TRIES = int(os.environ.get("OVVIS_FUZZ", "100"))
many = settings(max_examples=TRIES, suppress_health_check=list(HealthCheck))

CODE, NUMBERS, POLYGON = {"size": [2, 3], "counts": "024"}, {"size": [2, 3], "counts": [4, 2]}, [[0, 0, 2, 0, 2, 2]]
CATEGORIES = [
    {"id": 1, "name": "cat", "partition": 2, "frequency": "r", "split": "common"},
    {"id": 4, "name": "dog", "partition": 0, "frequency": "f", "split": "uncommon"},
]
YOUTUBE_VIS = {
    "videos": [
        {"id": 7, "height": 2, "width": 3, "length": 2, "file_names": ["a/0.jpg", "a/1.jpg"], "neg_category_ids": [4]},
        {"id": 0, "height": 4, "width": 4, "file_names": ["b/0.jpg"], "not_exhaustive_category_ids": [1]},
    ],
    "categories": CATEGORIES,
    "annotations": [
        {"id": 0, "video_id": 7, "category_id": 1, "segmentations": [CODE, None], "areas": [2, None], "iscrowd": 0},
        {"id": 2, "video_id": 7, "category_id": 4, "segmentations": [NUMBERS, POLYGON]},
        {"id": 3, "video_id": 0, "category_id": 4, "segmentations": [[]]},
    ],
    "cate_ori": [{"id": 9}, {"id": 8}],
}
COCO = {
    "images": [
        {"id": 7, "height": 2, "width": 3, "file_name": "a.jpg"},
        {"id": 0, "height": 4, "width": 4, "coco_url": "http://x/train2017/b.jpg"},
    ],
    "categories": CATEGORIES,
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 1, "segmentation": CODE, "area": 2.5, "iscrowd": 1},
        {"id": 2, "image_id": 7, "category_id": 4, "segmentation": NUMBERS},
        {"id": 3, "image_id": 0, "category_id": 4, "segmentation": POLYGON},
    ],
}
BURST = {
    "split": "val",
    "categories": CATEGORIES,
    "sequences": [
        {
            "id": 3,
            "height": 2,
            "width": 3,
            "seq_name": "s",
            "dataset": "AVA",
            "annotated_image_paths": ["0.jpg", "1.jpg"],
            "neg_category_ids": [4],
            "not_exhaustive_category_ids": [],
            "track_category_ids": {"1": 4, "5": 1},
            "segmentations": [{"1": {"rle": "024"}}, {"5": {"rle": "42"}}],
        }
    ],
}
COCO_VIDEO = {
    "videos": [{"id": 7, "height": 2, "width": 3, "neg_category_ids": [4]}, {"id": 0}],
    "images": [
        {"id": 1, "video_id": 7, "frame_id": 4, "file_name": "a/1.jpg"},
        {"id": 0, "video_id": 7, "frame_id": 0, "file_name": "a/0.jpg"},
        {"id": 5, "video_id": 0, "frame_index": 0, "file_name": "b\\0.jpg", "height": 4, "width": 4},
    ],
    "categories": CATEGORIES,
    "annotations": [
        {"id": 0, "image_id": 0, "instance_id": 0, "category_id": 1, "segmentation": CODE, "iscrowd": 0},
        {"id": 1, "image_id": 1, "instance_id": 0, "category_id": 1, "segmentation": NUMBERS},
        {"id": 2, "image_id": 5, "track_id": 3, "segmentation": POLYGON},
    ],
    "tracks": [{"id": 3, "category_id": 4}],
}
FORMATS = {
    "youtube-vis": (YOUTUBE_VIS, read_youtube_vis),
    "coco": (COCO, read_coco),
    "burst": (BURST, read_burst),
    "coco-video": (COCO_VIDEO, read_coco_video),
}
TRUTHS = {"youtube-vis": 3, "coco": 3, "burst": 2, "coco-video": 2}
RESULTS = [
    {"video_id": 7, "category_id": 1, "score": 0.5, "segmentations": [CODE, None]},
    {"video_id": 0, "category_id": 4, "score": 1, "segmentations": [POLYGON]},
    {"image_id": 7, "category_id": 4, "score": 0.1, "segmentation": NUMBERS, "bbox": [0, 0, 1, 1]},
]
FILE = Path(tempfile.gettempdir()) / f"ovvis-fuzz-{os.getpid()}.json"

STRANGE = [
    "7",
    "1.0",
    "-0",
    "0" * 99,
    "a\\..\\b",
    "C:\\a\\0.jpg",
    "/etc/passwd",
    "../a.jpg",
    "NaN",
    "\u202e",
    "\x1b[2J",
]
texts = st.text(max_size=5) | st.sampled_from(
    ["", "024", "6", "O", "\ud800", "a\0b", "..", "/", "é", "P" * 30, *STRANGE]
)
numbers = (
    st.integers(-3, 10)
    | st.integers()
    | st.sampled_from([2**31, 2**63, 2**64, 10**30, -(2**63) - 1])
    | st.floats()
    | st.sampled_from([0.0, -0.0, 1e308, float("nan"), float("inf"), 7.0, 1.0, 2.0**53, -1e300])
)
scalars = st.none() | st.booleans() | numbers | texts
KEYS = sorted({key for root, _ in FORMATS.values() for key in root} | {"id", "size", "counts", "rle", "height", "name"})
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS) | texts, inner, max_size=4),
    max_leaves=12,
)
POLYGONS = [
    [[0, 0, 1, 1]],
    [[0, 0, 2, 0, 2, 2, 0]],
    [[]],
    [[-1e9, 0, 2, 0, 2, 2]],
    [[0, 0, 1e300, 0, 2, 2]],
    POLYGON * 2,
]
CODES = [{"size": [3, 2], "counts": "024"}, {"size": [2.0, 3.0], "counts": "024"}, {"size": [2, 3], "counts": "0" * 90}]
known = st.sampled_from([CODE, NUMBERS, POLYGON, CATEGORIES, [None], [], {}, [CODE] * 2, *CODES, *POLYGONS])
marks = st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-be"])


@pytest.fixture(autouse=True, scope="module")
def no_file_left():
    yield
    FILE.unlink(missing_ok=True)


def places(root, path=()):
    """Yield the path of every value in a document."""
    yield path
    items = root.items() if isinstance(root, dict) else enumerate(root) if isinstance(root, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


@st.composite
def mutated(draw, root):
    """Draw a valid document with one to three things changed, left out, or twice."""
    root = copy.deepcopy(root)
    for _ in range(draw(st.integers(1, 3))):
        inner = [path for path in places(root) if path]
        if not inner:
            return root
        *parents, name = draw(st.sampled_from(inner))
        part = root
        for parent in parents:
            part = part[parent]
        what = draw(st.sampled_from(["set", "set", "known", "delete", "twice"]))
        if what == "set":
            part[name] = draw(values)
        elif what == "known":
            part[name] = copy.deepcopy(draw(known))
        elif what == "delete":
            part.pop(name, None) if isinstance(part, dict) else part.pop(name)
        elif isinstance(part, list):
            part.append(copy.deepcopy(part[name]))
    return root


def write(root, encoding="utf-8"):
    # Another file each time: of COCO's the masks are read from it later.
    FILE.unlink(missing_ok=True)
    FILE.write_bytes(root if isinstance(root, bytes) else json.dumps(root).encode(encoding))


def sound(call):
    """Return what a call gives, or None after an `InputError` of one line that names the file."""
    try:
        return call()
    except InputError as error:
        assert str(FILE) in str(error)
        assert "\n" not in str(error)
        return None


def verify(read):
    """Hold that a record says nothing wrong."""
    videos = {video.id: video for video in read.videos}
    kinds = {category.id for category in read.categories}
    assert len(videos) == len(read.videos) == len({video.name for video in read.videos})
    assert len(kinds) == len(read.categories)
    assert len({truth.id for truth in read.truths}) == len(read.truths)
    assert all(id >= 0 for id in [*videos, *kinds, *(truth.id for truth in read.truths)])
    for video in read.videos:
        assert video.files and video.height > 0 and video.width > 0
        assert set(video.absent) | set(video.not_exhaustive) <= kinds
    for truth in read.truths:
        video = videos[truth.video_id]
        assert truth.category_id in kinds
        assert len(truth.masks) == len(video.files)
        assert truth.areas is None or len(truth.areas) == len(video.files)
        for mask in sound(lambda truth=truth: list(truth.masks)) or ():
            if mask is not None:
                assert mask["size"] == [video.height, video.width]
                assert masks.unsound([mask["counts"]], video.height * video.width) is None
                if video.height * video.width < 10**6:
                    assert masks.decode(mask).sum() == masks.area(mask)


def read_every_way(reader):
    for call in (
        lambda: reader(FILE, FILE.parent),
        lambda: reader(FILE, FILE.parent, problems=Problems(refuse=False)),
        lambda: open_dataset(FILE),
    ):
        if (read := sound(call)) is not None:
            verify(read)
    skipped = sound(lambda: open_dataset(FILE, problems=Problems(refuse=False)))
    if skipped is not None:  # what is bad is left out, so that nothing is refused later
        verify(skipped)
        assert all(list(truth.masks) for truth in skipped.truths)
        assert all("\n" not in str(note) for note in skipped.notes)
        skipped.renumbered(), skipped.asked, skipped.headed()
    report = sound(lambda: check(find_dataset(FILE), look_at_frames=False))
    if report is not None:
        json.dumps(report.as_json())


@pytest.mark.parametrize("name", FORMATS)
def test_the_documents_are_valid(name):
    root, reader = FORMATS[name]
    write(root)
    read = reader(FILE, FILE.parent)
    verify(read)
    assert len(read.truths) == TRUTHS[name]
    assert len(open_dataset(FILE).truths) == TRUTHS[name]
    assert [list(truth.masks) for truth in read.truths]


@pytest.mark.parametrize("name", FORMATS)
@many
@given(data=st.data())
def test_a_changed_document(name, data):
    root, reader = FORMATS[name]
    write(data.draw(mutated(root)), data.draw(marks))
    read_every_way(reader)


@pytest.mark.parametrize("name", FORMATS)
@many
@given(root=values)
def test_any_json(name, root):
    write(root)
    read_every_way(FORMATS[name][1])


@pytest.mark.parametrize("name", FORMATS)
@many
@given(data=st.data())
def test_damaged_bytes(name, data):
    root, reader = FORMATS[name]
    text = bytearray(json.dumps(root).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(start + 20, len(text))) | st.just(len(text)))
        text[start:end] = data.draw(st.binary(max_size=3))
    write(bytes(text))
    read_every_way(reader)


DATASET = Annotations(
    "two",
    Path(),
    (Category(1, "cat"), Category(4, "dog")),
    (Video(7, "a", 2, 3, ("a/0.jpg", "a/1.jpg")), Video(0, "b", 4, 4, ("b/0.jpg",))),
    (),
)


def read_results():
    for skip in (False, True):
        files = ResultFiles(FILE, DATASET, skip_bad=skip)
        for track in sound(lambda files=files: [one for tracks in files for one in tracks]) or ():
            video = {video.id: video for video in DATASET.videos}[track.video_id]
            for mask in track.masks:
                assert mask is None or masks.decode(mask).shape == (video.height, video.width)
        assert all("\n" not in str(note) for note in files.problems.left_out())


@many
@given(data=st.data())
def test_changed_results(data):
    write(data.draw(mutated(RESULTS)), data.draw(marks))
    read_results()


@many
@given(root=values)
def test_any_json_as_results(root):
    write(root)
    read_results()


@many
@given(data=st.data())
def test_damaged_results(data):
    """As text, and in a zip whose bytes are damaged too."""
    text = json.dumps(RESULTS).encode()
    if data.draw(st.booleans()):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", data.draw(st.sampled_from([0, 8, 8, 12, 14]))) as archive:
            archive.writestr("results.json", text)
        text = packed.getvalue()
    damaged = bytearray(text)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(damaged)))
        damaged[start : start + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    write(bytes(damaged))
    read_results()


codes = st.lists(st.binary(max_size=8) | st.text("0123456789:;<=>?@OPno", max_size=12).map(str.encode), max_size=4)


@many
@given(codes, st.integers(1, 40))
def test_run_length_codes(found, pixels):
    """A code is sound if, read number by number, its runs are not negative and sum to the frame's pixels."""
    first = next((i for i, code in enumerate(found) if not is_sound(code, pixels)), None)
    assert masks.unsound(found, pixels) == first


def is_sound(code, pixels):
    runs, value, shift = [], 0, 0
    for i, character in enumerate(code):
        low = character - 48
        if not 0 <= low < 64 or shift > 30:
            return False
        value |= (low & 0x1F) << shift
        shift += 5
        if not low & 0x20:
            value -= (1 << shift) if low & 0x10 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
        elif i == len(code) - 1:
            return False
    return bool(runs) and min(runs) >= 0 and sum(runs) == pixels
