"""FC-CLIP (Yu et al., 2023): the recipe.

It segments images; its tubes over a video are those of MinVIS, as OV-DVIS++'s authors run it. Its parts are imported
when one is built, so that its configuration is read without PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from ovvis.errors import InputError, nearest
from ovvis.models.settings import FamilyConfig, VideoSettings

if TYPE_CHECKING:
    from torch import Tensor

    from ovvis.models.clip import FrozenClip
    from ovvis.models.geometric_ensemble import EnsembleClassifier
    from ovvis.models.model import Model
    from ovvis.models.segmenter import Segmenter

FAMILY = "fc-clip"
MARKS = ("clip",)


@dataclass(frozen=True, slots=True)
class FcClipConfig(FamilyConfig):
    """Everything that makes one FC-CLIP differ from another. The defaults are the released R50 model."""

    queries: int = 250
    decoder_layers: int = 9
    trained: str = "coco_panoptic"  # list of the words that it was trained on (`models/trained_words`)
    alpha: float = 0.4  # exponent of CLIP's own answer for labels that it was trained on
    beta: float = 0.8  # the same for other labels
    # whether the trained head's factor from cosine to logit is the weights'; False: 14.29, as DVIS++'s segmenter alone
    loaded_scale: bool = True
    memory: int = 1  # frames that the matching remembers
    matched: int = 1  # of them that vote
    birth: float | None = None  # cosine distance from which an object begins a tube of its own; None: none, as released


def build_fc_clip(config: FcClipConfig, name: str = FAMILY) -> Model:
    """Return an untrained FC-CLIP."""
    from ovvis.models.clip import CLIP_MEAN, CLIP_STD, FrozenClip
    from ovvis.models.model import Model

    clip = FrozenClip(config.clip, config.quick_gelu)
    network, classifier = fc_clip_parts(config, clip)
    return Model(
        name=name,
        family=FAMILY,
        config=config,
        clip=clip,
        network=network,
        classifier=classifier,
        pixel_mean=CLIP_MEAN,
        pixel_std=CLIP_STD,
        video=tubes_of_logs(config.memory, config.matched, config.birth, image_results=100),
        short_edge=config.short_edge,
    )


def fc_clip_parts(
    config: FcClipConfig, clip: FrozenClip, for_tracker: bool = False
) -> tuple[Segmenter, EnsembleClassifier]:
    """Return the network and the classifier, untrained; see `Segmenter` for `for_tracker`."""
    from ovvis.models.backbones.conv_clip import ConvClipBackbone
    from ovvis.models.geometric_ensemble import EnsembleClassifier
    from ovvis.models.heads import PooledClassHead
    from ovvis.models.segmenter import Segmenter

    backbone = ConvClipBackbone(clip)
    network = Segmenter(
        backbone,
        *config.decoders(backbone),
        object_head=None,
        class_head=PooledClassHead(config.width, clip.width),
        for_tracker=for_tracker,
    )
    words = trained_words(config.trained)
    return network, EnsembleClassifier(clip, config.alpha, config.beta, words, config.loaded_scale)


def tubes_of_logs(memory: int, matched: int, birth: float | None, image_results: int | None = None) -> VideoSettings:
    """Return the settings of tubes that take the mean of log probabilities over frames, and nothing else."""
    return VideoSettings(
        window=1,
        memory=memory,
        matched=matched,
        recency_weighted=False,
        birth=birth,
        class_score="void",
        average="logits",
        weighting="paper",  # the plain product, of one factor
        use_iou=False,
        use_object=False,
        silence=None,
        mask_quality=False,
        results=10,
        image_results=image_results,
    )


def trained_words(name: str) -> frozenset[str]:
    """Return the words that a model was trained on, from packaged lists whose names stand between plus signs.

    Raises:
        InputError: there is no such list.
    """
    folder = resources.files("ovvis") / "models" / "trained_words"
    lists = {file.name.removesuffix(".txt"): file for file in folder.iterdir() if file.name.endswith(".txt")}
    words: set[str] = set()
    for part in name.split("+"):
        if part not in lists:
            raise InputError(f"trained {name!r}: there is no list of words {part!r}; {nearest(part, lists)}")
        words.update(lists[part].read_text(encoding="utf-8").splitlines())
    return frozenset(words)


def fits(config: FcClipConfig, state: Mapping[str, Tensor]) -> bool:
    """Return whether a state is an FC-CLIP's with the CLIP of a configuration, as far as its tensors tell."""
    from ovvis.models.clip import carries_clip

    learnt = any(name.startswith("tracker.") for name in state)
    return "classifier.void" in state and not learnt and carries_clip(config.clip, state)
