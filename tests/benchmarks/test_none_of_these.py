"""The calibration's own track scores are the pipeline's, and what it chooses follows its rule."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes import FakeModel, fake_frames, fake_prediction
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.models.settings import VideoSettings
from ovvis.sources.video import open_source

SPEC = importlib.util.spec_from_file_location(
    "none_of_these", Path(__file__).resolve().parents[2] / "benchmarks" / "none_of_these.py"
)
program = importlib.util.module_from_spec(SPEC)
sys.modules["none_of_these"] = program  # its dataclasses look themselves up
SPEC.loader.exec_module(program)

LABELS = ["dog", "cat", "zebra", "owl"]
SETTINGS = VideoSettings(memory=1, matched=1, silence=None)
SIZE = (32, 64)


def video(frames=4, queries=3):
    """Queries that cover the left, middle and right third, shuffled from frame to frame."""
    g = torch.Generator().manual_seed(0)
    out = []
    for t in range(frames):
        masks = torch.full((queries, 8, 16), -2.0)
        for q in range(queries):
            masks[q, :, 5 * q : 5 * q + 5] = 1 + torch.rand(1, generator=g)
        order = torch.arange(queries) if t == 0 else torch.randperm(queries, generator=g)
        parts = torch.randn(queries, len(LABELS), generator=g), torch.randn(queries, 2, generator=g)
        ious, looks = torch.rand(queries, generator=g), torch.eye(queries)
        out.append(fake_prediction(*(x[order] for x in (masks, *parts, ious, looks))))
    return out


def third(n):
    mask = np.zeros(SIZE, dtype=bool)
    mask[:, 20 * n : 20 * n + 20] = True
    return mask


@pytest.mark.parametrize("none", [None, 0.5])
def test_scores_are_the_pipelines(none):
    predictions = video()
    segmenter = VideoSegmenter(FakeModel(predictions, SETTINGS), LABELS, short_edge=0, cache=False)
    case = program.Case(open_source(fake_frames(4)), [1, 3], [[third(2)] * 4, [third(0), None, *[third(0)] * 2]])
    found, objects = program.look(segmenter, [case], 1, least_iou=0.5)
    assert (len(found), objects) == (2, 2)
    assert [one.label for one in found] == [1, 3]
    settings = replace(SETTINGS, none_logit=none)
    with VideoSegmenter(FakeModel(predictions, settings), LABELS, short_edge=0, cache=False, max_tracks=12)(
        fake_frames(4)
    ) as result:
        wanted = {(track.id, track.label_index): track.score for track in result.tracks}
    values = [program.OFF if none is None else none]
    for one, tube in zip(found, (3, 1), strict=True):  # the third and the first query of the first frame
        got = program.track_scores(one, np.arange(4), SETTINGS, values)[0].tolist()
        assert got == pytest.approx([wanted[tube, k] for k in range(4)], abs=1e-5)


def test_the_highest_value_that_keeps_enough():
    curves = [
        program.Curve("holds", 5, [0.8, 0.8, 0.78, 0.5]),
        program.Curve("holds", 20, [0.6, 0.6, 0.6, 0.6]),
        program.Curve("misses", 5, [0.1, 0.2, 0.6, 0.9]),
    ]
    # Of lists of five 0.8 without the answer, so at least 0.76 must be kept, then 0.6, then 0.48.
    assert program.choose(curves, [1.0, 2.0, 3.0], 0.95) == 1
    assert program.choose(curves, [1.0, 2.0, 3.0], 0.75) == 1  # though both lengths together keep 0.55 of 0.7
    assert program.choose(curves, [1.0, 2.0, 3.0], 0.6) == 2
