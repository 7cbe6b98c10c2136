from fractions import Fraction

import numpy as np
import pytest
import torch

from ovvis.errors import InputError
from ovvis.masks import encode
from ovvis.structures import Span, Track, VideoResult

EMPTY = encode(np.zeros((4, 6), dtype=bool))


def block(top, left, height, width, size=(4, 6)):
    mask = np.zeros(size, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return encode(mask)


def example(**changes):
    """Each second frame of a video, 0 to 8: a dog that is also called a cat, a cat, something faint."""
    dog = [block(0, 0, 2, 3), None, EMPTY, block(1, 2, 3, 4), block(3, 5, 1, 1)]
    cat = [None, block(0, 0, 4, 6), block(2, 2, 1, 2), None, None]
    values = {
        "tracks": [
            Track(1, "dog", 0, 0.9, (("dog", 0.9), ("cat", 0.5)), dog),
            Track(2, "cat", 1, 0.6, (("cat", 0.6),), cat),
            Track(1, "cat", 1, 0.5, (("dog", 0.9), ("cat", 0.5)), dog),
            Track(3, "cat", 1, 0.1, (("cat", 0.1),), [block(0, 0, 1, 1)] * 5),
            Track(4, "owl", 2, 0.05, (("owl", 0.05),), [None] * 5, size=(4, 6)),
        ],
        "source": "pets.mp4",
        "height": 4,
        "width": 6,
        "fps": 5.0,
        "frame_indices": [0, 2, 4, 6, 8],
        "frame_times": [0.0, 0.2, 0.4, 0.6, 0.8],
        "labels": ("dog", "cat", "owl"),
    }
    return VideoResult(**(values | changes))


# --- one track


def test_what_a_mask_answers():
    dog = example().track(1)
    assert dog.frames == [0, 3, 4]  # an empty mask is not seen
    assert dog.spans() == [(0, 0), (3, 4)]
    assert dog.areas().tolist() == [6, 0, 0, 12, 1]
    assert [dog.area(i) for i in range(5)] == [6, 0, 0, 12, 1]
    assert [dog.box(i) for i in range(5)] == [(0, 0, 3, 2), None, None, (2, 1, 6, 4), (5, 3, 6, 4)]
    assert [dog.box(i, "xywh") for i in (0, 3)] == [(0, 0, 3, 2), (2, 1, 4, 3)]
    np.testing.assert_array_equal(dog.boxes()[[0, 1, 3]], [[0, 0, 3, 2], [np.nan] * 4, [2, 1, 6, 4]])
    np.testing.assert_array_equal(dog.boxes("xywh")[4], [5, 3, 1, 1])
    assert [dog.centre(i) for i in range(5)] == [(1.5, 1), None, None, (4, 2.5), (5.5, 3.5)]
    np.testing.assert_array_equal(dog.centres()[[0, 2]], [[1.5, 1], [np.nan, np.nan]])


def test_the_centre_is_that_of_the_pixels_not_of_the_box():
    corner = np.zeros((4, 6), dtype=bool)
    corner[0, :3], corner[:3, 0] = True, True  # 5 pixels: x 0 1 2 0 0, y 0 0 0 1 2
    assert Track(1, "a", 0, 1.0, (), [encode(corner)]).centre(0) == (3 / 5 + 0.5, 3 / 5 + 0.5)


def test_masks_are_decoded_when_asked_for():
    dog = example().track(1)
    expected = np.zeros((4, 6), dtype=bool)
    expected[1:4, 2:6] = True
    for mask in (dog.mask(3), dog.mask(-2), dog.mask(np.int64(3))):
        assert mask.dtype == np.bool_ and mask.flags.c_contiguous
        np.testing.assert_array_equal(mask, expected)
    tensor = dog.mask(3, as_tensor=True)
    assert tensor.dtype == torch.bool and torch.equal(tensor, torch.from_numpy(expected))
    # Where nothing is seen the mask is there and empty: `image[None] = 255` would whiten the whole picture.
    for frame in (1, 2):
        assert dog.mask(frame).shape == (4, 6) and not dog.mask(frame).any()


def test_a_track_that_is_never_seen():
    owl = example().track(4)
    assert (owl.frames, owl.spans(), owl.areas().tolist()) == ([], [], [0] * 5)
    assert not owl.mask(0).any() and owl.mask(0).shape == (4, 6)
    assert np.isnan(owl.boxes()).all() and owl.boxes().shape == (5, 4)
    with pytest.raises(InputError, match="seen in no frame and its size is not known"):
        Track(4, "owl", 2, 0.05, (), [None] * 5).mask(0)
    none = Track(4, "owl", 2, 0.05, (), [])
    assert none.boxes().shape == (0, 4) and none.centres().shape == (0, 2) and none.areas().shape == (0,)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (5, "frame 5: the result holds 5 frames, 0 to 4; frames are positions in the result: for the source's own"),
        (-6, "frame -6: the result holds 5 frames"),
        (0.4, r"frame 0.4 must be a whole number, .* ask result.at\(time=...\)"),
    ],
)
def test_frames_that_are_none(frame, words):
    result = example()
    dog = result.track(1)
    for ask in (dog.mask, dog.box, dog.area, dog.centre, result.at, result.count):
        with pytest.raises(InputError, match=words):
            ask(frame)


def test_boxes_are_written_in_one_of_two_ways():
    with pytest.raises(InputError, match="corners 'cxcywh': a box is written as xyxy or as xywh"):
        example().track(1).box(0, "cxcywh")


# --- the result


def test_a_result_is_the_sequence_of_its_tracks():
    result = example()
    assert len(result) == 5
    assert result[0] is result.tracks[0] and result[-1].label == "owl"
    assert [t.id for t in result[1:3]] == [2, 1]
    assert [(t.id, t.label) for t in result] == [(1, "dog"), (2, "cat"), (1, "cat"), (3, "cat"), (4, "owl")]
    with pytest.raises(IndexError):
        result[5]
    assert not len(example(tracks=[])) and list(example(tracks=[])) == []


def test_a_track_by_its_id():
    result = example()
    assert result.track(1) is result.tracks[0]
    assert result.track(1, "cat") is result.tracks[2]
    with pytest.raises(InputError, match="id 7: the result has no such track; its ids are 1, 2, 3, 4"):
        result.track(7)
    with pytest.raises(InputError, match="id 1 has no label 'owl'; the choices are cat, dog"):
        result.track(1, "owl")


def test_the_instances_of_a_frame():
    result = example()
    assert [(i.id, i.label, i.score, i.box) for i in result.at(0)] == [(1, "dog", 0.9, (0, 0, 3, 2))]
    assert [i.id for i in result.at(1)] == [2]
    assert [i.id for i in result.at(2)] == [2]  # the dog's mask is empty there
    assert [i.id for i in result.at(0, min_score=0)] == [1, 3]
    assert result.at(source_frame=6) == result.at(3) == result.at(time=0.61) == result.at(-2)


@pytest.mark.parametrize(
    ("given", "position"),
    [
        ({"source_frame": 0}, 0),
        ({"source_frame": 8}, 4),
        ({"time": 0}, 0),
        ({"time": 0.1999}, 1),  # times of files are rounded
        ({"time": 0.19}, 0),
        ({"time": 0.2}, 1),
        ({"time": 0.99}, 4),
        ({"frame": -1}, 4),
    ],
)
def test_a_frame_by_number_or_moment(given, position):
    assert example().position(**given) == position


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"source_frame": 3}, "source_frame 3: the result holds 5 frames of the source, and not this one; .*: 2, 4"),
        ({"source_frame": 99}, "nearest: 6, 8"),
        ({"time": -0.1}, "time -0.1: the result holds 0.000 to 1.000 s"),
        ({"time": 1.0}, "time 1: the result holds 0.000 to 1.000 s"),
        ({"time": float("nan")}, "time nan"),
        ({}, "give its position, or source_frame=, or time=, and one of them alone"),
        ({"frame": 0, "time": 0.2}, "one of them alone"),
    ],
)
def test_frames_that_the_result_has_not(given, words):
    with pytest.raises(InputError, match=words):
        example().at(**given)


def test_a_number_that_comes_twice_is_nobodys():
    result = example(frame_indices=[0, 2, 2, 6, 8])
    with pytest.raises(InputError, match="source_frame 2: the result has it twice"):
        result.position(source_frame=2)


def test_no_frames_at_all():
    nothing = example(tracks=[], frame_indices=[], frame_times=[])
    for given in ({"frame": 0}, {"time": 0.0}, {"source_frame": 0}):
        with pytest.raises(InputError, match=r"none|no frame"):
            nothing.position(**given)
    assert nothing.counts() == {}


def test_counts_of_labels():
    result = example()
    assert {label: seen.tolist() for label, seen in result.counts().items()} == {
        "dog": [1, 0, 0, 1, 1],
        "cat": [0, 1, 1, 0, 0],
    }
    assert result.counts(0)["cat"].tolist() == [1, 2, 2, 1, 1]  # one label an instance; an owl is never seen
    assert "owl" not in result.counts(0)
    assert (result.count(0), result.count(1, min_score=0)) == ({"dog": 1}, {"cat": 2})


def test_spans_in_frames_and_seconds():
    result = example()
    assert result.spans(result.track(1)) == [Span(0, 0, 0.0, 0.2), Span(3, 4, 0.6, 1.0)]
    assert result.spans(result.track(4)) == []


def test_squeezed_pixels_are_counted_as_they_are_stored():
    result = example(pixel_aspect=Fraction(2))
    assert result.track(1).box(0) == (0, 0, 3, 2) and result.track(1).area(0) == 6
