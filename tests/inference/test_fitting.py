"""Batches by a device's free memory: their sizes, one way back where memory runs out, the same tracks."""

import logging

import numpy as np
import pytest
import torch

from fakes import build_tiny, build_tiny_ov_dvis, build_tiny_ovformer
from ovvis.inference import look
from ovvis.inference.fitting import Fitting, memory_of, usual_batch
from ovvis.inference.pipeline import VideoSegmenter

CPU = torch.device("cpu")
FRAMES = [np.random.default_rng(i).integers(0, 255, (64, 96, 3), dtype=np.uint8) for i in range(13)]


class Told:
    """A device that says what it is told to; a window takes `need`, and no more than `room` can be had."""

    def __init__(self, free, need=10, room=10**9):
        self.left, self.need, self.room, self.held, self.given_back = free, need, room, 1000, 0
        self.most = 5000  # of what ran before

    def begin(self):
        self.most = self.held
        return self.held

    def peak(self):
        return self.most

    def free(self):
        return self.left

    def give_back(self):
        self.given_back += 1

    def take(self, count):
        if count * self.need > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.most = max(self.most, self.held + count * self.need)


@pytest.mark.parametrize(
    ("memory", "most", "wanted"),
    [
        (Told(free=10_000), 8, [1, 8, 8, 3]),
        (Told(free=10_000), 2, [1, *[2] * 9, 1]),
        (Told(free=100), 8, [1, 4, 4, 4, 4, 3]),  # six would fit into its share
        (Told(free=33), 8, [1] * 20),  # hardly two
        (Told(free=0), 8, [1] * 20),
        (Told(free=10_000, need=0), 8, [1, 8, 8, 3]),
        (Told(free=10_000, room=50), 8, [1, 8, *[1] * 19]),  # the eight are refused, and go one by one
    ],
)
def test_sizes(memory, most, wanted, caplog):
    asked, came = [], []

    def forward(batch):
        asked.append(len(batch))
        memory.take(len(batch))
        return sum(batch)

    fitting, waiting = Fitting(memory, most), list(range(20))
    while waiting:
        batch, waiting = tuple(waiting[: fitting.count]), waiting[fitting.count :]
        for part, found in fitting.run(forward, batch):
            assert found == sum(part)
            came += part
    assert asked == wanted and came == list(range(20))
    short = wanted[:3] == [1, 8, 1]
    assert memory.given_back == short
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == short * [
        "accelerate batch: the device's memory ran out with 8 windows at once; they go one by one from here on"
    ]


def test_one_window_that_does_not_fit_is_an_error():
    memory = Told(free=10_000, room=5)
    with pytest.raises(torch.OutOfMemoryError):
        list(Fitting(memory, 8).run(lambda batch: memory.take(len(batch)), (0,)))
    memory.room = 50
    fitting = Fitting(memory, 8)
    list(fitting.run(lambda batch: memory.take(len(batch)) or 1, (0,)))
    memory.room = 5
    with pytest.raises(torch.OutOfMemoryError):
        list(fitting.run(lambda batch: memory.take(len(batch)), tuple(range(8))))


def test_a_model_is_measured_once_for_each_shape():
    model, memory, asked = build_tiny(), Told(free=100), []

    def sizes(shape):
        fitting, waiting = Fitting(memory, 8, model, shape), 6
        asked.clear()
        while waiting > 0:
            for part, _ in fitting.run(forward, tuple(range(min(fitting.count, waiting)))):
                waiting -= len(part)
        return asked

    def forward(batch):
        asked.append(len(batch))
        memory.take(len(batch))
        return batch

    assert sizes((1, 64, 96)) == [1, 4, 1]
    memory.need = 1  # as a replayed network seems to need
    assert sizes((1, 64, 96)) == [4, 2]
    assert sizes((1, 32, 32)) == [1, 5]
    memory.need, memory.room = 10, 35
    assert sizes((1, 64, 96)) == [4, *[1] * 6]
    memory.room = 1000
    assert sizes((1, 64, 96)) == [1] * 6  # it ran out once


@pytest.fixture
def run(monkeypatch):
    """Run a model on a device that tells its memory; return the tracks and the sizes of its batches."""

    def run(model, memory, how=list, **options):
        sizes = []
        plain = model.see

        def see(pixels, *rest):
            sizes.append(len(pixels))
            memory.take(len(pixels))
            return plain(pixels, *rest)

        monkeypatch.setattr(look, "memory_of", lambda device: memory)
        monkeypatch.setattr(model, "see", see)
        made = VideoSegmenter(model, ["dog", "cat"], prompts=["a {}"], short_edge=0, max_tracks=12, **options)
        if how is not list:
            return how(made), sizes
        with made(FRAMES) as result:
            return [(t.id, t.label, t.score, list(t.masks)) for t in result.tracks], sizes

    return run


@pytest.mark.parametrize("build", [build_tiny, build_tiny_ovformer, build_tiny_ov_dvis])
@pytest.mark.parametrize("ways", [(), ("overlap",)])
def test_a_video_is_the_same_as_window_by_window(build, ways, run):
    model = build().for_inference(CPU, torch.float32)
    wanted, _ = run(model, Told(free=0), batch=1)
    windows = -(-len(FRAMES) // (model.video.window or 1))
    model.accelerated = (*ways, "batch")
    found, sizes = run(model, Told(free=70))
    most = 4 if windows > 5 else windows - 2  # OVFormer's last window is a shorter one
    assert sizes[:2] == [1, most] and sum(sizes) == windows
    refused, sizes = run(model, Told(free=70, room=15))
    assert sizes == [4, *[1] * windows]  # it was measured before, and has no room for so many
    for one in (found, refused):
        assert [t[:2] for t in one] == [t[:2] for t in wanted] and [t[3] for t in one] == [t[3] for t in wanted]
        np.testing.assert_allclose([t[2] for t in one], [t[2] for t in wanted], rtol=1e-5)


def test_only_where_it_is_asked_for_and_nobody_waits(run):
    model, memory = build_tiny().for_inference(CPU, torch.float32), Told(free=10_000)
    assert set(run(model, memory)[1]) == {1}
    model.accelerated = ("batch",)
    assert run(model, memory, batch=2)[1] == [2] * 6 + [1]
    assert set(run(model, memory, how=lambda made: list(made.stream(FRAMES)))[1]) == {1}
    assert usual_batch(model, None) is None and usual_batch(model, 3) == 3
    model.accelerated = ()
    assert usual_batch(model, None) == model.batch


def test_a_cpu_tells_nothing_and_says_so():
    assert memory_of(CPU) is None
    model = build_tiny().for_inference(CPU, torch.float32, ("batch",))
    assert model.accelerated == ()
    assert model.notes == ("accelerate batch: it is for GPUs of CUDA, and this is cpu: left out",)
