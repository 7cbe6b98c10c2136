"""A part of the picture: what the network sees of it, and where its masks are."""

from __future__ import annotations

import numpy as np
import pytest

from ovvis.errors import InputError
from ovvis.inference.live import Live
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.region import cut, placed
from ovvis.masks import decode, encode
from ovvis.sources.region import parse_region
from ovvis.sources.video import open_source
from ovvis.structures import Region

FRAMES = [np.random.default_rng(k).integers(0, 255, (96, 128, 3), dtype=np.uint8) for k in range(3)]


def dense(mask, size=(96, 128)):
    return np.zeros(size, bool) if mask is None else decode(mask)


def test_the_network_sees_the_part_and_masks_are_of_the_whole(tiny_model) -> None:
    segmenter = VideoSegmenter(tiny_model, ["dog", "cat"], prompts=["a {}"], cache=False, short_edge=64)
    part = segmenter([f[20:84, 30:110] for f in FRAMES])
    whole = segmenter(FRAMES, roi=(30, 20, 80, 64))
    assert (whole.height, whole.width) == (96, 128) and whole.settings["region"]["left"] == 30
    assert whole.settings["network_size"] == part.settings["network_size"]
    assert [(t.id, t.label, t.score) for t in whole.tracks] == [(t.id, t.label, t.score) for t in part.tracks]
    some = 0
    for ours, theirs in zip(whole.tracks, part.tracks, strict=True):
        for mask, inner in zip(ours.masks, theirs.masks, strict=True):
            expected = np.zeros((96, 128), bool)
            expected[20:84, 30:110] = dense(inner, (64, 80))
            assert np.array_equal(dense(mask), expected)
            some += mask is not None
    assert some


def test_streams_and_live_give_the_same_masks(tiny_model) -> None:
    segmenter = VideoSegmenter(tiny_model, ["dog", "cat"], prompts=["a {}"], cache=False, short_edge=64)
    part = list(segmenter.stream([f[20:84, 30:110] for f in FRAMES], min_score=0))
    whole = list(segmenter.stream(FRAMES, min_score=0, roi="30,20,80,64"))
    live = list(Live(segmenter, open_source(FRAMES, roi="30,20,80,64"), min_score=0, keep_up=False, paced=False))
    assert len(whole) == len(live) == 3
    for inner, outer in zip(part, whole, strict=True):
        assert outer.frame.image.shape == (96, 128, 3)
        for one, other in zip(inner.instances, outer.instances, strict=True):
            x, y, width, height = one.box
            assert other.box == (x + 30, y + 20, width, height)
            assert dense(other.mask)[20:84, 30:110].sum() == dense(one.mask, (64, 80)).sum()
    for frame in live:
        for instance in frame.instances:
            assert instance.mask["size"] == [96, 128]
            assert not dense(instance.mask)[:20].any() and not dense(instance.mask)[:, 110:].any()


def test_around_a_polygon_there_is_nothing_to_see() -> None:
    triangle = Region(10, 10, 20, 20, ((0, 0), (20, 0), (0, 20)))
    part = cut(FRAMES[0], triangle)
    assert np.array_equal(part[2, 2], FRAMES[0][12, 12]) and part[19, 19].tolist() == [124, 116, 104]
    mask = placed(encode(np.ones((20, 20), bool)), triangle, (96, 128))
    assert dense(mask)[12, 12] and not dense(mask)[29, 29] and not dense(mask)[5, 5]
    corner = np.zeros((20, 20), bool)
    corner[18:, 18:] = True
    assert placed(encode(corner), triangle, (96, 128)) is None


@pytest.mark.parametrize(
    ("roi", "expected"),
    [
        ("1,2,30,40", Region(1, 2, 30, 40)),
        ((1, 2, 30, 40), Region(1, 2, 30, 40)),
        ("0,0;40,0;0,40", Region(0, 0, 40, 40, ((0, 0), (40, 0), (0, 40)))),
        ("5,5 45,5 45,45", Region(5, 5, 40, 40, ((0, 0), (40, 0), (40, 40)))),
        ([(5, 5), (45, 5), (45, 45)], Region(5, 5, 40, 40, ((0, 0), (40, 0), (40, 40)))),
        (np.array([1, 2, 30, 40]), Region(1, 2, 30, 40)),
    ],
)
def test_how_a_part_is_written(roi, expected) -> None:
    assert open_source(FRAMES, roi=roi).info.region == expected


@pytest.mark.parametrize(
    ("roi", "words"),
    [
        ("1,2,3", "a rectangle or a polygon"),
        ("1,2;3,4", "a rectangle or a polygon"),
        ("a,b,c,d", "must be numbers"),
        ("nan,0,20,20", "pixels of a picture"),
        (5, "must be numbers"),
        ("100,0,64,64", "reaches from 100,0 to 164,64: it must lie within list, which is 128x96"),
        ("-1,0,64,64", "must lie within"),
        ("0,0,4,64", "16 pixels wide"),
        ("0,0,-40,64", "must"),
    ],
)
def test_parts_that_are_none(roi, words) -> None:
    with pytest.raises(InputError, match=words):
        open_source(FRAMES, roi=roi)


def test_options_of_the_source_in_the_call(tiny_model) -> None:
    segmenter = VideoSegmenter(tiny_model, ["dog"], prompts=["a {}"], cache=False, short_edge=64)
    assert segmenter(FRAMES, start="1f", every=2).frame_indices == [1]
    assert [seen.frame.index for seen in segmenter.stream(FRAMES, max_frames=2)] == [0, 1]
    with pytest.raises(InputError, match="start, every: the source is open already"):
        segmenter(open_source(FRAMES), start=1, every=2)
    assert parse_region("0,0,9,9")
