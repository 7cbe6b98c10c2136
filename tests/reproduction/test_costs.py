import pytest
import torch

from fakes import build_tiny_ovformer
from ovvis.reproduction.costs import costs


def test_parameters_and_operations_by_hand(_tiny_clips):
    model = build_tiny_ovformer().for_inference(torch.device("cpu"), torch.float32)
    found = costs(model, (64, 64))
    head = model.network.class_head
    parts = {"backbone": model.network.backbone, "encoder": model.network.pixel_decoder, "uea": head}
    for name, part in parts.items():
        norms = sum(b.numel() for n, b in part.named_buffers() if n.endswith((".weight", ".bias")))
        assert found[name]["params"] == pytest.approx((sum(p.numel() for p in part.parameters()) + norms) / 1e6)
    # The head's two linear layers see each query once; then come attention to one frame, and its projections.
    queries, width, clip = model.config.queries, model.config.width, model.clip.width
    mlp = queries * (width * (clip // 2) + (clip // 2) * clip)
    projected = queries * clip * clip * 2 + 2 * clip * clip  # of queries in and out; of the frame to key and value
    attended = 2 * queries * clip
    assert found["uea"]["flops"] * 1e9 in (mlp + projected, mlp + projected + attended)
    # Twice as wide a frame has twice the operations in what sees pixels.
    wide = costs(model, (64, 128))
    assert wide["backbone"]["flops"] == pytest.approx(2 * found["backbone"]["flops"])
    assert wide["uea"] == found["uea"]
