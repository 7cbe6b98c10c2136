"""Every dataset and split of the two papers: where its files lie, how they are read, how its evaluator counts.

The layouts are those that the authors' repositories ask for (datasets/README.md of CLIP-VIS and of OVFormer, and
the tables in their code). Where they differ, each is looked for. A licence names who states it; docs/datasets.md has
the links.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ovvis.errors import InputError, nearest
from ovvis.evaluation.rules import BURST, COCO, LVIS, LVVIS, YOUTUBE_VIS, Rules

Format = Literal["youtube-vis", "coco", "burst", "coco-video"]

CODALAB = "CodaLab takes no submissions any more: the page says what takes its place"


@dataclass(frozen=True, slots=True)
class Entry:
    """A split of a dataset. Paths are below the data root; the first of several that exists counts."""

    name: str
    videos: int  # as published; images are videos of one frame
    annotations: tuple[str, ...]
    frames: tuple[str, ...]
    format: Format
    vocabulary: str  # a built-in one; it tells base and novel where the file does not
    rules: Rules
    truth: Literal["public", "server"]  # whether the masks are in the annotation file or kept by a server
    page: str  # where to get it
    licence: str  # and who states it
    note: str = ""
    server: str = ""  # where results are scored that have no public truth
    dropped: str | None = None  # the group of categories whose annotations are left out
    counted: tuple[str, ...] = ()  # below the frames' folder: where each video is one entry; none: the folder itself


def _youtube_vis(year: int, split: str, folder: str, videos: int) -> Entry:
    homes = (f"ytvis{year}", f"ytvis_{year}", f"ytvis{year % 100}")
    contest = {2019: 7682, 2021: 7680}[year]
    return Entry(
        name=f"ytvis_{year}_{split}",
        videos=videos,
        annotations=tuple(f"{home}/{folder}.json" for home in homes),
        frames=tuple(f"{home}/{folder}/JPEGImages" for home in homes),
        format="youtube-vis",
        vocabulary=f"ytvis_{year}",
        rules=YOUTUBE_VIS,
        truth="public" if split == "train" else "server",
        page="https://youtube-vos.org/dataset/vis/",
        server=f"was CodaLab's competition {contest}; {CODALAB}",
        licence="annotations CC BY 4.0 (its challenge's terms); videos under YouTube's terms, for research",
    )


def _ovis(split: str, folder: str, videos: int, truth: Literal["public", "server"], note: str = "") -> Entry:
    with_truth = ("ovis/annotations/validGT.json", "ovis/validGT.json") if split == "val" else ()
    return Entry(
        name=f"ovis_{split}",
        videos=videos,
        annotations=(
            *with_truth,
            f"ovis/annotations/annotations_{folder}.json",
            f"ovis/annotations_{folder}.json",
            f"ovis/annotations/{folder}.json",
        ),
        frames=(f"ovis/{folder}/JPEGImages", f"ovis/{folder}"),
        format="youtube-vis",
        vocabulary="ovis",
        rules=YOUTUBE_VIS,
        truth=truth,
        page="https://songbai.site/ovis/",
        server=f"was CodaLab's competition 4763; {CODALAB}",
        licence="for research, not for commerce (its page)",
        note=note,
    )


def _lvvis(split: str, files: tuple[str, ...], videos: int, note: str = "", dropped: str | None = None) -> Entry:
    homes = ("lvvis", "LVVIS")
    return Entry(
        name=f"lvvis_{split}",
        videos=videos,
        annotations=tuple(f"{home}/{file}" for file in files for home in homes),
        frames=tuple(f"{home}/{split.split('_')[0]}/JPEGImages" for home in homes),
        format="youtube-vis",
        vocabulary="lvvis",
        rules=LVVIS,
        truth="server" if split == "test" else "public",
        page="https://github.com/haochenheheda/LVVIS",
        server="https://www.codabench.org/competitions/1748",
        licence="CC BY-NC-SA 4.0, for research that is not commercial (its repository's README); its code GPL-3.0",
        note=note,
        dropped=dropped,
    )


def _burst(split: str, videos: int) -> Entry:
    return Entry(
        name=f"burst_{split}",
        videos=videos,
        annotations=(f"burst/{split}/all_classes.json", f"burst/{split}/b2y_{split}.json", f"burst/b2y_{split}.json"),
        frames=(f"burst/{split}",),
        format="burst",
        vocabulary="burst",
        rules=BURST,
        truth="public",
        page="https://github.com/Ali2500/BURST-benchmark (annotations; burst/info/class_split.json is among them); "
        "frames: TAO from https://motchallenge.net/tao_download.php, AVA and HACS after signing in",
        licence="annotations and code MIT (its repository's LICENSE); frames: the licences of TAO's seven sources",
        counted=("ArgoVerse", "AVA", "BDD", "Charades", "HACS", "LaSOT", "YFCC100M"),
    )


def _lvis(
    split: str, files: tuple[str, ...], images: int, counted: tuple[str, ...], note: str, dropped: str | None = None
) -> Entry:
    return Entry(
        name=f"lvis_v1_{split}",
        videos=images,
        annotations=tuple(f"lvis/{file}" for file in files),
        frames=("coco",),
        format="coco",
        vocabulary="lvis_v1",
        rules=LVIS,
        truth="public",
        page="https://www.lvisdataset.org/dataset (images: COCO 2017)",
        licence="annotations CC BY 4.0; images: their Flickr licences",
        note=note,
        counted=counted,
        dropped=dropped,
    )


def _coco(split: str, images: int) -> Entry:
    return Entry(
        name=f"coco_2017_{split}",
        videos=images,
        annotations=(f"coco/annotations/instances_{split}2017.json",),
        frames=(f"coco/{split}2017",),
        format="coco",
        vocabulary="coco",
        rules=COCO,
        truth="public",
        page="https://cocodataset.org/#download",
        licence="annotations CC BY 4.0; images: their Flickr licences",
    )


def _stickers(split: str, videos: int, note: str) -> Entry:
    folder = split.replace("_", "-")
    return Entry(
        name=f"stickers_{split}",
        videos=videos,
        annotations=(f"stickers/{folder}/{folder}_instances.json",),
        frames=(f"stickers/{folder}/JPEGImages",),
        format="youtube-vis",
        vocabulary="stickers",
        rules=LVVIS,
        truth="public",
        page=f"ovvis world build, then ovvis world write {folder} DATA_ROOT",
        licence="videos: those of the drawings (MIT, Apache-2.0, CC BY 4.0; docs/world.md); annotations Apache-2.0",
        note=note,
    )


_LVVIS_TRAIN = ("train/train_instances_.json", "train/train_ytvis_style.json", "train/train_instances.json")
_CATALOG: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        _lvvis("train", _LVVIS_TRAIN, 3083),
        _lvvis(
            "train_base",
            ("train/train_instances_nonovel.json", *_LVVIS_TRAIN),
            3083,
            "the annotations of base categories only, as OVFormer trains",
            dropped="novel",
        ),
        _lvvis("val", ("val/val_instances_.json", "val/val_instances.json"), 837),
        _lvvis(
            "test",
            ("test/test_instances.json",),
            908,
            "the release has no JSON for it: tools/lvivs_test_instances_json.py of OVFormer lists the frames",
        ),
        _ovis("train", "train", 607, "public"),
        _ovis(
            "val",
            "valid",
            140,
            "public",
            "its truth is public since 2026, as validGT.json; annotations_valid.json lists the frames alone",
        ),
        _ovis("test", "test", 154, "server"),
        _youtube_vis(2019, "train", "train", 2238),
        _youtube_vis(2019, "val", "valid", 302),
        _youtube_vis(2019, "test", "test", 343),
        _youtube_vis(2021, "train", "train", 2985),
        _youtube_vis(2021, "val", "valid", 421),
        _youtube_vis(2021, "test", "test", 453),
        _burst("val", 993),
        _burst("test", 1421),
        _lvis("train", ("lvis_v1_train.json",), 100_170, ("train2017",), ""),
        _lvis(
            "train_norare",
            ("lvis_v1_train_norare.json", "lvis_v1_train.json"),
            100_170,
            ("train2017",),
            "the annotations of frequent and common categories only, as both papers train",
            dropped="novel",
        ),
        _lvis(
            "val",
            ("lvis_v1_val.json",),
            19_809,
            ("train2017", "val2017"),
            "",
        ),
        _coco("train", 118_287),
        _coco("val", 5_000),
        _stickers("train", 1000, "base categories only; training can also draw them endlessly: stickers_live"),
        _stickers("val", 300, "base and novel categories, backgrounds never trained on"),
        _stickers("val_hard", 260, "as val, of drawings never trained on"),
        _stickers("val_long", 40, "as val, of 120 frames, crowded with look-alikes"),
    )
}


def entries() -> tuple[Entry, ...]:
    """Return all splits."""
    return tuple(_CATALOG.values())


def entry(name: str) -> Entry:
    """Return a split by its name.

    Raises:
        InputError: there is none of that name; the message lists the nearest.
    """
    if name not in _CATALOG:
        raise InputError(
            f"dataset {name!r}: the catalogue has none of that name; {nearest(name, _CATALOG)} "
            "(or give the path of a YouTube-VIS or COCO JSON; ovvis datasets lists all)"
        )
    return _CATALOG[name]
