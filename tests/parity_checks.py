"""What the parity tests of all families share: the cases, the authors' files, the comparison."""

import json
import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from ovvis.masks import decode
from parity_weights import make_state

DATA = Path(__file__).parent / "parity"


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
    for pattern, factor in case.get("scale", {}).items():
        state |= {name: x * factor for name, x in state.items() if re.search(pattern, name)}
    state |= {name: state[source] for name, source in case.get("shared_tensors", {}).items()}
    counters = {name.replace("running_mean", "num_batches_tracked") for name in state if name.endswith("running_mean")}
    state |= {name: torch.tensor(5) for name in counters}
    state["criterion.empty_object_weight"] = torch.tensor([1.0, 0.4])
    torch.save({"model": state, "iteration": 90_000, "optimizer": {"state": {}, "param_groups": []}}, path)


def mostly_equal(name, ours, theirs, width=1, share=0.99):
    """Assert that 99 % of the rows are within 1e-4 of the largest magnitude.

    A mask logit within rounding of zero opens or closes a cell for attention or pooling and moves one query of 250,
    between two runs of the authors' own code too.

    Args:
        name: for the message.
        ours: ours.
        theirs: theirs, whose last `width` axes are one row.
        width: see `theirs`.
        share: of the rows that must agree.

    Returns:
        Which rows are further apart.
    """
    assert ours.shape == theirs.shape, name
    rows = (ours.cpu() - theirs).abs().flatten(-width).amax(-1) / theirs.abs().max()
    found = (rows < 1e-4).float().mean()
    assert found >= share, f"{name}: {found:.4f} of the rows; the median is {rows.median():.1e}"
    return rows >= 1e-4


def undecided(logits, size, kept=None):
    """Return the pixels (H, W) whose logit rounding may push over zero: within 1e-4 of the largest magnitude.

    Args:
        logits: h, w; stride 4.
        size: H, W; of the result.
        kept: height and width of the network's input without padding, where the result has another size.
    """
    full = F.interpolate(logits[None, None], size=(4 * logits.shape[0], 4 * logits.shape[1]), mode="bilinear")
    height, width = kept or size
    full = F.interpolate(full[:, :, :height, :width], size=size, mode="bilinear")[0, 0]
    return (full.abs() < 1e-4 * full.abs().max()).numpy()


def check_result(result, tensors, logits, kept=None, unsure=()):
    """Compare tracks; `unsure` are queries whose pairs are left out, and may have another place or fall out."""
    order = tensors["final.scores"].argsort(descending=True)
    tracks = [track for track in result.tracks if track.id - 1 not in unsure]
    if len(unsure):
        order = order[~torch.isin(tensors["final.queries"][order], torch.tensor(unsure))]
        count = min(len(order), len(tracks))
        assert count >= len(tensors["final.scores"]) - 2 * len(unsure)
        order, tracks = order[:count], tracks[:count]
    assert [track.label_index for track in tracks] == tensors["final.labels"][order].tolist()
    scores = torch.tensor([track.score for track in tracks])
    assert (scores - tensors["final.scores"][order]).abs().max() < 1e-4
    count, _, height, width = tensors["frames"].shape
    bits = np.unpackbits(tensors["final.masks"].numpy(), axis=-1)[..., : height * width]
    masks = bits.reshape(-1, count, height, width).astype(bool)
    for track, i in zip(tracks, order.tolist(), strict=True):
        if i >= len(masks):
            continue  # some cases hold the best results' masks only
        for t, rle in enumerate(track.masks):
            ours = np.zeros((height, width), bool) if rle is None else decode(rle)
            either = ours | masks[i, t]
            differs = (ours ^ masks[i, t]) & ~undecided(logits[t][track.id - 1], (height, width), kept)
            both, either = either.sum() - differs.sum(), either.sum()
            assert either == 0 or both / either >= 0.999, (track.id, t)
