"""SAM 2 as a propagator, on a random network of its smallest shape."""

import numpy as np
import pytest
import torch

from ovvis import masks
from ovvis.errors import ResourceError
from ovvis.models import sam2
from ovvis.models.sam2 import Sam2Propagator, load_sam2
from ovvis.structures import NOTHING, Detected
from ovvis.tracking.propagate import Propagate

SIZE = (40, 60)
SIDE, WIDTH = 64, 128  # of the network's pictures and features; its memory is 64 wide whatever it is told


@pytest.fixture(scope="module")
def model():
    transformers = pytest.importorskip("transformers")
    from transformers.models.sam2.configuration_sam2 import Sam2HieraDetConfig, Sam2VisionConfig
    from transformers.models.sam2_video.configuration_sam2_video import (
        Sam2VideoMaskDecoderConfig,
        Sam2VideoPromptEncoderConfig,
    )

    trunk = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 4, 4],
        global_attention_blocks=[3],
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return transformers.Sam2VideoModel(
            transformers.Sam2VideoConfig(
                vision_config=Sam2VisionConfig(
                    backbone_config=trunk,
                    backbone_channel_list=[64, 32, 16, 8],
                    backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
                    fpn_hidden_size=WIDTH,
                ),
                prompt_encoder_config=Sam2VideoPromptEncoderConfig(
                    hidden_size=WIDTH, image_size=SIDE, mask_input_channels=8
                ),
                mask_decoder_config=Sam2VideoMaskDecoderConfig(
                    hidden_size=WIDTH, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=32
                ),
                image_size=SIDE,
                memory_attention_hidden_size=WIDTH,
                memory_attention_num_layers=1,
                memory_attention_feed_forward_hidden_size=32,
                memory_attention_rope_feat_sizes=[4, 4],
                memory_encoder_hidden_size=WIDTH,
                memory_fuser_num_layers=1,
                memory_fuser_embed_dim=WIDTH,
                memory_fuser_intermediate_dim=32,
                mask_downsampler_embed_dim=WIDTH,
            )
        ).eval()


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(0, 255, (24, *SIZE, 3), dtype=np.uint8)


def square(left):
    mask = np.zeros(SIZE, dtype=bool)
    mask[5:20, left : left + 20] = True
    return masks.encode(mask)


@torch.no_grad()
def by_itself(model, frames, mask):
    """Return the masks of one object, as the package's own stream gives them."""
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    session = Sam2VideoInferenceSession(video_height=SIZE[0], video_width=SIZE[1], dtype=torch.float32)
    drawn = torch.from_numpy(masks.decode(mask).copy()).float()[None, None]
    resize = torch.nn.functional.interpolate
    session.add_mask_inputs(
        session.obj_id_to_idx(1),
        0,
        (resize(drawn, (SIDE, SIDE), mode="bilinear", antialias=True) >= 0.5).float(),
    )
    session.obj_with_new_inputs = [1]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (sam2._MEAN, sam2._STD))
    out = []
    for frame in frames:
        pixels = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
        pixels = (resize(pixels, (SIDE, SIDE), mode="bilinear", antialias=True) - mean) / std
        seen = model(inference_session=session, frame=pixels)
        out.append(resize(seen.pred_masks.flatten(0, -3)[None], SIZE, mode="bilinear")[0, 0] > 0)
    return out[1:]


def test_each_tube_is_carried_as_if_it_were_alone(model, frames):
    propagator = Sam2Propagator(model)
    assert propagator.carry(frames[0]) == {}
    propagator.remember({0: square(10), 7: square(30)})
    wanted = {0: by_itself(model, frames, square(10)), 7: by_itself(model, frames, square(30))}
    for i, frame in enumerate(frames[1:]):
        found = propagator.carry(frame)
        for tube, alone in wanted.items():
            if tube in found:
                assert np.array_equal(masks.decode(found[tube]), alone[i].numpy()), (i, tube)
        propagator.remember(found)
    assert set(found) == {0, 7}


def test_memory_is_bounded_and_tubes_are_dropped(model, frames):
    propagator = Sam2Propagator(model)
    propagator.carry(frames[0])
    propagator.remember({0: square(10), 1: square(30)})
    for frame in frames[1:]:
        propagator.remember(propagator.carry(frame))
    session = propagator._sessions[1]
    outputs = session.output_dict_per_obj[0]["non_cond_frame_outputs"]
    assert len(outputs) == 17 and len(session.processed_frames) == 1
    assert sum("high_res_masks" in output for output in outputs.values()) == 1
    propagator.forget([0])
    assert set(propagator.carry(frames[0])) <= {1}
    propagator.reset()
    assert propagator.carry(frames[0]) == {}


def test_it_follows_detections(model, frames):
    association = Propagate(Sam2Propagator(model), least=0.0)
    thing = Detected((square(10),), np.ones(1))
    assert association.update(thing, frames[0]).tubes.tolist() == [0]
    followed = association.update(NOTHING, frames[1])
    assert [tube for tube, _ in followed.carried] in ([0], [])
    assert association.update(thing, frames[2]).tubes.tolist() == [0]


def test_what_is_missing_is_said(monkeypatch):
    real = sam2.import_module

    def without(name):
        if name == "transformers":
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(sam2, "import_module", without)
    with pytest.raises(ResourceError, match=r"pip install 'ovvis\[sam2\]'"):
        load_sam2("facebook/sam2.1-hiera-tiny")
