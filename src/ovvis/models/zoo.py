"""The models that can be named: an explicit table."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from ovvis.errors import InputError, nearest
from ovvis.models import clip_vis, fc_clip, outside, ov_dvis, ovformer
from ovvis.models.clip_vis import ClipVisConfig
from ovvis.models.fc_clip import FcClipConfig
from ovvis.models.ov_dvis import OvDvisConfig
from ovvis.models.ovformer import OvFormerConfig
from ovvis.models.settings import CLIP_ENCODER, FamilyConfig
from ovvis.models.sources import Drive, HubSearch, Source, in_words

LVIS = "LVIS v1 (frequent and common)"
SMALL_MODEL = "clip-vis-stickers"
"""What runs where no model is asked for, no published weights are here, and none can be had; and in the demo."""

COCO_YTVIS = "COCO, then YouTube-VIS 2019"


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One line of the zoo."""

    name: str
    family: str  # of `families.FAMILIES`
    config: FamilyConfig
    training_data: str
    published_ap: dict[str, float]  # data set -> AP, percent, from the paper
    sources: tuple[Source, ...]  # of the authors' checkpoint, in order; none where the weights lie in the package
    parameters: int  # millions, the frozen CLIP included
    code_licence: str
    weights_licence: str
    data_licence: str
    vocabulary: str = ""  # the built-in list that its training's labels are, where the authors' file carries them
    published: bool = True  # whether weights can be had
    clip_apart: bool = False  # whether the authors' file leaves the frozen CLIP out, which is then fetched, too
    image_ap: dict[str, float] = field(default_factory=dict)  # the same of single images

    @property
    def packaged(self) -> bool:
        """Whether its weights lie in the package."""
        return self.published and not self.sources

    @property
    def url(self) -> str:
        """The addresses of its weights, as one line; empty where they lie in the package."""
        return in_words(self.sources)

    @property
    def file(self) -> str:
        """The name of its weights in the cache folder."""
        return f"{self.name}.safetensors"


_R50 = ClipVisConfig()
_CONVNEXT = ClipVisConfig(
    clip="convnext_base_w_320", clip_weights="laion_aesthetic_s13b_b82k", quick_gelu=False, decoder_layers=6
)
# Small enough for two cores, and for the package: what the small models of all families have in common.
_SMALL: dict[str, Any] = {
    "clip": "clip-stickers",
    "clip_weights": "stickers",
    "quick_gelu": False,
    "width": 128,
    "queries": 40,
    "pixel_layers": 3,
    "decoder_layers": 6,
    "heads": 4,
    "points": 4,
    "pixel_hidden": 512,
    "decoder_hidden": 512,
    "short_edge": 256,
}
# Chosen by benchmarks/none_of_these.py and docs/reproduction-tables.md.
_STICKERS = ClipVisConfig(none_logit=13.5, birth=0.3, names=0.3, silence=0.5, **_SMALL)
_OVFORMER_STICKERS = OvFormerConfig(backbone=CLIP_ENCODER, **_SMALL)
_COLUMNS = ("LV-VIS val", "LV-VIS test", "OVIS", "YTVIS19", "YTVIS21", "BURST")
_CODE = "Apache-2.0 (authors' repository)"
_WEIGHTS = "Apache-2.0 (authors' repository); CLIP: MIT"


def _entry(
    name: str,
    config: ClipVisConfig,
    data: str,
    ap: tuple[float, ...],
    drive_id: str,
    parameters: int,
    licence: str,
) -> ModelEntry:
    numbers = dict(zip(_COLUMNS, ap, strict=True))
    return ModelEntry(
        name, clip_vis.FAMILY, config, data, numbers, (Drive(drive_id),), parameters, _CODE, _WEIGHTS, licence
    )


_OVFORMER_R50 = OvFormerConfig()
_OVFORMER_SWIN = OvFormerConfig(backbone="swin_base_patch4_window12_384", drop_path=0.3, short_edge=480)
# Trained on images: no code of time, frame by frame, and the choice of tracks that CLIP-VIS took over.
_OF_IMAGES: dict[str, Any] = {"temporal": False, "window": 1, "momentum": 0.7, "choice": "quality"}
_OV2SEG: dict[str, Any] = {**_OF_IMAGES, "alignment": "none", "queries": 300, "decoder_layers": 6, "short_edge": 480}
_OV2SEG_LICENCE = "GPL-3.0 (authors' repository)"


def _ovformer(
    name: str, config: OvFormerConfig, ap: dict[str, float], drive_id: str, parameters: int, on_video: bool
) -> ModelEntry:
    """Return a line of OVFormer, or of OV2Seg where the configuration has no alignment."""
    aligned = config.alignment != "none"
    return ModelEntry(
        name=name,
        family=ovformer.FAMILY if aligned else ovformer.OV2SEG,
        config=config,
        training_data=f"{LVIS}, then LV-VIS (base)" if on_video else LVIS,
        published_ap=ap,
        sources=(Drive(drive_id),) if drive_id else (),
        parameters=parameters,
        code_licence=_CODE if aligned else _OV2SEG_LICENCE,
        weights_licence=_WEIGHTS if aligned else f"{_OV2SEG_LICENCE}; CLIP: MIT",
        data_licence=f"{_LVIS_LICENCE}; LV-VIS: CC BY-NC-SA 4.0" if on_video else _LVIS_LICENCE,
        vocabulary="lvvis" if on_video else "lvis_v1",
        published=bool(drive_id),
        clip_apart=True,
    )


_CONVNEXT_L: dict[str, Any] = {
    "clip": "convnext_large_d_320",
    "clip_weights": "laion2b_s29b_b131k_ft_soup",
    "quick_gelu": False,
}
_COCO_LICENCE = "COCO: CC BY 4.0, images under Flickr's terms"


def _fc_clip(name: str, config: FcClipConfig, ap: float, drive_id: str, parameters: int) -> ModelEntry:
    """Return a line of FC-CLIP, whose published AP is that of single images (ADE20K)."""
    return ModelEntry(
        name=name,
        family=fc_clip.FAMILY,
        config=config,
        training_data="COCO panoptic (images)",
        published_ap={},
        image_ap={"ADE20K": ap},
        sources=(Drive(drive_id),),
        parameters=parameters,
        code_licence=_CODE,
        weights_licence=_WEIGHTS,
        data_licence=_COCO_LICENCE,
    )


_CLOSED = ("ovis", "ytvis", "youtube", "vipseg", "vspw")  # datasets of closed vocabularies


def _ov_dvis(
    name: str, config: OvDvisConfig, ap: tuple[float, ...], words: tuple[str, ...], parameters: int
) -> ModelEntry:
    """Return a line of OV-DVIS++.

    The names of its files on the Hub are unverified: they could not be listed from here. Each whose name holds all
    words, and which is large enough for the weights, is tried, and the one that loads strictly is taken. The folder
    also holds networks of closed vocabularies (such as `offline_vitl_ovis_534.pth`): those named by what these are
    trained on come last, and without a CLIP most are too small.
    """
    return ModelEntry(
        name=name,
        family=ov_dvis.FAMILY,
        config=config,
        training_data="COCO panoptic (images as videos)",
        published_ap=dict(zip(("OVIS", "YTVIS19", "YTVIS21"), ap, strict=True)),
        sources=(HubSearch("zhangtao-whu/DVIS_Plus", "DVIS++", words, least=parameters * 2_000_000, last=_CLOSED),),
        parameters=parameters,
        code_licence="MIT (authors' repository)",
        weights_licence="not stated; code MIT; FC-CLIP: Apache-2.0; CLIP: MIT",
        data_licence=_COCO_LICENCE,
    )


def _small(name: str, family: str, config: FamilyConfig, parameters: int) -> ModelEntry:
    """Return a line of a model that the project trained itself, on its own world."""
    return ModelEntry(
        name=name,
        family=family,
        config=config,
        training_data="Stickers (base categories)",
        published_ap={},
        sources=(),
        parameters=parameters,
        code_licence="Apache-2.0",
        weights_licence="Apache-2.0",
        data_licence="drawings of seven sets: docs/world.md",
    )


_LVIS_LICENCE = "LVIS: CC BY 4.0, images under Flickr's terms"
_YTVIS_LICENCE = "COCO: CC BY 4.0, images under Flickr's terms; YouTube-VIS: research use"

ZOO: dict[str, ModelEntry] = {
    entry.name: entry
    for entry in (
        _entry(
            "clip-vis-r50",
            _R50,
            LVIS,
            (19.5, 14.6, 14.1, 32.2, 30.1, 5.2),
            "1taVBPVTX-MVQkp5nc0QgreiaJqFhYgtJ",
            122,
            _LVIS_LICENCE,
        ),
        _entry(
            "clip-vis-convnext-b",
            _CONVNEXT,
            LVIS,
            (32.2, 25.3, 18.5, 42.1, 37.9, 8.3),
            "1R7qGowGbY9Al7ygU2fZ-Y5uG5xfgmDyT",
            199,
            _LVIS_LICENCE,
        ),
        _entry(
            "clip-vis-r50-ytvis19",
            replace(_R50, decoder_layers=9),
            COCO_YTVIS,
            (9.4, 6.7, 15.8, 39.7, 35.7, 4.2),
            "14Oed2SbCVZcAtV1yaZIzuc7adGXuHiyZ",
            127,
            _YTVIS_LICENCE,
        ),
        _entry(
            "clip-vis-convnext-b-ytvis19",
            replace(_CONVNEXT, decoder_layers=9),
            COCO_YTVIS,
            (15.9, 12.0, 18.6, 50.0, 44.2, 5.0),
            "1fxujJmjMLAkXubzYSqiv2cVgDYIIp64f",
            204,
            _YTVIS_LICENCE,
        ),
        _small("clip-vis-stickers", clip_vis.FAMILY, _STICKERS, 10),
        _small("ovformer-stickers", ovformer.FAMILY, _OVFORMER_STICKERS, 14),
        _small(
            "ov2seg-stickers",
            ovformer.OV2SEG,
            replace(_OVFORMER_STICKERS, alignment="none", **_OF_IMAGES),
            14,
        ),
        _ovformer(
            "ovformer-r50",
            _OVFORMER_R50,
            {"LV-VIS val": 21.9, "LV-VIS test": 15.2},
            "1-zfEwdglPeVHzlc5Ky_HJlZtMgGXAy1S",
            197,
            on_video=True,
        ),
        _ovformer(
            "ovformer-swin-b",
            _OVFORMER_SWIN,
            {"LV-VIS val": 24.7, "LV-VIS test": 19.5},
            "107BNsu9eTr5e70B4oj28jgHKBjYTWNWp",
            259,
            on_video=True,
        ),
        _ovformer(
            "ovformer-r50-lvis",
            replace(_OVFORMER_R50, **_OF_IMAGES),
            {"OVIS": 15.1, "YTVIS19": 34.8, "YTVIS21": 29.8, "BURST": 6.8},
            "1-tMcjp8xIYr9E5r5JYOESGajXtMAs33y",
            197,
            on_video=False,
        ),
        _ovformer(
            "ovformer-swin-b-lvis",
            replace(_OVFORMER_SWIN, **_OF_IMAGES),
            {"OVIS": 21.3, "YTVIS19": 44.3, "YTVIS21": 37.6, "BURST": 7.6},
            "102qxZlu05yXILfghhrwjxv-tL3MlcYu7",
            259,
            on_video=False,
        ),
        _ovformer(
            "ov2seg-r50",
            replace(_OVFORMER_R50, **_OV2SEG),
            {"LV-VIS val": 14.2, "LV-VIS test": 11.4, "OVIS": 11.2, "YTVIS19": 27.2, "YTVIS21": 23.6},
            "1YqL0PDmEhLayqaxTab9ag_ZX26ZS-zB4",
            191,
            on_video=False,
        ),
        _ovformer(
            "ov2seg-swin-b",
            replace(_OVFORMER_SWIN, **_OV2SEG),
            {"LV-VIS val": 21.1, "LV-VIS test": 16.4, "OVIS": 17.5, "YTVIS19": 37.6, "YTVIS21": 33.9},
            "",  # its authors give none
            254,
            on_video=False,
        ),
        _fc_clip("fc-clip-r50", FcClipConfig(), 9.5, "1tcB-8FNON-LwckXQbUyKcBA2G7TU65Zh", 123),
        _fc_clip(
            "fc-clip-convnext-l",
            FcClipConfig(**_CONVNEXT_L),
            16.8,
            "1-91PIns86vyNaL3CzMmDD39zKGnPMtvj",
            373,
        ),
        _ov_dvis("ov-dvis-r50", OvDvisConfig(), (14.8, 34.5, 30.9), ("online", "r50"), 133),
        _ov_dvis("ov-dvis-r50-offline", OvDvisConfig(refined=True), (13.0, 34.4, 31.0), ("offline", "r50"), 147),
        _ov_dvis("ov-dvis-convnext-l", OvDvisConfig(**_CONVNEXT_L), (24.0, 48.8, 44.5), ("online", "conv"), 382),
        _ov_dvis(
            "ov-dvis-convnext-l-offline",
            OvDvisConfig(refined=True, **_CONVNEXT_L),
            (21.6, 48.7, 44.2),
            ("offline", "conv"),
            397,
        ),
    )
}

ZOO.update(outside.outside(outside.MODELS, ModelEntry, ZOO))


def list_models() -> list[ModelEntry]:
    """Return the zoo, a line for each model."""
    return list(ZOO.values())


def find_model(name: str) -> ModelEntry:
    """Return a line of the zoo.

    Raises:
        InputError: there is no such model; the message names the nearest.
    """
    if name not in ZOO:
        raise InputError(f"model {name!r}: there is none of that name; {nearest(name, ZOO)}")
    return ZOO[name]
