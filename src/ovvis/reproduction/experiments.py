"""The papers' ablations: which rows each table has, on the packaged world and on real data."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ovvis.errors import InputError, nearest
from ovvis.models.settings import TRACKERS, Following
from ovvis.reproduction.rows import (
    FC_CLIP,
    HARD,
    IOU_PIXELS,
    LONG,
    MODEL,
    OV2SEG,
    OV_DVIS,
    OVFORMER,
    OVFORMER_IMAGES,
    OVFORMER_VIDEO,
    OVFORMER_WINDOWS,
    VAL,
    Experiment,
    Given,
    Row,
)

_BIRTHS: Mapping[str, Any] = {"birth": 0.3}
_KNOWN: Mapping[str, Any] = {**_BIRTHS, "names": 0.3}
_OWN: Mapping[str, Any] = {**_KNOWN, "silence": 0.5}  # the packaged model's
_TOP_K = (
    (3, 1),
    (5, 1),
    (5, 3),
    (7, 1),
    (7, 3),
    (7, 5),
    (9, 1),
    (9, 3),
    (9, 5),
    (9, 7),
    (11, 3),
    (11, 5),
    (11, 7),
)
_ADJACENT: Mapping[str, Any] = {"memory": 1, "matched": 1}
_BARE: Mapping[str, Any] = {"use_iou": False, "use_object": False}
# Names are CLIP's alone, over the vocabulary alone.
_CROPS: Mapping[str, Any] = {"class_score": "softmax", "average": "scores", "use_iou": False, "none_logit": None}
_SORT = TRACKERS["sort"]
_PUBLISHED_SORT = Following(patience=1, min_frames=3)
_NAMES: frozenset[Given] = frozenset({"names"})
_IDENTITIES: frozenset[Given] = frozenset({"identities"})
_MASKS: frozenset[Given] = frozenset({"masks"})
_STAGES = (  # row, network, window, and the row of OVFormer's Table 3
    ("baseline: OV2Seg-style", OV2SEG, 1, "Baseline"),
    ("images, with alignment, online", OVFORMER_IMAGES, 1, "alignment"),
    ("then windows, offline", OVFORMER_VIDEO, None, "video"),
    ("then windows, of 5", OVFORMER_VIDEO, 5, "semi-online"),
    ("windows alone, offline", OVFORMER_WINDOWS, None, ""),
    ("windows alone, of 5", OVFORMER_WINDOWS, 5, ""),
)
_STAGE_ORACLES: tuple[tuple[str, frozenset[Given]], ...] = (
    ("nothing", frozenset()),
    ("names", _NAMES),
    ("identities", _IDENTITIES),
)


def _precision(kind: str) -> tuple[Row, ...]:
    """Return each small model with its own settings, in float32 and in another floating type."""
    models: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
        ("CLIP-VIS", MODEL, _OWN),
        ("OVFormer", OVFORMER, {}),
        ("OV2Seg", OV2SEG, {}),
    )
    rows = []
    for name, network, settings in models:
        whole = Row(f"{name}, float32", settings, network, precision="float32")
        rows += [whole, replace(whole, name=f"{name}, {kind}", precision=kind, against=whole.name)]
    return tuple(rows)


EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        "splits",
        "The model on each split",
        "The settings of the release; with births: a tube whose object is hidden waits for it, and another object "
        "begins a tube of its own; births, names: objects are matched by their names beside their embeddings, too; and "
        "the packaged model's own, with both, and frames silenced below half of a track's score.",
        (VAL, HARD, LONG),
        (Row("as released"), Row("with births", _BIRTHS), Row("births, names", _KNOWN), Row("the model's own", _OWN)),
        "as released",
    ),
    Experiment(
        "modules",
        "Modules (CLIP-VIS Table II)",
        "Weighted classification (WOC) and temporal top-K matching (TKM) added to adjacent matching. The paper's "
        "figures: LV-VIS val, and OVIS beside val-long.",
        (VAL, LONG),
        (
            Row("neither", {**_ADJACENT, **_BARE}),
            Row("WOC", _ADJACENT),
            Row("WOC and TKM"),
        ),
        "neither",
    ),
    Experiment(
        "weighting",
        "Weighting of the class scores (CLIP-VIS Table III)",
        "By the object score, the predicted mask IoU, both or neither. The paper's figures: LV-VIS val, and OVIS "
        "beside val-long.",
        (VAL, LONG),
        (
            Row("none", _BARE),
            Row("mask IoU", {"use_object": False}),
            Row("object", {"use_iou": False}),
            Row("both"),
        ),
        "none",
    ),
    Experiment(
        "iou",
        "What the mask-IoU head reads (CLIP-VIS Table IV)",
        "The queries, or the mean of the pixel decoder's stride-4 features under the mask: two networks, trained "
        "alike. The paper's figures: LV-VIS val, and OVIS beside val-long.",
        (VAL, LONG),
        (
            Row("queries"),
            Row("pixels", network=IOU_PIXELS),
        ),
        "queries",
    ),
    Experiment(
        "matching",
        "Matching over time (CLIP-VIS Table V)",
        "Adjacent (MinVIS), long-term (OV2Seg: a running embedding with momentum 0.7) and the K best of T remembered "
        "frames. The paper's figures: LV-VIS val, and OVIS beside val-long.",
        (VAL, LONG),
        (
            Row("adjacent", _ADJACENT),
            Row("long-term", {"momentum": 0.7}),
            *(Row(f"T {t}, K {k}", {"memory": t, "matched": k}) for t, k in _TOP_K),
            Row("adjacent, births", {**_ADJACENT, **_BIRTHS}),
            Row("long-term, births", {"momentum": 0.7, **_BIRTHS}),
            Row("T 9, K 5, births", {"memory": 9, "matched": 5, **_BIRTHS}),
            Row("T 9, K 5, births, names", {"memory": 9, "matched": 5, **_KNOWN}),
        ),
        "adjacent",
    ),
    Experiment(
        "trackers",
        "Who is who: trackers under one segmenter",
        "The trackers of --tracker on the same masks and names: adjacent (MinVIS), topk (CLIP-VIS), longterm (OV2Seg), "
        "births (ours); sort, overlap and propagate on what is found in each frame (docs/tracking.md); and where the "
        "model has them its learnt tracker and its refiner (OV-DVIS++), which make masks and names anew. "
        "All but the refiner share one pass of the network.",
        (VAL, LONG),
        tuple(Row(name, settings) for name, settings in TRACKERS.items()),
        "adjacent",
    ),
    Experiment(
        "formulas",
        "The paper's formulas against the released ones",
        "One at a time, then all together; docs/method.md says what each is. The paper measures none of them.",
        (VAL, LONG),
        (
            Row("as released"),
            Row("pooling: mean (eq. 9)", pooling="mean"),
            Row("pooling: nearest cell for a mask without one", pooling="nearest"),
            Row("class score: cosine (eq. 10)", {"class_score": "cosine"}),
            Row("weighting: plain product (eq. 11)", {"weighting": "paper"}),
            Row("one label an instance (eq. 12)", one_label=True),
            Row("votes not weighted by recency (eq. 7)", {"recency_weighted": False}),
            Row("no frame silenced", {"silence": None}),
            Row("scores without mask quality", {"mask_quality": False}),
            Row(
                "all of these",
                {
                    "class_score": "cosine",
                    "weighting": "paper",
                    "recency_weighted": False,
                    "silence": None,
                    "mask_quality": False,
                },
                pooling="mean",
                one_label=True,
            ),
        ),
        "as released",
    ),
    Experiment(
        "families",
        "CLIP-VIS, OVFormer, OV2Seg",
        "OVFormer online (windows of one frame), semi-online and offline (the whole video at once); OV2Seg-style: its "
        "class head without alignment. The paper's figures: OVFormer's on LV-VIS val (its Table 3). Frames a second: "
        "reading, network and names; memory: the most that the process held.",
        (VAL,),
        (
            Row("OV2Seg-style", network=OV2SEG),
            Row("CLIP-VIS"),
            Row("OVFormer, image-trained with alignment, online", network=OVFORMER_IMAGES),
            Row("OVFormer, online", {"window": 1}, OVFORMER),
            *(Row(f"OVFormer, windows of {t}", {"window": t}, OVFORMER) for t in (3, 5, 7, 10)),
            Row("OVFormer, offline", {"window": None}, OVFORMER),
            Row("FC-CLIP", network=FC_CLIP),
            Row("OV-DVIS++, per frame", TRACKERS["adjacent"], OV_DVIS),
            Row("OV-DVIS++, online", TRACKERS["online"], OV_DVIS),
            Row("OV-DVIS++, offline", TRACKERS["offline"], OV_DVIS),
        ),
        "OV2Seg-style",
        speed=True,
    ),
    Experiment(
        "stages",
        "OVFormer in two stages (OVFormer Table 3)",
        "As the paper trains it: images with alignment, then windows of two; and one that saw windows alone. The "
        "paper's figures: LV-VIS val.",
        (VAL,),
        tuple(
            Row(name, {"window": window}, network, published=f"ovformer-3: {printed}" if printed else "")
            for name, network, window, printed in _STAGES
        ),
        _STAGES[0][0],
    ),
    Experiment(
        "stages-oracles",
        "OVFormer in two stages: where AP is lost",
        "The same networks, given names or identities, as in the table of oracles.",
        (VAL,),
        tuple(
            Row(f"{name}; {title}", {"window": window}, network, given=given)
            for name, network, window, _ in _STAGES
            if window is not None
            for title, given in _STAGE_ORACLES
        ),
    ),
    Experiment(
        "systems",
        "The systems that the papers compare with",
        "In the manner of Detic-SORT, Detic-OWTB, Detic-XMem, DetPro-SORT, OpenVIS, MinVIS and OV2Seg fine-tuned, with "
        "our own networks' masks in place of theirs: docs/tracking.md says what each row is and is not. The paper's "
        "figures: LV-VIS val with ResNet-50 (OVFormer's Table 1), and OVIS beside val-long (CLIP-VIS Table I).",
        (VAL, LONG),
        (
            Row(
                "DetPro-SORT",
                _SORT,
                OV2SEG,
                crops="around",
                how=_PUBLISHED_SORT,
                published="clip-vis-1: DetPro-SORT R50",
            ),
            Row("Detic-SORT", _SORT, OV2SEG, how=_PUBLISHED_SORT, published="clip-vis-1: Detic-SORT R50"),
            Row("Detic-SORT, patient", _SORT, OV2SEG),
            Row("Detic-OWTB", TRACKERS["overlap"], OV2SEG, published="clip-vis-1: Detic-OWTB R50"),
            Row("Detic-XMem", TRACKERS["propagate"], OV2SEG, published="clip-vis-1: Detic-XMem R50"),
            Row("MinVIS", TRACKERS["adjacent"], OV2SEG),
            Row("OpenVIS", {**TRACKERS["adjacent"], **_CROPS}, crops="alone"),
            Row("OV2Seg fine-tuned", TRACKERS["longterm"], OV2SEG, published="ovformer-1: OV2Seg* R50"),
            Row("OVFormer", network=OVFORMER, published="ovformer-1: OVFormer R50"),
            Row("CLIP-VIS", published="clip-vis-1: CLIP-VIS R50"),
        ),
        "Detic-SORT",
    ),
    Experiment(
        "oracles",
        "Where AP is lost",
        "Parts of the answer taken from the truth. Names: a query whose mask overlaps an instance by half or more in a "
        "frame is called what it is. Identities: the tracker is told who is who. Masks: the network's queries are "
        "replaced by the true masks on its own grid (stride 4), and CLIP names them.",
        (VAL, LONG),
        (
            Row("nothing given"),
            Row("names", given=_NAMES),
            Row("identities", given=_IDENTITIES),
            Row("names and identities", given=_NAMES | _IDENTITIES),
            Row("masks and identities", given=_MASKS | _IDENTITIES),
            Row("everything", given=_MASKS | _IDENTITIES | _NAMES),
        ),
        "nothing given",
    ),
    Experiment(
        "precision",
        "bfloat16 against float32",
        "Each small model with its own settings and its network in either; the same videos, so that a row's difference "
        "is taken seed by seed.",
        (VAL, LONG),
        _precision("bfloat16"),
        against="float32",
        worst=True,
    ),
    Experiment(
        "precision-float16",
        "float16 against float32",
        "The same in float16: a table of its own, since a processor without arithmetic for it takes five times as long "
        "as in float32.",
        (VAL, LONG),
        _precision("float16"),
        against="float32",
        worst=True,
    ),
)


def choose(names: Sequence[str], splits: Sequence[str] = ()) -> tuple[Experiment, ...]:
    """Return experiments, in the order of the list.

    Args:
        names: which; none for all.
        splits: on which of their splits; none for all. What is on none of these is left out.

    Raises:
        InputError: there is none of a name, or nothing is left.
    """
    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    _check("table", names, known)
    _check("split", splits, {split for experiment in EXPERIMENTS for split in experiment.splits})
    asked = [experiment for experiment in EXPERIMENTS if not names or experiment.name in names]
    if splits:
        asked = [replace(e, splits=tuple(split for split in e.splits if split in splits)) for e in asked]
    chosen = tuple(experiment for experiment in asked if experiment.splits)
    if not chosen:
        raise InputError(
            f"tables {', '.join(names)} are not of {', '.join(splits)}: choose a split that one of them is on"
        )
    return chosen


def _check(what: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise InputError(f"{what} {name!r}: there is none of that name; {nearest(name, known)}")
