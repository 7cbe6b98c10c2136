from dataclasses import replace

import numpy as np

from ovvis.datasets.drawn import DrawnSplit
from ovvis.datasets.open import open_dataset
from ovvis.datasets.stickers import SPLITS, write_split
from ovvis.masks import decode
from ovvis.sources.frames import read_image
from tiny_world import tiny_sprites

SHORT = replace(SPLITS["val"], config=replace(SPLITS["val"].config, frames=4))


def test_what_is_drawn_is_what_is_written(tmp_path):
    drawn = DrawnSplit(SHORT, tiny_sprites(), 3)
    write_split(SHORT, tiny_sprites(), tmp_path, 3)
    written = open_dataset("stickers_val", tmp_path)
    assert [(c.id, c.name, c.groups) for c in drawn.categories] == [
        (c.id, c.name, c.groups) for c in written.categories
    ]
    assert (len(drawn), drawn.frames, drawn.size) == (3, 4, (160, 240))
    for number, video in enumerate(written.videos):
        mine = drawn.video(number)
        for image, path in zip(mine.images, written.paths(video), strict=True):
            assert np.array_equal(image, read_image(path))
        assert mine.owners.shape == (4, 160, 240)
    for mine, theirs in zip(drawn.truths, written.truths, strict=True):
        assert (mine.id, mine.video_id, mine.category_id) == (theirs.id, theirs.video_id, theirs.category_id)
        assert list(mine.masks) == list(theirs.masks)


def test_seeds_draw_other_videos():
    sprites = tiny_sprites()
    one, same, other = (DrawnSplit(SHORT, sprites, 1, seed) for seed in (0, 0, 100))
    assert np.array_equal(one.video(0).images[0], same.video(0).images[0])
    assert not np.array_equal(one.video(0).images[0], other.video(0).images[0])
    assert other.describe() == {**one.describe(), "seed": 102}


def test_owners_are_the_truth():
    drawn = DrawnSplit(SHORT, tiny_sprites(), 1)
    video = drawn.video(0)
    shown = [n for n in range(len(video.categories)) if (video.owners == n + 1).any()]
    assert [truth.category_id for truth in drawn.truths] == [video.categories[n] for n in shown]
    for n, truth in zip(shown, drawn.truths, strict=True):
        for t, mask in enumerate(truth.masks):
            true = video.owners[t] == n + 1
            assert not true.any() if mask is None else np.array_equal(decode(mask), true)
