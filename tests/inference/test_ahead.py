"""Reading ahead: the same items, errors in their place, no thread left behind; and copies that are read later."""

import threading
from math import inf

import numpy as np
import pytest
import torch

from fakes import build_tiny, build_tiny_ov_dvis, build_tiny_ovformer
from ovvis.errors import InputError
from ovvis.inference.ahead import read_ahead
from ovvis.inference.fetched import Fetched, _as_bytes, _unpacked, late
from ovvis.inference.pipeline import VideoSegmenter

CPU = torch.device("cpu")


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "ovvis-ahead"]


@pytest.mark.parametrize("depth", [1, 3, 100])
def test_the_same_items_in_their_order(depth):
    assert list(read_ahead(iter(range(20)), depth)) == list(range(20))
    assert not threads()


def test_no_more_are_made_than_may_wait():
    made = []
    items = read_ahead((made.append(i) or i for i in range(10)), 2)
    assert next(items) == 0
    for _ in range(500):  # until the thread stands still: two that wait, one in its hand
        if len(made) == 4:
            break
        threading.Event().wait(0.01)
    assert made == [0, 1, 2, 3]
    items.close()
    assert not threads() and len(made) == 4


def test_an_error_comes_in_its_place():
    def items():
        yield 1
        raise InputError("frame 2 is broken")

    found = read_ahead(items(), 5)
    assert next(found) == 1
    with pytest.raises(InputError, match="frame 2"):
        next(found)
    assert not threads()


def test_who_stops_early_closes_what_is_read():
    closed = []

    def items():
        try:
            while True:
                yield 0
        finally:
            closed.append(threading.current_thread().name)

    found = read_ahead(items(), 2)
    next(found)
    found.close()
    assert closed == ["ovvis-ahead"] and not threads()


def test_late():
    assert list(late("abc", 0)) == list(late("abc", 2)) == list(late("abc", 9)) == ["a", "b", "c"]


def test_tensors_in_one_copy():
    tensors = {
        "one": torch.tensor(True),
        "none": torch.zeros(0, 3),
        "half": torch.randn(3, 5).bfloat16(),
        "turned": torch.arange(12).view(3, 4).T,
        "bits": torch.arange(7, dtype=torch.uint8),
    }
    packed = torch.cat([_as_bytes(x) for x in tensors.values()])
    found = _unpacked(packed, {name: (x.shape, x.dtype) for name, x in tensors.items()})
    for name, x in tensors.items():
        assert torch.equal(found[name], x) and found[name].dtype == x.dtype
        assert torch.equal(Fetched(tensors)[name], x)


FRAMES = [np.random.default_rng(i).integers(0, 255, (64, 96, 3), dtype=np.uint8) for i in range(7)]


def told(model, frames=FRAMES, **changes):
    segmenter = VideoSegmenter(model, ["dog", "cat"], prompts=["a {}"], short_edge=0, max_tracks=12, **changes)
    with segmenter(frames) as result:
        return [(t.id, t.label, t.score, t.top_labels, list(t.masks)) for t in result.tracks], result.settings


@pytest.mark.parametrize("build", [build_tiny, build_tiny_ovformer, build_tiny_ov_dvis])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_video_read_ahead_and_back_a_frame_late_is_the_same_to_the_bit(build, batch):
    wanted, settings = told(build().for_inference(CPU, torch.float32), batch=batch)
    found, changed = told(build().for_inference(CPU, torch.float32, ("overlap",)), batch=batch)
    assert found == wanted
    assert changed == settings | {"accelerate": ["overlap"]}
    assert not threads()


def test_a_refiner_is_given_the_same():
    built = [build_tiny_ov_dvis(refined=True).for_inference(CPU, torch.float32, ways) for ways in ((), ("overlap",))]
    wanted, found = (told(model)[0] for model in built)
    assert found == wanted


def test_names_and_many_labels_are_read_back_too(monkeypatch):
    monkeypatch.setattr("ovvis.inference.look.WIDE", 1)
    wanted, _ = told(build_tiny(names=0.3, birth=0.3).for_inference(CPU, torch.float32))
    found, _ = told(build_tiny(names=0.3, birth=0.3).for_inference(CPU, torch.float32, ("overlap",)))
    assert found == wanted


def test_a_single_frame():
    wanted, _ = told(build_tiny().for_inference(CPU, torch.float32), FRAMES[:1])
    assert told(build_tiny().for_inference(CPU, torch.float32, ("overlap",)), FRAMES[:1])[0] == wanted


@pytest.mark.parametrize("build", [build_tiny, build_tiny_ov_dvis])
def test_an_overflow_is_told_late_too(build):
    model = build().for_inference(CPU, torch.float32, ("overlap",))
    with torch.no_grad():
        model.network.query_decoder.query_features.fill_(inf)
    with pytest.raises(InputError, match="overflows in float32"):
        told(model)
    assert not threads()
