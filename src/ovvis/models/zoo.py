"""The models that can be named: an explicit table."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ovvis.errors import InputError, nearest
from ovvis.models import clip_vis
from ovvis.models.clip_vis import ClipVisConfig
from ovvis.models.families import FamilyConfig

LVIS = "LVIS v1 (frequent and common)"
DEFAULT_MODEL = "clip-vis-r50"
"""What runs where neither a model nor weights are asked for."""

COCO_YTVIS = "COCO, then YouTube-VIS 2019"
DRIVE = "https://drive.google.com/uc?id="


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One line of the zoo."""

    name: str
    family: str  # of `families.FAMILIES`
    config: FamilyConfig
    training_data: str
    published_ap: dict[str, float]  # data set -> AP, percent, from the paper
    url: str  # of the authors' checkpoint; empty where the weights lie in the package
    parameters: int  # millions, the frozen CLIP included
    code_licence: str
    weights_licence: str
    data_licence: str

    @property
    def packaged(self) -> bool:
        """Whether its weights lie in the package."""
        return not self.url

    @property
    def file(self) -> str:
        """The name of its weights in the cache folder."""
        return f"{self.name}.safetensors"


_R50 = ClipVisConfig()
_CONVNEXT = ClipVisConfig(
    clip="convnext_base_w_320", clip_weights="laion_aesthetic_s13b_b82k", quick_gelu=False, decoder_layers=6
)
# Small enough for two cores, and for the package.
_STICKERS = ClipVisConfig(
    clip="clip-stickers",
    clip_weights="stickers",
    quick_gelu=False,
    width=96,
    queries=40,
    pixel_layers=3,
    decoder_layers=6,
    heads=4,
    points=2,
    pixel_hidden=256,
    decoder_hidden=384,
    short_edge=256,
)
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
        name, clip_vis.FAMILY, config, data, numbers, DRIVE + drive_id, parameters, _CODE, _WEIGHTS, licence
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
        ModelEntry(
            name="clip-vis-stickers",
            family=clip_vis.FAMILY,
            config=_STICKERS,
            training_data="Stickers (base categories)",
            published_ap={},
            url="",
            parameters=9,
            code_licence="Apache-2.0",
            weights_licence="Apache-2.0",
            data_licence="drawings of seven sets: docs/world.md",
        ),
    )
}


def find_model(name: str) -> ModelEntry:
    """Return a line of the zoo.

    Raises:
        InputError: there is no such model; the message names the nearest.
    """
    if name not in ZOO:
        raise InputError(f"model {name!r}: there is none of that name; {nearest(name, ZOO)}")
    return ZOO[name]
