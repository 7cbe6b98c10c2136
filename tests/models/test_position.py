import math

import pytest
import torch

from ovvis.models.layers.position import sine_code_2d, sine_code_3d


def mask2former(height, width, channels):
    """Mask2Former's PositionEmbeddingSine with normalize=True, one number after another."""
    half = channels // 2
    code = torch.zeros(height, width, channels)
    for y in range(height):
        for x in range(width):
            for place, size, offset in ((y, height, 0), (x, width, half)):
                position = (place + 1) / (size + 1e-6) * 2 * math.pi
                for i in range(half):
                    angle = position / 10_000 ** (2 * (i // 2) / half)
                    code[y, x, offset + i] = math.cos(angle) if i % 2 else math.sin(angle)
    return code.view(height * width, channels)


@pytest.mark.parametrize(("height", "width", "channels"), [(1, 1, 4), (3, 5, 8), (7, 2, 32), (2, 3, 256)])
def test_equals_mask2former(height, width, channels):
    code = sine_code_2d(height, width, channels, torch.device("cpu"), torch.float32)
    assert code.shape == (height * width, channels)
    assert torch.allclose(code, mask2former(height, width, channels), atol=1e-5)


def test_every_cell_has_its_own():
    code = sine_code_2d(9, 11, 64, torch.device("cpu"), torch.float32)
    distance = torch.cdist(code, code) + torch.eye(99)
    assert distance.min() > 1e-2


def test_a_code_made_in_inference_mode_can_be_trained_with():
    with torch.inference_mode():
        sine_code_2d(3, 13, 8, torch.device("cpu"), torch.float32)
    code = sine_code_2d(3, 13, 8, torch.device("cpu"), torch.float32)
    weight = torch.ones(8, requires_grad=True)
    (code * weight).sum().backward()
    assert torch.allclose(weight.grad, code.sum(0))


def test_precision():
    assert sine_code_2d(2, 2, 8, torch.device("cpu"), torch.bfloat16).dtype == torch.bfloat16


def test_the_space_time_code_adds_the_frames_place():
    """Mask2Former-VIS's PositionEmbeddingSine3D with normalize=True: the time code runs over all channels."""
    frames, height, width, channels = 3, 2, 4, 8
    wanted = mask2former(height, width, channels).repeat(frames, 1, 1)  # T, h * w, D
    for t in range(frames):
        place = (t + 1) / (frames + 1e-6) * 2 * math.pi
        for i in range(channels):
            angle = place / 10_000 ** (2 * (i // 2) / channels)
            wanted[t, :, i] += math.cos(angle) if i % 2 else math.sin(angle)
    code = sine_code_3d(frames, height, width, channels, torch.device("cpu"), torch.float32)
    assert torch.allclose(code, wanted.flatten(0, 1), atol=1e-5)


def test_one_frame_has_a_place_too():
    alone = sine_code_3d(1, 2, 2, 8, torch.device("cpu"), torch.float32)
    added = alone - sine_code_2d(2, 2, 8, torch.device("cpu"), torch.float32)
    assert torch.allclose(added[:, 1], torch.ones(4), atol=1e-4)  # the cosine of a whole turn
