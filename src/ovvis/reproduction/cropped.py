"""Names by crops for a network's queries, in place of its own: CLIP looks at what each mask shows."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ovvis.errors import InputError
from ovvis.inference.crops import CropNamer
from ovvis.inference.final_masks import masks_of
from ovvis.inference.pipeline import VideoSegmenter
from ovvis.inference.seen import Seen
from ovvis.models.clip import FrozenClip
from ovvis.reproduction.rows import Crops
from ovvis.structures import Window

SCALES = {"alone": (1.0,), "around": (1.0, 1.5)}
"""Of the crops: of a mask alone as OpenVIS has them, with what is around it as ViLD and DetPro do."""
LOOKED_AT = 0.1  # object score from which a query's mask is cut out: others are no part of any track worth a name
LOOK_EVERY = 4  # frames: in one of so many CLIP looks at crops, which take as long as all else


def crop_namer(segmenter: VideoSegmenter, crops: Crops, none_logit: float | None = None) -> CropNamer:
    """Return what names things by a model's own CLIP.

    Raises:
        InputError: it has none that looks at pictures.
    """
    clip = segmenter.model.clip
    if not isinstance(clip, FrozenClip):
        raise InputError(f"{segmenter.model.name}: an exported file holds no CLIP that looks at crops")
    return CropNamer(clip, segmenter.text, crops == "alone", SCALES[crops], none_logit)


def named_by_crops(seen: Seen, window: Window, padded: tuple[int, int], namer: CropNamer) -> Seen:
    """Return what the network says of a window with names by crops.

    Embeddings of a window's frames are added up. A query that is hardly an object, or has no mask, is like no word
    more than another; so is every query in the frames between those that are looked at, which lowers the scores of all
    tubes alike and leaves their order.

    Args:
        seen: what the network says.
        window: the frames.
        padded: height and width of the network's input, padding included.
        namer: looks at crops.
    """
    queries = torch.nonzero(seen.objects >= LOOKED_AT).flatten()
    looks = torch.zeros(len(queries), namer.clip.width)
    looked = [frame.index % LOOK_EVERY == 0 for frame in window.frames]
    found = masks_of(seen.masks[queries], padded, window) if any(looked) else []
    for frame, codes, now in zip(window.frames, found, looked, strict=False):
        if not now:
            continue
        rows = [row for row, code in enumerate(codes) if code is not None]
        if rows:
            looks[rows] += namer.embed(frame.image, [code for code in codes if code is not None]).cpu()
    shown = looks.any(1)
    assert namer.text is not None
    logits = torch.zeros(1, len(seen.objects), len(namer.text.labels))
    if shown.any():
        here = namer.text.vectors.device
        logits[0, queries.cpu()[shown]] = namer.logits(F.normalize(looks[shown], dim=-1).to(here)).cpu()
    made = Seen(seen.prediction, logits.to(seen.objects.device), seen.logit_scale)
    made.object_logits, made.objects = seen.object_logits, seen.objects  # what is an object, the network says
    return made
