"""What FC-CLIP's and OV-DVIS++'s released code computed, in float32 on a CPU, from the same weights and frames."""

import gc
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import ovvis
from ovvis.inference import windows
from ovvis.inference.trackers import build_tracker
from ovvis.models.own_weights import convert
from parity_checks import check_result, equal, mostly_equal, read_case, write_authors_file

pytestmark = [pytest.mark.parity, pytest.mark.slow]


@pytest.fixture(scope="module")
def authors_file(tmp_path_factory):
    """Write a case's weights as its authors would, once for each case."""
    folder = tmp_path_factory.mktemp("weights")

    def write(name):
        path = folder / f"{name}.pth"
        if not path.exists():
            write_authors_file(read_case(name)[0], path)
            gc.collect()
        return path

    return write


def segmenter_of(model, case, tensors, **options):
    """Return a segmenter with the case's labels, their embeddings, and the words that it says were trained on."""
    fixed = {"short_edge": 0, "max_tracks": case["top_k_results"], "prompts": ["a {}"], "cache": False}
    segmenter = ovvis.VideoSegmenter(model, case["vocabulary"], **(fixed | options))
    segmenter.text = replace(segmenter.text, vectors=tensors["text_embeddings"].to(model.device))
    listed = case["training_vocabularies"]
    model.classifier.trained = frozenset(word for labels in listed for label in labels for word in label)
    assert [int(e) for e in segmenter.model.classifier.exponents(segmenter.text, "cpu") < 0.6] == case["seen"]
    equal("void", F.normalize(model.classifier.void.detach(), dim=-1), tensors["void_embedding"])
    return segmenter


@torch.no_grad()
def check_stages(model, frames, tensors):
    """Compare what does not depend on queries; return the frames, ready for the network."""
    pixels = (frames.to(model.device).float() - model.pixel_mean) / model.pixel_std
    height, width = pixels.shape[-2:]
    pixels = F.pad(pixels, (0, -width % 32, 0, -height % 32))
    pyramid = model.network.backbone(pixels[:1])
    equal("res5", pyramid.levels[-1][:, :8], tensors["stage.backbone.res5"])
    fine, _ = model.network.pixel_decoder(pyramid.levels)
    equal("mask features", fine[:, :4], tensors["stage.mask_features"])
    return pixels


def frames_of(tensors):
    return list(tensors["frames"].permute(0, 2, 3, 1).numpy())


@pytest.mark.parametrize("index", [0, 1])
@torch.no_grad()
def test_an_image(index, authors_file, device, monkeypatch):
    """FC-CLIP's instances: the best pairs, times the mean confidence of each mask's pixels at the image's own size."""
    case, tensors = read_case("fc_clip_r50")
    tensors |= {k.removeprefix(f"image{index}."): v for k, v in tensors.items() if k.startswith(f"image{index}.")}
    model = ovvis.load_model("fc-clip-r50", authors_file("fc_clip_r50"), device=device)
    image, size = tensors["image"], case["output_sizes"][index]
    segmenter = segmenter_of(model, case, tensors, short_edge=min(image.shape[1:]))
    pixels = check_stages(model, image[None], tensors)
    prediction = model(pixels[:, None])
    equal("masks", prediction.mask_logits[0, :4, 0], tensors["frame.pred_masks"])
    equal("class embeddings", prediction.class_embeddings[0, :4], tensors["frame.class_embed"])
    pooled, empty = model.classifier.outer.pooled(prediction)
    assert torch.equal(~empty[0].cpu(), tensors["clip.valid"].bool())
    valid = ~empty[0, :4]
    equal("pooled", pooled[0, :4][valid], tensors["clip.pooled"][valid.cpu()])
    equal(
        "logits", model.classifier.inner(prediction.class_embeddings, segmenter.text)[0], tensors["frame.pred_logits"]
    )
    logs = model.classifier(prediction, segmenter.text)[0]
    unsure = mostly_equal("log probabilities", logs, tensors["prob.final_log"]).nonzero()[:, 0].tolist()
    # The network saw the image as it is stored, and the results are of another size.
    monkeypatch.setattr(windows, "resize", lambda image_, size_: tensors["image"].permute(1, 2, 0).numpy())
    with segmenter([np.zeros((*size, 3), np.uint8)]) as result:
        shape = {"frames": torch.zeros(1, 3, *size), "final.masks": tensors["final.masks"][:, None]}
        masks = [prediction.mask_logits[0, :, 0].cpu()]
        check_result(result, tensors | shape, masks, tuple(image.shape[1:]), unsure)


@torch.no_grad()
def follow(model, tensors, text):
    """Return each frame's prediction and log probabilities, in the network's order, and its order as a tube."""
    pixels = check_stages(model, tensors["frames"], tensors)
    tracker = build_tracker(model.video)
    for t in range(len(pixels)):
        prediction = model(pixels[None, t : t + 1])
        logs = model.classifier(prediction, text)[0]
        order = tracker.update(prediction.embeddings[0], logs.exp()[:, :-1].sum(-1))
        yield prediction, logs, order


@pytest.mark.parametrize("loaded", [False, True])
def test_the_segmenter_alone_on_video(loaded, authors_file, device, tmp_path):
    """MinVIS with FC-CLIP's segmenter; its released class never loads the trained head's scale."""
    case, tensors = read_case("ov_dvis_r50_minvis")
    file = authors_file("ov_dvis_r50_minvis")
    if loaded:
        ours = tmp_path / "ours.safetensors"
        assert convert(file, ours).name == "fc-clip-r50"
        model = ovvis.load_model(weights=ours, device=device)
        tensors |= {k.removeprefix("scale_loaded."): v for k, v in tensors.items() if k.startswith("scale_loaded.")}
    else:
        model = ovvis.load_model("fc-clip-r50", file, device=device, loaded_scale=False)
    segmenter = segmenter_of(model, case, tensors)
    seen = list(follow(model, tensors, segmenter.text))
    orders = torch.stack([order for _, _, order in seen])
    assert torch.equal(orders, tensors["track.indices"])
    masks = torch.stack([p.mask_logits[0, :, 0].cpu()[order] for p, _, order in seen])
    mostly_equal("embeddings", torch.stack([p.embeddings[0, :12] for p, _, _ in seen]), tensors["frame.pred_embds"])
    mostly_equal("masks", masks[:, :4].transpose(0, 1), tensors["track.masks"], 2, 0.95)
    logs = torch.stack([logs.cpu() for _, logs, _ in seen])
    tubes = torch.stack([logs[t, order] for t, order in enumerate(orders)]).mean(0)
    mostly_equal("tubes", tubes, tensors["track.log_prob"])
    with segmenter(frames_of(tensors)) as result:
        if loaded:
            order = tensors["final.scores"].argsort(descending=True)
            assert [track.label_index for track in result.tracks] == tensors["final.labels"][order].tolist()
            scores = torch.tensor([track.score for track in result.tracks])
            assert (scores - tensors["final.scores"][order]).abs().max() < 1e-3
        else:
            mostly_equal("log probabilities", logs, tensors["prob.final_log"])
            check_result(result, tensors, masks)
