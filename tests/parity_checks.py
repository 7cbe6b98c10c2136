"""What the parity tests of all families share: the cases, the authors' files, the comparison."""

import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from ovvis.masks import decode
from parity_weights import make_state

DATA = Path(__file__).parent / "data" / "parity"


def read_case(name):
    """Return a case's description and its tensors."""
    return json.loads((DATA / f"{name}.json").read_text()), load_file(DATA / f"{name}.safetensors")


def equal(name, ours, theirs):
    """Assert equality within 1e-4 of the largest magnitude."""
    assert ours.shape == theirs.shape, name
    difference = (ours.cpu() - theirs).abs().max() / theirs.abs().max()
    assert difference < 1e-4, f"{name}: {difference:.1e}"


def write_authors_file(case, path):
    """Write what detectron2's checkpointer writes, with the entries that are no weights."""
    state = make_state(case["tensors"], case["seed"])
    counters = {name.replace("running_mean", "num_batches_tracked") for name in state if name.endswith("running_mean")}
    state |= {name: torch.tensor(5) for name in counters}
    state["criterion.empty_object_weight"] = torch.tensor([1.0, 0.4])
    torch.save({"model": state, "iteration": 90_000, "optimizer": {"state": {}, "param_groups": []}}, path)


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
    masks = bits.reshape(-1, count, height, width).astype(bool)
    for track, i in zip(result.tracks, order.tolist(), strict=True):
        if i >= len(masks):
            continue  # some cases hold the best results' masks only
        for t, rle in enumerate(track.masks):
            ours = np.zeros((height, width), bool) if rle is None else decode(rle)
            either = ours | masks[i, t]
            differs = (ours ^ masks[i, t]) & ~undecided(logits[t][track.id - 1], (height, width))
            both, either = either.sum() - differs.sum(), either.sum()
            assert either == 0 or both / either >= 0.999, (track.id, t)
