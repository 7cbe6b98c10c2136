import hashlib
import pickle
from itertools import pairwise

import numpy as np
import pytest

from ovvis.world.backgrounds import RESERVED, TRAINED
from ovvis.world.dice import UNIT, Dice, cosine, sine, smooth
from ovvis.world.motion import VideoConfig
from ovvis.world.video import Videos
from tiny_world import tiny_sprites

# Hashes of the first build: another machine must come to the same.
WHOLES, UNITS, BYTES = [44, 43, 41, 27, 82, 4], 0.09297394103731405, [[29, 44, 97], [83, 64, 219]]
BACKGROUNDS = {
    "flat": "b8204669",
    "gradient": "ef6993dd",
    "clouds": "1ecfa180",
    "grain": "ab182d00",
    "stripes": "8328b9f3",
    "checks": "e174eae0",
    "bricks": "b1481679",
    "planks": "aaed2f78",
    "cells": "de337f57",
    "confetti": "59b726da",
    "blobs": "7af1a381",
    "landscape": "409798a7",
    "weave": "e3d1a36c",
    "marble": "f881545b",
    "rings": "801ed2b0",
    "hexagons": "bf53ae7e",
    "leaves": "c0d17dfd",
    "plasma": "1922cbe4",
}
FRAMES = ["d48632fa", "cafb9e24", "05daa0c9", "6b12189d"]
SMALL = VideoConfig(height=48, width=72, frames=6)


def test_dice_are_pinned():
    dice = Dice(1, 2)
    assert [dice.whole(0, 99) for _ in range(6)] == WHOLES
    assert dice.unit() == UNITS
    assert dice.bytes(2, 3).tolist() == BYTES
    assert sorted(dice.shuffled(range(9))) == list(range(9))
    assert Dice(1, 2).unit() != Dice(1, 3).unit()


def test_whole_covers_its_range():
    dice = Dice(0)
    assert {dice.whole(-1, 2) for _ in range(200)} == {-1, 0, 1, 2}


def test_sines():
    assert [sine(0), sine(0.25), sine(0.5), sine(0.75), cosine(0), cosine(0.5)] == [0, UNIT, 0, -UNIT, UNIT, -UNIT]
    assert abs(sine(1 / 12) - UNIT // 2) < 12  # a step of the table away from 30 degrees at most
    assert sine(-0.25) == -UNIT


def test_a_smooth_curve_meets_its_keys():
    curve = smooth([0.0, 4.0, -2.0], 9)
    assert (curve[0], curve[4], curve[8]) == (0.0, 4.0, -2.0)
    assert max(abs(b - a) for a, b in pairwise(curve)) < 3
    assert smooth([3.0], 2) == [3.0, 3.0]


@pytest.mark.parametrize("name", [*TRAINED, *RESERVED])
def test_backgrounds_are_pinned(name):
    picture = (TRAINED | RESERVED)[name](Dice(5), 40, 60)
    assert (picture.shape, picture.dtype) == ((40, 60, 3), np.uint8)
    assert hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()[:8] == BACKGROUNDS[name]


def test_frames_are_pinned():
    """The same bytes on every machine: the hashes were made on x86-64 with numpy 2."""
    videos = Videos(tiny_sprites(), SMALL)
    found = []
    for seed in range(4):
        frame = videos.video(3, seed).frame(seed)
        found.append(hashlib.sha256(frame.image.tobytes() + frame.owner.tobytes()).hexdigest()[:8])
    assert found == FRAMES


def test_a_video_is_the_same_again_and_in_any_order():
    videos = Videos(tiny_sprites(), SMALL)
    first = [frame.image for frame in videos.video(1, 7)]
    again = pickle.loads(pickle.dumps(videos)).video(1, 7)
    assert all((again.frame(t).image == first[t]).all() for t in (5, 0, 3))
    assert not (videos.video(1, 8).frame(0).image == first[0]).all()


def test_masks_tell_who_is_in_front():
    """The last object of the list is the nearest: nothing covers it, and masks never share a pixel."""
    for seed in range(8):
        video = Videos(tiny_sprites(), VideoConfig(height=48, width=72, frames=4, objects=(6, 8))).video(seed)
        whole = Videos(tiny_sprites(), video.config)
        frame = video.frame(2)
        assert sum(frame.mask(n).sum() for n in range(len(video.objects))) == (frame.owner > 0).sum()
        alone = whole.video(seed)
        alone.objects = video.objects[-1:]
        assert (alone.frame(2).mask(0) == frame.mask(len(video.objects) - 1)).all()


def test_what_each_kind_of_video_shows():
    sprites = tiny_sprites()
    train = Videos(sprites, VideoConfig(48, 72, 2, novel=False))
    hard = Videos(sprites, VideoConfig(48, 72, 2, reserved_drawings=True, reserved_backgrounds=True))
    assert [sprites.categories[i].split for i in train.categories] == ["base"] * 4
    for seed in range(12):
        shown = train.video(seed)
        assert shown.background in TRAINED and 2 <= len(shown.objects) <= 8
        assert not any(sprites.entries[thing.sprite].drawing.reserved for thing in shown.objects)
        shown = hard.video(seed)
        assert shown.background in RESERVED
        assert all(sprites.entries[thing.sprite].drawing.reserved for thing in shown.objects)


def test_look_alikes_and_leaving():
    sprites = tiny_sprites()
    videos = Videos(sprites, VideoConfig(48, 72, 60, objects=(3, 3), twins=1.0, same_drawing=1.0))
    made = [videos.video(seed) for seed in range(20)]
    assert all(len({thing.sprite for thing in video.objects}) < 3 for video in made)
    away = [[not 0 <= x < 72 for x in thing.x] for video in made for thing in video.objects]
    assert any(True in gone and gone[0] is False and gone[-1] is False for gone in away)
    must = videos.video(1, must=[4, 5])
    assert {4, 5} <= {thing.category for thing in must.objects} or must.objects[0].category in (4, 5)


def test_a_config_that_shows_nothing():
    sprites = tiny_sprites()
    with pytest.raises(ValueError, match="leaves out every drawing"):
        Videos(type(sprites)(sprites.categories, [], [], []), SMALL)
