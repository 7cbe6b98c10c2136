"""Stand-ins: a tiny network, a network made by hand, the authors' checkpoints."""

import re
import zlib
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

from ovvis.errors import InputError
from ovvis.models.clip_vis import ClipVisConfig
from ovvis.models.families import build_model
from ovvis.models.fc_clip import FcClipConfig
from ovvis.models.ov_dvis import OvDvisConfig
from ovvis.models.ovformer import OvFormerConfig
from ovvis.models.settings import VideoSettings
from ovvis.structures import Prediction


def tiny_config(clip: str = "tiny-resnet", **changes) -> ClipVisConfig:
    values = {
        "clip": clip,
        "quick_gelu": clip == "tiny-resnet",
        "width": 32,
        "queries": 6,
        "pixel_layers": 1,
        "decoder_layers": 2,
        "heads": 4,
        "points": 2,
        "pixel_hidden": 32,
        "decoder_hidden": 32,
    }
    return ClipVisConfig(**(values | changes))


def tiny_ovformer_config(**changes) -> OvFormerConfig:
    values = {
        "clip": "tiny-resnet",
        "backbone": "test_resnet",
        "width": 32,
        "queries": 6,
        "pixel_layers": 1,
        "decoder_layers": 2,
        "heads": 4,
        "points": 2,
        "pixel_hidden": 32,
        "decoder_hidden": 32,
        "window": 3,
        "short_edge": 48,
    }
    return OvFormerConfig(**(values | changes))


def tiny_fc_clip_config(clip: str = "tiny-resnet", **changes) -> FcClipConfig:
    values = asdict(tiny_config(clip))
    shared = {field.name for field in fields(FcClipConfig)} - {"memory", "matched"}
    return FcClipConfig(**{name: value for name, value in values.items() if name in shared} | changes)


def build_tiny_fc_clip(clip: str = "tiny-resnet", **changes):
    """Return a tiny FC-CLIP that a seed determines."""
    return _determined(tiny_fc_clip_config(clip, **changes), "fc-clip-tiny")


def tiny_ov_dvis_config(clip: str = "tiny-resnet", **changes) -> OvDvisConfig:
    small = {"tracker_layers": 2, "refiner_layers": 2, "tracker_hidden": 32}
    return OvDvisConfig(**(asdict(tiny_fc_clip_config(clip)) | small | changes))


def build_tiny_ov_dvis(clip: str = "tiny-resnet", **changes):
    """Return a tiny OV-DVIS++ that a seed determines."""
    return _determined(tiny_ov_dvis_config(clip, **changes), "ov-dvis-tiny")


def build_tiny(clip: str = "tiny-resnet", **changes):
    """Return a tiny CLIP-VIS that a seed determines."""
    return _determined(tiny_config(clip, **changes), f"clip-vis-{clip}")


def build_tiny_ovformer(**changes):
    """Return a tiny OVFormer that a seed determines."""
    return _determined(tiny_ovformer_config(**changes), "ovformer-tiny")


def _determined(config, name: str):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(config, name).eval()
        # Untrained BatchNorms are the identity, which would hide a wrong fold.
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d | FrozenBatchNorm2d):
                torch.nn.init.normal_(module.running_mean, 0, 0.1)
                torch.nn.init.uniform_(module.running_var, 0.5, 2)
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, 0, 0.1)
    return model


@dataclass(frozen=True)
class FakeConfig:
    kind: str = "fake"


class FakeClip:
    """A text tower that knows any word: its vector follows from its letters."""

    width = 8
    logit_scale = 100.0

    def __init__(self) -> None:
        self.embedded: list[str] = []

    def text_fingerprint(self) -> str:
        return "fake"

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def check_length(self, label: str, prompt: str) -> None:
        if len(label) > 70:
            raise InputError(f"label {label[:20]!r}: too long")

    def embed_texts(self, texts) -> torch.Tensor:
        self.embedded += texts
        rows = [np.random.default_rng(zlib.crc32(t.encode())).standard_normal(self.width) for t in texts]
        return torch.tensor(np.array(rows), dtype=torch.float32)


class FakeModel(nn.Module):
    """A network that answers frame i, an image whose every pixel is i, with the i-th hand-made prediction.

    Args:
        predictions: batches of one window of one frame; `features` (1, 1, Q, 1, K) holds the class logits.
        video: how predictions become tracks.
    """

    def __init__(self, predictions: list[Prediction], video: VideoSettings | None = None) -> None:
        super().__init__()
        self.predictions = predictions
        self.name, self.family, self.source = "fake", "fake", "by hand"
        self.config, self.video = FakeConfig(), video or VideoSettings(memory=1, matched=1)
        self.short_edge = 64
        self.clip = FakeClip()
        self.pixel_mean, self.pixel_std = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
        self.device, self.dtype, self.precision = torch.device("cpu"), torch.float32, "float32"
        self.view_side = None
        self.tracker = self.refiner = self.texts = self.runtime = None
        self.accelerated = ()
        self.batches: list[int] = []  # windows of each call

    def forward(self, pixels: torch.Tensor, images: torch.Tensor | None = None) -> Prediction:
        self.batches.append(len(pixels))
        answers = [self.predictions[int(window[0, 0, 0, 0])] for window in pixels]
        return Prediction(
            mask_logits=torch.cat([a.mask_logits for a in answers]),
            object_logits=torch.cat([a.object_logits for a in answers]),
            mask_ious=None if answers[0].mask_ious is None else torch.cat([a.mask_ious for a in answers]),
            embeddings=torch.cat([a.embeddings for a in answers]),
            features=torch.cat([a.features for a in answers]),
        )

    def see(self, pixels: torch.Tensor, views, text) -> Prediction:
        return self(pixels)

    def classifier(self, prediction: Prediction, text) -> torch.Tensor:
        logits = prediction.features[:, 0, :, 0]
        assert logits.shape[-1] == len(text.labels)
        return logits


FakeModel.classifier.one_frame = False


def fake_frames(count: int, height: int = 32, width: int = 64) -> list[np.ndarray]:
    return [np.full((height, width, 3), i, dtype=np.uint8) for i in range(count)]


def fake_prediction(masks, class_logits, objects=None, ious=None, embeddings=None) -> Prediction:
    """Return a prediction of one window of one frame.

    Args:
        masks: Q, h, w; logits.
        class_logits: Q, K.
        objects: Q, 2; logits, (3, -3) if left out.
        ious: Q; 0.8 if left out.
        embeddings: Q, D; orthogonal if left out.
    """
    queries = len(masks)
    return Prediction(
        mask_logits=torch.as_tensor(masks, dtype=torch.float32)[None, :, None],
        object_logits=(
            torch.tensor([3.0, -3.0]).expand(queries, 2) if objects is None else torch.as_tensor(objects).float()
        )[None],
        mask_ious=(torch.full((queries,), 0.8) if ious is None else torch.as_tensor(ious).float())[None],
        embeddings=(torch.eye(queries) if embeddings is None else torch.as_tensor(embeddings).float())[None],
        features=torch.as_tensor(class_logits, dtype=torch.float32)[None, None, :, None],
    )


# Ours -> the authors', written down from their modules and not from `ovvis.models.convert`.
_HEAD = "sem_seg_head"
_TO_AUTHORS = [
    (r"clip\.model\.(.+)", r"backbone.clip_model.\1"),
    (r"network\.pixel_decoder\.project\.(.+)", rf"{_HEAD}.pixel_decoder.input_proj.\1"),
    (r"network\.pixel_decoder\.level_code", rf"{_HEAD}.pixel_decoder.transformer.level_embed"),
    (r"network\.pixel_decoder\.layers\.(\d+)\.(.+)", rf"{_HEAD}.pixel_decoder.transformer.encoder.layers.\1.\2"),
    (r"network\.pixel_decoder\.lateral\.0\.(.+)", rf"{_HEAD}.pixel_decoder.adapter_1.\1"),
    (r"network\.pixel_decoder\.lateral\.1\.(.+)", rf"{_HEAD}.pixel_decoder.adapter_1.norm.\1"),
    (r"network\.pixel_decoder\.smooth\.0\.(.+)", rf"{_HEAD}.pixel_decoder.layer_1.\1"),
    (r"network\.pixel_decoder\.smooth\.1\.(.+)", rf"{_HEAD}.pixel_decoder.layer_1.norm.\1"),
    (r"network\.pixel_decoder\.mask_features\.(.+)", rf"{_HEAD}.pixel_decoder.mask_features.\1"),
    (r"network\.query_decoder\.query_features", rf"{_HEAD}.predictor.query_feat.weight"),
    (r"network\.query_decoder\.query_code", rf"{_HEAD}.predictor.query_embed.weight"),
    (r"network\.query_decoder\.level_code", rf"{_HEAD}.predictor.level_embed.weight"),
    (r"network\.query_decoder\.norm\.(.+)", rf"{_HEAD}.predictor.decoder_norm.\1"),
    (r"network\.query_decoder\.mask_head\.(.+)", rf"{_HEAD}.predictor.mask_embed.\1"),
    (r"network\.iou_head\.mlp\.(.+)", rf"{_HEAD}.predictor.iou_head.\1"),
    (r"network\.object_head\.mlp\.(.+)", rf"{_HEAD}.predictor.object_embed.\1"),
    (r"network\.class_head\.pooled\.(.+)", rf"{_HEAD}.predictor._mask_pooling_proj.\1"),
    (r"classifier\.void", "void_embedding.weight"),
    (r"network\.fc_clip_head\.(.+)", rf"{_HEAD}.predictor.class_embed.\1"),
    (r"classifier\.scale", rf"{_HEAD}.predictor.logit_scale"),
    (r"network\.class_head\.mlp\.layers\.0\.(.+)", rf"{_HEAD}.predictor.class_embed.linear.0.\1"),
    (r"network\.class_head\.mlp\.layers\.1\.(.+)", rf"{_HEAD}.predictor.class_embed.linear.2.\1"),
    (
        r"network\.class_head\.alignment\.attention\.(.+)",
        rf"{_HEAD}.predictor.class_embed.cross_attention.multihead_attn.\1",
    ),
    (r"network\.class_head\.alignment\.norm\.(.+)", rf"{_HEAD}.predictor.class_embed.cross_attention.norm.\1"),
    (r"network\.backbone\.net\.(.+)", r"backbone.base.\1"),
    *(
        (
            rf"network\.query_decoder\.layers\.(\d+)\.{ours}\.(.+)",
            rf"{_HEAD}.predictor.transformer_{kind}_layers.\1.{theirs}.\2",
        )
        for ours, kind, theirs in (
            ("cross", "cross_attention", "multihead_attn"),
            ("cross_norm", "cross_attention", "norm"),
            ("self_attention", "self_attention", "self_attn"),
            ("self_norm", "self_attention", "norm"),
            (r"feed_forward\.expand", "ffn", "linear1"),
            (r"feed_forward\.contract", "ffn", "linear2"),
            (r"feed_forward\.norm", "ffn", "norm"),
        )
    ),
]
_ENCODER_PARTS = {
    ".attention.offsets.": ".self_attn.sampling_offsets.",
    ".attention.weights.": ".self_attn.attention_weights.",
    ".attention.value.": ".self_attn.value_proj.",
    ".attention.out.": ".self_attn.output_proj.",
    ".feed_forward.expand.": ".linear1.",
    ".feed_forward.contract.": ".linear2.",
    ".feed_forward.norm.": ".norm2.",
}


def authors_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a state of ours under the authors' names, attention projections packed as PyTorch packs them."""
    out, packed = {}, {}
    for name, tensor in state.items():
        if "classifier.void" in state:  # FC-CLIP's class head has no `linear` in its names
            name = name.replace("network.class_head.mlp.", "network.fc_clip_head.")
        fits = [re.sub(old, new, name) for old, new in _TO_AUTHORS if re.fullmatch(old, name)]
        assert len(fits) == 1, name
        theirs = fits[0]
        if ".transformer.encoder.layers." in theirs:
            theirs = re.sub(r"(\d)\.norm\.", r"\1.norm1.", theirs)
            for part, replacement in _ENCODER_PARTS.items():
                theirs = theirs.replace(part, replacement)
        part = re.fullmatch(r"(.+predictor.+attn)\.(query|key|value)\.(weight|bias)", theirs)
        if part:
            packed.setdefault(f"{part[1]}.in_proj_{part[3]}", {})[part[2]] = tensor
        elif "predictor.transformer" in theirs or "cross_attention" in theirs:
            out[theirs.replace("attn.out.", "attn.out_proj.")] = tensor
        else:
            out[theirs] = tensor
    for name, parts in packed.items():
        out[name] = torch.cat([parts["query"], parts["key"], parts["value"]])
    return out


def authors_checkpoint(state: dict[str, torch.Tensor], **more) -> dict:
    """Return what detectron2 writes, with the constants that the authors' files carry."""
    model = authors_state(state)
    model["criterion.empty_object_weight"] = torch.tensor([1.0, 0.4])
    return {"model": model | more, "optimizer": {"state": {}, "param_groups": []}, "iteration": 7}
