import pytest
import torch

from fakes import authors_state, build_tiny_fc_clip, build_tiny_ovformer
from ovvis.models.convert import class_matrix, convert_state, decoder_depth, has_clip, is_authors
from ovvis.models.strict import load_strictly
from refusing import refused


def test_round_trip(tiny_model):
    ours = {k: v for k, v in tiny_model.state_dict().items() if not k.endswith("num_batches_tracked")}
    theirs = authors_state(tiny_model.state_dict())
    assert is_authors(theirs)
    assert not is_authors(ours)
    back = convert_state(theirs, "file")
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_projections_are_split_in_pytorchs_order():
    packed = torch.arange(12.0)[:, None].expand(12, 4)
    name = "sem_seg_head.predictor.transformer_self_attention_layers.3.self_attn.in_proj_weight"
    parts = convert_state({name: packed}, "file")
    start = "network.query_decoder.layers.3.self_attention"
    assert [parts[f"{start}.{p}.weight"][0, 0].item() for p in ("query", "key", "value")] == [0, 4, 8]


@pytest.mark.parametrize("alignment", ["released", "none"])
def test_round_trip_of_an_ovformer(alignment):
    state = build_tiny_ovformer(alignment=alignment).state_dict()
    ours = {k: v for k, v in state.items() if not k.startswith("clip.")}
    back = convert_state(authors_state(ours), "file")
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_round_trip_of_an_fc_clip():
    ours = {k: v for k, v in build_tiny_fc_clip().state_dict().items() if not k.endswith("num_batches_tracked")}
    back = convert_state(authors_state(ours), "file")
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_heads_that_are_written_down_again():
    """The tracker's and the refiner's heads are the decoder's; the refiner's are read last, as released."""
    head = "{}.decoder_norm.weight"
    parts = ("refiner", "sem_seg_head.predictor", "tracker")
    state = {head.format(part): torch.full((2,), float(i)) for i, part in enumerate(parts)}
    assert convert_state(state, "file") == {"network.query_decoder.norm.weight": state[head.format("refiner")]}
    layer = "refiner.transformer_time_self_attention_layers.1.self_attn"
    packed = {f"{layer}.in_proj_bias": torch.arange(6.0), f"{layer}.out_proj.bias": torch.ones(2)}
    found = convert_state(packed, "file")
    assert {name: x.tolist() for name, x in found.items()} == {
        "refiner.layers.1.time.query.bias": [0, 1],
        "refiner.layers.1.time.key.bias": [2, 3],
        "refiner.layers.1.time.value.bias": [4, 5],
        "refiner.layers.1.time.out.bias": [1, 1],
    }


def test_a_swins_downsampling_begins_our_stages():
    theirs = {
        "backbone.patch_embed.proj.weight": "patch_embed.proj.weight",
        "backbone.layers.2.blocks.17.attn.qkv.bias": "layers.2.blocks.17.attn.qkv.bias",
        "backbone.layers.2.downsample.reduction.weight": "layers.3.downsample.reduction.weight",
        "backbone.norm3.weight": "norms.3.weight",
    }
    found = convert_state({name: torch.full((1,), float(i)) for i, name in enumerate(theirs)}, "file")
    assert {name: int(x) for name, x in found.items()} == {
        f"network.backbone.{name}": i for i, name in enumerate(theirs.values())
    }


def test_the_class_matrix_is_no_weight():
    matrix = torch.arange(12.0).view(3, 4)
    state = {"sem_seg_head.predictor.class_embed.zs_weight": matrix}
    assert convert_state(state, "file") == {}
    assert torch.equal(class_matrix(state), matrix[:, :3].T)
    assert class_matrix({}) is None


@pytest.mark.parametrize(
    "name",
    [
        "criterion.empty_weight",
        "additional_void_embedding.weight",
        "criterion.freq_weight",
        "backbone.layers.0.blocks.1.attn.relative_position_index",
        "criterion.empty_object_weight",
        "backbone.clip_model.visual.bn1.num_batches_tracked",
        "backbone.clip_model.attn_mask",
        "pixel_mean",
        "pixel_std",
    ],
)
def test_constants_are_dropped(name):
    assert convert_state({name: torch.zeros(1)}, "file") == {}


def test_both_names_of_the_queries():
    for theirs in ("query_feat", "static_query"):
        state = convert_state({f"sem_seg_head.predictor.{theirs}.weight": torch.ones(2, 3)}, "file")
        assert list(state) == ["network.query_decoder.query_features"]


def test_unknown_tensors_are_named():
    state = {"sem_seg_head.predictor.class_embed.weight": torch.ones(1), "other": torch.ones(1)}
    refused(lambda: convert_state(state, "the file"), "the file", "2 tensors", "predictor.class_embed.weight")


# Once: convert.py `_unpack` splits by three with zip(strict=True) before any shape is checked (ValueError).
@pytest.mark.parametrize("shape", [(2, 4), ()])
def test_a_projection_that_cannot_be_split_is_refused(shape):
    name = "sem_seg_head.predictor.transformer_self_attention_layers.3.self_attn.in_proj_weight"
    refused(lambda: convert_state({name: torch.ones(shape)}, "the file"), "the file", "in_proj_weight")


@pytest.mark.parametrize(
    ("names", "depth"),
    [
        ([], 0),
        (["network.query_decoder.layers.0.cross.out.bias"], 1),
        (["network.query_decoder.layers.8.x", "network.query_decoder.layers.10.x"], 11),
        (["network.pixel_decoder.layers.5.norm.weight"], 0),
    ],
)
def test_depth(names, depth):
    assert decoder_depth(names) == depth


def test_has_clip():
    assert has_clip(["clip.model.logit_scale"])
    assert not has_clip(["network.clip.x"])


def small():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm2d(3))


def test_strict_loading_takes_every_value():
    module, state = small(), {k: torch.full_like(v, 2) for k, v in small().state_dict().items()}
    del state["1.num_batches_tracked"]
    load_strictly(module, state, "file")
    assert all((p == 2).all() for p in module.parameters())


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda s: s.pop("0.bias"), ["1 missing", "0.bias"]),
        (lambda s: s.update(extra=torch.ones(1)), ["1 unknown", "extra"]),
        (lambda s: s.update({"0.weight": torch.ones(3, 3)}), ["0.weight", "(3, 3)", "(3, 2)"]),
        (lambda s: s["0.weight"].fill_(float("nan")), ["0.weight", "not finite"]),
        (lambda s: s["1.running_var"].fill_(float("inf")), ["1.running_var", "not finite"]),
    ],
)
def test_strict_loading_refuses(change, named):
    module, state = small(), {k: v.clone() for k, v in small().state_dict().items()}
    change(state)
    before = [p.clone() for p in module.parameters()]
    refused(lambda: load_strictly(module, state, "the file"), "the file", *named)
    assert all(torch.equal(a, b) for a, b in zip(before, module.parameters(), strict=True))
