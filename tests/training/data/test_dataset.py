import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from ovvis.datasets.open import open_dataset
from ovvis.errors import InputError
from ovvis.training.data.dataset import Part, TrainingSet
from ovvis.training.data.filtering import FilterConfig
from ovvis.training.data.sampling import Draw, SamplingConfig
from ovvis.training.data.transforms import AugmentConfig
from painted import COLOURS, paint

JITTER = AugmentConfig(size=64, fill=0)
AS_IT_IS = AugmentConfig(resize="short_edge", short_edges=(48,), flip=0.0)


def same(a, b):
    return (
        torch.equal(a.pixels, b.pixels)
        and a.origin == b.origin
        and all(torch.equal(getattr(a.target, name), getattr(b.target, name)) for name in ("masks", "labels", "ids"))
    )


def edge(mask):
    """Pixels next to the mask's outline, which may fall to either side."""
    grown, shrunk = (torch.nn.functional.max_pool2d(s * mask.float()[:, None], 3, 1, 1)[:, 0] * s for s in (1, -1))
    out = grown != shrunk
    out[:, [0, -1]], out[:, :, [0, -1]] = True, True
    return out


@pytest.mark.parametrize("augment", [JITTER, AugmentConfig("short_edge", short_edges=(30, 70))])
def test_colour_tells_the_instance(tmp_path, augment):
    """In every frame of augmented windows each instance's mask lies on its own colour, and nowhere else."""
    data = TrainingSet([Part(paint(tmp_path, [5, 1, 4], instances=3), augment)], SamplingConfig(3, 2))
    seen = 0
    for position in range(40):
        window = data[Draw(position, 0, position % 3)]
        assert window.pixels.shape[:2] == (3, 3)
        assert window.pixels.dtype == torch.uint8
        assert window.target.masks.shape[1:] == (3, *window.pixels.shape[2:])
        for masks, label in zip(window.target.masks, window.target.labels, strict=True):
            colour = torch.tensor(COLOURS[label]).view(1, 3, 1, 1)
            painted = (window.pixels.int() - colour).abs().amax(1) < 100
            assert not ((painted != masks) & ~edge(masks) & ~edge(painted)).any()
            seen += 1
    assert seen > 60


def test_window_as_it_is(tmp_path):
    known = paint(tmp_path, [4])
    window = TrainingSet([Part(known, AS_IT_IS)], SamplingConfig(4, 20))[Draw(7, 0, 0)]
    files = known.videos[0].files
    assert window.origin.files == files
    assert window.origin.truth_ids == (10, 11)
    assert str(window.origin) == f"draw 7: painted, painted-0, {', '.join(files)} (annotations 10, 11)"
    assert window.target.labels.tolist() == [0, 1]
    assert window.target.ids.tolist() == [0, 1]
    for t in range(4):
        for n, colour in enumerate(COLOURS[:2]):
            on_colour = (window.pixels[t] == torch.tensor(colour).view(3, 1, 1)).all(0)
            assert torch.equal(window.target.masks[n, t], on_colour)


def test_an_instance_that_vanishes(tmp_path):
    known = paint(tmp_path, [3])
    first, second = known.truths
    # Red is gone in the middle, green is nowhere.
    truths = [replace(first, masks=(first.masks[0], None, first.masks[2])), replace(second, masks=(None,) * 3)]
    window = TrainingSet([Part(replace(known, truths=truths), AS_IT_IS)], SamplingConfig(3))[Draw(0, 0, 0)]
    assert window.target.visible.tolist() == [[True, False, True]]
    assert window.origin.truth_ids == (10,)
    empty = replace(known, truths=[replace(first, masks=(None,) * 3)])
    window = TrainingSet([Part(empty, AS_IT_IS)], SamplingConfig(3))[Draw(0, 0, 0)]
    assert window.target.masks.shape == (0, 3, 64, 64)[:2] + window.pixels.shape[2:]
    assert window.target.labels.dtype == torch.int64


def test_windows_are_made_of_their_draw(tmp_path):
    def build(seed):
        return TrainingSet([Part(paint(tmp_path, [6, 6]), JITTER)], SamplingConfig(2), seed=seed)

    data = build(0)
    assert same(data[Draw(5, 0, 1)], build(0)[Draw(5, 0, 1)])
    assert not same(data[Draw(5, 0, 1)], data[Draw(6, 0, 1)])
    assert not same(data[Draw(5, 0, 1)], build(1)[Draw(5, 0, 1)])


def test_a_still_moves_in_a_window(tmp_path):
    data = TrainingSet([Part(paint(tmp_path, [1]), JITTER)], SamplingConfig(3))
    window = data[Draw(1, 0, 0)]
    assert len(set(window.origin.files)) == 1
    assert not torch.equal(window.pixels[0], window.pixels[1])
    video = TrainingSet([Part(paint(tmp_path, [2], "short"), JITTER)], SamplingConfig(3))[Draw(1, 0, 0)]
    assert len(set(video.origin.files)) == 2  # one comes twice, at the same place
    a, b = (i for i in range(3) if video.origin.files.count(video.origin.files[i]) == 2)
    assert torch.equal(video.pixels[a], video.pixels[b])


def test_a_mixture_has_one_list_of_labels(tmp_path):
    first, second = paint(tmp_path, [1], "first"), paint(tmp_path, [1], "second", instances=3)
    names = {"red": "blue", "green": "grey", "blue": "red"}
    second = replace(second, categories=tuple(replace(c, name=names[c.name]) for c in second.categories))
    data = TrainingSet([Part(first, AS_IT_IS, 1.0), Part(second, AS_IT_IS, 2.0)])
    assert data.labels == ("red", "green", "blue", "grey")
    assert data.weights == [1, 2]
    assert len(data) == 2
    assert data[Draw(0, 1, 0)].target.labels.tolist() == [2, 3, 0]
    with pytest.raises(InputError, match="some have none"):
        TrainingSet([Part(first, AS_IT_IS, 1.0), Part(second)])
    with pytest.raises(InputError, match="no dataset"):
        TrainingSet([])


def test_factors_count_what_is_used(tmp_path):
    known = paint(tmp_path, [1, 1, 1, 1], instances=2)
    truths = [t for t in known.truths if t.id != 21]  # green is in three of four
    known = replace(known, truths=truths)
    data = TrainingSet([Part(known)], SamplingConfig(repeat_threshold=1.0))
    assert np.allclose(data.factors[0], [(4 / 3) ** 0.5, 1, (4 / 3) ** 0.5, (4 / 3) ** 0.5])


@pytest.fixture
def broken(tmp_path):
    known = paint(tmp_path, [1, 1, 1])
    (tmp_path / "painted-1/000.png").write_bytes(b"no image")
    return known


def test_an_unreadable_frame_is_refused(broken):
    data = TrainingSet([Part(broken, AS_IT_IS)])
    with pytest.raises(InputError, match=r"painted, painted-1: .*painted-1/000.png could not be read as an image"):
        data[Draw(0, 0, 1)]


def test_an_unreadable_frame_is_replaced(broken):
    data = TrainingSet([Part(broken, AS_IT_IS)], choice=FilterConfig(bad="skip"))
    others = [data[Draw(position, 0, 1)] for position in range(12)]
    assert {window.origin.video for window in others} == {"painted-0", "painted-2"}
    assert all("painted-1/000.png" in line for window in others for line in window.origin.unreadable)
    assert all(window.origin.unreadable for window in others)
    assert same(others[3], data[Draw(3, 0, 1)])


def test_when_nothing_is_readable(tmp_path):
    known = paint(tmp_path, [1])
    (tmp_path / "painted-0/000.png").write_bytes(b"no image")
    data = TrainingSet([Part(known, AS_IT_IS)], choice=FilterConfig(bad="skip"))
    with pytest.raises(InputError, match="10 items in a row"):
        data[Draw(0, 0, 0)]


def test_sizes_that_do_not_fit(tmp_path):
    known = paint(tmp_path, [1])
    other = replace(known, videos=(replace(known.videos[0], height=40),))
    with pytest.raises(InputError, match="is 64x48 pixels: the dataset says 64x40"):
        TrainingSet([Part(other, AS_IT_IS)])[Draw(0, 0, 0)]
    smaller = paint(tmp_path / "small", [1], size=(30, 40))
    with pytest.raises(InputError, match="mask of annotation 10 is 40x30 pixels: its frame is 64x48"):
        TrainingSet([Part(replace(known, truths=smaller.truths), AS_IT_IS)])[Draw(0, 0, 0)]


def test_polygons_of_a_coco_file(tmp_path):
    """From the file itself: a polygon becomes a mask when its image is drawn."""
    known = paint(tmp_path, [1])
    square = [8, 8, 24, 8, 24, 20, 8, 20]
    file = tmp_path / "own.json"
    file.write_text(
        json.dumps(
            {
                "categories": [{"id": 3, "name": "square"}],
                "images": [{"id": 1, "height": 48, "width": 64, "file_name": known.videos[0].files[0]}],
                "annotations": [{"id": 9, "image_id": 1, "category_id": 3, "segmentation": [square]}],
            }
        )
    )
    window = TrainingSet([Part(open_dataset(file, frames=tmp_path), AS_IT_IS)])[Draw(0, 0, 0)]
    expected = torch.zeros(48, 64, dtype=torch.bool)
    expected[8:20, 8:24] = True
    assert torch.equal(window.target.masks[0, 0], expected)
    assert window.origin.truth_ids == (9,)


def test_a_fingerprint_tells_a_changed_dataset(tmp_path):
    def of(known):
        (found,) = TrainingSet([Part(known)]).fingerprints
        return found

    known = paint(tmp_path, [3, 2])
    before = of(known)
    assert before.startswith("2 videos or images, 4 instances, ")
    (tmp_path / "elsewhere").symlink_to(known.frames)
    assert of(replace(known, name="moved", frames=tmp_path / "elsewhere")) == before
    video, truth = known.videos[0], known.truths[0]
    others = [
        replace(known, videos=known.videos[::-1]),
        replace(known, videos=(replace(video, files=video.files[:-1]), *known.videos[1:])),
        replace(known, videos=(replace(video, height=video.height + 1), *known.videos[1:])),
        replace(known, truths=[replace(truth, id=99), *known.truths[1:]]),
        replace(known, truths=[replace(truth, category_id=known.categories[1].id), *known.truths[1:]]),
        replace(known, truths=[known.truths[1], truth, *known.truths[2:]]),
    ]
    assert len({before, *(of(other) for other in others)}) == 1 + len(others)
