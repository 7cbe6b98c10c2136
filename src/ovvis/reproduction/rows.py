"""What a table of the reproduction is made of: ways from what a network says to tracks, rows, tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ovvis.models.settings import Following, Pooling, VideoSettings
from ovvis.reproduction.papers import AP, NOVEL, Column, published_row, published_tables

Crops = Literal["alone", "around"]
Given = Literal["masks", "identities", "names"]
"""What an oracle takes from the truth instead of from the model."""

VAL, HARD, LONG = "val", "val-hard", "val-long"
BESIDE = {VAL: "lvvis_val", LONG: "ovis_val"}  # the dataset whose published figures stand beside a split's
MODEL, IOU_PIXELS = "model", "iou-pixels"  # networks: the one asked for; one trained with `iou_from="pixels"`
OVFORMER, OV2SEG, FC_CLIP, OV_DVIS = "ovformer", "ov2seg", "fc-clip", "ov-dvis"  # of the other families
OVFORMER_IMAGES = "ovformer-images"  # an OVFormer that saw no windows yet: trained on images, with alignment
OVFORMER_VIDEO = "ovformer-video"  # the same after its second stage, on windows
OVFORMER_WINDOWS = "ovformer-windows"  # one that saw windows alone

_RELEASED: Mapping[str, Any] = {"birth": None, "names": 0.0}
_SILENCE = 0.1  # as released, in families that silence frames


@dataclass(frozen=True, slots=True)
class Way:
    """One way from what a network says to tracks: all that tells apart two rows of one network."""

    settings: VideoSettings
    pooling: Pooling | None = None  # of features under masks; None: the model's own
    given: frozenset[Given] = frozenset()
    one_label: bool = False  # each instance under its best label only (CLIP-VIS eq. 12)
    crops: Crops | None = None  # what CLIP sees of each mask to name it; None: the network's own names
    # of ways that take what is found in each frame for detections
    how: Following | None = None  # how they are followed; None: as `ovvis track` does


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)  # of `VideoSettings`, where not the model's own
    network: str = MODEL
    pooling: Pooling | None = None
    given: frozenset[Given] = frozenset()
    one_label: bool = False
    crops: Crops | None = None
    how: Following | None = None
    published: str = ""  # the papers' row of it, as "TABLE: ROW"; "": that of the table's own ablation and name, if any
    precision: str = ""  # of the network; "": that of the command
    against: str = ""  # the row that its difference is taken to; "": the table's reference

    @property
    def loaded(self) -> str:
        """The name that its network has among those that are loaded."""
        return f"{self.network} in {self.precision}" if self.precision else self.network

    def way(self, own: VideoSettings) -> Way:
        """Return the row's way: the model's own settings, but those that no release has, and what the row says."""
        silence = {} if own.silence is None else {"silence": _SILENCE}
        return Way(
            replace(own, **{**_RELEASED, **silence, **self.settings}),
            self.pooling,
            self.given,
            self.one_label,
            self.crops,
            self.how,
        )


@dataclass(frozen=True, slots=True)
class Experiment:
    """One table."""

    name: str
    title: str
    says: str  # what is compared, and where it stands in the paper
    splits: tuple[str, ...]
    rows: tuple[Row, ...]
    reference: str = ""  # the row that differences are taken to; "": none are, or each row names its own
    speed: bool = False  # tell the frames a second and the memory of each row's network
    against: str = ""  # what the rows' own references have in common
    worst: bool = False  # tell the difference of the seed that differs most

    def paper(self, row: str, split: str) -> tuple[float, float | None] | None:
        """Return the paper's AP and novel AP (percent) beside a row on a split; None where it has none.

        LV-VIS val stands beside `val`, OVIS beside `val-long`. The numbers are those of `papers.toml`.
        """
        dataset = BESIDE.get(split, "")
        named = [published_row(own.published) for own in self.rows if own.name == row and own.published]
        tables = [table for table in published_tables().values() if table.ablation == self.name]
        for printed in (*named, *(one for table in tables for one in table.rows if one.ours == row)):
            ap, novel = (printed.number(Column(dataset, figure)) for figure in (AP, NOVEL))
            if ap is not None:
                return ap.value, None if novel is None else novel.value
        return None
