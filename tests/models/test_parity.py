"""What the authors' released code computed, in float32 on a CPU, from the same weights and frames."""

import gc
from dataclasses import replace

import pytest
import torch

import ovvis
from ovvis.inference import scoring
from ovvis.models.own_weights import convert
from ovvis.structures import TextEmbeddings
from ovvis.tracking.tracker import Tracker
from parity_checks import check_result, equal, read_case, write_authors_file

CASES = [
    ("clip_vis_r50", "clip-vis-r50", "clip-vis-r50"),
    ("clip_vis_convnext_b", "clip-vis-convnext-b", "clip-vis-convnext-b-ytvis19"),
]


@torch.no_grad()
def check_stages(model, tensors):
    """Compare the first frame from the image to the pixel decoder. Return all frames, ready for the network."""
    pixels = (tensors["frames"].to(model.device).float() - model.pixel_mean) / model.pixel_std
    first = pixels[:1]
    equal("image", first, tensors["stage.image"])
    pyramid = model.network.backbone(first)
    for i, level in enumerate(pyramid.levels):
        equal(f"res{i + 2}", level[:, :16], tensors[f"stage.backbone.res{i + 2}"])
    fine, levels = model.network.pixel_decoder(pyramid.levels)
    equal("mask features", fine[:, :16], tensors["stage.mask_features"])
    for i, level in enumerate(levels):
        equal(f"multi-scale {i}", level[:, :16], tensors[f"stage.multi_scale.{i}"])
    return pixels


@torch.no_grad()
def check_frames(prediction, tensors):
    equal("embeddings", prediction.embeddings, tensors["frame.pred_embds"])
    equal("ious", prediction.mask_ious[..., None], tensors["frame.pred_ious"])
    equal("objects", prediction.object_logits, tensors["frame.pred_object_logits"])
    equal("masks", prediction.mask_logits[:, :16, 0], tensors["frame.pred_masks"])


@torch.no_grad()
def check_tracking(model, prediction, text, settings, tensors):
    tracker = Tracker(settings.memory, settings.matched, settings.recency_weighted, settings.momentum)
    class_logits = model.classifier(prediction, text)
    aligned, classes = [], []
    for i in range(len(class_logits)):
        window = prediction.window(i)
        order = tracker.update(window.embeddings[0], window.object_logits[0].softmax(-1)[:, 0])
        aligned.append(window.aligned(order))
        classes.append(scoring.class_scores(class_logits[i, order], settings.class_score, model.clip.logit_scale))
    equal("aligned masks", torch.stack([p.mask_logits[0, :16, 0] for p in aligned], 1), tensors["track.masks"])
    equal("aligned ious", torch.stack([p.mask_ious[0, :, None] for p in aligned], 1), tensors["track.ious"])
    objects = torch.stack([p.object_logits[0] for p in aligned]).mean(0)
    equal("mean objects", objects, tensors["track.object_logits"])
    equal("class scores", torch.stack(classes, 1), tensors["track.frame_class_prob"])
    weighted = [scoring.window_scores(c, p.mask_ious[0], settings) for c, p in zip(classes, aligned, strict=True)]
    mean = torch.stack(weighted).mean(0)
    equal("tube scores", scoring.tube_scores(mean, objects, settings), tensors["track.class_scores"])
    return [p.mask_logits[0, :, 0].cpu() for p in aligned]


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(("case_name", "model_name", "found_name"), CASES)
def test_equals_the_authors_code(case_name, model_name, found_name, tmp_path, device):
    case, tensors = read_case(case_name)
    theirs, ours = tmp_path / "model_final.pth", tmp_path / "ours.safetensors"
    write_authors_file(case, theirs)
    gc.collect()
    assert convert(theirs, ours).name == found_name
    frames = list(tensors["frames"].permute(0, 2, 3, 1).numpy())
    seen = []
    for name, weights in ((model_name, theirs), (found_name, ours)):
        model = ovvis.load_model(name, weights=weights, device=device)
        settings = replace(model.video, memory=case["memory_frames_T"], matched=case["matched_frames_K"])
        segmenter = ovvis.VideoSegmenter(
            model,
            case["vocabulary"],
            short_edge=0,
            max_tracks=case["top_k_results"],
            prompts=["a {}"],
            settings=settings,
            cache=False,
        )
        assert segmenter.text.label_of_row.tolist() == [0, 1, 1, 2, 3, 4]
        vectors = tensors["text_embeddings"].to(device)
        segmenter.text = TextEmbeddings(vectors, segmenter.text.label_of_row, segmenter.text.labels)
        with segmenter(frames) as result:
            seen.append([(t.id, t.label, t.score, list(t.masks)) for t in result.tracks])
            pixels = check_stages(model, tensors)
            with torch.no_grad():
                prediction = model(pixels[:, None])
            check_frames(prediction, tensors)
            logits = check_tracking(model, prediction, segmenter.text, settings, tensors)
            check_result(result, tensors, logits)
        del model, segmenter
        gc.collect()
    assert seen[0] == seen[1]
