"""Files of `ovvis segment` as results of a dataset: which video, which frames, which categories."""

import json
from dataclasses import replace

import numpy as np
import pytest

from ovvis.datasets.open import open_dataset
from ovvis.errors import InputError
from ovvis.evaluation.evaluator import Evaluator
from ovvis.masks import encode
from ovvis.outputs.formats.tracks_json import save_tracks
from ovvis.predictions.result_files import ResultFiles
from ovvis.predictions.track_files import TrackFiles, chosen_video, find_track_files, match_frames
from ovvis.structures import Track, VideoResult

LEFT, RIGHT = np.zeros((2, 6, 8), dtype=bool)
LEFT[1:5, :4] = True
RIGHT[1:5, 4:] = True


def code(mask):
    found = encode(mask)
    return {"size": found["size"], "counts": found["counts"].decode()}


def files(count, step=1, first=0, folder="clip"):
    return [f"{folder}/{first + step * i:05d}.jpg" for i in range(count)]


def dataset(tmp_path, count=3, names=files, folders=("cam1/clip", "cam2/walk"), **category):
    """Write a dataset: in each video a dog on the left and a traffic light on the right."""
    root = {
        "videos": [
            {"id": 4 + i, "height": 6, "width": 8, "file_names": names(count, folder=folder)}
            for i, folder in enumerate(folders)
        ],
        "categories": [{"id": 7, "name": "dog"} | category, {"id": 9, "name": "traffic_light"}],
        "annotations": [
            {
                "id": 1 + 2 * i + j,
                "video_id": 4 + i,
                "category_id": kind,
                "segmentations": [code(mask)] * count,
            }
            for i in range(len(folders))
            for j, (kind, mask) in enumerate(((7, LEFT), (9, RIGHT)))
        ],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(root))
    return path


def tracks(
    path, source="clip.mp4", frames=(0, 1, 2), labels=("Dog", "traffic light"), found=(LEFT, RIGHT), size=(6, 8)
):
    """Write what `ovvis segment` would: for each label an instance, whose mask is the same in all frames."""
    path.parent.mkdir(parents=True, exist_ok=True)
    result = VideoResult(
        tracks=[
            Track(i + 1, label, i, 0.9 - i / 10, ((label, 0.9),), [encode(mask)] * len(frames))
            for i, (label, mask) in enumerate(zip(labels, found, strict=True))
        ],
        source=source,
        height=size[0],
        width=size[1],
        fps=25.0,
        frame_indices=list(frames),
        frame_times=[i / 25 for i in frames],
        labels=tuple(labels),
    )
    save_tracks(result, path)
    return path


def score(found):
    truth = found.annotations
    evaluator = Evaluator(truth.categories, truth.truths, truth.rules, {video.id for video in truth.videos})
    for some in found:
        evaluator.update(some)
    return evaluator.report().metrics["all"]["AP"]


def test_the_video_is_found_by_the_sources_name(tmp_path):
    path = tracks(tmp_path / "ovvis-clip" / "tracks.json")
    found = TrackFiles(path.parent, open_dataset(dataset(tmp_path)))
    assert score(found) == pytest.approx(1)
    assert [video.name for video in found.annotations.videos] == ["cam1/clip"]
    assert len(found.annotations.truths) == 2
    told = "\n".join(found.told)
    assert "taken for video 'cam1/clip' (id 4)" in told and "1 of the 2 videos" in told


@pytest.mark.parametrize("given", ["5", "walk", "cam2/walk"])
def test_the_video_is_named(tmp_path, given):
    path = tracks(tmp_path / "tracks.json", source="holiday.mp4")
    known = open_dataset(dataset(tmp_path))
    with pytest.raises(InputError, match=r"has the name of none of the 2 videos.*--video"):
        TrackFiles(path, known)
    found = TrackFiles(path, known, video=given)
    assert [video.id for video in found.annotations.videos] == [5]
    assert score(found) == pytest.approx(1)
    assert not any("taken for" in line for line in found.told)


def test_names_that_may_be_several(tmp_path):
    known = open_dataset(dataset(tmp_path, folders=("cam1/clip", "cam2/clip", "cam3/4")))
    with pytest.raises(InputError, match="may be each of cam1/clip, cam2/clip"):
        TrackFiles(tracks(tmp_path / "tracks.json"), known)
    with pytest.raises(InputError, match=r"may be each of cam1/clip .id 4., cam2/clip"):
        chosen_video(known, "clip")
    with pytest.raises(InputError, match=r"may be each of cam3/4 .id 6., cam1/clip .id 4."):
        chosen_video(known, "4")
    with pytest.raises(InputError, match="--video clap"):
        chosen_video(known, "clap")


def test_a_folder_of_folders(tmp_path):
    known = open_dataset(dataset(tmp_path))
    for name in ("clip", "walk"):
        tracks(tmp_path / "runs" / f"ovvis-{name}" / "tracks.json", source=f"{name}.mp4")
    found = TrackFiles(tmp_path / "runs", known)
    assert score(found) == pytest.approx(1) and len(found.annotations.videos) == 2
    assert [some[0].video_id for some in found.some({5})] == [5]
    with pytest.raises(InputError, match=r"--video names one video, and .* holds 2"):
        TrackFiles(tmp_path / "runs", known, video="4")
    tracks(tmp_path / "runs" / "ovvis-again" / "tracks.json", source="walk")
    with pytest.raises(InputError, match="both taken for video 'cam2/walk'"):
        TrackFiles(tmp_path / "runs", known)


def test_kinds_of_results_are_not_mixed(tmp_path):
    path = tracks(tmp_path / "tracks.json")
    (tmp_path / "other.json").write_text("[]")
    assert find_track_files(tmp_path / "other.json") == []
    assert find_track_files(path) == [path]
    with pytest.raises(InputError, match="give one kind at a time"):
        find_track_files(tmp_path)


def test_another_size_is_refused(tmp_path):
    path = tracks(tmp_path / "tracks.json", found=(LEFT.T, RIGHT.T), size=(8, 6))
    with pytest.raises(InputError, match="masks of 8 x 6, and video 'cam1/clip' frames of 6 x 8"):
        TrackFiles(path, open_dataset(dataset(tmp_path)))


@pytest.mark.parametrize(
    ("frames", "names", "places"),
    [
        (range(3), files(3), [0, 1, 2]),
        (range(3), ["a.jpg", "b.jpg", "c.jpg"], [0, 1, 2]),
        (range(3), files(3, step=5), [0, 1, 2]),
        ([0, 5, 10], files(3, step=5), [0, 1, 2]),  # --every 5 of the whole video
        (range(12), files(3, step=5), [0, -1, -1, -1, -1, 1, -1, -1, -1, -1, 2, -1]),
        ([0, 2], files(4), [0, 2]),
        ([1, 3], files(4, first=1), [1, 3]),
        (range(4), files(3), None),  # more than the truth has
        (range(9), files(3, step=5), None),  # fewer than the truth speaks of
        (range(17), files(3, step=5), None),
        ([1, 6, 11], files(3, step=5, first=1), None),  # whether these numbers begin at 0 or 1 nobody says
        ([1, 2, 3], files(3, first=1), None),
        ([0, 2], files(4, first=10), None),
        ([0, 2], files(4, step=5), None),
        ([0, 2], ["a.jpg", "b.jpg", "c.jpg"], None),
        ([0, 0, 1], files(3), None),
        ([1, 0, 2], files(3), None),
        ([], files(3), None),
    ],
)
def test_frames(frames, names, places):
    if places is None:
        with pytest.raises(InputError, match="it cannot be told which"):
            match_frames(list(frames), names)
    else:
        assert match_frames(list(frames), names) == tuple(places)


def test_frames_that_were_not_looked_at_hold_nothing(tmp_path):
    known = open_dataset(dataset(tmp_path, count=4))
    found = TrackFiles(tracks(tmp_path / "tracks.json", frames=(0, 2)), known)
    assert score(found) == pytest.approx(0.1)  # an overlap of 0.5
    assert any("2 of the 4 frames of video 'cam1/clip' were not looked at" in line for line in found.told)


def test_every_so_many_frames_of_a_longer_source(tmp_path):
    known = open_dataset(dataset(tmp_path, names=lambda count, folder: files(count, 5, folder=folder)))
    found = TrackFiles(tracks(tmp_path / "tracks.json", frames=range(11)), known)
    assert score(found) == pytest.approx(1)
    assert any("11 frames, of which the truth has 3" in line for line in found.told)


def test_labels_that_are_no_category_are_counted(tmp_path):
    path = tracks(tmp_path / "tracks.json", labels=("puppy", "zebra"))
    found = TrackFiles(path, open_dataset(dataset(tmp_path, synonyms=["puppy", 3])))
    results = [track for some in found for track in some]
    assert [track.category_id for track in results] == [7]
    assert list(found.warnings.values()) == [1]
    told = "\n".join(found.told)
    assert "1 of 2 labels are no category" in told and "zebra" in told and "'puppy' is 'dog'" in told
    assert "categories of truth that were not asked for: 1" in told
    with pytest.raises(InputError, match=r"none of its labels .puppy, zebra. is a category"):
        TrackFiles(path, open_dataset(dataset(tmp_path)))


def test_the_same_as_a_results_file(tmp_path):
    path = tracks(tmp_path / "tracks.json", found=(RIGHT, RIGHT | LEFT))
    known = open_dataset(dataset(tmp_path))
    entries = [
        {"video_id": 4, "category_id": k, "score": s, "segmentations": [code(m)] * 3}
        for k, s, m in ((7, 0.9, RIGHT), (9, 0.8, RIGHT | LEFT))
    ]
    (tmp_path / "results.json").write_text(json.dumps(entries))
    one = replace(known, videos=known.videos[:1], truths=[t for t in known.truths if t.video_id == 4])
    assert score(TrackFiles(path, known)) == score(ResultFiles(tmp_path / "results.json", one)) > 0
