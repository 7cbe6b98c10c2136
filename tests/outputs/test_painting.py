import itertools

import numpy as np
import pytest

from ovvis.errors import InputError
from ovvis.outputs.painting import PALETTE, Painted, paint
from ovvis.outputs.style import STYLES, Style, find_style
from ovvis.outputs.tags import Tag, paint_tags, place_tags

PICTURE = (200, 120)  # width and height
TAG = (40, 10)


def apart(places, sizes):
    boxes = [(x, y, x + w, y + h) for (x, y), (w, h) in zip(places, sizes, strict=True)]
    return all(
        a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1] for a, b in itertools.combinations(boxes, 2)
    )


@pytest.mark.parametrize(
    ("box", "place"),
    [
        ((50, 50, 120, 90), (50, 40)),  # above
        ((50, 4, 120, 90), (50, 0)),  # no room above: as high as it goes
        ((190, 50, 200, 90), (160, 40)),  # no room to the right
        ((0, 0, 200, 120), (0, 0)),  # the whole picture
        ((-5, 60, 10, 80), (0, 50)),
    ],
)
def test_a_tag_alone(box, place):
    assert place_tags([box], [TAG], PICTURE) == [place]


def test_tags_of_one_place_part():
    boxes = [(50, 50, 120, 90)] * 4
    places = place_tags(boxes, [TAG] * 4, PICTURE)
    assert places == [(50, 40), (50, 50), (50, 90), (50, 80)]  # above, inside, below, inside at the bottom
    # Above right and the like lie over the first: 40 of 70 pixels are taken.


@pytest.mark.parametrize("seed", range(5))
def test_none_leaves_the_picture_nor_covers_another_where_there_is_room(seed):
    dice = np.random.default_rng(seed)
    boxes = [(x, y, x + w, y + h) for x, y, w, h in dice.integers(1, (170, 100, 30, 20), (24, 4)).tolist()]
    sizes = [(int(w), 10) for w in dice.integers(10, 40, 24)]
    places = place_tags(boxes, sizes, PICTURE)
    assert apart(places, sizes)
    assert all(0 <= x <= 200 - w and 0 <= y <= 110 for (x, y), (w, _) in zip(places, sizes, strict=True))
    assert places[:9] == place_tags(boxes[:9], sizes[:9], PICTURE)  # the best do not move for those behind them


def test_where_there_is_no_room_tags_lie_at_their_boxes():
    places = place_tags([(0, 30, 10, 40)] * 9, [(40, 20)] * 9, (60, 40))
    assert places[0] == (0, 10) and set(places[2:]) == {(0, 10)}
    assert place_tags([(0, 0, 5, 5)], [(90, 30)], (60, 20)) == [(0, 0)]  # larger than the picture


def painted_columns(label, width=120):
    image = np.zeros((60, width, 3), dtype=np.uint8)
    drawn = paint_tags(image, [Tag(label, "0.50 #7", (255, 0, 0), (10, 40, 30, 50))], 0.4)
    return np.flatnonzero((drawn == (255, 0, 0)).all(-1).any(0))


def test_long_labels_are_cut_and_strange_ones_shown():
    short, long = painted_columns("dog"), painted_columns("a label that is much longer than the picture is wide")
    assert short[0] == 10 and short[-1] < 100
    assert long[0] >= 0 and long[-1] - long[0] > 100
    assert len(painted_columns("dog\ncat")) == len(painted_columns("dog cat"))  # one line
    assert len(painted_columns("\u202edog", 300)) > len(painted_columns("dog", 300))  # it is shown, not obeyed
    assert len(painted_columns("x" * 50, 20)) <= 20


# --- styles


def scene():
    mask = np.zeros((64, 96), dtype=bool)
    mask[20:50, 30:70] = True
    mask[20:30, 30:40] = False  # so that the box is not the mask
    return np.full((64, 96, 3), 128, dtype=np.uint8), [Painted(3, "dog", 0.87, mask)]


COLOUR = np.array(list(bytes.fromhex(PALETTE[3][1:])))
PLAIN = np.array([128] * 3)
TINT = 128 * 0.55 + COLOUR * 0.45


@pytest.mark.parametrize(
    ("style", "inside", "edge", "corner"),  # of the mask, and of its box
    [
        (None, TINT, COLOUR, PLAIN),
        ("masks", TINT, COLOUR, PLAIN),
        ("outlines", PLAIN, COLOUR, PLAIN),
        ("fills", TINT, TINT, PLAIN),
        ("boxes", PLAIN, COLOUR, COLOUR),
        (Style(opacity=1, outlines=False), COLOUR, COLOUR, PLAIN),
        (Style(opacity=0, outlines=False), PLAIN, PLAIN, PLAIN),
        (find_style("masks", boxes=True, opacity=0), PLAIN, COLOUR, COLOUR),
        (find_style("boxes", boxes=False), PLAIN, PLAIN, PLAIN),
    ],
)
def test_styles(style, inside, edge, corner):
    image, seen = scene()
    painted = paint(image, seen, find_style(style, tags=False))
    np.testing.assert_allclose(painted[40, 50], inside, atol=2)
    np.testing.assert_allclose(painted[49, 50], edge, atol=2)
    np.testing.assert_allclose(painted[20, 30], corner, atol=2)
    np.testing.assert_array_equal(painted[51:], 128)
    assert (paint(image, seen, style) != painted).any()  # the tag
    np.testing.assert_array_equal(image, 128)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"style": "outline"}, "style 'outline': did you mean outlines"),
        ({"opacity": 1.5}, r"opacity 1.5 must lie in \[0, 1\]"),
        ({"opacity": -0.1}, "opacity -0.1"),
        ({"opacity": float("nan")}, "opacity nan"),
    ],
)
def test_styles_that_are_none(given, words):
    with pytest.raises(InputError, match=words):
        find_style(**given)


def test_styles_have_names():
    assert all(find_style(name) is not None for name in STYLES) and find_style(None) == STYLES["masks"]
    bare = Style(tags=False)
    assert find_style(bare) == bare and find_style(bare, tags=True).tags
