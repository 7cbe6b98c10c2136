"""What OV-DVIS++'s released code computed, in float32 on a CPU, from the same weights and frames."""

import gc

import pytest
import torch
from test_parity_fc_clip import authors_file, check_stages, frames_of, segmenter_of  # noqa: F401 (a fixture)

import ovvis
from ovvis.inference.tubes import Tubes
from ovvis.models.own_weights import convert
from ovvis.sources.video import open_source
from ovvis.tracking.learnt import LearntTracker
from parity_checks import check_result, equal, mostly_equal, read_case

pytestmark = [pytest.mark.parity, pytest.mark.slow]


@torch.no_grad()
def check_tracker(model, segmenter, tensors, monkeypatch):
    """Compare each frame as the segmenter and the tracker see it; return the predictions in tube order."""
    check_stages(model, tensors["frames"], tensors)
    seen, followed, orders, references = [], [], [], []
    step, made = model.tracker.forward, LearntTracker.follow

    def record(prediction, order, last):
        orders.append(order)
        return step(prediction, order, last)

    def follow(tracker, prediction, order):
        seen.append(prediction)
        followed.append(made(tracker, prediction, order))
        return followed[-1]

    merged = model.tracker.merge.register_forward_hook(lambda _, given, __: references.append(given[0][0, :, :256]))
    monkeypatch.setattr(model.tracker, "forward", record)
    monkeypatch.setattr(LearntTracker, "follow", follow)
    for _ in segmenter.look(open_source(frames_of(tensors))):
        pass
    monkeypatch.undo()
    merged.remove()
    # The classes of the authors' files that have a tracker load the trained head's factor.
    assert model.classifier.scale.exp().item() == pytest.approx(100)
    assert torch.equal(torch.stack(orders), tensors["track.indices"])
    few = tensors["frame.pred_embds"].shape[1]
    mostly_equal("embeddings", torch.stack([p.embeddings[0, :few] for p in seen]), tensors["frame.pred_embds"])
    raw = tensors["frame.pred_embds_without_norm"]
    mostly_equal("raw", torch.stack([p.states[0, : raw.shape[1]] for p in seen]), raw)
    states = torch.stack([p.states[0, : tensors["track.pred_embds"].shape[1]] for p in followed])
    mostly_equal("tracker's states", states, tensors["track.pred_embds"])
    few = tensors["track.references"].shape[1]
    mostly_equal("references", torch.stack(references)[:, :few], tensors["track.references"])
    masks = torch.stack([p.mask_logits[0, :, 0] for p in followed], 1)
    mostly_equal("tracker's masks", masks[: len(tensors["track.masks"])], tensors["track.masks"], 2)
    inner = torch.stack([model.classifier.inner(p.class_embeddings[0], segmenter.text) for p in followed])
    mostly_equal("tracker's logits", inner, tensors["track.in_logits"])
    return masks


def check_tubes(segmenter, frames, log_prob, monkeypatch):
    """Compare the means of log probabilities, and return the tracks."""
    means = []
    made = Tubes.finish

    def finish(tubes, *given):
        means.append((tubes._score_sum / tubes._windows).float())
        return made(tubes, *given)

    monkeypatch.setattr(Tubes, "finish", finish)
    result = segmenter(frames)
    monkeypatch.undo()
    mostly_equal("tubes", means[0], log_prob)
    return result


def check_short(segmenter, case, tensors, monkeypatch):
    """Compare a video that is shorter than the released window."""
    frames = frames_of(tensors)[: case["short_frames"]]
    with check_tubes(segmenter, frames, tensors["short.track.log_prob"], monkeypatch) as result:
        order = tensors["short.final.scores"].argsort(descending=True)
        assert [track.label_index for track in result.tracks] == tensors["short.final.labels"][order].tolist()
        scores = torch.tensor([track.score for track in result.tracks])
        assert (scores - tensors["short.final.scores"][order]).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("case_name", "name"),
    [("ov_dvis_r50_online", "ov-dvis-r50"), ("ov_dvis_convnextl_online", "ov-dvis-convnext-l")],
)
def test_online(case_name, name, authors_file, device, monkeypatch, tmp_path):  # noqa: F811
    case, tensors = read_case(case_name)
    file = authors_file(case_name)
    if name == "ov-dvis-r50":
        ours = tmp_path / "ours.safetensors"
        assert convert(file, ours).name == name
        file = ours
    model = ovvis.load_model(weights=file, device=device)
    assert model.name == name
    segmenter = segmenter_of(model, case, tensors)
    masks = check_tracker(model, segmenter, tensors, monkeypatch)
    with check_tubes(segmenter, frames_of(tensors), tensors["track.log_prob"], monkeypatch) as result:
        check_result(result, tensors, list(masks.transpose(0, 1).cpu()))
    check_short(segmenter, case, tensors, monkeypatch)
    del model, segmenter
    gc.collect()


def test_offline(authors_file, device, monkeypatch):  # noqa: F811
    case, tensors = read_case("ov_dvis_r50_offline")
    model = ovvis.load_model(weights=authors_file("ov_dvis_r50_offline"), device=device)
    assert model.name == "ov-dvis-r50-offline"
    segmenter = segmenter_of(model, case, tensors)
    check_tracker(model, segmenter, tensors, monkeypatch)
    look = segmenter.look(open_source(frames_of(tensors)))
    seen = [s for _, s in look]
    logs = torch.stack([s.logits.cpu() for s in seen])
    mostly_equal("log probabilities", logs, tensors["prob.final_log"])
    masks = torch.stack([s.masks[:, 0].cpu() for s in seen])
    mostly_equal("masks", masks[:, : len(tensors["refine.masks"])].transpose(0, 1), tensors["refine.masks"], 2)
    few = tensors["refine.pred_embds"].shape[1]
    states = torch.stack([s.prediction.embeddings[0, :few] for s in seen])
    mostly_equal("states", states, tensors["refine.pred_embds"])
    classes = seen[0].prediction.class_embeddings[0]
    equal("class embeddings", classes[: len(tensors["refine.class_embed"])], tensors["refine.class_embed"])
    mostly_equal("logits", model.classifier.inner(classes, segmenter.text), tensors["refine.in_logits"])
    with check_tubes(segmenter, frames_of(tensors), tensors["track.log_prob"], monkeypatch) as result:
        check_result(result, tensors, list(masks))
    check_short(segmenter, case, tensors, monkeypatch)
