"""What a result answers from its source and into files."""

import builtins
import json
import os
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from PIL import Image, ImageShow

import ovvis
from ovvis.errors import InputError, ResourceError
from ovvis.inference.tubes import MaskStore, TubeMasks
from ovvis.masks import encode
from ovvis.outputs.formats.tracks_json import save_tracks
from ovvis.results import showing
from ovvis.results.notebook import as_table
from ovvis.structures import Track, VideoResult

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

SIZE = (32, 48)


def block(top, left, height, width):
    mask = np.zeros(SIZE, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return mask


def shade(index):
    """Return the picture of a frame: grey that says its number."""
    return np.full((*SIZE, 3), 20 * index, dtype=np.uint8)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "pets"
    place.mkdir()
    for index in range(7):
        Image.fromarray(shade(index)).save(place / f"{index}.png")
    return place


def example(**changes):
    """Each second frame of seven; the cat bears the dog's id under another label."""
    dog = [encode(block(10, 10, 10, 20)), None, encode(block(0, 40, 6, 8)), encode(block(0, 0, 0, 0))]
    values = {
        "tracks": [
            Track(3, "dog", 1, 0.9, (), dog),
            Track(3, "cat", 0, 0.5, (), dog),
            Track(8, "cat", 0, 0.4, (), [encode(block(0, 0, 5, 5)), encode(block(0, 1, 5, 5)), None, None]),
            Track(9, "cat", 0, 0.1, (), [encode(block(20, 0, 5, 5))] * 4),
        ],
        "source": "pets",
        "height": SIZE[0],
        "width": SIZE[1],
        "fps": 12.0,
        "frame_indices": [0, 2, 4, 6],
        "frame_times": [0.0, 2 / 24, 4 / 24, 6 / 24],
        "labels": ("cat", "dog"),
    }
    return VideoResult(**(values | changes))


def opened(folder, **changes):
    return example(opened_as={"source": str(folder), "every": 2}, **changes)


# --- pictures


def test_the_source_is_opened_again(folder):
    result = opened(folder)
    assert [int(result.image(frame)[0, 0, 0]) for frame in (0, 3, 1, -2)] == [0, 120, 40, 80]
    held = example(video=ovvis.open_source([shade(i) for i in range(7)], every=2))
    assert [int(held.image(frame)[0, 0, 0]) for frame in (2, 0)] == [80, 0]
    held.close()
    assert held.video is None


@pytest.mark.parametrize("every", [1, 3])
def test_frames_of_a_video_file_by_number(tmp_path, every):
    from ovvis.outputs.render import VideoWriter

    with VideoWriter(tmp_path / "v.mp4", 10, SIZE) as writer:
        for index in range(12):
            writer.write(shade(index))
    source = ovvis.open_source(tmp_path / "v.mp4", every=every)
    for index in (11, 0, 7):
        frame = source.frame(index)
        assert (frame.index, frame.time) == (index, pytest.approx(index / 10))
        np.testing.assert_allclose(frame.image, shade(index), atol=4)
    assert len(list(source)) == -(-12 // every)  # what it was opened for stays
    for index in (12, -1):
        with pytest.raises(InputError):
            source.frame(index)


def test_frames_that_come_once_do_not_come_again():
    source = ovvis.open_source(iter([shade(0), shade(1)]))
    with pytest.raises(InputError, match="can be read once"):
        source.frame(0)


def test_a_source_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"pets is not here, and its pictures are needed: set result.video"):
        example().plot(0)
    with pytest.raises(InputError, match=r"it was .*gone"):
        example(opened_as={"source": str(tmp_path / "gone")}).image(0)


@pytest.mark.parametrize("named", ["http://127.0.0.1:9/v.mp4", "camera:0", "-", "/dev/zero", "", 7])
def test_what_a_file_names_is_opened_only_if_it_is_a_file(named):
    with pytest.raises(InputError, match="pets is not here"):
        example(opened_as={"source": named}).image(0)


def test_another_video_under_the_same_name(folder):
    late = opened(folder, frame_times=[0.0, 0.5, 1.0, 1.5])
    assert late.image(0).shape == (*SIZE, 3)
    with pytest.raises(InputError, match=r"pets is another video by now: its frame 2 is shown at 0.083 s, .* 0.500 s"):
        late.image(1)
    with pytest.raises(InputError, match=r"picture of frame 0 is 48x32 .*: it must be 48x30 pixels"):
        opened(folder, height=30).image(0)
    with pytest.raises(InputError, match="has 7 frames, and none of number 40"):
        opened(folder, frame_indices=[0, 2, 4, 40]).image(3)


def test_crops(folder):
    result = opened(folder)
    dog = result.track(3)
    cut = result.crop(dog, 2)
    assert cut.shape == (6, 8, 3) and (cut == 80).all()
    assert result.crop(dog, 0, margin=2).shape == (14, 24, 3)
    assert result.crop(dog, 2, margin=5).shape == (11, 13, 3)  # the picture ends there
    bare = result.crop(dog, 2, margin=1, background=False)
    assert bare.shape == (7, 9, 4)
    assert (bare[:6, 1:, 3] == 255).all() and (bare[6, :, 3] == 0).all() and (bare[:, 0] == 0).all()
    assert [result.crop(dog, f, background=b).shape for f, b in ((1, True), (3, False))] == [(0, 0, 3), (0, 0, 4)]
    given = np.full((*SIZE, 3), 7, dtype=np.uint8)
    assert (example().crop(dog, 0, image=given) == 7).all()
    with pytest.raises(InputError, match="margin -1 must be a whole number of pixels"):
        result.crop(dog, 0, margin=-1)


def test_a_painted_frame(folder):
    result = opened(folder)
    picture = result.plot(2)
    assert isinstance(picture, Image.Image) and picture.size == (48, 32)
    pixels = np.asarray(picture)
    assert (pixels[25:, :20] == 80).all()  # the faint cat is not painted
    assert not (np.asarray(result.plot(2, min_score=0))[22, 2] == 80).all()
    plain = np.asarray(result.plot(2, style=ovvis.Style(opacity=0, outlines=False, tags=False)))
    assert (plain == 80).all()
    with pytest.raises(InputError, match="style 'mask': did you mean masks"):
        result.plot(2, style="mask")
    with pytest.raises(InputError, match=r"it must be 48x32 pixels of 8-bit RGB"):
        result.plot(2, image=np.zeros((*SIZE, 3)))


@pytest.mark.parametrize(("aspect", "width"), [(Fraction(4, 3), 64), (Fraction(1, 2), 24)])
def test_a_painted_frame_is_as_wide_as_the_video_is_shown(folder, aspect, width):
    assert opened(folder, pixel_aspect=aspect).plot(0).size == (width, 32)


def test_show_of_a_frame(folder, monkeypatch):
    shown = []
    monkeypatch.setattr(ImageShow, "show", lambda picture, title: shown.append(title) or len(shown) < 3)
    result = opened(folder)
    result.show(0)
    result.show(-2, style="outlines")
    assert shown == ["pets, frame 0", "pets, frame 2"]
    with pytest.raises(ResourceError, match=r"no program here shows pictures: .*plot\(2\).save"):
        result.show(2)


def test_show_of_everything_is_the_viewer(folder, monkeypatch, tmp_path):
    opens, addresses = [True, True, False], []
    monkeypatch.setattr(showing.webbrowser, "open", lambda address: addresses.append(address) or opens.pop(0))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    for age in (0, 2 * showing.KEPT):
        old = tmp_path / "scratch" / f"{showing.PREFIX}{age}"
        old.mkdir(parents=True)
        os.utime(old, (time.time() - age,) * 2)
    opened(folder).show()
    assert not old.exists() and old.with_name(f"{showing.PREFIX}0").exists()  # of days before, of today
    page = Path(addresses[0].removeprefix("file://"))
    assert page.name == "pets.html" and page.parent.name.startswith(showing.PREFIX)
    text = page.read_text()
    assert '"kind":"copy"' in text and '"shownScore":0.3' in text and text.count('"id":') == 3
    example().show(min_score=0.5)  # its source is not here: masks alone
    assert '"media":null,"places"' in Path(addresses[1].removeprefix("file://")).read_text()
    assert '"shownScore":0.5' in Path(addresses[1].removeprefix("file://")).read_text()
    with pytest.raises(ResourceError, match=r"no browser opens here: the page is .*pets.html"):
        example(video=ovvis.open_source([shade(i) for i in range(7)], every=2)).show()
    assert '"kind":"copy"' in Path(addresses[2].removeprefix("file://")).read_text()


def test_show_refuses(monkeypatch):
    monkeypatch.setattr(showing.webbrowser, "open", lambda address: pytest.fail("nothing is to be opened"))
    for given, options, error, said in (
        (example(tracks=[], frame_indices=[], frame_times=[]), {}, InputError, "no frame"),
        (example(), {"style": "outlines"}, InputError, "name the frame, or leave it out"),
        (example(), {"min_score": 2}, InputError, r"min_score 2: it must lie in \[0, 1\]"),
    ):
        with pytest.raises(error, match=said):
            given.show(**options)
    monkeypatch.setattr(showing, "LARGE", 10)
    with pytest.raises(ResourceError, match=r"save the result, and ovvis view RESULT shows it in pieces"):
        example().show()


def test_show_in_a_notebook(folder, monkeypatch):
    shown = []
    python = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1))
    monkeypatch.setitem(sys.modules, "IPython", python)
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=shown.append, HTML=str))
    opened(folder).show(0)
    assert shown[0].size == (48, 32)
    opened(folder).show()
    assert shown[1].startswith("<iframe") and shown[1] == opened(folder)._repr_html_()


# --- tables and other libraries


def test_supervision():
    result = example(tracks=[Track(5, "owl-like", 1, 0.8, (), example().track(3).masks), *example().tracks])
    found = result.to_supervision(0)
    assert found.xyxy.tolist() == [[10, 10, 30, 20], [10, 10, 30, 20], [0, 0, 5, 5]]
    assert found.tracker_id.tolist() == [5, 3, 8] and found.class_id.tolist() == [1, 1, 0]
    assert found.confidence.tolist() == pytest.approx([0.8, 0.9, 0.4])
    assert found.data["class_name"].tolist() == ["owl-like", "dog", "cat"]
    np.testing.assert_array_equal(found.mask[2], block(0, 0, 5, 5))
    assert found.mask.dtype == np.bool_ and found.area.tolist() == [200, 200, 25]
    assert found[found.class_id == 0].tracker_id.tolist() == [8]
    assert len(result.to_supervision(0, min_score=0)) == 4


def test_supervision_of_a_frame_where_nothing_is_seen():
    none = example().to_supervision(3)
    assert len(none) == 0 and none.mask.shape == (0, *SIZE) and none.tracker_id.shape == (0,)
    assert len(none[none.class_id == 1]) == 0


def test_pandas():
    table = example().to_pandas()
    assert list(table.columns[:7]) == ["position", "frame", "time", "id", "label", "score", "x"]
    rows = table[["position", "frame", "id", "label", "x", "y", "width", "height", "area", "centre_x"]]
    assert rows.values.tolist() == [
        [0, 0, 3, "dog", 10, 10, 20, 10, 200, 20],
        [0, 0, 8, "cat", 0, 0, 5, 5, 25, 2.5],
        [1, 2, 8, "cat", 1, 0, 5, 5, 25, 3.5],
        [2, 4, 3, "dog", 40, 0, 8, 6, 48, 44],
    ]
    assert table.groupby("label")["area"].max().to_dict() == {"cat": 25, "dog": 200}
    empty = example(tracks=[]).to_pandas()
    assert len(empty) == 0 and empty["id"].dtype == np.int64 and list(empty.columns) == list(table.columns)


def test_pandas_is_not_installed(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "pandas":
            raise ModuleNotFoundError(name=name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ResourceError, match="to_pandas needs pandas, which is not installed: pip install pandas"):
        example().to_pandas()


# --- files


def test_save_and_load(folder, tmp_path, monkeypatch):
    result = opened(folder)
    result.save(tmp_path / "all.json")
    again = ovvis.load_result(tmp_path / "all.json")
    assert again == result
    assert (again.at(0), again.counts(0)["cat"].tolist()) == (result.at(0), result.counts(0)["cat"].tolist())
    np.testing.assert_array_equal(np.asarray(again.plot(2)), np.asarray(result.plot(2)))
    assert again.track(9).mask(0).sum() == 25
    result.save(tmp_path / "few.json", min_score=0.3)
    assert [t.score for t in ovvis.load_result(tmp_path / "few.json")] == [0.9, 0.5, 0.4]
    with pytest.raises(InputError, match=r"all.json is there already"):
        result.save(tmp_path / "all.json")
    result.save(tmp_path / "all.json", overwrite=True)


def test_a_folder_of_results_that_moved_with_its_video(folder, tmp_path, monkeypatch):
    """The path is as the run had it: relative to where it ran, or beside the results."""
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "ovvis-pets"
    place.mkdir()
    save_tracks(example(opened_as={"source": "pets", "every": 2}), place / "tracks.json")
    assert ovvis.load_result(place).image(1)[0, 0, 0] == 40
    monkeypatch.chdir(folder)
    assert ovvis.load_result(place).image(1)[0, 0, 0] == 40
    folder.rename(tmp_path / "animals")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"pets is not here \(it was pets\)"):
        ovvis.load_result(place).image(1)
    assert ovvis.load_result(place, source="animals").image(1)[0, 0, 0] == 40
    with pytest.raises(InputError, match=r"animals holds no tracks.json: give the folder that ovvis segment wrote"):
        ovvis.load_result("animals")


def test_the_viewers_page(folder, tmp_path):
    done = opened(folder).save(tmp_path / "pets.html")
    assert (done.format, done.tracks, done.files) == ("view", 3, 1) and "encoded again" in " ".join(done.notes)
    assert '"kind":"copy"' in done.path.read_text() and done.path.read_text().count('"id":') == 3
    with pytest.raises(InputError, match="overwrite"):
        opened(folder).save(tmp_path / "pets.html")
    assert opened(folder).save(tmp_path / "pets.html", min_score=0.5, overwrite=True).tracks < 3
    with pytest.raises(InputError, match=r"ends in .html, not pets.mp4"):
        opened(folder).save(tmp_path / "pets.mp4", "view")
    with pytest.raises(InputError, match=r"labels: format view does not take it"):
        opened(folder).save(tmp_path / "dog.html", labels=["dog"])


def test_a_painted_video(folder, tmp_path):
    opened(folder, pixel_aspect=Fraction(4, 3)).save(tmp_path / "v.mp4", style=ovvis.Style(opacity=0, tags=False))
    with av.open(str(tmp_path / "v.mp4")) as video:
        images = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert video.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    assert len(images) == 4
    np.testing.assert_allclose(images[0][15, 22], 0, atol=12)  # outlined, not tinted
    with pytest.raises(InputError, match=r"v.mp4 is there already"):
        opened(folder).save(tmp_path / "v.mp4")


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        (
            "x.avi",
            {},
            r"\(.json, .mp4, .html, .csv, .webm, .mov\), or format= must: video, view, tracks, davis",
        ),
        ("x", {}, "the ending must say the format"),
        ("x.json", {"min_score": 2}, r"min_score 2 must lie in \[0, 1\]"),
        ("x.json", {"style": "boxes"}, "style: format tracks does not take it"),
        ("no/x.json", {}, "no does not exist: make the folder"),
        ("x.mp4", {}, "pets is not here"),
        ("x.mp4", {"min_score": 2}, r"min_score 2 must lie in \[0, 1\]"),
        ("x.mp4", {"labels": ["dog"]}, "labels: format video does not take it"),
        ("x.avi", {"format": "video"}, "a name that ends in .mp4, not x.avi"),
        ("x", {"format": "crops"}, "pets is not here"),
        ("x", {"format": "coko"}, "format 'coko': did you mean coco"),
    ],
)
def test_what_cannot_be_saved(tmp_path, name, options, words):
    with pytest.raises(InputError, match=words):
        example().save(tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


def test_where_a_source_was_is_kept_with_the_result(tmp_path, folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ovvis.open_source("pets", every=2, fps=12).opened_as == {"source": "pets", "every": 2, "fps": 12}
    assert ovvis.open_source(folder / "*.png").opened_as == {"source": str(folder / "*.png")}
    assert ovvis.open_source([shade(0)]).opened_as == {}
    example().save("bare.json")
    assert "opened_as" not in json.loads((tmp_path / "bare.json").read_text())["video"]


def test_the_formats_of_exports(folder, tmp_path):
    written = opened(folder).save(tmp_path / "crops", "crops", labels=["dog"])
    assert sorted(p.relative_to(tmp_path).as_posix() for p in (tmp_path / "crops").rglob("*.*")) == [
        "crops/003-dog/00000.jpg",
        "crops/003-dog/00004.jpg",
    ]
    assert (written.tracks, written.masks) == (1, 2)
    example().save(tmp_path / "table.csv")
    assert len((tmp_path / "table.csv").read_text().splitlines()) > 4


# --- notebooks, closed results


def test_a_notebook_shows_the_tracks():
    html = as_table(example(source="<pets>", tracks=[Track(1, "<b>\u202edog", 1, 0.9, (), example().tracks[0].masks)]))
    assert "&lt;b&gt;\\u202edog" in html and "<b>" not in html
    assert "2/4" in html and "0.0–0.1, 0.2–0.2" in html
    assert example()._repr_html_()
    many = [Track(i, "cat", 0, 0.9, (), [None] * 4) for i in range(30)]
    assert "and 5 more" in as_table(example(tracks=many))


def test_a_closed_result(folder):
    store = MaskStore(np.array([2]), SIZE, limit=1 << 20)
    for mask in example().tracks[0].masks:
        store.add({} if mask is None else {2: mask})
    masks = TubeMasks(store, 0, np.zeros(4, dtype=bool))
    with opened(folder, tracks=[Track(3, "dog", 1, 0.9, (), masks, SIZE)], storage=store) as result:
        assert result.track(3).area(0) == 200
    assert "1 tracks" in repr(result)
    for ask in (
        lambda: result.track(3).mask(0),
        lambda: result.at(0),
        lambda: result.plot(0),
        lambda: result.to_pandas(),
        lambda: result.save(folder / "x.json"),
    ):
        with pytest.raises(InputError, match=r"the result is closed: its masks are gone; ask before close\(\)"):
            ask()
    assert not (folder / "x.json").exists()
    assert "0.900" in result._repr_html_()  # a notebook may show it later


def test_nothing_is_kept_of_masks_that_were_asked_for():
    """A result of many frames does not grow by being asked."""
    import tracemalloc

    result = example()
    result.track(3).mask(0)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(20):
        for frame in range(4):
            result.at(frame)
            result.track(3).mask(frame)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < SIZE[0] * SIZE[1] * 4
