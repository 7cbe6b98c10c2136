"""Masks that are carried on: what continues them, what they show alone, and a carrier without weights."""

import numpy as np
import pytest
import torch

from ovvis import masks
from ovvis.structures import NOTHING, Detected
from ovvis.tracking.propagate import Propagate
from ovvis.tracking.readout import MemoryReadout, _nearest, _reach, patch_colours

SIZE = (40, 60)
PICTURE = np.zeros((*SIZE, 3), np.uint8)


def box(left, top=10, width=12, height=12):
    mask = np.zeros(SIZE, dtype=bool)
    mask[top : top + height, left : left + width] = True
    return masks.encode(mask)


def things(*codes, scores=None):
    return Detected(codes, np.ones(len(codes)) if scores is None else np.array(scores))


class Moving:
    """A propagator that moves every mask by some pixels to the right, until it leaves the frame."""

    def __init__(self, step=6):
        self.step, self.known, self.dropped = step, {}, []

    def carry(self, image):
        assert image is PICTURE
        moved = {tube: np.roll(masks.decode(mask), self.step, 1) for tube, mask in self.known.items()}
        for mask in moved.values():
            mask[:, : self.step] = False
        return {tube: masks.encode(mask) for tube, mask in moved.items() if mask.any()}

    def remember(self, known):
        self.known = dict(known)

    def forget(self, tubes):
        self.dropped += tubes

    def reset(self):
        self.known = {}


def run(association, frames):
    out = []
    for frame in frames:
        followed = association.update(frame, PICTURE)
        out.append((followed.tubes.tolist(), [(tube, masks.box(mask)[0]) for tube, mask in followed.carried]))
    return out


@pytest.mark.parametrize(
    ("frames", "wanted"),
    [
        # a thing continues the tube whose carried mask it overlaps
        ([things(box(0)), things(box(30), box(6))], [([0], []), ([1, 0], [])]),
        # a tube without a thing shows its carried mask, and is taken up again where that is
        ([things(box(0)), NOTHING, NOTHING, things(box(18))], [([0], []), ([], [(0, 6)]), ([], [(0, 12)]), ([0], [])]),
        # for as long as patience lasts (2 frames)
        (
            [things(box(0)), NOTHING, NOTHING, NOTHING, things(box(24))],
            [([0], []), ([], [(0, 6)]), ([], [(0, 12)]), ([], []), ([1], [])],
        ),
        # a carried mask that lies on another tube's thing is not shown
        ([things(box(0), box(20)), things(box(26), box(26, 10, 30, 20))], [([0, 1], []), ([1, 2], [(0, 6)])]),
        ([things(box(0)), things(box(0, 0, 60, 40))], [([0], []), ([1], [])]),
    ],
)
def test_by_hand(frames, wanted):
    propagator = Moving()
    association = Propagate(propagator, 0.3, 2)
    assert run(association, frames) == wanted
    association.reset()
    assert run(association, frames) == wanted


def test_tubes_that_end_are_dropped():
    propagator = Moving()
    run(Propagate(propagator, 0.3, 1), [things(box(0)), NOTHING, NOTHING, NOTHING])
    assert propagator.dropped == [0]
    with pytest.raises(ValueError, match="picture"):
        Propagate(propagator).update(things(box(0)))


def picture(left, other):
    """Return a red square on a chequered ground, and a blue one below it."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    out = np.repeat((((rows // 8 + columns // 8) % 2) * 60 + 60)[..., None], 3, 2).astype(np.uint8)
    out[4:16, left : left + 12] = (220, 30, 30)
    out[24:36, other : other + 12] = (30, 30, 220)
    return out


def test_colours_carry_masks_on():
    readout = MemoryReadout()
    assert readout.carry(picture(4, 40)) == {}
    readout.remember({0: box(4, 4), 5: box(40, 24)})
    for t in range(1, 12):
        found = readout.carry(picture(4 + 3 * t, 40 - 3 * t))
        for tube, true in ((0, box(4 + 3 * t, 4)), (5, box(40 - 3 * t, 24))):
            assert masks.overlap([found[tube]], [true])[0, 0] > 0.6, (t, tube)
        readout.remember(found)
        assert len(readout._frames) <= readout.recent + readout.most
    readout.forget([0])
    assert set(readout.carry(picture(37, 7))) == {5}
    readout.reset()
    assert readout.carry(picture(37, 7)) == {}


@pytest.mark.parametrize("grid", [(3, 4), (4, 30), (12, 17)])
def test_the_nearest_cells_are_those_of_the_definition(grid):
    generator = torch.Generator().manual_seed(0)
    now, then = (torch.rand(grid[0] * grid[1], 5, generator=generator) for _ in range(2))
    value, place = _nearest(now, then, grid)
    reach = _reach(grid)
    for i in range(len(now)):
        inside = [
            j
            for j in range(len(then))
            if abs(i // grid[1] - j // grid[1]) <= reach and abs(i % grid[1] - j % grid[1]) <= reach
        ]
        distances = sorted((float((now[i] - then[j]).square().sum()), j) for j in inside)[: value.shape[1]]
        count = len(distances)
        assert value[i, :count].tolist() == pytest.approx([d for d, _ in distances], abs=1e-5)
        assert place[i, :count].tolist() == [j for _, j in distances]
        assert value[i, count:].isinf().all()


def test_patches():
    white = np.full((40, 60, 3), 255, np.uint8)
    white.setflags(write=False)  # as frames of a list of pictures are
    features = patch_colours(white, (10, 15))
    assert features.shape == (27, 10, 15)
    assert features.square().sum(0).allclose(features.new_full((10, 15), 3.0))  # three channels of full light
