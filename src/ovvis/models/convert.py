"""The authors' checkpoints renamed into ours, strictly: every tensor used, none missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from ovvis.errors import InputError

TensorDict = dict[str, Tensor]

_DECODER = r"sem_seg_head\.predictor"
_PIXELS = r"sem_seg_head\.pixel_decoder"
# An OV-DVIS++'s tracker and refiner have the decoder's own heads, written down again.
_HEADS = rf"(?:{_DECODER}|tracker|refiner)"

# Kind of layer, part of it in the authors' names -> ours.
_SAME = (
    ("cross_attention", "multihead_attn", "cross"),
    ("cross_attention", "norm", "cross_norm"),
    ("ffn", "linear1", "feed_forward.expand"),
    ("ffn", "linear2", "feed_forward.contract"),
    ("ffn", "norm", "feed_forward.norm"),
)
_LAYER = (
    *_SAME,
    ("self_attention", "self_attn", "self_attention"),
    ("self_attention", "norm", "self_norm"),
)
_REFINER_LAYER = (
    *_SAME,
    ("time_self_attention", "self_attn", "time"),
    ("time_self_attention", "norm", "time_norm"),
    ("obj_self_attention", "self_attn", "self_attention"),
    ("obj_self_attention", "norm", "self_norm"),
)

# Authors' name -> ours. Each tensor must match exactly one line.
_RENAMES: tuple[tuple[str, str], ...] = (
    (r"backbone\.clip_model\.(.+)", r"clip.model.\1"),
    (r"backbone\.base\.(.+)", r"network.backbone.net.\1"),
    (r"backbone\.(patch_embed\..+|layers\.\d+\.blocks\..+)", r"network.backbone.\1"),
    (r"backbone\.norm(\d)\.(.+)", r"network.backbone.norms.\1.\2"),
    # A Swin's stages end with their downsampling there, ours begin with it.
    *((rf"backbone\.layers\.{i}\.(downsample\..+)", rf"network.backbone.layers.{i + 1}.\1") for i in range(3)),
    (rf"{_PIXELS}\.input_proj\.(\d+)\.(.+)", r"network.pixel_decoder.project.\1.\2"),
    (rf"{_PIXELS}\.transformer\.level_embed", r"network.pixel_decoder.level_code"),
    (
        rf"{_PIXELS}\.transformer\.encoder\.layers\.(\d+)\.self_attn\.sampling_offsets\.(.+)",
        r"network.pixel_decoder.layers.\1.attention.offsets.\2",
    ),
    (
        rf"{_PIXELS}\.transformer\.encoder\.layers\.(\d+)\.self_attn\.attention_weights\.(.+)",
        r"network.pixel_decoder.layers.\1.attention.weights.\2",
    ),
    (
        rf"{_PIXELS}\.transformer\.encoder\.layers\.(\d+)\.self_attn\.value_proj\.(.+)",
        r"network.pixel_decoder.layers.\1.attention.value.\2",
    ),
    (
        rf"{_PIXELS}\.transformer\.encoder\.layers\.(\d+)\.self_attn\.output_proj\.(.+)",
        r"network.pixel_decoder.layers.\1.attention.out.\2",
    ),
    (
        rf"{_PIXELS}\.transformer\.encoder\.layers\.(\d+)\.norm1\.(.+)",
        r"network.pixel_decoder.layers.\1.norm.\2",
    ),
    (
        rf"{_PIXELS}\.transformer\.encoder\.layers\.(\d+)\.linear1\.(.+)",
        r"network.pixel_decoder.layers.\1.feed_forward.expand.\2",
    ),
    (
        rf"{_PIXELS}\.transformer\.encoder\.layers\.(\d+)\.linear2\.(.+)",
        r"network.pixel_decoder.layers.\1.feed_forward.contract.\2",
    ),
    (
        rf"{_PIXELS}\.transformer\.encoder\.layers\.(\d+)\.norm2\.(.+)",
        r"network.pixel_decoder.layers.\1.feed_forward.norm.\2",
    ),
    (rf"{_PIXELS}\.adapter_1\.weight", r"network.pixel_decoder.lateral.0.weight"),
    (rf"{_PIXELS}\.adapter_1\.norm\.(.+)", r"network.pixel_decoder.lateral.1.\1"),
    (rf"{_PIXELS}\.layer_1\.weight", r"network.pixel_decoder.smooth.0.weight"),
    (rf"{_PIXELS}\.layer_1\.norm\.(.+)", r"network.pixel_decoder.smooth.1.\1"),
    (rf"{_PIXELS}\.mask_features\.(.+)", r"network.pixel_decoder.mask_features.\1"),
    (rf"{_DECODER}\.(?:query_feat|static_query)\.weight", r"network.query_decoder.query_features"),
    (rf"{_DECODER}\.query_embed\.weight", r"network.query_decoder.query_code"),
    (rf"{_DECODER}\.level_embed\.weight", r"network.query_decoder.level_code"),
    (rf"{_HEADS}\.decoder_norm\.(.+)", r"network.query_decoder.norm.\1"),
    (rf"{_HEADS}\.mask_embed\.(.+)", r"network.query_decoder.mask_head.\1"),
    (rf"{_DECODER}\.iou_head\.(.+)", r"network.iou_head.mlp.\1"),
    (rf"{_DECODER}\.object_embed\.(.+)", r"network.object_head.mlp.\1"),
    (rf"{_DECODER}\.class_embed\.linear\.0\.(.+)", r"network.class_head.mlp.layers.0.\1"),
    (rf"{_DECODER}\.class_embed\.linear\.2\.(.+)", r"network.class_head.mlp.layers.1.\1"),
    (rf"{_HEADS}\.class_embed\.(layers\..+)", r"network.class_head.mlp.\1"),
    (rf"{_HEADS}\._mask_pooling_proj\.(.+)", r"network.class_head.pooled.\1"),
    (rf"{_HEADS}\.logit_scale", r"classifier.scale"),
    (r"void_embedding\.weight", r"classifier.void"),
    (
        rf"{_DECODER}\.class_embed\.cross_attention\.multihead_attn\.(.+)",
        r"network.class_head.alignment.attention.\1",
    ),
    (rf"{_DECODER}\.class_embed\.cross_attention\.norm\.(.+)", r"network.class_head.alignment.norm.\1"),
    *(
        (rf"{theirs}\.transformer_{kind}_layers\.(\d+)\.{part}\.(.+)", rf"{ours}.layers.\1.{name}.\2")
        for theirs, ours, parts in (
            (_DECODER, "network.query_decoder", _LAYER),
            ("tracker", "tracker", _LAYER),
            ("refiner", "refiner", _REFINER_LAYER),
        )
        for kind, part, name in parts
    ),
    (r"tracker\.ref_proj\.(.+)", r"tracker.reference.\1"),
    (r"tracker\.(merge\..+)", r"tracker.\1"),
    (r"refiner\.conv_short_aggregate_layers\.(\d+)\.0\.(.+)", r"refiner.layers.\1.wide.\2"),
    (r"refiner\.conv_short_aggregate_layers\.(\d+)\.2\.(.+)", r"refiner.layers.\1.narrow.\2"),
    (r"refiner\.conv_norms\.(\d+)\.(.+)", r"refiner.layers.\1.short_norm.\2"),
    (r"refiner\.activation_proj\.(.+)", r"refiner.weight.\1"),
)

# Embeddings of the labels that an OVFormer was trained with, a column each; the last is the background's zeros.
_CLASS_MATRIX = "sem_seg_head.predictor.class_embed.zs_weight"

# Constants of the authors' training code, counters and tables of indices; nothing is computed with them.
_CONSTANTS = re.compile(
    r"criterion\.(empty_weight|empty_object_weight|freq_weight)|.*\.num_batches_tracked|.*\.attn_mask"
    # Rows for the further sets that a model was trained on, which no released test asks for.
    r"|additional_void_embedding\.weight"
    r"|pixel_(mean|std)|backbone\..+\.relative_position_index|" + re.escape(_CLASS_MATRIX)
)

# What holds attention layers with packed projections.
_ATTENDING = ("network.query_decoder.layers.", "network.class_head.alignment.", "tracker.layers.", "refiner.layers.")

_COMPILED = tuple((re.compile(old), new) for old, new in _RENAMES)


def is_authors(names: Iterable[str]) -> bool:
    """Return whether tensor names are those of the authors' detectron2 checkpoints."""
    return any(name.startswith("sem_seg_head.") for name in names)


def class_matrix(state: Mapping[str, Tensor]) -> Tensor | None:
    """Return the text embeddings in an authors' state dict, (K, E); None where it has none.

    They are nobody's weights: a vocabulary that the checkpoint was trained with.
    """
    matrix = state.get(_CLASS_MATRIX)
    return None if matrix is None or matrix.ndim != 2 else matrix[:, :-1].T


def convert_state(state: Mapping[str, Tensor], where: str, rest: TensorDict | None = None) -> TensorDict:
    """Rename an authors' state dict into ours.

    Args:
        state: the `model` entry of their checkpoint.
        where: the file, for the error.
        rest: takes the tensors that no model has, by their own names; None refuses them.

    Raises:
        InputError: a tensor that no model has.
    """
    out: TensorDict = {}
    unknown = []
    for name in sorted(state, key=_turn):
        tensor = state[name]
        if _CONSTANTS.fullmatch(name):
            continue
        for pattern, new in _COMPILED:
            match = pattern.fullmatch(name)
            if match:
                out.update(_unpack(match.expand(new), tensor, where))
                break
        else:
            unknown.append(name)
    if rest is not None:
        rest.update((name, state[name]) for name in unknown)
    elif unknown:
        raise InputError(
            f"{where}: {len(unknown)} tensors belong to no model of the zoo (first: {unknown[0]}); "
            "give a checkpoint of their authors"
        )
    return out


def _turn(name: str) -> int:
    """Return when a tensor is read: of heads that are written down several times the last counts, as released."""
    return next((turn for turn, part in enumerate(("tracker.", "refiner."), 1) if name.startswith(part)), 0)


def _unpack(name: str, tensor: Tensor, where: str) -> TensorDict:
    """Split PyTorch's packed attention projections into our three; pass the rest on."""
    if not name.startswith(_ATTENDING):
        return {name: tensor}
    packed = re.fullmatch(r"(.+)\.in_proj_(weight|bias)", name)
    if packed:
        if tensor.ndim == 0 or len(tensor) % 3:
            raise InputError(
                f"{where}: tensor {name} has shape {tuple(tensor.shape)}, not three equal parts; fetch it again"
            )
        names = [f"{packed[1]}.{part}.{packed[2]}" for part in ("query", "key", "value")]
        return dict(zip(names, tensor.chunk(3), strict=True))
    return {name.replace(".out_proj.", ".out."): tensor}


def decoder_depth(names: Iterable[str]) -> int:
    """Return the number of query decoder layers that our tensor names speak of."""
    depths = [int(m[1]) for m in (re.match(r"network\.query_decoder\.layers\.([0-9]{1,9})\.", n) for n in names) if m]
    return max(depths, default=-1) + 1


def query_count(state: Mapping[str, Tensor]) -> int | None:
    """Return the number of queries that a state of ours has; None where its tensors do not say."""
    queries = state.get("network.query_decoder.query_features")
    return None if queries is None or queries.ndim != 2 else len(queries)


def has_clip(names: Iterable[str]) -> bool:
    """Return whether a state of ours carries the frozen CLIP."""
    return any(name.startswith("clip.") for name in names)
