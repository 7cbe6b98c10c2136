"""A run's settings. Each group stands beside its owner where it has one."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union

from pydantic import Discriminator, Tag

from ovvis.models import clip_vis
from ovvis.models.clip_vis import ClipVisConfig
from ovvis.models.families import FAMILIES
from ovvis.models.settings import UNTRAINED, FamilyConfig
from ovvis.training.data.filtering import FilterConfig
from ovvis.training.data.sampling import SamplingConfig
from ovvis.training.data.transforms import AugmentConfig
from ovvis.training.loss.clip_objective import ClipConfig
from ovvis.training.loss.criterion import LossConfig
from ovvis.training.optimizer import OptimizerConfig

FRESH = ("clip", UNTRAINED)  # `model.weights` that leave the network as drawn
DECODERS = ("pixel_decoder", "query_decoder")  # parts that every family has alike

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


def family_of(network: Any) -> str:
    """Return the family that a network's settings are of: as a configuration, or as plain values with all fields."""
    if isinstance(network, dict):
        return max(FAMILIES, key=lambda name: len(network.keys() & {f.name for f in fields(FAMILIES[name].config)}))
    return next((name for name, family in FAMILIES.items() if type(network) is family.config), clip_vis.FAMILY)


if TYPE_CHECKING:
    NetworkConfig = FamilyConfig
else:  # the configuration of any family, told apart by its fields
    _TAGS = {family.config: name for name, family in reversed(FAMILIES.items())}
    NetworkConfig = Annotated[
        Union[tuple(Annotated[config, Tag(name)] for config, name in _TAGS.items())],  # noqa: UP007
        Discriminator(family_of),
    ]


@dataclass(frozen=True, slots=True)
class About:
    """What a recipe is for. Words only: nothing reads them but people."""

    reproduces: str = ""
    expected: str = ""  # AP, and where it stands
    gpu_time: str = ""  # on which machine, and who says so


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What is trained, and from which weights."""

    name: str = "clip-vis-r50"  # a line of the zoo
    # "clip": the frozen CLIP's own, the rest fresh; "published": those of the zoo, and a name of the zoo those of that
    # model; "untrained": none; or a checkpoint file, or the folder of an earlier run
    weights: str = "clip"
    # What a trained backbone begins with where the rest is fresh: "imagenet-21k", a file in timm's or its authors'
    # names, "clip" for a copy of CLIP's own encoder; empty: as drawn
    backbone: str = ""
    # What the decoders begin with where the rest is fresh: a name of the zoo, a checkpoint file or the folder of an
    # earlier run, of any family; empty: as drawn
    decoders: str = ""
    taken: tuple[str, ...] = DECODERS  # the parts that `decoders` brings: further ones where both have them
    # Parts of the network that are trained, such as iou_head or class_head.alignment; none: all
    parts: tuple[str, ...] = ()
    text_embeddings: str = ""  # file in place of CLIP's own texts of the training set's labels; see `ovvis predict`
    text_rows: str = ""  # what its rows stand for, as labels are given; empty: found by their number
    network: NetworkConfig = field(default_factory=ClipVisConfig)  # the zoo's unless stated

    def __post_init__(self) -> None:
        if self.decoders and self.weights not in FRESH:
            raise ValueError(
                f"model.decoders is {self.decoders!r}, but model.weights {self.weights!r} bring decoders of their own: "
                "give one of the two"
            )
        if not self.decoders and self.taken != DECODERS:
            raise ValueError(
                f"model.taken is {list(self.taken)}, but model.decoders, which says whose, is empty: give it"
            )


@dataclass(frozen=True, slots=True)
class DataConfig:
    """What is trained on."""

    train: tuple[str, ...] = ("lvis_v1_train",)  # names of `ovvis datasets`, or JSON files of one's own
    frames: tuple[str, ...] = ()  # folder of frames for each; none or "": where the catalogue says, or beside the JSON
    weights: tuple[float, ...] = ()  # each one's share of the windows; none: as large as it is
    root: str | None = None  # the folder that the catalogue's datasets lie in; null: OVVIS_DATA, else ./datasets
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    choice: FilterConfig = field(default_factory=FilterConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)

    def __post_init__(self) -> None:
        if not self.train:
            raise ValueError("data.train is empty, but it must name one dataset or more")
        for name in ("frames", "weights"):
            if len(getattr(self, name)) not in (0, len(self.train)):
                raise ValueError(f"data.{name} must have one entry for each of data.train, or none")


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """How good the model is while it is trained."""

    dataset: str = ""  # a name of `ovvis datasets`, or a JSON; empty: no validation
    frames: str | None = None  # its folder of frames
    every: int = 5000  # steps
    videos: int | None = 50  # at most so many, evenly from the whole set; null: all
    text_embeddings: str = ""  # file in place of CLIP's own texts of the categories; see `ovvis predict`
    agnostic: bool = False  # measure the masks alone: every category counts as "object"
    short_edge: int | None = None  # pixels, as in `ovvis segment`; null: the model's own
    long_edge: int = 1333
    pictures: int = 4  # windows that are painted at each validation

    def __post_init__(self) -> None:
        for name, least in (("every", 1), ("short_edge", 32), ("long_edge", 32), ("pictures", 0)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"validation.{name} is {value}, but it must be at least {least}")
        if self.videos is not None and self.videos < 1:
            raise ValueError(f"validation.videos is {self.videos}, but it must be at least 1; null takes all")


@dataclass(frozen=True, slots=True)
class RunConfig:
    """The loop."""

    steps: int = 10_000  # optimiser steps
    batch: int = 8  # windows in a step, over all processes and parts
    accumulate: int = 1  # parts that a step's windows are computed in, one after another
    precision: Precision = "32-true"
    full_decoder: bool = True  # the pixel decoder in float32 under mixed precision, as released; False is faster
    compile: bool = False  # the slowest loop of deformable attention's gradient on a CPU; needs a C++ compiler
    clip_gradients: float = 0.01  # most the norm of all gradients together may be
    ema: float | None = None  # share of the old weights in their running mean, such as 0.999; None: no mean
    seed: int = 0
    workers: int = 4  # processes that load data, for each training process
    log_every: int = 20  # steps
    save_every: int = 1000  # steps between checkpoints
    keep: int = 2  # checkpoints
    carry_clip: bool = False  # whether checkpoints hold the frozen CLIP too; an untrained one always is

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "accumulate": 1, "workers": 0, "log_every": 1, "save_every": 1, "keep": 1}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise ValueError(f"run.{name} is {getattr(self, name)}, but it must be at least {smallest}")
        if self.clip_gradients <= 0:
            raise ValueError(f"run.clip_gradients is {self.clip_gradients}, but it must be above 0")
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"run.ema is {self.ema}, but it must lie between 0 and 1; null keeps no mean")
        if self.batch % self.accumulate:
            raise ValueError(f"run.batch {self.batch} must be a multiple of run.accumulate {self.accumulate}")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that makes one run differ from another."""

    about: About = field(default_factory=About)
    model: ModelConfig = field(default_factory=ModelConfig)
    trains: Literal["network", "clip"] = "network"  # "clip": the CLIP itself, of which the network is then made
    data: DataConfig = field(default_factory=DataConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    clip: ClipConfig = field(default_factory=ClipConfig)  # the loss where the CLIP is trained
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    run: RunConfig = field(default_factory=RunConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)

    def __post_init__(self) -> None:
        if self.trains == "clip" and self.model.parts:
            raise ValueError(f"model.parts is {list(self.model.parts)}, but a CLIP is trained, not its network")
