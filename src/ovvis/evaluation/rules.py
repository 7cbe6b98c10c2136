"""What the released evaluators do differently, as data: one code path serves them all."""

from __future__ import annotations

from dataclasses import dataclass

LIMITS = (1, 10, 100)  # results of a video and category, the best scores first


@dataclass(frozen=True, slots=True)
class Rules:
    """How an evaluator counts. All rank, match and average alike but for these fields."""

    name: str
    truth_is_matched_once: bool  # a second result on the same truth is wrong; if not, it is right too
    crowd_is_ignored: bool  # a crowd is no truth to be found, and a result on it is neither right nor wrong
    crowd_over_result: bool  # overlap with a crowd is divided by the result's area, not by the union
    area_is_measured: bool  # a track's size is its mean area; if not, every track counts as of area 0
    area_is_cut: bool  # the areas that a truth's file states lose their fractions
    area_edges: tuple[float, float]  # pixels; small up to and with the first, large from the second on
    loses_id_zero: bool  # a result on the truth of id 0 counts as wrong: the id doubles as the flag "matched"
    limits: tuple[int, ...] = LIMITS  # recall is taken of so many results of a video and category; the last ones count
    limit_is_shared: bool = False  # the last limit is for all categories of a video together
    knows_crowds: bool = True  # if not, a crowd is a truth like any other
    # A result counts only in a video that holds its category or is known not to, and one that finds nothing is
    # neither right nor wrong where not all instances of the category are annotated.
    is_federated: bool = False
    empty_is_none: bool = False  # a truth of stated area 0 or less, or a result without a pixel, is as if not there


# tools/evaluate/lvviseval.py of CLIP-VIS, the same file as in LVVIS and OVFormer. Unlike YouTube-VIS, a crowd is a
# truth like any other (`_ignore` asks for the area alone), though it may be matched again and again.
LVVIS = Rules(
    name="LV-VIS",
    truth_is_matched_once=True,
    crowd_is_ignored=False,
    crowd_over_result=False,
    area_is_measured=True,
    area_is_cut=True,
    area_edges=(128.0**2, 256.0**2),
    loses_id_zero=True,
)

# tools/evaluate/bursteval.py of CLIP-VIS. The files that burst2ytvis.py writes hold neither `areas` nor `iscrowd`,
# so the lines that read them stand as comments there: the area of every track is 0 (all are small), and with the
# line on crowds went the one that skips a truth already matched. So a truth may be found many times, and a recall
# may exceed 1. The same files count annotations from 0: the first truth is never found.
BURST = Rules(
    name="BURST",
    truth_is_matched_once=False,
    crowd_is_ignored=False,
    crowd_over_result=False,
    area_is_measured=False,
    area_is_cut=False,
    area_edges=(128.0**2, 256.0**2),
    loses_id_zero=True,
)

# clipvis/data_video/datasets/ytvis_api/ytvoseval.py of CLIP-VIS, for YouTube-VIS and OVIS.
YOUTUBE_VIS = Rules(
    name="YouTube-VIS",
    truth_is_matched_once=True,
    crowd_is_ignored=True,
    crowd_over_result=False,
    area_is_measured=True,
    area_is_cut=False,
    area_edges=(128.0**2, 256.0**2),
    loses_id_zero=True,
)

# pycocotools.cocoeval, for images: videos of one frame.
COCO = Rules(
    name="COCO",
    truth_is_matched_once=True,
    crowd_is_ignored=True,
    crowd_over_result=True,
    area_is_measured=True,
    area_is_cut=False,
    area_edges=(32.0**2, 96.0**2),
    loses_id_zero=True,
)

# lvis.eval and lvis.results of the package lvis 0.5.3, for images: A. Gupta, P. Dollar, R. Girshick, "LVIS", CVPR 2019,
# where the "federated" data set is section 3. It does not look at `iscrowd`, and
# asks for annotations of an area above 0.
LVIS = Rules(
    name="LVIS",
    truth_is_matched_once=True,
    crowd_is_ignored=False,
    crowd_over_result=False,
    area_is_measured=True,
    area_is_cut=False,
    area_edges=(32.0**2, 96.0**2),
    loses_id_zero=True,
    limits=(300,),
    limit_is_shared=True,
    knows_crowds=False,
    is_federated=True,
    empty_is_none=True,
)

RULES = {"lvvis": LVVIS, "burst": BURST, "youtube-vis": YOUTUBE_VIS, "coco": COCO, "lvis": LVIS}
"""All of them by the name that a person types."""
