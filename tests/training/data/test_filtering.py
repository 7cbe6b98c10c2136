from dataclasses import replace

import pytest

from ovvis.errors import InputError
from ovvis.training.data.filtering import FilterConfig, select
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


def test_a_message_names_a_few(tmp_path):
    painted = paint(tmp_path, [1] * 9)
    for v in range(5):
        (tmp_path / f"painted-{v}/000.png").unlink()
    with pytest.raises(InputError) as error:
        select(painted, FilterConfig())
    assert "painted: 5 videos or images lack" in str(error.value)
    assert str(error.value).count("000.png") == 3
    assert "skip them" in str(error.value)
    assert "\n" not in str(error.value)
