"""What OVFormer's and OV2Seg's released code computed, in float32 on a CPU, from the same weights and frames."""

import gc

import pytest
import torch
import torch.nn.functional as F

import ovvis
from ovvis.inference.trackers import build_tracker
from ovvis.models import built
from ovvis.models.clip import FrozenClip
from ovvis.structures import TextEmbeddings
from parity_checks import check_result, equal, read_case, write_authors_file

LABELS = [f"label {i}" for i in range(12)]
CASES = [
    ("ovformer_video_r50", "ovformer-r50"),
    ("ovformer_image_r50", "ovformer-r50-lvis"),
    ("ov2seg_r50", "ov2seg-r50"),
    ("ovformer_video_swinb", "ovformer-swin-b"),
]


@pytest.fixture(scope="module")
def clip_state():
    """Any weights of a ViT-B/32: the cases bring the embeddings that theirs would give."""
    state = FrozenClip("ViT-B-32", quick_gelu=True).state_dict()
    return {f"clip.{name}": tensor for name, tensor in state.items()}


@torch.no_grad()
def check_tubes(model, tensors, text):
    """Compare the tubes' means and masks, and return each frame's mask logits in tube order."""
    pixels = (tensors["frames"].to(model.device).float() - model.pixel_mean) / model.pixel_std
    tracker, window = build_tracker(model.video), model.video.window
    classes, objects, masks = [], [], []
    for i in range(0, len(pixels), window):
        images = tensors["clip_image_embeddings"][None, i : i + window] if model.view_side else None
        prediction = model(pixels[None, i : i + window], images=images)
        order = tracker.update(prediction.embeddings[0], prediction.object_logits[0].softmax(-1)[:, 0])
        classes.append(model.classifier(prediction, text)[0, order])
        objects.append(prediction.object_logits[0, order])
        masks.append(prediction.mask_logits[0, order])
    equal("class logits", torch.stack(classes).mean(0), tensors["track.class_logits"][:, :-1])
    equal("object logits", torch.stack(objects).mean(0), tensors["track.object_logits"])
    logits = torch.cat(masks, 1)
    if "track.masks" in tensors:
        equal("masks", logits[:8], tensors["track.masks"])
    else:
        full = F.interpolate(logits[:8], size=pixels.shape[-2:], mode="bilinear", align_corners=False)
        equal("masks", full[..., ::4, ::4], tensors["track.masks_quarter"])
    return logits.transpose(0, 1).cpu()


def see(model, tensors, monkeypatch):
    """Let the case's embeddings stand for what CLIP says of the frames, which come in order."""
    rest = iter(tensors["clip_image_embeddings"])

    def embed_images(views):
        assert views.shape[2:] == (3, 224, 224) and views.dtype == torch.uint8
        return torch.stack([next(rest) for _ in range(views.shape[1])])[None]

    monkeypatch.setattr(model.clip, "embed_images", embed_images)


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(("case_name", "name"), CASES)
def test_equals_the_authors_code(case_name, name, tmp_path, monkeypatch, clip_state, device):
    case, tensors = read_case(case_name)
    path = tmp_path / "model_final.pth"
    write_authors_file(case, path)
    monkeypatch.setattr(built, "pretrained_clip", lambda config, on_progress=None: clip_state)
    gc.collect()
    model = ovvis.load_model(name, weights=path, device=device)
    path.unlink()
    assert model.video.window == case.get("clip_length", 1)
    text = TextEmbeddings(tensors["text_embeddings"].to(device), torch.arange(12), tuple(LABELS))
    segmenter = ovvis.VideoSegmenter(
        model, LABELS, short_edge=0, max_tracks=case["top_k_results"], text_embeddings=text, cache=False
    )
    if model.view_side:
        see(model, tensors, monkeypatch)
    with segmenter(list(tensors["frames"].permute(0, 2, 3, 1).numpy())) as result:
        logits = check_tubes(model, tensors, text)
        check_result(result, tensors, logits)
