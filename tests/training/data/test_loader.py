from functools import partial
from itertools import islice

import pytest
import torch
from torch.utils.data import DataLoader

from ovvis.errors import InputError
from ovvis.training.data import loader
from ovvis.training.data.dataset import Part, TrainingSet
from ovvis.training.data.filtering import FilterConfig
from ovvis.training.data.loader import LoaderConfig, WindowLoader, collate, network_input
from ovvis.training.data.sampling import Draw, SamplingConfig
from ovvis.training.data.transforms import AugmentConfig
from painted import paint

JITTER = AugmentConfig(size=64)


@pytest.fixture
def data(tmp_path):
    parts = [Part(paint(tmp_path, [4, 3, 1, 5]), JITTER), Part(paint(tmp_path, [1, 1], "stills"), JITTER)]
    return TrainingSet(parts, SamplingConfig(2, repeat_threshold=1.0), seed=4, view_side=32)


def batches(data, count, workers=0, size=3, start=0, **process):
    return list(islice(WindowLoader(data, size, LoaderConfig(workers), **process).batches(start), count))


def same(a, b):
    return (
        torch.equal(a.pixels, b.pixels)
        and a.views.shape == (*a.pixels.shape[:3], 32, 32)
        and torch.equal(a.views, b.views)
        and a.origins == b.origins
        and a.sizes == b.sizes
        and all(
            torch.equal(getattr(x, name), getattr(y, name))
            for x, y in zip(a.targets, b.targets, strict=True)
            for name in ("masks", "labels", "ids")
        )
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_change_nothing(data, workers):
    alone, together = batches(data, 4), batches(data, 4, workers)
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))


def test_workers_that_are_spawned_change_nothing(data, monkeypatch):
    """As on macOS and Windows: what they need travels to them."""
    alone = batches(data, 2)
    monkeypatch.setattr(loader, "DataLoader", partial(DataLoader, multiprocessing_context="spawn"))
    assert all(same(a, b) for a, b in zip(alone, batches(data, 2, 1), strict=True))


@pytest.mark.parametrize("workers", [0, 2])
def test_it_goes_on_where_it_was(data, workers):
    whole = batches(data, 6)
    rest = batches(data, 2, workers, start=12)
    assert all(same(a, b) for a, b in zip(whole[4:], rest, strict=True))


def test_processes_have_what_one_would(data):
    whole = batches(data, 3, size=4)
    dealt = [batches(data, 3, size=2, rank=rank, processes=2) for rank in range(2)]
    for step in range(3):
        mine = {o.draw.position for half in dealt for o in half[step].origins}
        assert mine == {o.draw.position for o in whole[step].origins}


def test_an_epoch_counts_repeats(data):
    # Of each dataset every video has both its categories: every factor is 1.
    assert WindowLoader(data, 1).epoch == 6


def test_global_random_numbers_are_left_alone(data):
    before = torch.get_rng_state()
    batches(data, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_collation_pads_to_the_largest(tmp_path):
    wide = TrainingSet([Part(paint(tmp_path, [1], size=(40, 70)), AugmentConfig("short_edge", short_edges=(40,)))])
    tall = TrainingSet(
        [Part(paint(tmp_path, [1], "tall", size=(70, 40)), AugmentConfig("short_edge", short_edges=(40,)))]
    )
    windows = [wide[Draw(0, 0, 0)], tall[Draw(0, 0, 0)]]
    batch = collate(windows)
    assert batch.pixels.shape == (2, 1, 3, 96, 96)
    assert batch.sizes == ((40, 70), (70, 40))
    mean, std = torch.tensor([10.0, 20, 30]).view(3, 1, 1), torch.tensor([2.0, 4, 8]).view(3, 1, 1)
    pixels = network_input(batch, mean, std)
    for i, (window, (h, w)) in enumerate(zip(windows, batch.sizes, strict=True)):
        assert torch.equal(batch.pixels[i, ..., :h, :w], window.pixels)
        assert torch.equal(batch.targets[i].masks[..., :h, :w], window.target.masks)
        assert batch.targets[i].masks.sum() == window.target.masks.sum()
        assert batch.targets[i].masks.shape[-2:] == (96, 96)
        assert torch.equal(pixels[i, ..., :h, :w], (window.pixels.float() - mean) / std)
        assert not pixels[i, ..., h:, :].any()
        assert not pixels[i, ..., w:].any()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_frame_is_one_line(tmp_path, workers):
    known = paint(tmp_path, [1])
    (tmp_path / "painted-0/000.png").write_bytes(b"no image")
    with pytest.raises(InputError) as error:
        batches(TrainingSet([Part(known, JITTER)]), 1, workers)
    assert "painted-0/000.png could not be read" in str(error.value)
    assert "\n" not in str(error.value)


def test_replaced_frames_are_counted(tmp_path):
    known = paint(tmp_path, [1, 1])
    (tmp_path / "painted-0/000.png").write_bytes(b"no image")
    loader = WindowLoader(TrainingSet([Part(known, JITTER)], choice=FilterConfig(bad="skip")), 2, LoaderConfig(0))
    found = [origin.video for batch in islice(loader.batches(), 3) for origin in batch.origins]
    assert found == ["painted-1"] * 6
    assert len(loader.unreadable) >= 3
    assert all("painted-0/000.png" in line for line in loader.unreadable)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LoaderConfig(workers=-1), "workers"),
        (lambda: LoaderConfig(prefetch=0), "prefetch"),
        (lambda: WindowLoader(None, 0), "batch_size"),
    ],
)
def test_settings_are_checked(make, message):
    with pytest.raises(InputError, match=message):
        make()
