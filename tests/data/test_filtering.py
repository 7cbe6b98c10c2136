from dataclasses import replace

import pytest

from ovvis.data.filtering import FilterConfig, select
from ovvis.errors import InputError
from painted import CATEGORIES, paint


@pytest.fixture
def painted(tmp_path):
    return paint(tmp_path, [3, 1, 2], instances=3)


def names(annotations):
    return [video.name for video in annotations.videos]


def test_a_sound_dataset_stays_whole(painted):
    kept, left = select(painted, FilterConfig())
    assert left == ()
    assert kept.videos == painted.videos
    assert kept.truths == painted.truths
    assert kept.categories == CATEGORIES


def test_groups_of_categories(painted):
    kept, left = select(painted, FilterConfig(groups=("frequent", "common")))
    assert [c.name for c in kept.categories] == ["red", "green"]
    assert {truth.category_id for truth in kept.truths} == {1, 2}
    assert [(entry.count, entry.reason) for entry in left] == [(3, "annotations are of other groups of categories")]
    with pytest.raises(InputError, match="no group of categories called 'comon': did you mean common"):
        select(painted, FilterConfig(groups=("comon",)))


def test_crowds_and_empty_videos(painted):
    truths = [replace(t, is_crowd=True) if t.video_id == 2 else t for t in painted.truths]
    crowded = replace(painted, truths=truths)
    kept, left = select(crowded, FilterConfig())
    assert names(kept) == ["painted-0", "painted-2"]
    assert [(entry.count, entry.examples) for entry in left] == [(3, ("id 20", "id 21", "id 22")), (1, ("painted-1",))]
    kept, _ = select(crowded, FilterConfig(keep_empty=True))
    assert names(kept) == names(painted)
    assert {truth.video_id for truth in kept.truths} == {1, 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"video_id": 99}, r"1 annotations name no video of the dataset \(id 10: video 99\)"),
        ({"category_id": 77}, r"1 annotations name no category of the dataset \(id 10: category 77\)"),
        ({"masks": ()}, r"1 annotations have more or fewer masks than their video has frames \(id 10: 0 for 3\)"),
    ],
)
def test_annotations_that_point_nowhere(painted, change, message):
    broken = replace(painted, truths=[replace(painted.truths[0], **change), *painted.truths[1:]])
    with pytest.raises(InputError, match=f"painted: {message}.*skip them"):
        select(broken, FilterConfig())
    kept, left = select(broken, FilterConfig(bad="skip"))
    assert kept.truths == painted.truths[1:]
    assert [entry.count for entry in left] == [1]


def test_missing_frames(painted, tmp_path):
    (tmp_path / "painted-0/001.png").unlink()
    with pytest.raises(InputError, match=r"1 videos or images lack a file of theirs \(painted-0: .*001.png\)"):
        select(painted, FilterConfig())
    kept, left = select(painted, FilterConfig(bad="skip"))
    assert names(kept) == ["painted-1", "painted-2"]
    assert {truth.video_id for truth in kept.truths} == {2, 3}
    assert left[0].count == 1


@pytest.mark.parametrize("bad", ["refuse", "skip"])
def test_a_dataset_without_images(painted, tmp_path, bad):
    elsewhere = replace(painted, frames=tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"none of its 3 videos or images below .*nowhere"):
        select(elsewhere, FilterConfig(bad=bad))
    with pytest.raises(InputError, match="lists no image and no video"):
        select(replace(painted, videos=()), FilterConfig(bad=bad))
    with pytest.raises(InputError, match="no video or image with an instance"):
        select(replace(painted, truths=[]), FilterConfig(bad=bad))


def test_a_message_names_a_few(painted):
    broken = replace(painted, truths=[replace(t, video_id=99) for t in painted.truths])
    with pytest.raises(InputError) as error:
        select(broken, FilterConfig())
    assert "9 annotations name no video" in str(error.value)
    assert str(error.value).count("video 99") == 3
    assert "\n" not in str(error.value)
