"""A whole video on a device that is far away: the same tracks, and nothing waits but for one copy back a frame."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch

from fakes import build_tiny, build_tiny_fc_clip, build_tiny_ov_dvis, build_tiny_ovformer
from far import FAR, FarMode, send
from ovvis.inference import mask_code, pipeline
from ovvis.inference.pipeline import VideoSegmenter

CPU = torch.device("cpu")
FRAMES = [np.random.default_rng(i).integers(0, 255, (70, 100, 3), dtype=np.uint8) for i in range(6)]
LABELS = ["dog", ("cat", "kitten"), "red kettle"]


def segmenter(model, **changes):
    return VideoSegmenter(model, LABELS, prompts=["a {}"], short_edge=64, max_tracks=10, **changes)


def told(result):
    return [(t.id, t.label, t.score, t.top_labels, list(t.masks)) for t in result.tracks]


@pytest.fixture
def far(monkeypatch):
    """Take a model there and return what it finds, with what it waited for."""
    monkeypatch.setattr(mask_code, "_USUAL", 1)  # masks of noise change sign everywhere
    monkeypatch.setattr(pipeline, "exactly", lambda device: ExitStack())  # autocast knows no such device

    def run(model, frames, **changes):
        model.network.full_precision = False  # which would ask for the device's autocast
        segmenter(model)  # reads the words, which are kept
        mode = FarMode()
        with mode, torch.no_grad():
            made = segmenter(send(model), **changes)
            mode.waits.clear(), mode.where.clear()
            with made(frames) as result:
                return told(result), mode

    return run


@pytest.mark.parametrize("build", [build_tiny, build_tiny_ovformer])
def test_what_is_found_is_the_same_and_each_frame_costs_one_copy_back(build, far):
    runs = {}
    for ways, frames in (((), FRAMES), (("overlap",), FRAMES[:3]), (("overlap",), FRAMES), (("overlap",), FRAMES[:3])):
        model = build().for_inference(CPU, torch.float32)
        model.accelerated = ways
        runs[ways, len(frames)] = far(model, frames)
    plain, shorter, fast = runs.values()  # the shorter one run twice: what is made once was there
    assert fast[0] == plain[0]
    more = fast[1].where - shorter[1].where  # of three frames, or one window of them
    windows = 3 // (model.video.window or 1)
    back = {what: count for what, count in more.items() if what[0] == "copy from it"}
    assert sum(back.values()) == windows + 3, more  # each window's brief, each frame's final masks
    # There: a window's frames, CLIP's views of them, its tubes' order; signs and values of a frame's final masks.
    there = sum(count for what, count in more.items() if what[0] == "copy to it")
    assert there <= windows * (2 + (model.view_side is not None)) + 3 * 2, more
    assert {what for what, _ in more} <= {"copy from it", "copy to it"}, more
    assert "size that depends on numbers" not in fast[1].waits and fast[1].waits["number read"] == 1  # CLIP's scale
    # The plain way waits for the tracker, for sizes, for the final masks of every object.
    assert plain[1].waits["copy from it"] > 2 * fast[1].waits["copy from it"]


def test_a_learnt_tracker_waits_for_no_frame_either(far):
    runs = {}
    for ways, frames in (((), FRAMES), (("overlap",), FRAMES[:3]), (("overlap",), FRAMES), (("overlap",), FRAMES[:3])):
        model = build_tiny_ov_dvis().for_inference(CPU, torch.float32)
        assert model.video.learnt == "online"
        model.accelerated = ways
        runs[ways, len(frames)] = far(model, frames)
    plain, shorter, fast = runs.values()
    assert fast[0] == plain[0]
    more = fast[1].where - shorter[1].where  # of three frames
    back = {what: count for what, count in more.items() if what[0] == "copy from it"}
    assert sum(back.values()) == 3 * 3, more  # what is matched, the brief, the final masks
    assert {what for what, _ in more} <= {"copy from it", "copy to it"}, more


NETWORKS = {
    "ResNet": build_tiny,
    "ConvNeXt": lambda: build_tiny("tiny-convnext"),
    "OVFormer": build_tiny_ovformer,
    "Swin": lambda: build_tiny_ovformer(backbone="swin_s3_tiny_224"),
    "FC-CLIP": build_tiny_fc_clip,
    "OV-DVIS++": build_tiny_ov_dvis,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_waits_for_nothing_so_that_its_launches_can_be_recorded(name):
    model = NETWORKS[name]().for_inference(CPU, torch.float32)
    model.network.full_precision = False
    mode = FarMode()
    pixels, side = torch.randn(1, 1 if model.classifier.one_frame else 2, 3, 64, 96), model.view_side
    views = None if side is None else torch.zeros(1, 2, 3, side, side, dtype=torch.uint8)
    with mode, torch.no_grad():
        send(model)
        there = [None if x is None else x.to(FAR) for x in (pixels, views)]
        for _ in range(2):  # in the first run what follows from sizes is made
            mode.where.clear()
            found = model.see(*there, None)
        assert found.embeddings.near.isfinite().all()
    assert not mode.where
