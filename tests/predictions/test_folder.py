import errno
import json
import os
import tracemalloc
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from ovvis import masks
from ovvis.datasets.annotations import Annotations, Video
from ovvis.errors import InputError, ResourceError
from ovvis.evaluation.records import Category, ResultTrack
from ovvis.predictions.folder import PredictionFolder, Shard
from ovvis.predictions.submission import pack, packed_files

SQUARE = masks.encode(np.eye(4, 6, dtype=np.bool_))
SETTINGS = {"model": "tiny", "config": {"width": 32}, "prompts": ["a {}"], "device": "cpu"}


def dataset(videos: int = 3, groups: tuple[tuple[str, ...], ...] = (("base",), ("novel",), ())) -> Annotations:
    return Annotations(
        name="three",
        frames=Path("frames"),
        categories=tuple(Category(10 * i, f"c{i}", group) for i, group in enumerate(groups, 1)),
        videos=tuple(Video(7 * i, f"v{i}", 4, 6, ("0.jpg", "1.jpg")) for i in range(1, videos + 1)),
        truths=(),
    )


def tracks(video: Video) -> list[ResultTrack]:
    """Return a result of each category, of two frames."""
    return [ResultTrack(video.id, 10 * i, 1 / (video.id + i), [None, SQUARE]) for i in (1, 2, 3)]


def filled(path: Path, split: Annotations, images: bool = False, order: int = 1) -> PredictionFolder:
    with PredictionFolder(path, split, images) as folder:
        folder.keep_settings(SETTINGS)
        for video in folder.pending()[::order]:
            folder.write(video, tracks(video))
        pack(folder.path, split, [folder.file(video) for video in split.videos])
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_layout(tmp_path):
    split = dataset()
    filled(tmp_path / "out", split)
    assert sorted(content(tmp_path / "out")) == sorted(
        [
            "settings.json",
            *(f"results/{video.id}.json" for video in split.videos),
            *("results.json", "base_results.json", "novel_results.json"),
            *("submission.zip", "submission_base.zip", "submission_novel.zip"),
        ]
    )
    written = {"size": [4, 6], "counts": SQUARE["counts"].decode()}
    expected = [
        {"video_id": v, "category_id": c, "score": 1 / (v + c // 10), "segmentations": [None, written]}
        for v in (7, 14, 21)
        for c in (10, 20, 30)
    ]
    assert json.loads((tmp_path / "out/results.json").read_text()) == expected
    for group, ids in (("base", {10}), ("novel", {20})):
        chosen = [entry for entry in expected if entry["category_id"] in ids]
        assert json.loads((tmp_path / f"out/{group}_results.json").read_text()) == chosen
        with zipfile.ZipFile(tmp_path / f"out/submission_{group}.zip") as archive:
            assert archive.namelist() == ["results.json"]  # the name that servers look for
            assert json.loads(archive.read("results.json")) == chosen
    with zipfile.ZipFile(tmp_path / "out/submission.zip") as archive:
        assert archive.testzip() is None and json.loads(archive.read("results.json")) == expected


def test_images_have_cocos_format(tmp_path):
    split = dataset(1, ((),))
    with PredictionFolder(tmp_path, split, images=True) as folder:
        video = split.videos[0]
        folder.write(video, [ResultTrack(7, 10, 0.5, [SQUARE]), ResultTrack(7, 10, 0.25, [None])])
        pack(tmp_path, split, [folder.file(video)])
    first, second = json.loads((tmp_path / "results.json").read_text())
    assert first == {
        "image_id": 7,
        "category_id": 10,
        "score": 0.5,
        "segmentation": {"size": [4, 6], "counts": SQUARE["counts"].decode()},
    }
    # COCO's evaluator needs a mask; one without a pixel is wrong as often as none.
    assert masks.area({"size": [4, 6], "counts": second["segmentation"]["counts"].encode()}) == 0
    assert packed_files(split.categories) == ["results.json", "submission.zip"]


@pytest.mark.parametrize("order", [1, -1])
def test_bytes_do_not_depend_on_time_or_order(tmp_path, order, monkeypatch):
    filled(tmp_path / "a", dataset())
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    filled(tmp_path / "b", dataset(), order=order)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_no_results_at_all_is_an_empty_list(tmp_path):
    split = dataset(1)
    with PredictionFolder(tmp_path, split) as folder:
        folder.write(split.videos[0], [])
        assert folder.done(split.videos[0])
        pack(tmp_path, split, [folder.file(split.videos[0])])
    assert json.loads((tmp_path / "results.json").read_text()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("x"), OSError(errno.ENOSPC, "full")])
def test_a_video_that_stops_in_the_middle_has_no_file(tmp_path, error):
    split = dataset()

    def some():
        yield tracks(split.videos[0])[0]
        raise error

    with PredictionFolder(tmp_path, split) as folder:
        expected = ResourceError if isinstance(error, OSError) else type(error)
        with pytest.raises(expected):
            folder.write(split.videos[0], some())
        assert folder.pending() == list(split.videos) and list((tmp_path / "results").iterdir()) == []


@pytest.mark.parametrize("half", [b"", b"[", b'[\n{"video_id": 7, "cat', b'[\n{"video_id": 7}\n]'])
def test_a_file_that_is_not_whole_is_made_again(tmp_path, half):
    """No run of ours leaves such a file; a disk may."""
    split = dataset()
    filled(tmp_path / "a", split)
    filled(tmp_path / "b", split)
    (tmp_path / "b/results/7.json").write_bytes(half)
    with PredictionFolder(tmp_path / "b", split) as folder:
        assert folder.pending() == [split.videos[0]] and folder.missing() == [split.videos[0]]
    filled(tmp_path / "b", split)
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_what_a_killed_run_leaves_goes(tmp_path):
    split = dataset()
    filled(tmp_path, split)
    before = content(tmp_path)
    for name in ("results/.7.json.partial.1-of-1", "results/.7.json.partial.2-of-5", ".results.json.partial.1-of-1"):
        (tmp_path / name).write_text("half")
    (tmp_path / ".lock.2-of-5").write_text("")
    with PredictionFolder(tmp_path, split):
        assert sorted(p.name for p in tmp_path.rglob(".*")) == [".lock.1-of-1"]
    assert content(tmp_path) == before


def test_shards_share_a_folder(tmp_path):
    split = dataset(5)
    first, second = (PredictionFolder(tmp_path / "b", split, shard=Shard(i, 2)) for i in (1, 2))
    with first, second:
        living = tmp_path / "b/results/.35.json.partial.1-of-2"
        for folder in (second, first):
            folder.keep_settings(SETTINGS)
            for video in folder.pending():
                folder.write(video, tracks(video))
            living.write_text("written by the first shard just now")
            with PredictionFolder(tmp_path / "b", split, shard=Shard(3, 3)):
                assert living.exists()
            assert [v.id for v in first.missing()] == ([7, 21, 35] if folder is second else [])
        living.unlink()
        pack(second.path, split, [second.file(video) for video in split.videos], second.shard.suffix)
    filled(tmp_path / "a", split)
    assert content(tmp_path / "a") == content(tmp_path / "b")


@pytest.mark.parametrize("name", ["results.json", "submission.zip", "results/7.json"])
def test_results_that_no_run_made_are_refused(name, tmp_path):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("somebody's")
    with PredictionFolder(tmp_path / "out", dataset()) as folder, pytest.raises(InputError, match=name):
        folder.keep_settings(SETTINGS)
    assert path.read_text() == "somebody's"


def test_nothing_is_dropped_under_another_shard(tmp_path):
    with PredictionFolder(tmp_path, dataset()) as folder:
        with PredictionFolder(tmp_path, dataset(), shard=Shard(1, 2)), pytest.raises(InputError, match="other shards"):
            folder.clear()
        folder.clear()


def test_the_same_shard_twice_is_refused(tmp_path):
    with PredictionFolder(tmp_path, dataset(), shard=Shard(2, 3)):
        with pytest.raises(InputError, match=r"another process is predicting shard 2/3.*--shard i/n"):
            PredictionFolder(tmp_path, dataset(), shard=Shard(2, 3)).__enter__()
        with PredictionFolder(tmp_path, dataset(), shard=Shard(1, 3)):
            pass
    with PredictionFolder(tmp_path, dataset(), shard=Shard(2, 3)):
        pass


@pytest.mark.parametrize("text", ["", "3", "0/2", "3/2", "1/0", "a/b", "1/2/3", "-1/2", "1.0/2"])
def test_a_bad_shard_is_one_line(text):
    with pytest.raises(InputError, match="must be i/n"):
        Shard.parse(text)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model": "other"}, 'model was "tiny" and is now "other"'),
        ({"config": {"width": 64}}, "config.width was 32 and is now 64"),
        ({"prompts": ["the {}"]}, r'prompts\[0\] was "a {}" and is now "the {}"'),
        ({"prompts": ["a {}", "the {}"]}, "prompts was"),
        ({"new": 1}, "new was null and is now 1"),
        ({"config": None}, "config was"),
    ],
)
def test_other_settings_are_refused(tmp_path, change, named):
    filled(tmp_path, dataset())
    before = content(tmp_path)
    with PredictionFolder(tmp_path, dataset()) as folder:
        with pytest.raises(InputError, match=f"{named}.*--output.*--restart"):
            folder.keep_settings(SETTINGS | change)
        assert folder.keep_settings(SETTINGS) == []
        (warning,) = folder.keep_settings(SETTINGS | {"device": "cuda"})
        assert 'device was "cpu" and is now "cuda"' in warning
    assert content(tmp_path) == before


def test_results_of_unknown_making_are_refused(tmp_path):
    filled(tmp_path, dataset())
    (tmp_path / "settings.json").unlink()
    with (
        PredictionFolder(tmp_path, dataset()) as folder,
        pytest.raises(InputError, match=r"without settings.json.*--restart"),
    ):
        folder.keep_settings(SETTINGS)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "ovvis-predictions", "version": 99}', "\x00"])
def test_damaged_settings_are_one_line(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with PredictionFolder(tmp_path, dataset()) as folder:
        with pytest.raises(InputError, match=r"settings.json .*--output.*--restart") as caught:
            folder.keep_settings(SETTINGS)
        assert "\n" not in str(caught.value)


def test_restart_removes_predictions_and_nothing_else(tmp_path):
    folder = filled(tmp_path, dataset())
    (tmp_path / "mine_results.json").write_text("[]")
    with folder:
        folder.mark_broken(folder.dataset.videos[0], "gone")
        folder.clear()
    assert list(content(tmp_path)) == ["mine_results.json"]


def test_broken_videos_are_marked_until_they_have_results(tmp_path):
    split = dataset()
    with PredictionFolder(tmp_path, split) as folder:
        folder.mark_broken(split.videos[1], "a.jpg is gone")
        assert folder.broken() == [split.videos[1]] and folder.missing() == [split.videos[0], split.videos[2]]
        assert folder.pending() == list(split.videos)  # tried again
        assert json.loads((tmp_path / "broken/14.json").read_text())["problem"] == "a.jpg is gone"
        folder.write(split.videos[1], [])
        assert folder.broken() == [] and not (tmp_path / "broken/14.json").exists()


def test_a_long_video_never_lies_in_memory(tmp_path):
    """Masks are asked for one at a time, as from a spill; packing holds an entry at a time."""
    split = dataset(1)

    class Masks(Sequence):
        def __len__(self):
            return 2000

        def __getitem__(self, i):
            return {"size": [4, 6], "counts": b"0" * 2000} if i < len(self) else [][i]

    with PredictionFolder(tmp_path, split) as folder:
        tracemalloc.start()
        try:
            folder.write(split.videos[0], (ResultTrack(7, 10, 0.5, Masks()) for _ in range(20)))
            write_peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
            pack(tmp_path, split, [folder.file(split.videos[0])])
            pack_peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    size = (tmp_path / "results.json").stat().st_size
    assert size > 80e6 and write_peak < size / 100 and pack_peak < size / 3, (size, write_peak, pack_peak)


def test_a_score_that_json_does_not_know_is_refused(tmp_path):
    split = dataset(1)
    with PredictionFolder(tmp_path, split) as folder:
        with pytest.raises(ValueError, match="JSON"):
            folder.write(split.videos[0], [ResultTrack(7, 10, float("nan"), [None, None])])
        assert folder.pending() == list(split.videos)


def test_a_changed_file_is_named_when_packed(tmp_path):
    split = dataset(1)
    filled(tmp_path, split)
    (tmp_path / "results/7.json").write_text('[\n{"score": 1}\n]\n')
    before = (tmp_path / "results.json").read_bytes()
    with pytest.raises(InputError, match=r"7.json, line 2"):
        pack(tmp_path, split, [tmp_path / "results/7.json"])
    assert (tmp_path / "results.json").read_bytes() == before
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(os.name != "posix", reason="permissions")
def test_a_folder_that_cannot_be_used_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(InputError, match=r"must be a writable folder.*--output"):
            PredictionFolder(path, dataset()).__enter__()
    with PredictionFolder(tmp_path / "new", dataset()):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["file"]  # nothing came of it: nothing is left
