"""What is counted from borders is what pycocotools counts, mask by mask."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

import ovvis.borders as module
from ovvis.borders import CheckedMasks, DamagedMaskError, borders, borders_of_tracks, checked_masks, shared_pixels
from ovvis.masks import encode


def test_examples():
    assert doctest.testmod(module).failed == 0


def drawn_tracks(rng: np.random.Generator, number: int, frames: int, height: int, width: int):
    """Tracks of noise and of stripes; some masks full, empty or absent."""
    tracks = []
    for _ in range(number):
        masks = []
        for _ in range(frames):
            mask = rng.random((height, width)) < rng.choice([0, 0.05, 0.5, 0.95, 1])
            if rng.random() < 0.5:
                mask = np.repeat(mask[:1], height, axis=0)
            masks.append(None if rng.random() < 0.2 else encode(mask))
        tracks.append(masks)
    return tracks


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 7), st.integers(1, 40), st.integers(1, 9))
def test_areas_and_shared_pixels_are_pycocotools(seed, frames, height, width):
    rng = np.random.default_rng(seed)
    tracks = drawn_tracks(rng, int(rng.integers(2, 60)), frames, height, width)
    found = borders_of_tracks(tracks)
    for masks, its in zip(tracks, found, strict=True):
        assert its.areas.tolist() == [int(coco.area(mask)) if mask else 0 for mask in masks]
        alone = borders(masks)
        assert alone.places.tolist() == its.places.tolist() and alone.starts.tolist() == its.starts.tolist()
    begin = int(rng.integers(0, frames + 1))
    end = int(rng.integers(begin, frames + 1))
    for first, second in rng.integers(0, len(tracks), (8, 2)):
        pairs = zip(tracks[first][begin:end], tracks[second][begin:end], strict=True)
        expected = sum(int(coco.area(coco.merge([a, b], True))) for a, b in pairs if a and b)
        assert shared_pixels(found[first], found[second], begin, end) == expected


def test_a_track_of_more_pixels_than_four_bytes_count():
    mask = np.zeros((2160, 3840), dtype=bool)
    mask[:, 3000:] = True
    first = borders([encode(mask)] * 300)
    assert first.places.dtype == np.int64
    assert first.areas.sum() == shared_pixels(first, borders([encode(mask)] * 300), 0, 300) == 840 * 2160 * 300


def test_borders_that_are_not_kept_are_found_anew(monkeypatch):
    tracks = drawn_tracks(np.random.default_rng(0), 5, 3, 20, 30)
    monkeypatch.setattr(module, "KEPT", sum(b.places.nbytes for b in borders_of_tracks(tracks)[:3]))
    checked = checked_masks(tracks, (20, 30))
    assert {masks._borders is None for masks in checked} == {True, False}
    assert [m.borders().places.tolist() for m in checked] == [b.places.tolist() for b in borders_of_tracks(tracks)]
    assert checked == tracks and list(checked[0][:2]) == tracks[0][:2] and checked[0] != tracks[1]
    assert isinstance(checked[0], CheckedMasks) and hash(checked[0]) != hash(checked[1])


@pytest.mark.parametrize("track", [0, 70, 149])
@pytest.mark.parametrize("counts", [b"", b"11", b"o", b"\x80", b"1N4", b"7"])
def test_a_damaged_mask_is_named(track, counts):
    good = encode(np.eye(2, dtype=bool))
    tracks = [[good, None, good] for _ in range(150)]
    tracks[track] = [good, None, {"size": [2, 2], "counts": counts}]
    for read in (borders_of_tracks, lambda given: checked_masks(given, (2, 2))):
        with pytest.raises(DamagedMaskError, match="frame 2 is damaged") as found:
            read(tracks)
        assert (found.value.track, found.value.frame) == (track, 2)


def test_nothing_seen():
    assert borders([]).areas.tolist() == [] and borders([None, None]).areas.tolist() == [0, 0]
    assert borders_of_tracks([]) == []
    nothing, something = borders([None, None]), borders([encode(np.ones((2, 2), dtype=bool))] * 2)
    assert shared_pixels(nothing, something, 0, 2) == shared_pixels(nothing, nothing, 0, 2) == 0
