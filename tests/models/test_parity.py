"""What the authors' released code computed, in float32 on a CPU, from the same weights and frames."""

import gc
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import ovvis
from ovvis.inference import scoring
from ovvis.masks import decode
from ovvis.models.load import convert
from ovvis.structures import TextEmbeddings
from ovvis.tracking.tracker import Tracker
from parity_weights import make_state

DATA = Path(__file__).parent.parent / "data" / "parity"
CASES = [
    ("clip_vis_r50", "clip-vis-r50", "clip-vis-r50"),
    ("clip_vis_convnext_b", "clip-vis-convnext-b", "clip-vis-convnext-b-ytvis19"),
]


def equal(name, ours, theirs):
    """Assert equality within 1e-4 of the largest magnitude."""
    assert ours.shape == theirs.shape, name
    difference = (ours - theirs).abs().max() / theirs.abs().max()
    assert difference < 1e-4, f"{name}: {difference:.1e}"


def write_authors_file(case, path):
    """Write what detectron2's checkpointer writes, with the entries that are no weights."""
    state = make_state(case["tensors"], case["seed"])
    counters = {name.replace("running_mean", "num_batches_tracked") for name in state if name.endswith("running_mean")}
    state |= {name: torch.tensor(5) for name in counters}
    state["criterion.empty_object_weight"] = torch.tensor([1.0, 0.4])
    torch.save({"model": state, "iteration": 90_000, "optimizer": {"state": {}, "param_groups": []}}, path)


@torch.no_grad()
def check_stages(model, tensors):
    """Compare the first frame from the image to the pixel decoder. Return all frames, ready for the network."""
    pixels = (tensors["frames"].float() - model.pixel_mean) / model.pixel_std
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
        order = tracker.update(window.embeddings[0])
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
    return [p.mask_logits[0, :, 0] for p in aligned]


def undecided(logits, size):
    """Return the pixels (H, W) whose logit rounding may push over zero: within 1e-4 of the largest magnitude."""
    full = F.interpolate(logits[None, None], size=(4 * logits.shape[0], 4 * logits.shape[1]), mode="bilinear")[0, 0]
    return (full[: size[0], : size[1]].abs() < 1e-4 * full.abs().max()).numpy()


def check_result(result, tensors, logits):
    order = tensors["final.scores"].argsort(descending=True)
    assert [track.label_index for track in result.tracks] == tensors["final.labels"][order].tolist()
    scores = torch.tensor([track.score for track in result.tracks])
    assert (scores - tensors["final.scores"][order]).abs().max() < 1e-4
    count, _, height, width = tensors["frames"].shape
    bits = np.unpackbits(tensors["final.masks"].numpy(), axis=-1)[..., : height * width]
    masks = bits.reshape(len(order), count, height, width).astype(bool)
    for track, i in zip(result.tracks, order.tolist(), strict=True):
        for t, rle in enumerate(track.masks):
            ours = np.zeros((height, width), bool) if rle is None else decode(rle)
            either = ours | masks[i, t]
            differs = (ours ^ masks[i, t]) & ~undecided(logits[t][track.id - 1], (height, width))
            both, either = either.sum() - differs.sum(), either.sum()
            assert either == 0 or both / either >= 0.999, (track.id, t)


@pytest.mark.parity
@pytest.mark.slow
@pytest.mark.parametrize(("case_name", "model_name", "found_name"), CASES)
def test_equals_the_authors_code(case_name, model_name, found_name, tmp_path):
    case = json.loads((DATA / f"{case_name}.json").read_text())
    tensors = load_file(DATA / f"{case_name}.safetensors")
    theirs, ours = tmp_path / "model_final.pth", tmp_path / "ours.safetensors"
    write_authors_file(case, theirs)
    gc.collect()
    assert convert(theirs, ours).name == found_name
    frames = list(tensors["frames"].permute(0, 2, 3, 1).numpy())
    seen = []
    for name, weights in ((model_name, theirs), (found_name, ours)):
        model = ovvis.load_model(name, weights=weights, device="cpu")
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
        segmenter.text = TextEmbeddings(tensors["text_embeddings"], segmenter.text.label_of_row, segmenter.text.labels)
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
