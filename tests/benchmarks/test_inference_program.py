"""The authors' way, which ours is timed against, runs and computes the same."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from fakes import build_tiny
from ovvis.models.layers import deformable_attention
from ovvis.models.query_decoder import QueryDecoder

SPEC = importlib.util.spec_from_file_location(
    "inference_program", Path(__file__).resolve().parents[2] / "benchmarks" / "inference.py"
)
program = importlib.util.module_from_spec(SPEC)
sys.modules["inference_program"] = program
SPEC.loader.exec_module(program)


@pytest.fixture
def restored(monkeypatch):
    """What `slow_down` changes for its whole process stands as before after the test."""
    monkeypatch.setattr(deformable_attention, "BagSampler", deformable_attention.BagSampler)
    monkeypatch.setattr(QueryDecoder, "_allowed", QueryDecoder._allowed)


def test_the_authors_way_computes_the_same_by_other_means(restored, monkeypatch):
    frames = torch.rand(1, 1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    model = build_tiny().eval().requires_grad_(False)
    sampled, grid = [], deformable_attention.GridSampler.__call__
    monkeypatch.setattr(
        deformable_attention.GridSampler, "__call__", lambda self, *given: sampled.append(1) or grid(self, *given)
    )
    ours = model.network(frames)
    assert not sampled
    program.slow_down(model)
    theirs = model.network(frames)
    assert len(sampled) == sum(isinstance(m, deformable_attention.DeformableAttention) for m in model.modules())
    torch.testing.assert_close(theirs.mask_logits, ours.mask_logits, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(theirs.object_logits, ours.object_logits, rtol=1e-3, atol=1e-3)
